/** What a composer does with keys and text, without a page. */

import { MAX_MESSAGE_BYTES, type Permission, type Stream } from '../../session/protocol';
import { browserStorage } from '../../session/outbox';

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
}
