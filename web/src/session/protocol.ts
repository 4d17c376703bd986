/**
 * What is stored and sent, as TypeScript types.
 *
 * Owns: events, commands, frames, the view's shape. The server's crate `protocol` is the original; fields have its
 * names and its JSON shapes. Must not know: rules, sockets, the page.
 */

import type { Actor, Id, Role, Stream, Timestamp } from './protocol/base';
import type { BranchingCommands, BranchingEvents, BranchingView, CopiedFrom, ForkedFrom, HeadMoved } from './protocol/branching';
import type { ContextCommands, ContextEvents, ContextStrategy, ContextView } from './protocol/context';

export type * from './protocol/base';
export type * from './protocol/branching';
export type * from './protocol/context';

export const SUBPROTOCOL = 'roundtable.v1';
/** The first byte of a binary frame that is the raw deflate of a JSON text frame. */
export const DEFLATE_MARK = 0x01;
/** Longest message text. Unit: bytes of UTF-8. */
export const MAX_MESSAGE_BYTES = 64 * 1024;
/** How many commands of one connection to one session may be unanswered. */
export const COMMAND_WINDOW = 32;
/** How many folded messages a page holds. */
export const PAGE_MESSAGES = 256;

export type Permission =
  | 'session_view'
  | 'session_change'
  | 'session_end'
  | 'session_delete'
  | 'participant_join'
  | 'participant_be'
  | 'participant_remove'
  | 'participant_change_role'
  | 'message_post'
  | 'message_redact_any'
  | 'side_post'
  | 'turn_prompt'
  | 'turn_manage'
  | 'decision_record'
  | 'link_manage'
  | 'turn_drive'
  | 'turn_stop'
  | 'branch_write'
  | 'branch_manage'
  | 'session_pause'
  | 'context_write'
  | 'context_override'
  | 'memory_write'
  | 'memory_manage'
  | 'action_perform'
  | 'participant_admit';

// The nouns (crates/protocol/src/model.rs)

export type SessionKind = 'single' | 'collaborative' | 'background';
export type Visibility = 'private' | 'link' | 'public';
export type SessionState = 'created' | 'active' | 'paused' | 'completed' | 'failed' | 'terminated';
export type Respond = 'mention' | 'always' | 'reply' | 'manual';

export interface Settings {
  max_participants: number | null;
  allow_join: boolean;
  require_approval: boolean;
  recording: boolean;
  respond: Respond | null;
  assistant: string;
  side_for_viewers: boolean;
  /** Unit: seconds from the start. */
  time_limit_s: number | null;
  /** Unit: seconds without anything happening. */
  idle_limit_s: number | null;
  context_strategies: Record<string, ContextStrategy>;
  context_base_required: boolean;
  memories_to_assistants: boolean;
}

export interface Participant {
  id: Id;
  user_id: Id;
  kind: 'user' | 'agent';
  role: Role;
  display_name: string;
  /** One of twelve hues, 0 to 11. */
  colour: number;
  guest: boolean;
  membership: 'joined' | 'left' | 'removed';
  joined_at: Timestamp;
}

export interface Attachment {
  id: Id;
  name: string;
  media_type: string;
  size_bytes: number;
  width?: number | null;
  height?: number | null;
}

export interface Turn {
  id: Id;
  message: Id;
  requester: Id;
  assistant: Id;
  state: 'queued' | 'running';
  since: Timestamp;
  answer: Id | null;
}

export type EndReason = 'end_turn' | 'max_tokens' | 'refusal';

export interface Usage {
  input_uncached: number;
  cache_read: number;
  cache_write: number;
  output: number;
  reasoning: number;
  source: 'reported' | 'estimated' | 'unknown';
}

export interface Lease {
  id: Id;
  until: Timestamp;
}

export interface SessionInfo {
  id: Id;
  owner_id: Id;
  project_id: Id;
  title: string;
  description: string;
  tags: string[];
  category: string | null;
  visibility: Visibility;
  kind: SessionKind;
  state: SessionState;
  is_active: boolean;
  conversation_id: Id;
  settings: Settings;
  expires_at: Timestamp | null;
  created_at: Timestamp;
  updated_at: Timestamp;
  started_at: Timestamp | null;
  ended_at: Timestamp | null;
  /** Since when it works on with nobody leading it. */
  detached_at?: Timestamp | null;
  /** Everything that was asked of it meanwhile is done, and something was. */
  work_done?: boolean;
  participant_count: number;
  event_count: number;
}

