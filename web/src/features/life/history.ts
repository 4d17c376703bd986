/** The recorded history, read backwards and put in words. */

import * as api from '../../api/client';
import { t } from '../../app/i18n';
import type { EventKind, Id, SessionEvent } from '../../session/protocol';
import { type Names, noticeWords } from '../chat/words';
import type { NoticeKind } from '../../session/notices';

/** What people look for; each is some kinds of events. */
export const GROUPS = {
  messages: ['message.posted', 'message.edited', 'message.redacted'],
  answers: ['turn.started', 'turn.completed', 'turn.stopped', 'turn.failed', 'turn.lost'],
  decisions: ['decision.recorded', 'decision.withdrawn'],
  people: ['participant.joined', 'participant.left', 'participant.removed', 'participant.role_changed', 'participant.profile_changed', 'session.owner_changed'],
  life: [
    'session.created',
    'session.started',
    'session.paused',
    'session.resumed',
    'session.ending',
    'session.ended',
    'session.renamed',
    'session.settings_changed',
    'session.expiry_changed',
    'session.warned',
    'session.detached',
    'session.attached',
    'session.work_done',
  ],
  branches: ['checkpoint.created', 'checkpoint.restored', 'branch.created', 'branch.merged'],
  context: ['context.patched', 'context.conflicted', 'context.resolved'],
  memories: ['memory.added', 'memory.edited', 'memory.removed'],
} as const satisfies Record<string, readonly EventKind[]>;
export type Group = keyof typeof GROUPS;
const EVERYTHING: readonly EventKind[] = Object.values(GROUPS).flat();

/** How many are shown at once, at least where there are so many. */
const PAGE = 40;
/** How far back is looked at first. Unit: events. */
const WINDOW = 400;

export interface Found {
  /** The newest first. */
  events: SessionEvent[];
  /** Before which seq to go on; 0: that is all. */
  before: number;
}

/** Reads what happened before a seq, of a group and by somebody where that is wanted. */
export async function earlier(session: Id, before: number | null, group: Group | null, by: Id | null, read: typeof api.eventsOf = api.eventsOf): Promise<Found> {
  const filter = { kinds: group ? GROUPS[group] : EVERYTHING, ...(by ? { by } : {}) };
  let to = before ?? (await read(session, { after: 0, limit: 1 })).head + 1;
  const found: SessionEvent[] = [];
  for (let window = WINDOW; to > 1 && found.length < PAGE; window *= 4) {
    const from = Math.max(0, to - 1 - window);
    const part: SessionEvent[] = [];
    for (let after: number | null | undefined = from; after !== null && after !== undefined && after < to - 1; ) {
      const { events, next }: api.EventsPage = await read(session, { ...filter, after, limit: 1000 });
      part.push(...events.filter((event) => event.seq < to));
      after = next !== after ? next : null;
    }
    found.unshift(...part);
    to = from + 1;
  }
  // What is more than a page is read again when it is asked for: few hold more than a screen.
  const shown = found.slice(-PAGE);
  const isCut = shown.length < found.length;
  return { events: shown.toReversed(), before: isCut ? shown[0]!.seq : to > 1 ? to : 0 };
}

/** Returns what an event says, as a line and, where something was written, the words; no line: nothing that people need to be told. */
export function eventWords(event: SessionEvent, live: Names): { line: string; text: string } {
  const name = event.actor === 'system' ? t('common.name') : live.nameOf(event.actor);
  const say = (line: string, text = '') => ({ line, text });
  switch (event.kind) {
    case 'message.posted':
      return say(t(event.data.ask ? 'life.history_asked' : 'life.history_said', { name }), event.data.redacted ? t('chat.deleted') : event.data.text);
    case 'message.edited':
      return say(t('life.history_edited', { name }), event.data.redacted ? t('chat.deleted') : event.data.text);
    case 'message.redacted':
      return say(t('life.history_erased', { name }));
    case 'turn.started':
      return say(t('life.history_answer', { name: event.data.label }));
    case 'turn.completed':
      return say(t('life.history_answered', { name }));
    case 'turn.stopped':
      return say(t('life.history_stopped', { name }));
    case 'turn.failed':
      return say(t('life.history_answer_failed'), event.data.detail);
    case 'turn.lost':
      return say(t('life.history_answer_failed'), t('chat.lost'));
    case 'decision.recorded':
      return say(t('life.history_decided', { name }));
    case 'decision.withdrawn':
      return say(t('life.history_undecided', { name }));
    case 'session.created':
      return say(t('life.history_created', { name }), event.data.title);
    case 'session.started':
      return say(t('life.history_started'));
    case 'context.patched':
      return say(t('life.history_context_changed', { name }), event.data.ops.map((op) => op.path).join(', '));
    case 'memory.edited':
      return say(t('life.history_memory_changed', { name }), event.data.redacted ? t('chat.deleted') : (event.data.text ?? ''));
    case 'memory.removed':
      return say(t('life.history_memory_removed', { name }));
    default: {
      const { seq, kind, actor, at, data } = event;
      const words = noticeWords({ seq, kind: kind as NoticeKind, actor, at, data: data as unknown as Record<string, unknown> }, live);
      return say(words);
    }
  }
}

/** Returns the message that an event is about, which the conversation can show. */
export function messageOf(event: SessionEvent): Id | null {
  if (event.kind === 'message.posted') return event.id;
  if (event.kind === 'turn.started') return event.data.answer;
  const { message } = event.data as { message?: Id };
  return message ?? null;
}
