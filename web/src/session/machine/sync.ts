/**
 * One session as this client has it: positions, view, unanswered commands.
 *
 * Owns: what each frame about the session changes. Must not know: the connection. Invariant: `position` and the view's
 * head of a stream move together, one event at a time, or by a whole snapshot.
 */

import { emptyBranching } from '../branching';
import type {
  ClientFrame,
  Delta,
  Id,
  Page,
  Person,
  ServerFrame,
  SessionEvent,
  Snapshot,
  Stream,
  StreamPosition,
  Subscribed,
  View,
  You,
} from '../protocol';
import { withRequests } from '../lobby';
import { emptyView, fold, skip, withDelta, withPage } from '../view';
import { Commands } from './commands';

/** Subscriptions to one session that a gap or `lagging` causes are at least this far apart. Unit: milliseconds. */
export const RESUBSCRIBE_MS = 1_000;
/** A stream that stays behind its announced head this long without an event is subscribed again. Unit: milliseconds. */
export const BEHIND_MS = 5_000;

const STREAMS: readonly Stream[] = ['main', 'side', 'staff', 'stage'];

type Frame<T extends ServerFrame['type']> = Extract<ServerFrame, { type: T }>;

/** What became of a frame: `changed` is visible, `resubscribe` also asks for a new subscription at once. */
export type Effect = 'nothing' | 'changed' | 'resubscribe';

/** How far one stream is. */
interface StreamSync {
  epoch: string | null;
  seq: number;
  id: Id | null;
  /** Whether the server sends it on this connection. */
  open: boolean;
  /** A snapshot was announced and has not come. */
  awaitsSnapshot: boolean;
  /** The largest head that was announced. */
  target: number;
  /** Since when a `head` frame has found it behind and nothing has come. */
  behindSince: number | null;
}

const newStream = (): StreamSync => ({
  epoch: null,
  seq: 0,
  id: null,
  open: false,
  awaitsSnapshot: false,
  target: 0,
  behindSince: null,
});

export class SessionSync {
  /** The old view stays until a new one is whole. */
  view: View = emptyView();
  you: You | null = null;
  /** Who was there when the last subscription began. */
  people: Person[] = [];
  readonly commands = new Commands();
  #wanted: Stream[] = [];
  #streams = new Map<Stream, StreamSync>();
  /** The latest subscribe request, while it is not answered. It names every wanted stream: only its answer counts. */
  #asked: number | null = null;
  /** What may be read, when `access` said so while the request travelled: the answer may have been made before it. */
  #overtakenBy: readonly Stream[] | null = null;
  #lastSubscribe: number | null = null;
  #resubscribeAt: number | null = null;
  #subscribeRefusals = 0;

  /** Returns the last seq applied of `stream`; null when the stream is not held. */
  position(stream: Stream): number | null {
    return this.#streams.get(stream)?.seq ?? null;
  }

