/**
 * Gives the focus to a dialog as a whole when it opens: readers hear its title, no keyboard springs up on a phone, and
 * the first Tab reaches its first control.
 */
export function focusWhole(event: Event): void {
  event.preventDefault();
  (event.target as HTMLElement | null)?.focus?.();
}
