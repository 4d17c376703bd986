/** A row that a finger draws to the right: it follows a little, and far enough does something. */

/** How far a finger must go, and how far the row follows at most. Unit: CSS pixels. */
const FAR = 56;
const MOST = 72;
/** More up or down than this first means scrolling. Unit: CSS pixels. */
const SLOP = 10;

/** `deed` gives what to do, or null where nothing can be done. */
export function swipe(row: HTMLElement, deed: () => (() => void) | null) {
  let current = deed;
  let from: { x: number; y: number; id: number } | null = null;
  let isSwipe = false;
  let wasSwipe = false;

  const begin = (event: PointerEvent) => {
    if (event.pointerType !== 'touch' || (event.target as Element).closest('pre, .md-table, .math, textarea')) return;
    from = { x: event.clientX, y: event.clientY, id: event.pointerId };
    isSwipe = false;
    wasSwipe = false;
  };
  const move = (event: PointerEvent) => {
    if (!from || event.pointerId !== from.id) return;
    const across = event.clientX - from.x;
    const down = Math.abs(event.clientY - from.y);
    if (!isSwipe) {
      if (down > SLOP || across < -SLOP) from = null;
      if (!from || across < SLOP || across < down || !current()) return;
      isSwipe = true;
      row.setPointerCapture(event.pointerId);
    }
    const way = Math.max(0, Math.min(MOST, across - SLOP));
    row.style.translate = `${way}px 0`;
    row.toggleAttribute('data-swiped', way >= FAR);
  };
  const end = (event: PointerEvent) => {
    const isFar = isSwipe && row.hasAttribute('data-swiped') && event.type === 'pointerup';
    wasSwipe = isSwipe;
    from = null;
    isSwipe = false;
    row.style.removeProperty('translate');
    row.removeAttribute('data-swiped');
    if (isFar) current()?.();
  };
  /** The click that ends a swipe means nothing. */
  const clicked = (event: MouseEvent) => {
    if (!wasSwipe) return;
    wasSwipe = false;
    event.stopImmediatePropagation();
  };
  row.style.touchAction = 'pan-y';
  row.addEventListener('pointerdown', begin);
  row.addEventListener('pointermove', move);
  row.addEventListener('pointerup', end);
  row.addEventListener('pointercancel', end);
  row.addEventListener('click', clicked, { capture: true });
  return {
    update: (next: () => (() => void) | null) => (current = next),
    destroy() {
      row.removeEventListener('pointerdown', begin);
      row.removeEventListener('pointermove', move);
      row.removeEventListener('pointerup', end);
      row.removeEventListener('pointercancel', end);
      row.removeEventListener('click', clicked, { capture: true });
    },
  };
}
