/**
 * How far the reader has read, and what is new.
 *
 * Owns: read marks of the streams, when they are told to the server. Must not know: what is visible. Invariant: a mark
 * never goes back while the page lives.
 */

import type { Id, MessageView, StreamView } from './protocol';

export type Talk = 'main' | 'side';

export interface Unread {
  count: number;
  /** How many of them name the reader or answer them. */
  mentions: number;
}

export interface ReadMarks {
  main: number | null;
  side: number | null;
}

/** How often reading is told to the server at most. Unit: milliseconds. */
const TELL_MS = 1_000;

export class Reading {
  /** The last seq read of each stream; null: not known. */
  readonly #marks: ReadMarks = { main: null, side: null };
  readonly #told: ReadMarks = { main: null, side: null };
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #tell: (stream: Talk, seq: number) => void;

  constructor(tell: (stream: Talk, seq: number) => void) {
    this.#tell = tell;
  }

  /** Takes what the server remembers. Returns whether something changed. */
  remembered(read: { [S in Talk]?: number } | undefined): boolean {
    let changed = false;
    for (const stream of ['main', 'side'] as const) {
      const seq = read?.[stream];
      if (seq === undefined || seq <= (this.#marks[stream] ?? -1)) continue;
      this.#marks[stream] = seq;
      this.#told[stream] = Math.max(seq, this.#told[stream] ?? 0);
      changed = true;
    }
    return changed;
  }

  /** Everything up to `seq` was seen. Returns whether that is news. */
  seen(stream: Talk, seq: number): boolean {
    if (seq <= (this.#marks[stream] ?? -1)) return false;
    this.#marks[stream] = seq;
    this.#timer ??= setTimeout(() => this.#flush(), TELL_MS);
    return true;
  }

  get marks(): ReadMarks {
    return { ...this.#marks };
  }

  /** The connection is new: the server may not have heard the last of it. */
  again(): void {
    this.#told.main = null;
    this.#told.side = null;
    if (this.#marks.main !== null || this.#marks.side !== null) this.#timer ??= setTimeout(() => this.#flush(), TELL_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#flush();
  }

  #flush(): void {
    this.#timer = undefined;
    for (const stream of ['main', 'side'] as const) {
      const seq = this.#marks[stream];
      if (seq === null || seq <= (this.#told[stream] ?? 0)) continue;
      this.#told[stream] = seq;
      this.#tell(stream, seq);
    }
  }
}

const NOTHING: Unread = { count: 0, mentions: 0 };

/** Returns what of a stream came after `mark` from others. `isMine` finds messages that the reader wrote. */
export function unread(stream: StreamView | undefined, mark: number | null, me: Id | null, isMine: (id: Id) => boolean): Unread {
  if (!stream || me === null) return NOTHING;
  let count = 0;
  let mentions = 0;
  for (let i = stream.messages.length - 1; i >= 0; i--) {
    const message = stream.messages[i]!;
    if (message.seq <= (mark ?? 0)) break;
    if (message.author === me || message.redacted) continue;
    count += 1;
    if (names(message, me, isMine)) mentions += 1;
  }
  return count === 0 ? NOTHING : { count, mentions };
}

function names(message: MessageView, me: Id, isMine: (id: Id) => boolean): boolean {
  if (message.mentions.includes(me)) return true;
  return message.answer === null && message.reply_to !== null && isMine(message.reply_to);
}