// Memories and action types (crates/protocol/src/memory.rs)

/** Something that a session keeps in mind. */
export interface Memory {
  id: Id;
  text: string;
  tags?: string[];
  author: Actor;
  at: Timestamp;
  /** Absent while nobody has changed text or tags. */
  edited_at?: Timestamp | null;
  /** The message that it was made from. */
  source?: Id | null;
  pinned?: boolean;
}

/** What data actions of a type may bear. */
export interface ActionType {
  type: string;
  /** In the part of JSON Schema that docs/actions.md lists. */
  schema: unknown;
}

// What happened (crates/protocol/src/event.rs)

/** The data of each event kind. Fields with `?` are left out when they have their default value. */
export interface EventData extends BranchingEvents, ContextEvents {
  'session.created': {
    title: string;
    kind?: SessionKind;
    visibility?: Visibility;
    settings?: Partial<Settings>;
    owner: Id;
    project: Id;
    main_branch: Id;
    epoch: string;
    description?: string;
    tags?: string[];
    category?: string | null;
    expires_at?: Timestamp | null;
    /** Nobody has given it a title: its first message will. */
    untitled?: boolean;
    forked_from?: ForkedFrom | null;
  };
  'session.started': Record<string, never>;
  /** `made_from`: the message that the title was made from; absent when a person gave it. */
  'session.renamed': { title: string; made_from?: Id | null; untitled?: boolean; redacted?: boolean };
  'session.details_changed': {
    description: string;
    tags: string[];
    category?: string | null;
    visibility: Visibility;
  };
  'session.settings_changed': { settings: Partial<Settings> };
  /** `detail`: the cause in words, when it failed. */
  'session.ended': { state: SessionState; reason: string; detail?: string | null };
  'session.paused': { reason?: string | null };
  'session.resumed': { from: SessionState };
  'session.ending': { reason: string };
  'session.expiry_changed': { expires_at?: Timestamp | null };
  'session.warned': WarningView;
  'session.detached': { why: DetachReason };
  'session.attached': { participant: Id };
  'session.work_done': { turns: number; unfinished: number };
  'session.reported': { report: Report };
  'session.archived': { heads: { stream: Stream; seq: number; hash: string }[] };
  'session.host_arrived': Record<string, never>;
  'session.host_left': { until: Timestamp };
  'session.owner_changed': { from: Id; to: Id; owner: Id; why: 'left' | 'away' };
  'participant.joined': { participant: Participant; via?: Id | null };
  /** Somebody asks to be let in; this and the answers are in `staff`. */
  'participant.requested': { request: JoinRequest };
  'participant.approved': { participant: Id };
  'participant.denied': { participant: Id; reason?: string | null };
  'participant.request_ended': { participant: Id; status: RequestStatus };
  'participant.left': { participant: Id };
  'participant.removed': { participant: Id; reason?: string | null };
  'participant.role_changed': { participant: Id; role: Role };
  'participant.profile_changed': { participant: Id; display_name: string; colour: number };
  'message.posted': {
    text: string;
    reply_to?: Id | null;
    mentions?: Id[];
    ask?: boolean;
    redacted?: boolean;
    attachments?: Attachment[];
    /** Absent: the message before it in the stream; the id of zeros: none, it begins anew. */
    parent?: Id | null;
    copied_from?: CopiedFrom | null;
    /** What a program says beside the text. */
    data?: unknown;
  };
  'message.edited': { message: Id; text: string; redacted?: boolean };
  'message.redacted': { message: Id; reason?: string | null };
  'decision.recorded': { message: Id };
  'decision.withdrawn': { message: Id };
  'memory.added': {
    text: string;
    tags?: string[];
    source?: Id | null;
    pinned?: boolean;
    redacted?: boolean;
    copied_from?: { session: Id; memory: Id } | null;
  };
  /** What is absent stays. */
  'memory.edited': { memory: Id; text?: string | null; tags?: string[] | null; redacted?: boolean };
  'memory.removed': { memory: Id; reason?: string | null };
  'memory.pinned': { memory: Id; pinned: boolean };
  /** Without a schema: its data may be anything. */
  'action.type_defined': { type: string; schema?: unknown };
  'action.performed': { type: string; data?: unknown; redacted?: boolean };
  'action.redacted': { upto: number; reason?: string | null };
  /** Something went wrong that everybody should know of. */
  error: { code: string; detail: string; turn?: Id | null; redacted?: boolean };
  'turn.queued': { turn: Id; message: Id; requester: Id; assistant: Id; before?: Id | null; reads?: Id | null };
  'turn.edited': { turn: Id };
  'turn.withdrawn': { turn: Id };
  'turn.started': {
    turn: Id;
    message: Id;
    assistant: Id;
    answer: Id;
    attempt: number;
    lease: Lease;
    driver: string;
    label: string;
    /** Absent: the message before it in the stream; the id of zeros: none. */
    parent?: Id | null;
  };
  'turn.progressed': {
    turn: Id;
    message: Id;
    /** Unit: UTF-16 code units from the start of the message. */
    offset: number;
    text: string;
    pace?: [ms: number, units: number][];
    lease_until: Timestamp;
    redacted?: boolean;
  };
  'turn.completed': {
    turn: Id;
    message: Id;
    length: number;
    hash: string;
    reason: EndReason;
    usage?: Partial<Usage>;
  };
  'turn.stopped': { turn: Id; message: Id; length: number; usage?: Partial<Usage> };
  'turn.failed': {
    turn: Id;
    message?: Id | null;
    length: number;
    code: string;
    detail: string;
    usage?: Partial<Usage>;
  };
  'turn.lost': { turn: Id; message: Id; length: number };
}

