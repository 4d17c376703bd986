/**
 * The commands to one session that have no final answer yet.
 *
 * Owns: their order, window and retries. Must not know: what they do. Invariant: they are sent in the order in which
 * they were given, each under the key it was given, until each is answered for good.
 */

import { COMMAND_WINDOW, type CommandFrame, type Id, type Stream } from '../protocol';

/** A command without a final answer. */
export interface Pending {
  key: Id;
  stream: Stream;
  seen: number | null;
  name: string;
  data: unknown;
}

interface Entry extends Pending {
  /** The request under which it travels now. */
  sent: number | null;
  /** Whether it was ever sent. */
  retry: boolean;
}

export class Commands {
  #queue: Entry[] = [];
  /** After a retryable refusal: nothing is sent before this time. */
  #holdUntil: number | null = null;
  #refusals = 0;

  /** `retry`: the key was sent before, by this page before it was reloaded. */
  push(command: Pending, retry = false): void {
    this.#queue.push({ ...command, sent: null, retry });
  }

  get length(): number {
    return this.#queue.length;
  }

  get refusals(): number {
    return this.#refusals;
  }

  /** Returns the keys of what has no final answer, in order. */
  keys(): Id[] {
    return this.#queue.map((c) => c.key);
  }

  has(key: Id): boolean {
    return this.#queue.some((c) => c.key === key);
  }

  /** Returns what may be sent now; `nextId` numbers the requests. */
  sendable(now: number, session: Id, nextId: () => number): CommandFrame[] {
    if (this.#holdUntil !== null && now < this.#holdUntil) return [];
    this.#holdUntil = null;
    let room = COMMAND_WINDOW - this.#queue.filter((c) => c.sent !== null).length;
    const frames: CommandFrame[] = [];
    for (const command of this.#queue) {
      if (room <= 0) break;
      if (command.sent !== null) continue;
      room -= 1;
      const { key, stream, seen, name, data, retry } = command;
      const id = nextId();
      frames.push({
        type: 'command',
        id,
        key,
        session_id: session,
        stream,
        ...(seen === null ? {} : { seen }),
        name,
        data,
        retry,
      });
      command.sent = id;
      command.retry = true;
    }
    return frames;
  }

  /** Takes out the command that was accepted. Matched by key, so that an answer to an earlier sending counts too. */
  accepted(key: Id): Pending | null {
    const taken = this.#take((c) => c.key === key);
    if (taken) this.#refusals = 0;
    return taken;
  }

  keyOf(re: number): Id | null {
    return this.#queue.find((c) => c.sent === re)?.key ?? null;
  }

  /** Takes out the command that was refused for good. */
  refused(re: number): Pending | null {
    return this.#take((c) => c.sent === re);
  }

  /** A retryable refusal: the command and all later ones wait and are sent again in order. */
  postponed(re: number, until: number): void {
    const place = this.#queue.findIndex((c) => c.sent === re);
    if (place < 0) return;
    for (const command of this.#queue.slice(place)) command.sent = null;
    this.#refusals += 1;
    this.#holdUntil = until;
  }

  disconnected(): void {
    for (const command of this.#queue) command.sent = null;
    this.#holdUntil = null;
  }

  deadline(): number | null {
    return this.#holdUntil;
  }

  #take(which: (c: Entry) => boolean): Pending | null {
    const place = this.#queue.findIndex(which);
    return place < 0 ? null : (this.#queue.splice(place, 1)[0] ?? null);
  }
}
