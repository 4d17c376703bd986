/**
 * The shared context as the panel sees it: the document, who wrote what, what waits for a choice.
 *
 * Owns: reading it, following it by the `ops` of events, telling what others have just changed. Must not know: elements.
 * Invariant: `value` is what it was at `version`; when events were missed it is read again.
 */

import * as api from '../../api/context';
import { problemOf } from '../../api/problem';
import type { Id, Problem, SessionEvent } from '../../session/protocol';
import type { Live } from '../session/live.svelte';
import { addressOf, applied, type Json } from './pointer';
import { type Wrote, Writers, wroteOf } from './tree';

/** How many writes are read at once. */
export const PAGE = 50;
/** How many of the newest writes are known by value: older ones are in the history. */
const KNOWN = 200;
/** How long a change of others stands out. Unit: milliseconds. */
const FLASH = 2_400;

export class ContextDocument {
  readonly live: Live;
  /** Null: the main one. */
  readonly branch: Id | null;
  /** Null: not read yet. */
  value: Json | null = $state.raw(null);
  version = $state(0);
  problem: Problem | null = $state.raw(null);
  /** What others have just changed, with a number that grows with each change. */
  flashes: ReadonlyMap<string, number> = $state.raw(new Map());
  /** The last change of somebody else. */
  news: { path: string; by: string; isMany: boolean } | null = $state.raw(null);
  conflicts: readonly api.OpenConflict[] | null = $state.raw(null);
  /** The newest first; null: not read yet. */
  writes: readonly api.ContextWrite[] | null = $state.raw(null);
  /** Whether there may be older writes than those. */
  hasOlder = $state(false);
  #writers = new Writers();
  #writersSeen = $state(0);
  #reading: Promise<void> | null = null;
  /** What came while the document was being read. */
  #waiting: SessionEvent<'context.patched'>[] = [];
  #count = 0;

  constructor(live: Live, branch: Id | null) {
    this.live = live;
    this.branch = branch;
    live.session.follow((event) => event.kind === 'context.patched' && (event.branch ?? null) === branch && this.#came(event));
  }

  get id() {
    return this.live.session.id;
  }

  /** Returns who wrote last what is at an address. */
  writerOf(address: string): Wrote | undefined {
    void this.#writersSeen;
    return this.#writers.of(address);
  }

  /** Reads everything, once at a time. */
  load(): Promise<void> {
    this.#reading ??= this.#load().finally(() => (this.#reading = null));
    return this.#reading;
  }

  /** Reads it again when the view says that there is more than is known here. */
  catchUp(): void {
    const { context } = this.live.state.view;
    const now = (this.branch === null ? context?.version : context?.branches?.[this.branch]) ?? 0;
    if (this.value === null || now > this.version) void this.load();
  }

  async loadConflicts(): Promise<void> {
    try {
      this.conflicts = (await api.contextConflicts(this.id)).filter((conflict) => this.#isOwn(conflict.branch ?? null));
    } catch (error) {
      this.problem = problemOf(error);
    }
  }

  #isOwn(branch: Id | null): boolean {
    return branch === this.branch || (this.branch === null && branch === this.live.state.view.session?.main_branch);
  }

  /** Reads older writes. Throws what the server refuses. */
  async loadOlder(): Promise<void> {
    const older = await api.contextHistory(this.id, this.branch, this.writes?.at(-1)?.version ?? null, PAGE);
    this.writes = [...(this.writes ?? []), ...older];
    this.hasOlder = older.length === PAGE;
    this.#note(older);
  }

  async #load(): Promise<void> {
    try {
      const [{ value, version }, writes] = await Promise.all([api.context(this.id, this.branch), api.contextHistory(this.id, this.branch, null, KNOWN)]);
      this.value = value as Json;
      this.version = version;
      this.writes = writes;
      this.hasOlder = writes.length === KNOWN;
      this.problem = null;
      this.#note(writes);
      const waiting = this.#waiting.splice(0);
      for (const event of waiting) this.#apply(event);
    } catch (error) {
      this.problem = problemOf(error);
    }
  }

  #came(event: SessionEvent<'context.patched'>): void {
    if (this.#reading) this.#waiting.push(event);
    else if (this.value !== null) this.#apply(event);
  }

  #apply(event: SessionEvent<'context.patched'>): void {
    const { seq, actor, at, id, data } = event;
    if (this.value === null || seq <= this.version || data.ops.length === 0) return;
    const before = this.value;
    const after = applied(before, data.ops);
    const paths = data.ops.map((change) => addressOf(change.op === 'remove' ? before : after, change.path));
    this.value = after;
    this.version = seq;
    this.writes = [{ version: seq, event: id, by: actor, at, base: data.base ?? null, reverts: data.reverts ?? [], paths }, ...(this.writes ?? [])];
    this.#note(this.writes.slice(0, 1));
    if (actor === this.live.state.you?.participant_id) return;
    this.#count += 1;
    const count = this.#count;
    this.flashes = new Map([...[...this.flashes].slice(-200), ...paths.map((path) => [path, count] as const)]);
    this.news = { path: paths[0]!, by: actor, isMany: paths.length > 1 };
    setTimeout(() => (this.flashes = new Map([...this.flashes].filter(([, since]) => since > count))), FLASH);
  }

  #note(writes: readonly api.ContextWrite[]): void {
    for (const write of writes) this.#writers.note(write.paths, wroteOf(write));
    this.#writersSeen += 1;
  }
}

const documents = new WeakMap<Live, Map<Id | null, ContextDocument>>();

/** Returns the document of a branch, the main one's for null; its parts on the page share one. */
export function documentOf(live: Live, branch: Id | null): ContextDocument {
  const ofAll = documents.get(live) ?? new Map<Id | null, ContextDocument>();
  documents.set(live, ofAll);
  let known = ofAll.get(branch);
  if (!known) ofAll.set(branch, (known = new ContextDocument(live, branch)));
  return known;
}
