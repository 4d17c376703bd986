/**
 * What people see: a fold that only assigns.
 *
 * Owns: the reducer, `withDelta`, pages of older messages. Must not know: permissions, clocks, sockets.
 * Invariant: it says the same as `crates/protocol/src/view.rs`; `fixtures/views/*.jsonl` test both, step by step.
 * Nothing is changed in place: what stays is shared, so a changed part is known by its identity.
 */

import { actionTypeDefined, memoryAdded, memoryEdited, memoryPinned, memoryRemoved } from './memories';
import {
  began,
  branchCreated,
  checkpointCreated,
  checkpointDeleted,
  checkpointRenamed,
  emptyBranching,
  forked,
  said,
  withBranch,
} from './branching';
import type {
  AnswerView,
  BranchingView,
  ContextView,
  EventData,
  EventKind,
  Id,
  MessageView,
  Page,
  Participant,
  SessionEvent,
  SessionView,
  Settings,
  Stream,
  StreamView,
  Turn,
  Usage,
  View,
} from './protocol';
import { withLife } from './life';
import { answered, requested } from './lobby';

/** Every event kind that this version can show. */
export const KINDS: readonly EventKind[] = [
  'session.created',
  'session.started',
  'session.renamed',
  'session.details_changed',
  'session.settings_changed',
  'session.ended',
  'participant.joined',
  'participant.requested',
  'participant.approved',
  'participant.denied',
  'participant.request_ended',
  'participant.left',
  'participant.removed',
  'participant.role_changed',
  'participant.profile_changed',
  'message.posted',
  'message.edited',
  'message.redacted',
  'decision.recorded',
  'decision.withdrawn',
  'checkpoint.created',
  'checkpoint.renamed',
  'checkpoint.deleted',
  'memory.added',
  'memory.edited',
  'memory.removed',
  'memory.pinned',
  'action.type_defined',
  'action.performed',
  'action.redacted',
  'checkpoint.restored',
  'branch.created',
  'branch.moved',
  'branch.renamed',
  'branch.archived',
  'branch.focused',
  'branch.merged',
  'session.forked',
  'error',
  'turn.queued',
  'turn.edited',
  'turn.withdrawn',
  'turn.started',
  'turn.progressed',
  'turn.completed',
  'turn.stopped',
  'turn.failed',
  'turn.lost',
  'session.paused',
  'session.resumed',
  'session.ending',
  'session.expiry_changed',
  'session.warned',
  'session.detached',
  'session.attached',
  'session.work_done',
  'session.host_arrived',
  'session.host_left',
  'session.owner_changed',
  'session.reported',
  'session.archived',
  'context.patched',
  'context.refused',
  'context.conflicted',
  'context.resolved',
];

export function emptyView(): View {
  return { session: null, participants: [], turns: [], branching: emptyBranching(), streams: {} };
}

