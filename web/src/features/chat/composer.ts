/** What a composer does with keys and text, without a page. */

import { type Id, MAX_MESSAGE_BYTES, type Permission, type Stream } from '../../session/protocol';
import { browserStorage } from '../../session/outbox';
import type { Attachment } from './attachments';

export type Addressee = 'assistant' | 'everyone';

/** Returns whether a key sends: Enter alone, and not the Enter that ends a word in an input method. */
export function sends(event: Pick<KeyboardEvent, 'key' | 'shiftKey' | 'ctrlKey' | 'altKey' | 'isComposing'>): boolean {
  return event.key === 'Enter' && !event.shiftKey && !event.ctrlKey && !event.altKey && !event.isComposing;
}

/** Returns why a text cannot be sent; empty: it can. */
export function obstacle(text: string): 'empty' | 'too_long' | '' {
  if (text.trim() === '') return 'empty';
  // A UTF-16 code unit takes at most three bytes: short texts need no counting.
  if (text.length * 3 <= MAX_MESSAGE_BYTES) return '';
  return new TextEncoder().encode(text).length > MAX_MESSAGE_BYTES ? 'too_long' : '';
}

/** Returns whom a reader may address. Side chat has no assistant in it. */
export function addressees(stream: Stream, can: readonly Permission[]): Addressee[] {
  if (stream === 'side') return can.includes('side_post') ? ['everyone'] : [];
  if (!can.includes('message_post')) return [];
  return can.includes('turn_prompt') ? ['assistant', 'everyone'] : ['everyone'];
}

/** What goes with the text of a draft. */
export interface DraftMore {
  reply_to?: Id;
  /** To whom it goes, where that is not the usual. */
  to?: Addressee;
  attachments?: Attachment[];
}

/** What is written and not sent, kept over reloads. */
export class Draft {
  readonly #name: string;
  readonly #storage: Storage | null;

  constructor(session: string, stream: Stream, storage: Storage | null = browserStorage()) {
    this.#name = `roundtable/draft/${session}/${stream}`;
    this.#storage = storage;
  }

  load(): string {
    return this.#storage?.getItem(this.#name) ?? '';
  }

  save(text: string): void {
    try {
      if (text === '') this.#storage?.removeItem(this.#name);
      else this.#storage?.setItem(this.#name, text);
    } catch {
      // The browser's storage is full: the text stays in the field.
    }
  }

  loadMore(): DraftMore {
    try {
      const more: unknown = JSON.parse(this.#storage?.getItem(`${this.#name}/more`) ?? '{}');
      return typeof more === 'object' && more !== null ? (more as DraftMore) : {};
    } catch {
      return {};
    }
  }

  saveMore(more: DraftMore): void {
    try {
      if (Object.keys(more).length === 0) this.#storage?.removeItem(`${this.#name}/more`);
      else this.#storage?.setItem(`${this.#name}/more`, JSON.stringify(more));
    } catch {
      // As above.
    }
  }
}

/** Somebody or something that can be named after an `@`. */
export interface Nameable {
  id: Id;
  name: string;
  /** What else finds it. */
  alias: string;
  colour: number;
  isAgent: boolean;
}

/** Returns the beginning of a name that is being written before `caret`, and where its `@` stands; null: none. */
export function nameBegun(text: string, caret: number): { at: number; begun: string } | null {
  const match = /(?:^|[\s(\[{"'])@([^\s@]*(?: [^\s@]+)?)$/u.exec(text.slice(0, caret));
  if (!match) return null;
  const begun = match[1]!;
  return { at: caret - begun.length - 1, begun };
}

/** Returns who fits what was begun, those whose name begins so first; at most eight. */
export function fitting(people: readonly Nameable[], begun: string): Nameable[] {
  const wanted = plain(begun);
  const rank = ({ name, alias }: Nameable) => {
    const own = plain(name);
    if (own.startsWith(wanted) || plain(alias).startsWith(wanted)) return 0;
    return own.split(' ').some((word) => word.startsWith(wanted)) ? 1 : -1;
  };
  return people
    .map((person) => ({ person, place: rank(person) }))
    .filter(({ place }) => place >= 0)
    .sort((a, b) => a.place - b.place)
    .slice(0, 8)
    .map(({ person }) => person);
}

/** Without accents and case, as names are typed in a hurry. */
const plain = (text: string) => text.normalize('NFD').replace(/\p{M}/gu, '').toLocaleLowerCase();

/** Returns whether a text names somebody after an `@`. */
export function calls(text: string, { name, alias }: Pick<Nameable, 'name' | 'alias'>): boolean {
  const said = plain(text);
  return [name, alias].some((one) => {
    for (let at = said.indexOf(`@${plain(one)}`); at >= 0; at = said.indexOf(`@${plain(one)}`, at + 1)) {
      const before = said[at - 1] ?? ' ';
      const after = said[at + plain(one).length + 1] ?? ' ';
      if (!/[\p{L}\p{N}_]/u.test(before) && !/[\p{L}\p{N}_]/u.test(after)) return true;
    }
    return false;
  });
}

/** Returns the text with the name in place of what was begun, and where the caret stands then. */
export function withName(text: string, at: number, caret: number, name: string): { text: string; caret: number } {
  const rest = text.slice(caret);
  const put = `@${name}${/^\s/.test(rest) ? '' : ' '}`;
  return { text: text.slice(0, at) + put + rest, caret: at + put.length + (/^\s/.test(rest) ? 1 : 0) };
}
