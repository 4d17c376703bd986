/**
 * Light, dark, high contrast, or as the system says.
 *
 * Owns: the attribute on the root element that tokens.css reads. `public/theme.js` sets it before the first paint from
 * the same stored value; this is for changing it later.
 */

export type Theme = 'system' | 'light' | 'dark' | 'contrast';
export const THEMES: readonly Theme[] = ['system', 'light', 'dark', 'contrast'];
/** Where `public/theme.js` reads it too. */
export const THEME_KEY = 'roundtable.theme';

export function isTheme(value: unknown): value is Theme {
  return THEMES.includes(value as Theme);
}

/** Shows the page in this theme. */
export function showTheme(theme: Theme, root: HTMLElement = document.documentElement): void {
  if (theme === 'system') delete root.dataset['theme'];
  else root.dataset['theme'] = theme;
}
