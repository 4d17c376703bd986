/**
 * What a person has chosen in this browser: theme, language, notifications.
 *
 * Owns: its place in the browser's storage, and reading it back with care. Must not know: accounts, sessions.
 */

import { isTheme, showTheme, THEME_KEY, type Theme } from './theme';

const KEY = 'roundtable.preferences';

export interface Preferences {
  theme: Theme;
  /** A language tag that the page has messages in; null: as the browser says. */
  language: string | null;
  /** Whether mentions are counted in the title of the tab. */
  mentions: boolean;
  /** Whether a mention makes a sound. */
  sound: boolean;
  /** Whether the list of sessions is open where there is room; null: as the width says. */
  sessions_open: boolean | null;
  people_open: boolean;
}

const DEFAULTS: Preferences = {
  theme: 'system',
  language: null,
  mentions: true,
  sound: false,
  sessions_open: null,
  people_open: true,
};

/** Reads what is stored; whatever is not understood is as if it had never been chosen. */
export function readPreferences(storage: Pick<Storage, 'getItem'> | null): Preferences {
  let stored: Record<string, unknown> = {};
  let theme: unknown = null;
  try {
    theme = storage?.getItem(THEME_KEY);
    const parsed: unknown = JSON.parse(storage?.getItem(KEY) ?? '{}');
    if (typeof parsed === 'object' && parsed !== null) stored = parsed as Record<string, unknown>;
  } catch {
    stored = {};
  }
  const flag = <K extends keyof Preferences>(name: K) => (typeof stored[name] === 'boolean' ? (stored[name] as boolean) : DEFAULTS[name]);
  return {
    theme: isTheme(theme) ? theme : DEFAULTS.theme,
    language: typeof stored['language'] === 'string' ? stored['language'] : null,
    mentions: flag('mentions') as boolean,
    sound: flag('sound') as boolean,
    sessions_open: flag('sessions_open') as boolean | null,
    people_open: flag('people_open') as boolean,
  };
}

function storageOf(): Storage | null {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

const chosen = $state(readPreferences(storageOf()));

/** What holds now; reading it in a component follows changes. */
export const preferences: Readonly<Preferences> = chosen;

/** Changes some of it, shows it at once and keeps it. */
export function prefer(change: Partial<Preferences>): void {
  Object.assign(chosen, change);
  if (change.theme !== undefined) showTheme(change.theme);
  try {
    const { theme, ...rest } = chosen;
    localStorage.setItem(THEME_KEY, theme);
    localStorage.setItem(KEY, JSON.stringify(rest));
  } catch {
    // Kept for this page only.
  }
}
