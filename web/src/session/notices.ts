/**
 * What happened beside the messages: who came and went, what was renamed or set.
 *
 * Owns: which events people are told of, in order. Must not know: words. The view does not hold these; they are kept from
 * the events that come, so a page that began with a snapshot knows them from then on.
 */

import type { Id, Participant, SessionEvent, Settings, View } from './protocol';

export type NoticeKind =
  | 'session.renamed'
  | 'session.settings_changed'
  | 'session.ended'
  | 'session.paused'
  | 'session.resumed'
  | 'session.ending'
  | 'session.expiry_changed'
  | 'session.warned'
  | 'session.detached'
  | 'session.attached'
  | 'session.work_done'
  | 'session.owner_changed'
  | 'participant.joined'
  | 'participant.left'
  | 'participant.removed'
  | 'participant.role_changed'
  | 'participant.profile_changed'
  | 'checkpoint.created'
  | 'context.conflicted'
  | 'context.resolved'
  | 'memory.added'
  | 'checkpoint.restored'
  | 'branch.created'
  | 'branch.merged'
  | 'session.forked'
  | 'error';

export interface Notice {
  seq: number;
  kind: NoticeKind;
  actor: string;
  at: string;
  /** What the event says; of a change also `before`. */
  data: Record<string, unknown>;
}

const KINDS: ReadonlySet<string> = new Set<NoticeKind>([
  'session.renamed',
  'session.settings_changed',
  'session.ended',
  'session.paused',
  'session.resumed',
  'session.ending',
  'session.expiry_changed',
  'session.warned',
  'session.detached',
  'session.attached',
  'session.work_done',
  'session.owner_changed',
  'participant.joined',
  'participant.left',
  'participant.removed',
  'participant.role_changed',
  'participant.profile_changed',
  'checkpoint.created',
  'context.conflicted',
  'context.resolved',
  'memory.added',
  'checkpoint.restored',
  'branch.created',
  'branch.merged',
  'session.forked',
  'error',
]);

/** How many are kept; those before are history that nobody scrolls to by chance. */
const MOST = 2_000;

/** A title made of a message is seen in the message itself: it must not part what somebody says in one go. */
function isSilent(event: SessionEvent): boolean {
  const data = event.data as { made_from?: unknown; untitled?: unknown };
  return event.kind === 'session.renamed' && Boolean(data.made_from || data.untitled);
}

/** The notices of one session, as its events come. */
export class Notices {
  /** Replaced, never changed in place. */
  list: readonly Notice[] = [];
  /** What was true before the next event: a change is told by what it changed. */
  #settings: Partial<Settings> = {};
  readonly #names = new Map<Id, string>();

  apply(event: SessionEvent): void {
    if (event.stream !== 'main') return;
    const before = this.#before(event);
    if (!KINDS.has(event.kind) || event.seq <= (this.list.at(-1)?.seq ?? 0)) return;
    if (isSilent(event)) return;
    const { seq, kind, actor, at } = event;
    const data = { ...(event.data as unknown as Record<string, unknown>), ...before };
    this.list = [...this.list.slice(1 - MOST), { seq, kind: kind as NoticeKind, actor, at, data }];
  }

  /** The view has moved past events that nobody saw. */
  skip(view: View): void {
    this.#settings = view.session?.settings ?? {};
    this.#names.clear();
    for (const { id, display_name } of view.participants) this.#names.set(id, display_name);
  }

  /** What was seen belongs to another history. */
  clear(): void {
    this.list = [];
  }

  /** Remembers what the event sets. Returns what it replaces. */
  #before(event: SessionEvent): Record<string, unknown> {
    const kind: string = event.kind;
    const data = event.data as { settings?: Partial<Settings>; participant?: unknown; display_name?: unknown };
    if (kind === 'session.created' || kind === 'session.settings_changed') {
      const before = this.#settings;
      this.#settings = data.settings ?? {};
      return { before };
    }
    if (kind === 'participant.joined') {
      const { id, display_name } = data.participant as Participant;
      this.#names.set(id, display_name);
    } else if (kind === 'participant.profile_changed') {
      const who = String(data.participant);
      const before = this.#names.get(who);
      if (typeof data.display_name === 'string') this.#names.set(who, data.display_name);
      return { before };
    }
    return {};
  }
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