  /** Returns the streams of which something is held or asked for. */
  get streams(): Stream[] {
    return STREAMS.filter((s) => this.#streams.has(s));
  }

  /** Returns whether `stream` is open on this connection and has reached every head that was announced. */
  isLive(stream: Stream): boolean {
    const sync = this.#streams.get(stream);
    return sync !== undefined && sync.open && !sync.awaitsSnapshot && sync.seq >= sync.target;
  }

  get subscribeRefusals(): number {
    return this.#subscribeRefusals;
  }

  get isWanted(): boolean {
    return this.#wanted.length > 0;
  }

  want(streams: readonly Stream[]): void {
    this.#wanted = STREAMS.filter((s) => streams.includes(s));
    if (!this.isWanted) this.#resubscribeAt = null;
    for (const stream of this.streams) if (!streams.includes(stream)) this.#forget(stream);
  }

  /** Makes the subscription from where each stream is. */
  subscribe(session: Id, id: number, now: number): ClientFrame {
    this.#lastSubscribe = now;
    this.#resubscribeAt = null;
    this.#asked = id;
    this.#overtakenBy = null;
    const streams: StreamPosition[] = this.#wanted.map((stream) => {
      const sync = this.#streams.get(stream) ?? newStream();
      this.#streams.set(stream, sync);
      sync.behindSince = null;
      if (sync.seq === 0) return { stream };
      return {
        stream,
        ...(sync.epoch === null ? {} : { epoch: sync.epoch }),
        after: { seq: sync.seq, ...(sync.id === null ? {} : { id: sync.id }) },
      };
    });
    return { type: 'subscribe', id, session_id: session, streams };
  }

  subscribed(frame: Subscribed, now: number): void {
    this.#subscribeRefusals = 0;
    if (this.#asked !== frame.re) return;
    this.#asked = null;
    const allowed = this.#overtakenBy;
    this.#overtakenBy = null;
    if (!allowed) this.you = frame.you;
    this.people = frame.people;
    const missing = new Set(this.#wanted);
    for (const start of frame.streams) {
      if (allowed && !allowed.includes(start.stream)) continue;
      if (start.mode !== 'waiting' && missing.delete(start.stream)) this.#begins(start);
    }
    for (const stream of missing) this.#forget(stream);
    if (allowed) this.#planSubscribe(now);
  }

  #begins(start: Subscribed['streams'][number]): void {
    const sync = this.#streams.get(start.stream) ?? newStream();
    this.#streams.set(start.stream, sync);
    sync.open = true;
    sync.epoch = start.epoch;
    sync.awaitsSnapshot = start.mode === 'snapshot';
    sync.target = start.head;
    sync.behindSince = null;
    if (start.head === 0 && sync.seq === 0) this.#clear(start.stream);
  }

  /** The subscription was refused for good: nothing of it may stay. */
  refused(): void {
    for (const stream of STREAMS) this.#forget(stream);
    this.#asked = null;
    this.you = null;
    this.people = [];
  }

  asked(re: number): boolean {
    return this.#asked === re;
  }

  subscribePostponed(until: number): void {
    this.#asked = null;
    this.#subscribeRefusals += 1;
    this.#resubscribeAt = until;
  }

  /** Applies events as far as they are the next ones. Returns those taken and what it did. */
  events(stream: Stream, items: SessionEvent[], now: number): { taken: SessionEvent[]; effect: Effect } {
    const taken: SessionEvent[] = [];
    let gap = false;
    for (const item of items) {
      const sync = this.#streams.get(stream);
      if (!sync) break;
      if (item.seq <= sync.seq) continue;
      if (item.seq !== sync.seq + 1) {
        gap = true;
        break;
      }
      if (sync.seq === 0) this.#clear(stream);
      this.view = shown(this.view, item);
      sync.seq = item.seq;
      sync.id = item.id;
      moved(sync, now);
      taken.push(item);
    }
    const sync = this.#streams.get(stream);
    if (gap && sync?.open && this.#asked === null && !sync.awaitsSnapshot) this.#resubscribeSoon(stream, now);
    return { taken, effect: taken.length === 0 ? 'nothing' : 'changed' };
  }

  /** Takes the streams of a snapshot that are not older than what is held. `main` brings session, roster and turns. */
  snapshot(frame: Snapshot, now: number): Effect {
    let effect: Effect = 'nothing';
    for (const stream of STREAMS) {
      const at = frame.at[stream];
      const sync = this.#streams.get(stream);
      if (at === undefined || !sync) continue;
      sync.awaitsSnapshot = false;
      if (at < sync.seq) continue;
      if (at > sync.seq) sync.id = null;
      sync.seq = at;
      moved(sync, now);
      const held = frame.head.streams[stream] ?? { head: at, count: 0, messages: [] };
      const streams = { ...this.view.streams, [stream]: { ...held, head: at } };
      // Everything but the streams, and who waits, is told in `main`.
      const known = stream === 'main' ? withRequests(frame.head, this.view.requests) : this.view;
      const { branching = emptyBranching(), ...rest } = stream === 'staff' ? withRequests(known, frame.head.requests) : known;
      this.view = { ...rest, branching, streams };
      effect = 'changed';
    }
    return effect;
  }

  delta(frame: Delta): Effect {
    const view = withDelta(this.view, frame.message, frame.offset, frame.text);
    if (!view) return 'nothing';
    this.view = view;
    return 'changed';
  }

  /** Puts older messages in front; they are no part of the position. */
  older(page: Page): Effect {
    const before = this.view;
    this.view = withPage(before, page);
    return this.view === before ? 'nothing' : 'changed';
  }

  access(frame: Frame<'access'>): Effect {
    this.you = frame.you;
    for (const stream of STREAMS) if (!frame.streams.includes(stream)) this.#forget(stream);
    if (this.#asked !== null) {
      this.#overtakenBy = frame.streams;
      return 'changed';
    }
    const closed = (stream: Stream) => !this.#streams.get(stream)?.open;
    return this.#wanted.some((s) => frame.streams.includes(s) && closed(s)) ? 'resubscribe' : 'changed';
  }

  lagging(stream: Stream, now: number): void {
    const sync = this.#streams.get(stream);
    if (!sync) return;
    sync.open = false;
    if (this.#asked === null) this.#resubscribeSoon(stream, now);
  }

  /** The history is another one: every position in an older numbering is dropped, its view shown until the new comes. */
  reset(frame: Frame<'reset'>): Effect {
    const stream = this.#streams.get(frame.stream);
    if (!stream || (stream.seq === 0 && this.#asked !== null)) return 'nothing';
    for (const [name, sync] of this.#streams) {
      if (name === frame.stream || sync.epoch !== frame.epoch) this.#streams.set(name, newStream());
    }
    return 'resubscribe';
  }

  head(frame: Frame<'head'>, now: number): void {
    for (const [stream, sync] of this.#streams) {
      const head = frame.streams[stream];
      if (head === undefined) continue;
      sync.target = Math.max(sync.target, head);
      if (sync.open && !sync.awaitsSnapshot && sync.seq < sync.target) sync.behindSince ??= now;
    }
  }

  disconnected(): void {
    for (const sync of this.#streams.values()) {
      sync.open = false;
      sync.awaitsSnapshot = false;
      sync.behindSince = null;
    }
    this.#resubscribeAt = null;
    this.#lastSubscribe = null;
    this.#asked = null;
    this.commands.disconnected();
  }

  /** Returns whether the session must be subscribed again now. */
  isDue(now: number): boolean {
    return [this.#resubscribeAt, this.#behindDeadline()].some((at) => at !== null && now >= at);
  }

  deadline(): number | null {
    return earliest([this.#resubscribeAt, this.#behindDeadline(), this.commands.deadline()]);
  }

  #behindDeadline(): number | null {
    if (this.#asked !== null) return null;
    const since = earliest([...this.#streams.values()].map((s) => s.behindSince));
    return since === null ? null : since + BEHIND_MS;
  }

  #resubscribeSoon(stream: Stream, now: number): void {
    const sync = this.#streams.get(stream);
    if (sync) sync.open = false;
    this.#planSubscribe(now);
  }

  #planSubscribe(now: number): void {
    const at = this.#lastSubscribe === null ? now : Math.max(now, this.#lastSubscribe + RESUBSCRIBE_MS);
    this.#resubscribeAt = earliest([this.#resubscribeAt, at]);
  }

  /** Drops position and view of a stream. */
  #forget(stream: Stream): void {
    this.#streams.delete(stream);
    this.#clear(stream);
  }

  /** Drops what is shown of a stream. */
  #clear(stream: Stream): void {
    const { [stream]: _, ...streams } = this.view.streams;
    const view = stream === 'main' ? withRequests(emptyView(), this.view.requests) : this.view;
    this.view = { ...(stream === 'staff' ? withRequests(view, []) : view), streams };
  }
}

/** Folds an event in; one whose data has not the shape of its kind only counts, as one of a newer server does. */
function shown(view: View, event: SessionEvent): View {
  try {
    return fold(view, event);
  } catch {
    return skip(view, event.stream, event.seq);
  }
}

/** Notes that the position moved: a stream that still is behind has made progress. */
function moved(sync: StreamSync, now: number): void {
  if (sync.behindSince !== null) sync.behindSince = sync.seq < sync.target ? now : null;
}

export function earliest(times: (number | null)[]): number | null {
  const known = times.filter((t) => t !== null);
  return known.length === 0 ? null : Math.min(...known);
}
