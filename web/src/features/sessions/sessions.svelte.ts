/**
 * Own sessions, as the list shows them.
 *
 * Owns: asking, searching, more of them, asking again while somebody looks. Must not know: what is open.
 */

import * as api from '../../api/client';
import { problemOf } from '../../api/problem';
import { t } from '../../app/i18n';
import { go } from '../../app/routes';
import type { Problem } from '../../session/protocol';
import { toast } from '../../ui/toasts.svelte';

/** How often the list is read again while it is looked at. Unit: milliseconds. */
const EVERY_MS = 15_000;
/** How long typing must rest before it searches. Unit: milliseconds. */
const REST_MS = 200;

/** Returns whether a session works on with nobody leading it. */
export const worksAlone = (item: api.SessionListItem) => Boolean(item.is_active && item.detached_at);

export class SessionList {
  #items = $state.raw<readonly api.SessionListItem[] | null>(null);
  #problem = $state.raw<Problem | null>(null);
  #next = $state.raw<string | null>(null);
  #search = $state('');
  #alone = $state(false);
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

  /** Whether only those are wanted that work on with nobody leading them. */
  get alone(): boolean {
    return this.#alone;
  }
  set alone(only: boolean) {
    this.#alone = only;
    void this.load();
  }
  /** How many of those known here work on alone. */
  get aloneCount(): number {
    return this.#items?.filter(worksAlone).length ?? 0;
  }

  async load(): Promise<void> {
    const asked = ++this.#asked;
    clearTimeout(this.#timer);
    try {
      const page = await api.sessions(this.#search.trim(), null, 30, this.#alone);
      // An answer to an older question is no answer to this one.
      if (asked !== this.#asked) return;
      this.#tellDone(page.items);
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
      const page = await api.sessions(this.#search.trim(), this.#next, 30, this.#alone);
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
    this.#alone = false;
  }

  /** What was done while nobody was there is told once, to whoever looks at the list. */
  #tellDone(now: readonly api.SessionListItem[]): void {
    const worked = new Set(this.#items?.filter((item) => worksAlone(item) && !item.work_done).map((item) => item.id));
    for (const item of now) {
      if (!item.work_done || !worked.has(item.id)) continue;
      const title = item.title || t('shell.new_session_title');
      toast(t('life.alone_notice', { title }), { tone: 'good', action: { label: t('life.alone_open'), run: () => go(`/s/${item.id}`) } });
    }
  }

  #again(): void {
    if (this.#watchers === 0 || document.visibilityState !== 'visible') return;
    // Somebody who has asked for more of them reads; nothing is taken away under their eyes.
    if ((this.#items?.length ?? 0) > 30) return;
    this.#timer = setTimeout(() => void this.load(), EVERY_MS);
  }
}

export const sessions = new SessionList();