/** Folds one event in. Events of a stream come in order; an unknown kind only moves the position. */
export function fold(view: View, event: SessionEvent): View {
  const moved = withLife(skip(view, event.stream, event.seq), event);
  const { stream, at, actor } = event;
  switch (event.kind) {
    case 'session.created':
      return withBranching({ ...moved, session: newSession(event.data, at) }, (b) => began(b, event));
    case 'session.started':
      return withSession(moved, { state: 'active', started_at: at });
    case 'session.renamed':
      return event.data.redacted ? moved : withSession(moved, { title: event.data.title });
    case 'session.details_changed': {
      const { description, tags, category = null, visibility } = event.data;
      return withSession(moved, { description, tags, category, visibility });
    }
    case 'session.settings_changed':
      return withSession(moved, { settings: settingsOf(event.data.settings) });
    case 'session.ended':
      return withSession(moved, { state: event.data.state, end_reason: event.data.reason, ended_at: at });
    case 'session.paused':
      return withSession(moved, { state: 'paused' });
    case 'session.resumed':
      return withSession(moved, { state: 'active', end_reason: null, ended_at: null });
    case 'session.expiry_changed':
      return withSession(moved, { expires_at: event.data.expires_at ?? null });
    case 'session.owner_changed': {
      const { from, to, owner } = event.data;
      const demoted = withParticipant(withSession(moved, { owner }), from, { role: 'moderator' });
      return withParticipant(demoted, to, { role: 'owner' });
    }
    case 'session.ending':
    case 'session.warned':
    case 'session.detached':
    case 'session.attached':
    case 'session.work_done':
    case 'session.host_arrived':
    case 'session.host_left':
    case 'session.reported':
    case 'session.archived':
      return moved;
    case 'participant.joined':
      return joined(moved, event.data.participant);
    case 'participant.requested':
      return requested(moved, event.data.request);
    case 'participant.approved':
    case 'participant.denied':
    case 'participant.request_ended':
      return answered(moved, event.data.participant);
    case 'participant.left':
      return withParticipant(moved, event.data.participant, { membership: 'left' });
    case 'participant.removed':
      return withParticipant(moved, event.data.participant, { membership: 'removed' });
    case 'participant.role_changed':
      return withParticipant(moved, event.data.participant, { role: event.data.role });
    case 'participant.profile_changed': {
      const { participant, display_name, colour } = event.data;
      return withParticipant(moved, participant, { display_name, colour });
    }
    case 'message.posted': {
      const { text, reply_to = null, mentions = [], ask = false, redacted = false, attachments = [], data } = event.data;
      const message: MessageView = {
        ...newMessage(event.id, event),
        text,
        reply_to,
        mentions,
        ask,
        redacted,
        ...(attachments.length > 0 && { attachments }),
        ...(data ? { data } : {}),
        ...(event.data.parent && { parent: event.data.parent }),
        ...(event.data.copied_from && { copied_from: event.data.copied_from }),
      };
      return withBranching(pushed(moved, stream, message), (b) => said(b, event, event.id));
    }
    case 'message.edited': {
      const { message, text } = event.data;
      return withMessage(moved, stream, message, (m) => ({ ...m, text: m.redacted ? m.text : text, edited: true }));
    }
    case 'message.redacted':
      return withMessage(moved, stream, event.data.message, erased);
    case 'decision.recorded':
      return withMessage(moved, stream, event.data.message, (m) => ({ ...m, decision: true }));
    case 'decision.withdrawn':
      return withMessage(moved, stream, event.data.message, (m) => ({ ...m, decision: false }));
    case 'checkpoint.created':
      return withBranching(moved, (b) => checkpointCreated(b, event));
    case 'checkpoint.renamed':
      return withBranching(moved, (b) => checkpointRenamed(b, event.data.checkpoint));
    case 'checkpoint.deleted':
      return withBranching(moved, (b) => checkpointDeleted(b, event.data.checkpoint));
    case 'memory.added':
      return memoryAdded(moved, event);
    case 'memory.edited':
      return memoryEdited(moved, event);
    case 'memory.removed':
      return memoryRemoved(moved, event.data.memory);
    case 'memory.pinned':
      return memoryPinned(moved, event.data.memory, event.data.pinned);
    case 'action.type_defined':
      return actionTypeDefined(moved, event.data.type, event.data.schema);
    case 'action.performed':
    case 'action.redacted':
    case 'error':
      return moved;
    case 'checkpoint.restored':
      return moved;
    case 'branch.created':
      return withBranching(moved, (b) => branchCreated(b, event));
    case 'branch.moved':
      return withBranching(moved, (b) => withBranch(b, event.data.branch, { head: event.data.head ?? null }));
    case 'branch.renamed':
      return withBranching(moved, (b) => withBranch(b, event.data.branch, { name: event.data.name }));
    case 'branch.archived':
      return withBranching(moved, (b) => withBranch(b, event.data.branch, { archived: event.data.archived }));
    case 'branch.focused':
      return withBranching(moved, (b) => ({ ...b, focus: event.data.branch }));
    case 'branch.merged': {
      const { into, head } = event.data;
      return head ? withBranching(moved, (b) => withBranch(b, into, { head })) : moved;
    }
    case 'session.forked':
      return withBranching(moved, (b) => forked(b, event));
    case 'turn.queued':
      return queued(moved, event.data, at);
    case 'turn.edited':
      return moved;
    case 'turn.withdrawn':
      return withoutTurn(moved, event.data.turn);
    case 'turn.started':
      return started(moved, event);
    case 'turn.progressed':
      return withMessage(moved, stream, event.data.message, (m) => progressed(m, event.data));
    case 'turn.completed': {
      const { reason } = event.data;
      return ended(moved, stream, event.data, { state: 'completed', reason, usage: usageOf(event.data.usage) });
    }
    case 'turn.stopped':
      return ended(moved, stream, event.data, {
        state: 'stopped',
        stopped_by: actor,
        usage: usageOf(event.data.usage),
      });
    case 'turn.failed': {
      const { code, detail } = event.data;
      return ended(moved, stream, event.data, { state: 'failed', code, detail, usage: usageOf(event.data.usage) });
    }
    case 'turn.lost':
      return ended(moved, stream, event.data, { state: 'lost' });
    case 'context.patched': {
      if (event.data.ops.length === 0) return moved;
      const { branch, seq } = event;
      if (!branch) return withContext(moved, { version: seq });
      return withContext(moved, { branches: { ...moved.context?.branches, [branch]: seq } });
    }
    case 'context.refused':
      return moved;
    case 'context.conflicted':
      return withContext(moved, { conflicts: [...(moved.context?.conflicts ?? []), event.id] });
    case 'context.resolved': {
      const { conflict } = event.data;
      return withContext(moved, { conflicts: (moved.context?.conflicts ?? []).filter((id) => id !== conflict) });
    }
    default:
      event satisfies never;
      return moved;
  }
}

