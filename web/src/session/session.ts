/**
 * One session as a page uses it: what to show, and what can be done.
 *
 * Owns: the machine, its socket, stored commands, who is there, who types, older pages, what is unread. Must not know: the
 * page's framework.
 * Invariant: `state` is never changed in place, and a command stays in it until its effect is visible or somebody
 * has seen why it was refused.
 */

import { History } from './history';
import type { Pending as MachineCommand } from './machine/commands';
import type { Status } from './machine/link';
import { type Entropy, Machine, type Output } from './machine';
import { type Notice, Notices } from './notices';
import { Outbox, type Unsent } from './outbox';
import {
  type CommandData,
  type CommandName,
  type Id,
  type Page,
  type Participant,
  type Permission,
  type Person,
  type PresenceStatus,
  type Problem,
  type SessionEvent,
  type Stream,
  type View,
  type You,
} from './protocol';
import { type ReadMarks, Reading, type Talk, type Unread, unread } from './reading';
import { Driver, features } from './socket';
import { uuidv7 } from './uuid';
import { emptyView, freshen } from './view';

/** How long somebody counts as typing after the last sign; the server itself ends it after 6 s. Unit: milliseconds. */
export const TYPING_MS = 7_000;
/** How often typing is told. Unit: milliseconds. */
const TYPING_EVERY_MS = 3_000;
const STREAMS: readonly Stream[] = ['main', 'side'];
/** What is read besides, by those who may: who waits to be let in. */
const STAFF: readonly Stream[] = [...STREAMS, 'staff'];

export interface PendingCommand extends Unsent {
  /** `recorded`: durable, its event is still on the way to here. */
  state: 'unsent' | 'recorded' | 'refused';
}

export interface SessionState {
  status: Status;
  /** Whether everything that has happened is shown here. */
  live: boolean;
  view: View;
  you: You | null;
  /** The reader, once known. */
  me: Participant | null;
  presence: ReadonlyMap<Id, PresenceStatus>;
  typing: Readonly<Record<'main' | 'side', readonly Id[]>>;
  /** What this page asked for and does not see yet. */
  pending: readonly PendingCommand[];
  /** Why nothing is shown, once the server has said so. */
  denied: Problem | null;
  /** Whether an access frame took everything away, and why. */
  removed: string | null;
  /** Older messages that were loaded; `messageAt` finds one by its number. */
  pages: Readonly<Record<Talk, ReadonlyMap<number, Page>>>;
  notices: readonly Notice[];
  /** How far the reader has read. */
  read: ReadMarks;
  unread: Readonly<Record<Talk, Unread>>;
}

/** What the facade needs from REST. */
export interface Reader {
  page(session: Id, n: number, stream: Stream): Promise<Page>;
  events(session: Id, stream: Stream, after: number, limit: number): Promise<{ events: SessionEvent[] }>;
}

export interface SessionOptions {
  session: Id;
  user: Id;
  url: string;
  reader: Reader;
  outbox?: Outbox;
  entropy?: Entropy;
  makeSocket?: (url: string, protocol: string) => WebSocket;
}

export interface PostOptions {
  stream?: 'main' | 'side';
  ask?: boolean;
  reply_to?: Id;
  /** Whom it names, beside those whom the server finds in the text. */
  mentions?: readonly Id[];
  /** Of files that were stored before. */
  attachments?: readonly Id[];
  /** Where it goes; absent: to the main branch. */
  branch?: Id;
  /** It says this message in other words, on a branch of its own. */
  sibling_of?: Id;
}

export class Session {
  readonly id: Id;
  state: SessionState;
  readonly #options: SessionOptions;
  readonly #machine: Machine;
  readonly #driver: Driver;
  readonly #outbox: Outbox;
  readonly #listeners = new Set<(state: SessionState) => void>();
  readonly #followers = new Set<(event: SessionEvent) => void>();
  readonly #presence = new Map<Id, PresenceStatus>();
  readonly #typing = { main: new Map<Id, number>(), side: new Map<Id, number>() };
  readonly #typingTold = { main: -Infinity, side: -Infinity };
  /** Makes each sign of typing differ from the last, so that the server passes it on. */
  #typingCount = 0;
  #pending: PendingCommand[] = [];
  #people: Person[] = [];
  #typingTimer: ReturnType<typeof setTimeout> | undefined;
  #removed: string | null = null;
  #denied: Problem | null = null;
  readonly #history = new History();
  readonly #loading = new Map<string, Promise<void>>();
  readonly #reading = new Reading((stream, seq) => this.#driver.drive((m) => m.ack(this.id, stream, seq)));
  readonly #notices = new Notices();
  /** The seq of each stream that the pages and notices are true for. */
  readonly #followed = new Map<Stream, number>();