export type EventKind = keyof EventData;

export interface EventHeader {
  stream: Stream;
  seq: number;
  id: Id;
  actor: Actor;
  on_behalf_of?: Id | null;
  at: Timestamp;
  branch?: Id | null;
  seen?: number | null;
  causes?: Id[];
}

/** An event of kind `K`; of any known kind when `K` is left out. */
export type SessionEvent<K extends EventKind = EventKind> = {
  [P in K]: EventHeader & { kind: P; data: EventData[P] };
}[K];

// What can be asked (crates/protocol/src/command.rs)

/** The data of each command that a person may give. */
export interface CommandData extends BranchingCommands, ContextCommands {
  'session.start': Record<string, never>;
  'session.rename': { title: string };
  'session.change_details': {
    description?: string;
    tags?: string[];
    category?: string;
    visibility?: Visibility;
  };
  'session.change_settings': Partial<Settings>;
  'session.end': { terminate?: boolean; reason?: string; pending?: 'cancel' | 'finish' };
  'session.pause': { reason?: string };
  'session.resume': Record<string, never>;
  'session.detach': Record<string, never>;
  'session.change_expiry': { expires_at: Timestamp | null };
  'participant.approve': { participant: Id };
  'participant.deny': { participant: Id; reason?: string };
  'participant.leave': Record<string, never>;
  'participant.remove': { participant: Id; reason?: string };
  'participant.change_role': { participant: Id; role: Role };
  'participant.change_profile': { display_name?: string; colour?: number };
  'message.post': { text: string; reply_to?: Id; mentions?: Id[]; ask?: boolean; attachments?: Id[]; branch?: Id; parent?: Id; if_head_moved?: HeadMoved; sibling_of?: Id; data?: unknown };
  'error.report': { code: string; detail: string; turn?: Id };
  'message.edit': { message: Id; text: string };
  'message.redact': { message: Id; reason?: string };
  'decision.record': { message: Id };
  'decision.withdraw': { message: Id };
  'memory.add': { text: string; tags?: string[]; source?: Id; pinned?: boolean };
  'memory.edit': { memory: Id; text?: string; tags?: string[]; pinned?: boolean };
  'memory.remove': { memory: Id; reason?: string };
  'action.define_type': { type: string; schema?: unknown };
  'action.perform': { type: string; data?: unknown };
  'turn.ask': { message: Id; sibling?: boolean };
  'turn.edit': { turn: Id; text: string };
  'turn.withdraw': { turn: Id };
  'turn.stop': { turn: Id };
}

export type CommandName = keyof CommandData;

