/**
 * The page's words: `t('chat.send')`.
 *
 * Owns: which language is shown, plurals, filling in. Must not know: any word. English is part of the first screen and
 * the shape of all others; those are loaded when chosen. Reading `t` in a component follows a change of language.
 */

import en, { type Messages } from '../messages/en';
import { locale } from '../ui/locale.svelte';
import { count } from '../ui/time';
import { shown } from './language.svelte';

/** A message, or its forms by number (`Intl.PluralRules`). `{name}` stands for what is filled in. */
export type Message = string | { one?: string; few?: string; many?: string; other: string };

type Area = keyof Messages;
/** Every message that exists. */
export type MessageKey = { [A in Area]: `${A}.${Extract<keyof Messages[A], string>}` }[Area];
export type Values = Record<string, string | number>;

/** The languages that there are messages in, named in themselves. */
export const LANGUAGES = { en: 'English', de: 'Deutsch', fr: 'Français' } as const;
export type Language = keyof typeof LANGUAGES;

const loaders: Record<Exclude<Language, 'en'>, () => Promise<{ default: Messages }>> = {
  de: () => import('../messages/de'),
  fr: () => import('../messages/fr'),
};

shown.messages = en;

/** Returns a message in the language shown. `n` chooses among plurals. */
export function t(key: MessageKey, values?: Values): string {
  const dot = key.indexOf('.');
  const area = (shown.messages as Record<string, Record<string, Message> | undefined>)[key.slice(0, dot)];
  const message = area?.[key.slice(dot + 1)];
  if (message === undefined) return key;
  return fill(typeof message === 'string' ? message : plural(message, values?.['n']), values);
}

function plural(forms: Exclude<Message, string>, n: string | number | undefined): string {
  const rule = rules(locale.tag).select(Number(n ?? 0));
  return (forms as Record<string, string | undefined>)[rule] ?? forms.other;
}

const made = new Map<string, Intl.PluralRules>();
function rules(tag: string): Intl.PluralRules {
  let known = made.get(tag);
  if (!known) made.set(tag, (known = new Intl.PluralRules(tag)));
  return known;
}

function fill(text: string, values: Values | undefined): string {
  if (!values) return text;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === 'number' ? count(value) : value;
  });
}

/** What only a program can do wrong: a person who meets one of these has a page that is not the server's. */
export const PROGRAMS_ONLY: ReadonlySet<string> = new Set([
  'malformed_json',
  'unknown_field',
  'unknown_frame',
  'unknown_command',
  'invalid_key',
  'unsupported_media_type',
  'method_not_allowed',
  'stale_lease',
  'ephemeral_too_large',
]);

/** Returns what is said of a problem's code, and what to do; undefined: it has no words. */
export function codeWords(code: string): string | undefined {
  const known = (shown.messages as Messages).problems as Record<string, string>;
  return PROGRAMS_ONLY.has(code) ? known['misunderstood'] : known[code];
}

/**
 * Says a problem in the language shown: what happened, and what to do.
 *
 * What the server wrote is English. Where it says no more than the code does, the page's words say also what to do; where
 * it knows more of the case, English readers get that, and others the words of the code.
 */
export function problemWords(problem: { code: string; title: string; detail: string }): { title: string; detail: string } {
  const words = codeWords(problem.code);
  const saysMore = problem.detail !== '' && problem.detail !== problem.title;
  return words === undefined || (locale.tag === 'en' && saysMore) ? problem : { title: words, detail: '' };
}

export function isLanguage(tag: string): tag is Language {
  return Object.hasOwn(LANGUAGES, tag);
}

/** Returns the first language of a reader that there are messages in. */
export function languageFor(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const base = tag.toLowerCase().split('-')[0]!;
    if (isLanguage(base)) return base;
  }
  return 'en';
}

/** Shows the page in this language; on a bad line it stays as it was and throws. */
export async function speak(language: Language, root: HTMLElement = document.documentElement): Promise<void> {
  const messages = language === 'en' ? en : (await loaders[language]()).default;
  shown.messages = messages;
  locale.tag = language;
  root.lang = language;
}
