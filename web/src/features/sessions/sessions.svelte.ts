/**
 * Own sessions, as the list shows them.
 *
 * Owns: asking, searching, more of them, asking again while somebody looks. Must not know: what is open.
 */

import * as api from '../../api/client';
import { problemOf } from '../../api/problem';
import type { Problem } from '../../session/protocol';

/** How often the list is read again while it is looked at. Unit: milliseconds. */
const EVERY_MS = 15_000;
/** How long typing must rest before it searches. Unit: milliseconds. */
const REST_MS = 200;

export class SessionList {
  #items = $state.raw<readonly api.SessionListItem[] | null>(null);
  #problem = $state.raw<Problem | null>(null);
  #next = $state.raw<string | null>(null);
  #search = $state('');
  #busy = $state(false);
  #loads = $state(0);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked = 0;
  #watchers = 0;

  /** Null: not known yet. */
  get items(): readonly api.SessionListItem[] | null {
    // At once while somebody types; the server then looks through those that are not here.
    const wanted = this.#search.trim().toLowerCase();
    return wanted === '' ? this.#items : (this.#items?.filter((item) => item.title.toLowerCase().includes(wanted)) ?? null);
  }
  get problem(): Problem | null {
    return this.#problem;
  }
  get hasMore(): boolean {
    return this.#next !== null;
  }
  /** How often it was read; who adds what they know better does so again after each. */
  get loads(): number {
    return this.#loads;
  }
  get busy(): boolean {
    return this.#busy;
  }
  get search(): string {
    return this.#search;
  }
  set search(text: string) {
    this.#search = text;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.load(), REST_MS);
  }

  async load(): Promise<void> {
    const asked = ++this.#asked;
    clearTimeout(this.#timer);
    try {
      const page = await api.sessions(this.#search.trim());
      // An answer to an older question is no answer to this one.
      if (asked !== this.#asked) return;
      this.#items = page.items;
      this.#loads += 1;
      this.#next = page.next ?? null;
      this.#problem = null;
    } catch (error) {
      if (asked === this.#asked) this.#problem = problemOf(error);
    } finally {
      if (asked === this.#asked) this.#again();
    }
  }

  /** Somebody is in one of them and knows it better than the list does. */
  now(id: string, change: Partial<Pick<api.SessionListItem, 'title' | 'state' | 'online' | 'online_count'>>): void {
    if (this.#items?.some((item) => item.id === id)) {
      this.#items = this.#items.map((item) => (item.id === id ? { ...item, ...change } : item));
    }
  }

  async more(): Promise<void> {
    if (this.#next === null || this.#busy) return;
    this.#busy = true;
    const asked = this.#asked;
    try {
      const page = await api.sessions(this.#search.trim(), this.#next);
      if (asked !== this.#asked) return;
      const known = new Set((this.#items ?? []).map((item) => item.id));
      this.#items = [...(this.#items ?? []), ...page.items.filter((item) => !known.has(item.id))];
      this.#next = page.next ?? null;
    } catch (error) {
      this.#problem = problemOf(error);
    } finally {
      this.#busy = false;
    }
  }

  /** Keeps the list fresh while somebody looks. Returns how to stop that. */
  watch(): () => void {
    this.#watchers += 1;
    void this.load();
    const seen = () => document.visibilityState === 'visible' && void this.load();
    document.addEventListener('visibilitychange', seen);
    return () => {
      this.#watchers -= 1;
      document.removeEventListener('visibilitychange', seen);
      if (this.#watchers === 0) clearTimeout(this.#timer);
    };
  }

  forget(): void {
    this.#asked += 1;
    this.#items = null;
    this.#next = null;
    this.#problem = null;
    this.#search = '';
  }

  #again(): void {
    if (this.#watchers === 0 || document.visibilityState !== 'visible') return;
    // Somebody who has asked for more of them reads; nothing is taken away under their eyes.
    if ((this.#items?.length ?? 0) > 30) return;
    this.#timer = setTimeout(() => void this.load(), EVERY_MS);
  }
}

export const sessions = new SessionList();