// What people see (crates/protocol/src/view.rs)

export interface View {
  session: SessionView | null;
  participants: Participant[];
  turns: Turn[];
  branching: BranchingView;
  /** What is kept in mind, in the order of adding; absent when there is nothing. */
  memories?: Memory[];
  /** Types of actions that have a schema; absent when there are none. */
  action_types?: ActionType[];
  /** Who waits to be let in, in the order of asking; known to who reads `staff`, absent when nobody waits. */
  requests?: JoinRequest[];
  streams: { [S in Stream]?: StreamView };
  /** Where the shared context stands; absent before its first write. */
  context?: ContextView;
  /** Where it is in its life, when there is more to say than its state. */
  life?: LifeView;
}

/** Somebody who asks to be let in. */
export interface JoinRequest {
  /** The participant that they are once they are let in. */
  id: Id;
  user_id: Id;
  display_name: string;
  role: Role;
  guest?: boolean;
  colour: number;
  via?: Id | null;
  requested_at: Timestamp;
  expires_at: Timestamp;
}

export type RequestStatus = 'waiting' | 'joined' | 'denied' | 'withdrawn' | 'expired' | 'session_ended';

export type DetachReason = 'asked' | 'nobody_left';

export interface LifeView {
  paused: { by: Actor; at: Timestamp; reason: string | null } | null;
  /** Why it will end as soon as what was asked is answered. */
  ending: string | null;
  /** What went wrong, in words, when it failed. */
  cause: string | null;
  warnings: WarningView[];
  detached: DetachedView | null;
  /** What it came to, once it has ended. */
  report: Report | null;
}

export interface Report {
  state: SessionState;
  reason: string;
  started_at: Timestamp | null;
  ended_at: Timestamp;
  duration_ms: number;
  paused_ms: number;
  participants: { participant: Id; kind: 'user' | 'agent'; role: Role; messages: number }[];
  messages: number;
  turns: { asked: number; completed: number; stopped: number; failed: number; lost: number; withdrawn: number };
  decisions: Id[];
  usage: { driver: string; answers: number; usage: Usage }[];
  /** Absent in reports of before it was counted. */
  context?: { writes: number; conflicts: number; resolved: number; values: number; size_bytes: number } | null;
  events: number;
}

export interface WarningView {
  limit: 'expiry' | 'time' | 'idle';
  strikes_at: Timestamp;
}

/** A session that works on by itself, or did. */
export interface DetachedView {
  since: Timestamp;
  why: DetachReason;
  until: Timestamp | null;
  by: Id | null;
  done: { at: Timestamp; turns: number; unfinished: number } | null;
}

export interface SessionView {
  title: string;
  kind: SessionKind;
  visibility: Visibility;
  state: SessionState;
  end_reason: string | null;
  settings: Settings;
  owner: Id;
  project: Id;
  main_branch: Id;
  epoch: string;
  description: string;
  tags: string[];
  category: string | null;
  expires_at: Timestamp | null;
  created_at: Timestamp;
  started_at: Timestamp | null;
  ended_at: Timestamp | null;
}

export interface StreamView {
  /** The last event that is folded in. */
  head: number;
  /** How many messages the stream has had, held here or not. */
  count: number;
  /** The newest messages, without a gap up to the last one. */
  messages: MessageView[];
}

export interface MessageView {
  id: Id;
  /** Its number in its stream, from 0. */
  n: number;
  seq: number;
  author: Actor;
  at: Timestamp;
  text: string;
  reply_to: Id | null;
  mentions: Id[];
  ask: boolean;
  edited: boolean;
  redacted: boolean;
  decision: boolean;
  answer: AnswerView | null;
  /** Files that came with it; absent when there are none. */
  attachments?: Attachment[];
  /** The branch that it was said on; absent: the main one. */
  branch?: Id | null;
  /** The message that it follows. Absent: the message before it in the stream; the id of zeros: none. */
  parent?: Id | null;
  copied_from?: CopiedFrom | null;
  /** What a program says beside the text; absent when nothing. */
  data?: unknown;
}

export type AnswerState = 'streaming' | 'completed' | 'stopped' | 'failed' | 'lost';

