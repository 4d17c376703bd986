/** A text field that is as high as its text, up to what its style allows. `value` tells when to look again. */
export function grows(field: HTMLTextAreaElement, _value: string) {
  const fit = () => {
    field.style.height = 'auto';
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
  };
  fit();
  // Its width changes with the window's.
  let width = field.clientWidth;
  const sizes = new ResizeObserver(() => {
    if (field.clientWidth === width) return;
    width = field.clientWidth;
    fit();
  });
  sizes.observe(field);
  return { update: fit, destroy: () => sizes.disconnect() };
}
