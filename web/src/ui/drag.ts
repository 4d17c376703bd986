/** An element that is dragged down to close what it belongs to. */

/** How far it must go. Unit: CSS pixels. */
const FAR = 60;

export function draggedDown(node: HTMLElement, close: () => void) {
  let from: number | null = null;
  const begin = (event: PointerEvent) => {
    from = event.clientY;
    node.setPointerCapture(event.pointerId);
  };
  const move = (event: PointerEvent) => {
    if (from === null) return;
    const sheet = node.parentElement;
    const way = Math.max(0, event.clientY - from);
    if (sheet) sheet.style.translate = `0 ${way}px`;
  };
  const end = (event: PointerEvent) => {
    if (from === null) return;
    const isFar = event.clientY - from > FAR;
    from = null;
    if (node.parentElement) node.parentElement.style.removeProperty('translate');
    if (isFar) close();
  };
  node.style.touchAction = 'none';
  node.addEventListener('pointerdown', begin);
  node.addEventListener('pointermove', move);
  node.addEventListener('pointerup', end);
  node.addEventListener('pointercancel', end);
  return {
    destroy() {
      node.removeEventListener('pointerdown', begin);
      node.removeEventListener('pointermove', move);
      node.removeEventListener('pointerup', end);
      node.removeEventListener('pointercancel', end);
    },
  };
}