/** Counts an event that this version cannot show: only the position moves. */
export function skip(view: View, stream: Stream, seq: number): View {
  return withStream(view, stream, (s) => ({ ...s, head: seq }));
}

/**
 * Adds ephemeral text to an answer that grows, and returns the view then; null when the text is not taken. Text below
 * the known end is dropped; a hole is left for the next `turn.progressed` to heal, as is text for what is not held.
 */
export function withDelta(view: View, message: Id, offset: number, text: string): View | null {
  let taken = false;
  const grown = withMessage(view, 'main', message, (m) => {
    const answer = m.answer;
    if (!answer || m.redacted || answer.state !== 'streaming' || offset > answer.length) return m;
    taken = true;
    const end = offset + text.length;
    if (end <= answer.length) return m;
    const fresh = text.slice(prefix(text, answer.length - offset));
    return { ...m, text: m.text + fresh, answer: { ...answer, length: end } };
  });
  return taken ? grown : null;
}

/** Puts the older messages of `page` in front of those held; what is held already stays as it is. */
export function withPage(view: View, page: Page): View {
  return withStream(view, page.stream, (s) => {
    const first = s.messages[0]?.n ?? s.count;
    const older = page.messages.filter((m) => m.n < first);
    const gap = older.length > 0 && older[older.length - 1]!.n !== first - 1;
    return gap || older.length === 0 ? s : { ...s, messages: [...older, ...s.messages] };
  });
}

/** Folds events that came after `page` was made onto its messages. */
export function freshen(page: Page, events: SessionEvent[]): Page {
  let view: View = {
    ...emptyView(),
    streams: { [page.stream]: { head: page.at, count: 0, messages: page.messages } },
  };
  for (const event of events) {
    if (event.stream === page.stream && event.seq > page.at) view = fold(view, event);
  }
  const stream = view.streams[page.stream]!;
  return { ...page, at: stream.head, messages: stream.messages.slice(0, page.messages.length) };
}

/** Returns how many code units the first `units` of `text` take when no pair is split. */
export function prefix(text: string, units: number): number {
  if (units <= 0) return 0;
  if (units >= text.length) return text.length;
  const inside = isHigh(text.charCodeAt(units - 1)) && isLow(text.charCodeAt(units));
  return inside ? units + 1 : units;
}

const isHigh = (unit: number) => unit >= 0xd800 && unit <= 0xdbff;
const isLow = (unit: number) => unit >= 0xdc00 && unit <= 0xdfff;

function settingsOf(settings: Partial<Settings> | undefined): Settings {
  return {
    max_participants: null,
    allow_join: true,
    require_approval: false,
    recording: true,
    respond: null,
    assistant: 'guide',
    side_for_viewers: true,
    time_limit_s: null,
    idle_limit_s: null,
    context_strategies: {},
    context_base_required: false,
    memories_to_assistants: false,
    ...settings,
  };
}

function usageOf(usage: Partial<Usage> | undefined): Usage {
  return {
    input_uncached: 0,
    cache_read: 0,
    cache_write: 0,
    output: 0,
    reasoning: 0,
    source: 'unknown',
    ...usage,
  };
}

function newSession(data: EventData['session.created'], at: string): SessionView {
  return {
    title: data.title,
    kind: data.kind ?? 'collaborative',
    visibility: data.visibility ?? 'private',
    state: 'created',
    end_reason: null,
    settings: settingsOf(data.settings),
    owner: data.owner,
    project: data.project,
    main_branch: data.main_branch,
    epoch: data.epoch,
    description: data.description ?? '',
    tags: data.tags ?? [],
    category: data.category ?? null,
    expires_at: data.expires_at ?? null,
    created_at: at,
    started_at: null,
    ended_at: null,
  };
}

function newMessage(id: Id, event: { seq: number; actor: string; at: string; branch?: Id | null }): MessageView {
  return {
    id,
    n: 0,
    seq: event.seq,
    author: event.actor,
    at: event.at,
    text: '',
    reply_to: null,
    mentions: [],
    ask: false,
    edited: false,
    redacted: false,
    decision: false,
    answer: null,
    ...(event.branch && { branch: event.branch }),
  };
}

