import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import de from '../messages/de';
import en from '../messages/en';
import fr from '../messages/fr';
import { codeWords, languageFor, type Message, type MessageKey, problemWords, PROGRAMS_ONLY, speak, t } from './i18n';

const all = { en, de, fr } as Record<string, Record<string, Record<string, Message>>>;
const forms = (message: Message) => (typeof message === 'string' ? [message] : Object.values(message));
const holes = (message: Message) => [...new Set(forms(message).flatMap((text) => text.match(/\{\w+\}/g) ?? []))].sort();

/** Every message of a language by its whole key. */
function flat(language: string): Map<string, Message> {
  const areas = Object.entries(all[language]!);
  return new Map(areas.flatMap(([area, messages]) => Object.entries(messages).map(([key, m]) => [`${area}.${key}`, m] as const)));
}

afterEach(() => speak('en'));

describe('the messages', () => {
  for (const language of ['de', 'fr']) {
    it(`of ${language} are the same as the English ones, with the same holes, and none is empty`, () => {
      const [english, other] = [flat('en'), flat(language)];
      expect([...other.keys()].sort()).toEqual([...english.keys()].sort());
      for (const [key, message] of other) {
        expect(holes(message), key).toEqual(holes(english.get(key)!));
        for (const text of forms(message)) expect(text.trim(), key).not.toBe('');
      }
    });
  }

  it('have no exclamation marks and three dots as one sign', () => {
    for (const language of Object.keys(all)) {
      for (const [key, message] of flat(language)) {
        for (const text of forms(message)) expect(text, `${language} ${key}`).not.toMatch(/!|\.\.\./);
      }
    }
  });

  it('have the forms that their language asks for', () => {
    for (const language of Object.keys(all)) {
      const wanted = new Intl.PluralRules(language).resolvedOptions().pluralCategories.filter((form) => form !== 'many');
      for (const [key, message] of flat(language)) {
        if (typeof message !== 'string') expect(Object.keys(message).sort(), `${language} ${key}`).toEqual([...wanted].sort());
      }
    }
  });
});

describe('t', () => {
  it('fills in, leaves what it was not given, and shows the key of what is missing', () => {
    expect(t('common.and', { list: 'Ana', last: 'Ben' })).toBe('Ana and Ben');
    expect(t('common.and', { list: 'Ana' })).toBe('Ana and {last}');
    expect(t('common.nothing' as MessageKey)).toBe('common.nothing');
  });

  it('follows the language, which the page tells readers', async () => {
    await speak('de');
    expect(t('common.save')).toBe('Speichern');
    expect(document.documentElement.lang).toBe('de');
  });

  it('says problems in the language, and leaves those that it has no words for', async () => {
    const full = { code: 'queue_full', title: 'The queue is full', detail: 'Wait for answers.' };
    const strange = { code: 'never_heard_of', title: 'Strange', detail: 'Very.' };
    expect(problemWords(full)).toEqual(full);
    await speak('fr');
    expect(problemWords(full)).toEqual({ title: 'La file est pleine. Attendez des réponses, ou retirez une de vos questions.', detail: '' });
    expect(problemWords(strange)).toEqual(strange);
  });

  it('says what to do where the server says no more than the code', () => {
    const bare = { code: 'shutting_down', title: 'The server is shutting down', detail: 'The server is shutting down' };
    expect(problemWords(bare)).toEqual({ title: 'The server is being restarted. The page connects again by itself.', detail: '' });
  });

  it('has words in each language for every code of the catalogue, and for each way in which an answer fails', async () => {
    const read = (path: string) => readFileSync(resolve(import.meta.dirname, '../../..', path), 'utf8');
    const codes = [...read('docs/problems.md').matchAll(/^\| `(\w+)` \|/gm)].map(([, code]) => code!);
    const failures = [...read('crates/assistant/src/driver.rs').matchAll(/Self::\w+ => "(\w+)",/g)].map(([, code]) => code!);
    expect(codes.length).toBeGreaterThan(60);
    expect(failures).toContain('model_timed_out');
    expect([...PROGRAMS_ONLY].filter((code) => !codes.includes(code))).toEqual([]);
    for (const language of ['en', 'de', 'fr'] as const) {
      await speak(language);
      const silent = [...codes, ...failures, 'model_not_configured', 'offline', 'strange_answer', 'page_fault'].filter((code) => !codeWords(code));
      expect(silent, language).toEqual([]);
    }
  });

  it('finds the language of a reader', () => {
    expect(languageFor(['pt-BR', 'fr-CA', 'de'])).toBe('fr');
    expect(languageFor(['xx'])).toBe('en');
    expect(languageFor([])).toBe('en');
  });
});