  constructor(options: SessionOptions) {
    this.id = options.session;
    this.#options = options;
    this.#outbox = options.outbox ?? new Outbox(options.user, options.session);
    const entropy = options.entropy ?? { key: () => uuidv7(), jitter: () => Math.random() };
    this.#machine = new Machine({ features: features(), entropy });
    this.#driver = new Driver({
      url: options.url,
      machine: this.#machine,
      onOutput: (output) => this.#heard(output),
      ...(options.makeSocket ? { makeSocket: options.makeSocket } : {}),
    });
    this.#pending = this.#outbox.load().map((e) => ({ ...e, state: e.problem ? 'refused' : 'unsent' }));
    this.state = this.#snapshot();
  }

  /** Connects, and sends again what an earlier page left unanswered. */
  open(): void {
    this.#driver.drive((m) => {
      m.connect();
      m.subscribe(this.id, STAFF);
      for (const { key, stream, name, data } of this.#pending.filter((p) => p.state === 'unsent')) {
        m.resume(this.id, { key, stream, seen: null, name, data } satisfies MachineCommand);
      }
    });
    this.#changed();
  }

  close(): void {
    clearTimeout(this.#typingTimer);
    this.#reading.stop();
    this.#driver.drive((m) => m.close());
    this.#listeners.clear();
    this.#followers.clear();
  }

  /** Tries to connect now instead of after the pause; for when the network is back, and after a final refusal. */
  connectNow(): void {
    this.#driver.drive((m) => m.connect());
  }

  /** Calls `listener` with each new state. Returns how to stop that. */
  listen(listener: (state: SessionState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `follower` with each event that comes, in order, before the state that holds it. Returns how to stop that. */
  follow(follower: (event: SessionEvent) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  may(permission: Permission): boolean {
    return this.state.you?.can.includes(permission) ?? false;
  }

  post(text: string, { stream = 'main', ask, reply_to, mentions = [], attachments = [], branch, sibling_of }: PostOptions = {}): Id {
    const data = {
      text,
      ...(ask === undefined ? {} : { ask }),
      ...(reply_to === undefined ? {} : { reply_to }),
      ...(mentions.length === 0 ? {} : { mentions: [...mentions] }),
      ...(attachments.length === 0 ? {} : { attachments: [...attachments] }),
      ...(branch === undefined ? {} : { branch }),
      ...(sibling_of === undefined ? {} : { sibling_of }),
    };
    this.typing(stream, false);
    return this.command('message.post', data, stream);
  }

  edit(message: Id, text: string, stream: Stream): Id {
    return this.command('message.edit', { message, text }, stream);
  }

  redact(message: Id, stream: Stream): Id {
    return this.command('message.redact', { message }, stream);
  }

  decide(message: Id, isDecision: boolean, stream: Stream): Id {
    return this.command(isDecision ? 'decision.record' : 'decision.withdraw', { message }, stream);
  }

  editTurn(turn: Id, text: string): Id {
    return this.command('turn.edit', { turn, text });
  }

  withdraw(turn: Id): Id {
    return this.command('turn.withdraw', { turn });
  }

  stop(turn: Id): Id {
    return this.command('turn.stop', { turn });
  }

  /** Gives any command. It is stored before it is sent. */
  command<N extends CommandName>(name: N, data: CommandData[N], stream: Stream = 'main'): Id {
    const key = this.#options.entropy?.key() ?? uuidv7();
    const seen = this.#machine.session(this.id)?.position(stream) ?? null;
    const entry: Unsent = { key, stream, name, data, at: Date.now() };
    this.#outbox.put(entry);
    this.#pending = [...this.#pending, { ...entry, state: 'unsent' }];
    this.#driver.drive((m) => m.give(this.id, { key, stream, seen, name, data }));
    this.#changed();
    return key;
  }

  /** Takes a refused command away. */
  dismiss(key: Id): void {
    this.#outbox.remove(key);
    this.#pending = this.#pending.filter((p) => p.key !== key || p.state !== 'refused');
    this.#changed();
  }

  /** Tells the others that the reader types, or has stopped. */
  typing(stream: 'main' | 'side', isTyping: boolean): void {
    const now = performance.now();
    const told = this.#typingTold[stream];
    if (isTyping ? now - told < TYPING_EVERY_MS : told === -Infinity) return;
    this.#typingTold[stream] = isTyping ? now : -Infinity;
    this.#driver.drive((m) => m.ephemeral(this.id, stream, 'typing', isTyping ? { n: ++this.#typingCount } : null));
  }

  /** Asks the assistant a message again; `sibling`: for another answer beside the one that there is. */
  ask(message: Id, sibling = false): Id {
    return this.command('turn.ask', sibling ? { message, sibling } : { message });
  }

  /** Loads page `n` of a stream, once. Throws what the reader throws. */
  loadPage(stream: Talk, n: number): Promise<void> {
    const name = `${stream} ${n}`;
    const known = this.#loading.get(name);
    if (known) return known;
    if (this.#history.pages(stream).has(n)) return Promise.resolve();
    const loading = this.#fresh(stream, n)
      .then((page) => {
        // What was dropped meanwhile was dropped because it cannot be known.
        if (this.#loading.get(name) !== loading) return;
        this.#history.put(page);
        this.#changed();
      })
      .finally(() => {
        if (this.#loading.get(name) === loading) this.#loading.delete(name);
      });
    this.#loading.set(name, loading);
    return loading;
  }

  /** The reader has seen everything of a stream up to this seq. */
  seen(stream: Talk, seq: number): void {
    if (this.#reading.seen(stream, seq)) this.#changed();
  }

  /** A page may have been made before events that were applied here already: those are folded onto it. */
  async #fresh(stream: Talk, n: number): Promise<Page> {
    let page = await this.#options.reader.page(this.id, n, stream);
    for (;;) {
      const head = this.#machine.session(this.id)?.position(stream) ?? 0;
      if (page.at >= head) return page;
      const { events } = await this.#options.reader.events(this.id, stream, page.at, 1000);
      if (events.length === 0) return page;
      page = freshen(page, events);
    }
  }

  #heard(output: Output): void {
    switch (output.out) {
      case 'settled':
        if ('ok' in output.result) this.#recorded(output.key);
        else this.#refused(output.key, output.result.problem);
        break;
      case 'refused':
        this.#denied = output.problem;
        break;
      case 'access':
        this.#removed = output.frame.streams.length === 0 ? output.frame.reason : null;
        break;
      case 'ephemeral':
        if (output.frame.lane === 'presence') this.#presenceChanged(output.frame.items);
        if (output.frame.lane === 'typing') this.#typingChanged(output.frame.stream, output.frame.items);
        break;
      case 'applied':
        // What it changed is shown once, when everything that came with it is applied.
        this.#follow(output.event);
        return;
      case 'changed':
        this.#synced();
        break;
      default:
    }
    this.#changed();
  }

  #follow(event: SessionEvent): void {
    this.#followed.set(event.stream, event.seq);
    this.#history.apply(event);
    this.#notices.apply(event);
    for (const follower of this.#followers) follower(event);
  }

  #synced(): void {
    const sync = this.#machine.session(this.id);
    if (!sync) return;
    this.#checkFollowed();
    if (sync.people !== this.#people) {
      this.#people = sync.people;
      this.#reading.remembered((sync.you as { read?: { [S in Talk]?: number } } | null)?.read);
      this.#reading.again();
      this.#presence.clear();
      for (const person of sync.people) this.#presence.set(person.participant_id, person.status);
    }
    if (sync.you && sync.streams.length > 0) this.#denied = null;
    // What is visible needs no bubble, whether its answer has come or not.
    const visible = this.#pending.filter((p) => this.#isVisible(p));
    for (const { key, state } of visible) if (state === 'refused') this.#outbox.remove(key);
    if (visible.length > 0) this.#pending = this.#pending.filter((p) => !visible.includes(p));
  }

  /** A snapshot goes past events that nobody saw: older pages may have changed in them. */
  #checkFollowed(): void {
    for (const stream of STREAMS) {
      const at = this.#machine.session(this.id)?.position(stream) ?? 0;
      const followed = this.#followed.get(stream) ?? 0;
      if (at === followed) continue;
      this.#followed.set(stream, at);
      this.#history.clear();
      this.#loading.clear();
      if (stream !== 'main') continue;
      if (at < followed) this.#notices.clear();
      this.#notices.skip(this.#machine.session(this.id)?.view ?? emptyView());
    }
  }

  #isVisible(command: PendingCommand): boolean {
    const stream = this.#machine.session(this.id)?.view.streams[command.stream];
    if (command.name === 'message.post') return stream?.messages.some((m) => m.id === command.key) ?? false;
    return false;
  }

  #recorded(key: Id): void {
    this.#outbox.remove(key);
    this.#pending = this.#pending
      .map((p) => (p.key === key ? { ...p, state: 'recorded' as const } : p))
      .filter((p) => p.key !== key || (p.name === 'message.post' && !this.#isVisible(p)));
  }

  #refused(key: Id, problem: Problem): void {
    this.#pending = this.#pending.map((p) => (p.key === key ? { ...p, state: 'refused' as const, problem } : p));
    const entry = this.#pending.find((p) => p.key === key);
    if (!entry) return;
    const { state: _, ...stored } = entry;
    // Only text is worth keeping beyond this page.
    if (textOf(stored) === null) this.#outbox.remove(key);
    else this.#outbox.put(stored);
  }

  #presenceChanged(items: { participant_id: Id; data: unknown }[]): void {
    for (const { participant_id, data } of items) {
      const status = presenceOf(data);
      if (status === 'offline') this.#presence.delete(participant_id);
      else this.#presence.set(participant_id, status);
    }
  }

  #typingChanged(stream: Stream, items: { participant_id: Id; data: unknown }[]): void {
    if (stream !== 'main' && stream !== 'side') return;
    const typists = this.#typing[stream];
    for (const { participant_id, data } of items) {
      if (data === null || data === false) typists.delete(participant_id);
      else typists.set(participant_id, performance.now() + TYPING_MS);
    }
    this.#expireTyping();
  }

  #expireTyping(): void {
    clearTimeout(this.#typingTimer);
    const now = performance.now();
    for (const typists of [this.#typing.main, this.#typing.side]) {
      for (const [who, until] of typists) if (until <= now) typists.delete(who);
    }
    const next = Math.min(...this.#typing.main.values(), ...this.#typing.side.values());
    if (next === Infinity) return;
    this.#typingTimer = setTimeout(() => {
      this.#expireTyping();
      this.#changed();
    }, next - now);
  }

  #changed(): void {
    this.state = this.#snapshot();
    for (const listener of this.#listeners) listener(this.state);
  }

  #snapshot(): SessionState {
    const sync = this.#machine.session(this.id);
    const view = sync?.view ?? emptyView();
    const you = sync?.you ?? null;
    const me = view.participants.find((p) => p.id === you?.participant_id) ?? null;
    const others = (typists: Map<Id, number>) => [...typists.keys()].filter((id) => id !== me?.id);
    const read = this.#reading.marks;
    const isMine = (id: Id) => view.streams.main?.messages.find((m) => m.id === id)?.author === me?.id;
    const fresh = (stream: Talk) => unread(view.streams[stream], read[stream], me?.id ?? null, isMine);
    return {
      status: this.#machine.status,
      live: this.#machine.status.is === 'ready' && (sync?.isLive('main') ?? false),
      view,
      you,
      me,
      presence: new Map(this.#presence),
      typing: { main: others(this.#typing.main), side: others(this.#typing.side) },
      pending: this.#pending,
      denied: this.#denied,
      removed: this.#removed,
      pages: { main: this.#history.pages('main'), side: this.#history.pages('side') },
      notices: this.#notices.list,
      read,
      unread: { main: fresh('main'), side: fresh('side') },
    };
  }
}

/** Returns the text that somebody wrote for a command, if it has one. */
export function textOf(command: { data: unknown }): string | null {
  const text = (command.data as { text?: unknown } | null)?.text;
  return typeof text === 'string' ? text : null;
}

/** Reads the data of the presence lane; what is not known counts as not there. */
function presenceOf(data: unknown): PresenceStatus {
  const status = typeof data === 'object' && data !== null ? (data as { status?: unknown }).status : data;
  return status === 'active' || status === 'idle' || status === 'away' ? status : 'offline';
}