export interface AnswerView {
  turn: Id;
  question: Id;
  state: AnswerState;
  driver: string;
  label: string;
  /** Unit: UTF-16 code units. */
  length: number;
  reason: EndReason | null;
  code: string | null;
  detail: string | null;
  stopped_by: Actor | null;
  usage: Usage | null;
}

export interface Page {
  stream: Stream;
  page: number;
  /** The seq up to which everything is folded in. */
  at: number;
  messages: MessageView[];
}

// What travels on the WebSocket (crates/protocol/src/frame.rs)

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance?: string | null;
  code: string;
  request_id?: string | null;
  retryable: boolean;
  retry_after_ms?: number | null;
  errors?: { pointer: string; code: string; detail: string }[];
}

export interface StreamPosition {
  stream: Stream;
  epoch?: string;
  after?: { seq: number; id?: Id };
}

export type Lane = 'presence' | 'typing' | 'pointer' | 'caret' | 'focus';

export interface CommandFrame {
  type: 'command';
  id: number;
  key: Id;
  session_id: Id;
  stream?: Stream;
  seen?: number;
  name: string;
  data: unknown;
  retry: boolean;
}

export type ClientFrame =
  | { type: 'hello'; token?: string; features: string[] }
  | { type: 'subscribe'; id: number; session_id: Id; streams: StreamPosition[] }
  | { type: 'unsubscribe'; id: number; session_id: Id }
  | CommandFrame
  | { type: 'ephemeral'; session_id: Id; stream: Stream; lane: Lane; data: unknown }
  | { type: 'ack'; session_id: Id; stream: Stream; seq: number }
  | { type: 'ping'; id: number };

export interface You {
  participant_id?: Id | null;
  role?: Role | null;
  can: Permission[];
  /** How far this participant had read each stream before; absent: nothing. */
  read?: Partial<Record<Stream, number>>;
}

export type PresenceStatus = 'active' | 'idle' | 'away' | 'offline';

export interface Person {
  participant_id: Id;
  status: PresenceStatus;
  last_active_at: Timestamp;
}

export interface Limits {
  message_bytes: number;
  frame_bytes: number;
  commands_per_second: number;
  window: number;
}

export type StartMode = 'live' | 'replay' | 'snapshot' | 'waiting';

export interface StreamStart {
  stream: Stream;
  epoch: string;
  head: number;
  mode: StartMode;
}

export interface Welcome {
  type: 'welcome';
  connection_id: Id;
  now: Timestamp;
  heartbeat_ms: number;
  limits: Limits;
  version: string;
}

export interface Subscribed {
  type: 'subscribed';
  re: number;
  session_id: Id;
  you: You;
  people: Person[];
  streams: StreamStart[];
}

export interface Snapshot {
  type: 'snapshot';
  session_id: Id;
  at: { [S in Stream]?: number };
  head: View;
}

export interface Accepted {
  type: 'ok';
  re: number;
  session_id: Id;
  stream: Stream;
  seq: number;
  id: Id;
  duplicate?: boolean;
}

export interface Delta {
  type: 'delta';
  session_id: Id;
  turn: Id;
  message: Id;
  /** Unit: UTF-16 code units. */
  offset: number;
  text: string;
}

export type ServerFrame =
  | Welcome
  | Subscribed
  | { type: 'unsubscribed'; re: number; session_id: Id }
  | Snapshot
  | { type: 'events'; session_id: Id; stream: Stream; items: SessionEvent[] }
  | Accepted
  | { type: 'error'; re?: number | null; session_id?: Id | null; problem: Problem }
  | {
      type: 'ephemeral';
      session_id: Id;
      stream: Stream;
      lane: Lane;
      items: { participant_id: Id; data: unknown }[];
    }
  | Delta
  | { type: 'access'; session_id: Id; you: You; streams: Stream[]; reason: string }
  | { type: 'lagging'; session_id: Id; stream: Stream; after: number }
  | { type: 'reset'; session_id: Id; stream: Stream; epoch: string; reason: string }
  | { type: 'head'; session_id: Id; streams: { [S in Stream]?: number } }
  | { type: 'bye'; code: string; retry_after_ms: number }
  | { type: 'pong'; id?: number };

/** Whether a close code means that reconnecting is pointless. */
export function isFinalClose(code: number): boolean {
  return code >= 4400 && code <= 4499;
}
