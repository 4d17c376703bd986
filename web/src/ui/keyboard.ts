/**
 * Keeps something above the keyboard on a screen. Most browsers shrink the page by themselves
 * (`interactive-widget=resizes-content`); Safari only tells how much of it is still seen.
 */

/** What is hidden by less than this is no keyboard. Unit: CSS pixels. */
const LEAST = 80;

export function aboveKeyboard(node: HTMLElement) {
  const seen = window.visualViewport;
  if (!seen) return {};
  const fit = () => {
    const isHidden = window.innerHeight - seen.height * seen.scale > LEAST;
    node.style.height = isHidden ? `${seen.height}px` : '';
    node.style.top = isHidden ? `${seen.offsetTop}px` : '';
    node.style.bottom = isHidden ? 'auto' : '';
  };
  seen.addEventListener('resize', fit);
  seen.addEventListener('scroll', fit);
  return {
    destroy() {
      seen.removeEventListener('resize', fit);
      seen.removeEventListener('scroll', fit);
    },
  };
}
