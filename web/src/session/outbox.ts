/**
 * Commands that have no final answer, kept where a reload or a crash of the page does not reach.
 *
 * Owns: their place in the browser's storage. Must not know: what they do. Invariant: a command is stored before it is
 * sent and stays until it is answered for good; its key stays the same, so sending it twice does it once. That holds
 * for two tabs of the same session too, which see each other's entries.
 */

import type { Id, Problem, Stream } from './protocol';

export interface Unsent {
  key: Id;
  stream: Stream;
  name: string;
  data: unknown;
  /** When it was given, in milliseconds of the page's clock. */
  at: number;
  /** Why the session refused it for good; it is kept so that its text is not lost. */
  problem?: Problem;
}

export class Outbox {
  readonly #prefix: string;
  readonly #storage: Storage | null;

  constructor(user: Id, session: Id, storage: Storage | null = browserStorage()) {
    this.#prefix = `roundtable/unsent/${user}/${session}/`;
    this.#storage = storage;
  }

  /** Returns what is stored, in the order in which it was given: keys are UUIDv7. */
  load(): Unsent[] {
    if (!this.#storage) return [];
    const names = Array.from({ length: this.#storage.length }, (_, i) => this.#storage!.key(i) ?? '');
    return names
      .filter((name) => name.startsWith(this.#prefix))
      .sort()
      .map((name) => read(this.#storage!.getItem(name)))
      .filter((entry) => entry !== null);
  }

  /** Returns whether it is kept; false when the browser keeps nothing or is full. */
  put(entry: Unsent): boolean {
    try {
      this.#storage?.setItem(this.#prefix + entry.key, JSON.stringify(entry));
      return this.#storage !== null;
    } catch {
      return false;
    }
  }

  remove(key: Id): void {
    this.#storage?.removeItem(this.#prefix + key);
  }
}

/** Forgets drafts and unsent commands of everybody: whoever uses this browser next must not see them. */
export function forgetAll(storage: Storage | null = browserStorage()): void {
  if (!storage) return;
  const names = Array.from({ length: storage.length }, (_, i) => storage.key(i) ?? '');
  for (const name of names) if (name.startsWith('roundtable/')) storage.removeItem(name);
}

/** Returns the browser's storage, or null where it is switched off. */
export function browserStorage(): Storage | null {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

function read(text: string | null): Unsent | null {
  try {
    const entry = JSON.parse(text ?? '') as Unsent;
    return typeof entry.key === 'string' && typeof entry.name === 'string' ? entry : null;
  } catch {
    return null;
  }
}
