/**
 * What stands in the conversation, row by row.
 *
 * Owns: which messages share a header, where a day, the unread line and notices stand. Must not know: elements, heights.
 * Row `n` is message number `n` of its stream, loaded or not, so that a place in the conversation has one address; what lies
 * on another branch has no row.
 */

import { messageAt } from '../../../session/history';
import { type Notice, noticesBetween } from '../../../session/notices';
import type { MessageView, Page, StreamView } from '../../../session/protocol';
import type { Line } from '../../branches/line';

/** Messages of one author that are closer than this share a header. Unit: milliseconds. */
const BURST_MS = 5 * 60_000;

export interface Row {
  /** What the row is kept under: the message's id, or its place while it is not loaded. */
  key: string;
  n: number;
  /** Undefined: not loaded yet. */
  message: MessageView | undefined;
  /** Set: another day begins with this row. */
  day: string | null;
  /** The first that the reader has not read stands here. */
  isFirstUnread: boolean;
  notices: readonly Notice[];
  /** Its author wrote the message before too, just now. */
  isContinued: boolean;
}

export interface Source {
  stream: StreamView | undefined;
  pages: ReadonlyMap<number, Page>;
  notices: readonly Notice[];
  /** The message before which the unread line stands. */
  unreadBefore: string | null;
  /** Which of the messages are shown; null: all. */
  line?: Line | null;
}

/** Returns the rows from `from` to before `to`. */
export function rowsOf(source: Source, from: number, to: number): Row[] {
  const rows: Row[] = [];
  let first = from - 1;
  while (first >= 0 && source.line?.hides(first)) first -= 1;
  let before = first >= 0 ? messageAt(source.stream, source.pages, first) : undefined;
  const begin = first < 0;
  for (let n = from; n < to; n++) {
    if (source.line?.hides(n)) continue;
    const message = messageAt(source.stream, source.pages, n);
    rows.push(message ? rowOf(source, n, message, before, begin && rows.length === 0) : holeOf(n));
    before = message;
  }
  return rows;
}

function holeOf(n: number): Row {
  return { key: `hole ${n}`, n, message: undefined, day: null, isFirstUnread: false, notices: [], isContinued: false };
}

function rowOf({ notices, unreadBefore }: Source, n: number, message: MessageView, before: MessageView | undefined, isFirst: boolean): Row {
  const day = dayOf(message.at);
  const isNewDay = isFirst || (before !== undefined && dayOf(before.at) !== day);
  const told = isFirst || before ? noticesBetween(notices, before?.seq ?? 0, message.seq) : [];
  const isFirstUnread = unreadBefore === message.id;
  const alone = isNewDay || isFirstUnread || told.length > 0;
  return {
    key: message.id,
    n,
    message,
    day: isNewDay ? message.at : null,
    isFirstUnread,
    notices: told,
    isContinued: !alone && before !== undefined && continues(message, before),
  };
}

function continues(message: MessageView, before: MessageView): boolean {
  if (message.author !== before.author || message.copied_from?.author !== before.copied_from?.author || message.reply_to !== null || message.answer || before.answer) return false;
  return Date.parse(message.at) - Date.parse(before.at) < BURST_MS;
}

const days = new Map<string, string>();

/** Returns the reader's own day of a time; times come often and in order. */
function dayOf(at: string): string {
  const hour = at.slice(0, 13);
  let day = days.get(hour);
  if (day === undefined) {
    if (days.size > 5_000) days.clear();
    day = new Date(at).toDateString();
    // Zones shift by quarters of an hour at the least; only whole-hour ones may be remembered by the hour.
    if (new Date(at).getTimezoneOffset() % 60 === 0) days.set(hour, day);
  }
  return day;
}

/** Returns the notices after the last message. */
export function lastNotices(source: Source): readonly Notice[] {
  const last = source.line ? source.line.last : source.stream?.messages.at(-1);
  return noticesBetween(source.notices, last?.seq ?? 0, Number.POSITIVE_INFINITY);
}

/** Returns the first message after `mark` that another wrote; null: all is read, or nothing was ever. */
export function firstUnread(stream: StreamView | undefined, mark: number | null, me: string | undefined): string | null {
  if (!stream || mark === null) return null;
  let found: string | null = null;
  for (let i = stream.messages.length - 1; i >= 0; i--) {
    const message = stream.messages[i]!;
    if (message.seq <= mark) break;
    if (message.author !== me) found = message.id;
  }
  return found;
}
