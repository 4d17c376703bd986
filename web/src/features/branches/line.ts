/**
 * Which messages of the stream lie on the line that is shown, and what stands beside each.
 *
 * Owns: walking from a head to what it follows. Must not know: elements, which branch somebody looks at. Only held messages
 * are walked: what lies at and below `floor` is not known yet and counts as on the line until it is loaded.
 */

import { messageAt } from '../../session/history';
import type { Branch, Id, MessageView, Page, StreamView } from '../../session/protocol';

/** What a message follows that begins anew. */
const NOTHING = '00000000-0000-0000-0000-000000000000';

export interface Held {
  stream: StreamView | undefined;
  pages: ReadonlyMap<number, Page>;
}

export interface Line {
  hides(n: number): boolean;
  /** How many rows it has, and the place of message `n` among them, from 0. */
  count: number;
  place(n: number): number;
  /** All that follow the same message as this one, itself among them, the oldest first. */
  siblings(id: Id): readonly Id[];
  /** Whether a message is known to lie on it. */
  has(id: Id): boolean;
  /** The newest message on it that is held. */
  last: MessageView | undefined;
}

/** Everything that is held, by id, with what each follows and what follows it. */
export class Tree {
  readonly byId = new Map<Id, MessageView>();
  readonly #held: Held;
  readonly #children = new Map<Id | null, Id[]>();
  /** The greatest number that is not held below each place is looked for from here. */
  readonly #count: number;
  readonly isForked: boolean;

  constructor(held: Held) {
    this.#held = held;
    this.#count = held.stream?.count ?? 0;
    let isForked = false;
    for (let n = 0; n < this.#count; n++) {
      const message = this.at(n);
      if (!message) continue;
      this.byId.set(message.id, message);
      const parent = this.parentOf(message);
      if (parent === undefined) continue;
      const beside = this.#children.get(parent);
      if (beside) {
        beside.push(message.id);
        isForked = true;
      } else this.#children.set(parent, [message.id]);
      if (message.parent) isForked = true;
    }
    this.isForked = isForked;
  }

  at(n: number): MessageView | undefined {
    return messageAt(this.#held.stream, this.#held.pages, n);
  }

  /** Returns the id of what a message follows; null: nothing; undefined: it is not held. */
  parentOf(message: MessageView): Id | null | undefined {
    if (message.parent) return message.parent === NOTHING ? null : message.parent;
    return message.n === 0 ? null : this.at(message.n - 1)?.id;
  }

  siblings(id: Id): readonly Id[] {
    const message = this.byId.get(id);
    const parent = message && this.parentOf(message);
    return parent === undefined ? [id] : (this.#children.get(parent) ?? [id]);
  }

  /** Returns the newest end of what follows a message, always by the newest that follows. */
  end(id: Id): Id {
    let end = id;
    for (let next: Id | undefined = id; next !== undefined; next = this.#children.get(next)?.at(-1)) end = next;
    return end;
  }

  /** Returns whether the path of a head goes through a message. */
  leads(head: Id | null, through: Id): boolean {
    const floor = this.byId.get(through)?.n ?? 0;
    for (let at: Id | null | undefined = head; at; ) {
      if (at === through) return true;
      const message: MessageView | undefined = this.byId.get(at);
      if (!message || message.n < floor) return false;
      at = this.parentOf(message);
    }
    return false;
  }

  /** Returns the line that ends at `head`; null: every message lies on it. */
  line(head: Id | null): Line | null {
    const newest = this.at(this.#count - 1);
    if (!this.isForked && newest && head === newest.id) return null;
    const on = new Set<number>();
    let floor = -1;
    let last: MessageView | undefined;
    for (let at: Id | null | undefined = head, below = this.#count; at !== null; ) {
      const message: MessageView | undefined = at === undefined ? undefined : this.byId.get(at);
      if (!message) {
        floor = this.#missingBelow(below);
        break;
      }
      last ??= message;
      on.add(message.n);
      below = message.n;
      at = this.parentOf(message);
    }
    const places = [...on].sort((a, b) => a - b);
    const place = new Map(places.map((n, i) => [n, floor + 1 + i]));
    return {
      hides: (n) => n > floor && !on.has(n),
      count: floor + 1 + on.size,
      place: (n) => place.get(n) ?? n,
      siblings: (id) => this.siblings(id),
      has: (id) => on.has(this.byId.get(id)?.n ?? -1),
      last,
    };
  }

  /** Returns the greatest number below `n` that is not held; -1: there is none. */
  #missingBelow(n: number): number {
    let place = n - 1;
    while (place >= 0 && this.at(place)) place -= 1;
    return place;
  }
}

/** Returns the branches in the order of a tree, each with how deep it lies. */
export function nested(branches: readonly Branch[]): { branch: Branch; depth: number }[] {
  const known = new Set(branches.map((branch) => branch.id));
  const of = (parent: Id | null, depth: number): { branch: Branch; depth: number }[] =>
    branches
      .filter((branch) => (branch.from_branch !== null && known.has(branch.from_branch) ? branch.from_branch : null) === parent)
      .flatMap((branch) => [{ branch, depth }, ...of(branch.id, depth + 1)]);
  return of(null, 0);
}