function erased(message: MessageView): MessageView {
  const { attachments: _, data: __, ...rest } = message;
  return { ...rest, text: '', redacted: true };
}

function withSession(view: View, change: Partial<SessionView>): View {
  return view.session ? { ...view, session: { ...view.session, ...change } } : view;
}

function withBranching(view: View, change: (branching: BranchingView) => BranchingView): View {
  return { ...view, branching: change(view.branching) };
}

function withContext(view: View, change: Partial<ContextView>): View {
  return { ...view, context: { version: 0, conflicts: [], ...view.context, ...change } };
}

function withStream(view: View, name: Stream, change: (stream: StreamView) => StreamView): View {
  const old = view.streams[name] ?? { head: 0, count: 0, messages: [] };
  const now = change(old);
  return now === old ? view : { ...view, streams: { ...view.streams, [name]: now } };
}

function pushed(view: View, name: Stream, message: MessageView): View {
  return withStream(view, name, (s) => ({
    ...s,
    count: s.count + 1,
    messages: [...s.messages, { ...message, n: s.count }],
  }));
}

/** Changes a message that is held; from the newest back, as most changes are about new ones. */
function withMessage(view: View, name: Stream, id: Id, change: (message: MessageView) => MessageView): View {
  const held = view.streams[name];
  const place = held?.messages.findLastIndex((m) => m.id === id) ?? -1;
  if (!held || place < 0) return view;
  const old = held.messages[place]!;
  const now = change(old);
  if (now === old) return view;
  const messages = held.messages.with(place, now);
  return { ...view, streams: { ...view.streams, [name]: { ...held, messages } } };
}

function joined(view: View, participant: Participant): View {
  const place = view.participants.findIndex((p) => p.id === participant.id);
  const participants =
    place < 0 ? [...view.participants, participant] : view.participants.with(place, participant);
  return { ...view, participants };
}

function withParticipant(view: View, id: Id, change: Partial<Participant>): View {
  return { ...view, participants: view.participants.map((p) => (p.id === id ? { ...p, ...change } : p)) };
}

function withoutTurn(view: View, id: Id): View {
  return { ...view, turns: view.turns.filter((t) => t.id !== id) };
}

function queued(view: View, data: EventData['turn.queued'], at: string): View {
  const { turn: id, message, requester, assistant, before = null } = data;
  const turn: Turn = { id, message, requester, assistant, state: 'queued', since: at, answer: null };
  const found = before === null ? -1 : view.turns.findIndex((t) => t.id === before);
  const turns = view.turns.toSpliced(found < 0 ? view.turns.length : found, 0, turn);
  return withMessage({ ...view, turns }, 'main', message, (m) => (m.ask ? m : { ...m, ask: true }));
}

function started(view: View, event: SessionEvent<'turn.started'>): View {
  const { turn: id, message, assistant, answer, driver, label } = event.data;
  const waiting = view.turns.find((t) => t.id === id);
  const others = view.turns.filter((t) => t.id !== id);
  const turns: Turn[] = waiting ? [{ ...waiting, state: 'running', since: event.at, answer }, ...others] : view.turns;
  const grown = pushed({ ...view, turns }, event.stream, {
    ...newMessage(answer, event),
    ...(event.data.parent && { parent: event.data.parent }),
    author: assistant,
    reply_to: message,
    answer: {
      turn: id,
      question: message,
      state: 'streaming',
      driver,
      label,
      length: 0,
      reason: null,
      code: null,
      detail: null,
      stopped_by: null,
      usage: null,
    },
  });
  return withBranching(grown, (b) => said(b, event, answer));
}

function progressed(m: MessageView, data: EventData['turn.progressed']): MessageView {
  const end = data.offset + data.text.length;
  if (m.redacted || !m.answer || end <= m.answer.length) return m;
  const text = m.text.slice(0, prefix(m.text, data.offset)) + data.text;
  return { ...m, text, answer: { ...m.answer, length: end } };
}

function ended(
  view: View,
  stream: Stream,
  data: { turn: Id; message?: Id | null; length: number },
  change: Partial<AnswerView>,
): View {
  const without = withoutTurn(view, data.turn);
  if (!data.message) return without;
  const { length } = data;
  return withMessage(without, stream, data.message, (m) => ({
    ...m,
    text: m.redacted ? m.text : m.text.slice(0, prefix(m.text, length)),
    answer: m.answer && { ...m.answer, length, ...change },
  }));
}
