/**
 * Older messages of one session, in pages, with holes where nobody has looked.
 *
 * Owns: pages that were loaded, kept true by the events that come. Must not know: the view's newest messages, REST.
 * Invariant: a page says what its messages say now, or it is not held.
 */

import { type MessageView, type Page, PAGE_MESSAGES, type SessionEvent, type Stream, type StreamView } from './protocol';
import { freshen } from './view';

type Pages = ReadonlyMap<number, Page>;

export class History {
  /** Replaced, never changed in place. */
  #pages: { readonly [S in Stream]?: Pages } = {};

  /** Returns what is held of a stream; the same object while it is the same. */
  pages(stream: Stream): Pages {
    return this.#pages[stream] ?? NONE;
  }

  put(page: Page): void {
    this.#set(page.stream, new Map(this.pages(page.stream)).set(page.page, page));
  }

  /** Takes in an event that was applied; only one about a message that exists can change a page. */
  apply(event: SessionEvent): void {
    const about = (event.data as { message?: unknown }).message;
    const held = this.#pages[event.stream];
    if (!held || typeof about !== 'string') return;
    for (const [n, page] of held) {
      if (!page.messages.some((m) => m.id === about)) continue;
      this.#set(event.stream, new Map(held).set(n, freshen(page, [event])));
      return;
    }
  }

  /** Forgets everything: what happened since cannot be known. */
  clear(): void {
    this.#pages = {};
  }

  #set(stream: Stream, pages: Pages): void {
    this.#pages = { ...this.#pages, [stream]: pages };
  }
}

const NONE: Pages = new Map();

/** Returns the message with number `n`, from the newest ones or from a page; undefined: not loaded. */
export function messageAt(newest: StreamView | undefined, pages: Pages, n: number): MessageView | undefined {
  const first = newest?.messages[0]?.n;
  if (first !== undefined && n >= first) return newest!.messages[n - first];
  const page = pages.get(Math.floor(n / PAGE_MESSAGES));
  return page?.messages[n % PAGE_MESSAGES];
}
