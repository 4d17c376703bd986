/**
 * What happened beside the messages: who came and went, what was renamed or set.
 *
 * Owns: which events people are told of, in order. Must not know: words. The view does not hold these; they are kept from
 * the events that come, so a page that began with a snapshot knows them from then on.
 */

import type { SessionEvent } from './protocol';

export type NoticeKind =
  | 'session.renamed'
  | 'session.settings_changed'
  | 'session.ended'
  | 'participant.joined'
  | 'participant.left'
  | 'participant.removed'
  | 'participant.role_changed'
  | 'participant.profile_changed';

export interface Notice {
  seq: number;
  kind: NoticeKind;
  actor: string;
  at: string;
  data: Record<string, unknown>;
}

const KINDS: ReadonlySet<string> = new Set<NoticeKind>([
  'session.renamed',
  'session.settings_changed',
  'session.ended',
  'participant.joined',
  'participant.left',
  'participant.removed',
  'participant.role_changed',
  'participant.profile_changed',
]);

/** How many are kept; those before are history that nobody scrolls to by chance. */
const MOST = 2_000;

/** Returns `notices` with this event, or the same list when it is nothing to tell. */
export function withNotice(notices: readonly Notice[], event: SessionEvent): readonly Notice[] {
  const { seq, kind, actor, at, stream } = event;
  if (stream !== 'main' || !KINDS.has(kind) || seq <= (notices[notices.length - 1]?.seq ?? 0)) return notices;
  const notice = { seq, kind: kind as NoticeKind, actor, at, data: event.data as unknown as Record<string, unknown> };
  return [...notices.slice(-MOST + 1), notice];
}

/** Returns those after `from` and before `to`. */
export function noticesBetween(notices: readonly Notice[], from: number, to: number): readonly Notice[] {
  let low = 0;
  let high = notices.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (notices[middle]!.seq > from) high = middle;
    else low = middle + 1;
  }
  let end = low;
  while (end < notices.length && notices[end]!.seq < to) end++;
  return low === end ? EMPTY : notices.slice(low, end);
}

const EMPTY: readonly Notice[] = [];
