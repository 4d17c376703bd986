/**
 * Which line of the conversation somebody looks at.
 *
 * Owns: the branch shown here, its place in the address, the messages on it. Must not know: elements. What is shown is each
 * reader's own; the common focus is only where it begins, and what it is moved to when they say so.
 */

import { untrack } from 'svelte';
import { t } from '../../app/i18n';
import type { Branch, Id, MessageView } from '../../session/protocol';
import { toast } from '../../ui/toasts.svelte';
import type { Live } from '../session/live.svelte';
import { type Line, Tree } from './line';

const PARAMETER = 'branch';

export class Branching {
  readonly live: Live;
  /** The branch that was chosen; null: none yet. */
  #chosen: Id | null = $state(null);
  /** The end of a line that no branch has: what a moved head has left behind. */
  #loose: Id | null = $state(null);
  /** What the dialog of branches opens with. */
  asked: { view: 'tree' | 'compare' | 'merge'; other?: Id } = $state.raw({ view: 'tree' });
  /** The next branch that the reader begins is shown. */
  #expects = false;
  /** The head of each branch when it was last looked at; null: nothing was looked at yet. */
  #seen: ReadonlyMap<Id, Id | null> | null = $state.raw(null);
  readonly #tree: Tree | null = $derived.by(() => this.#treeNow());
  readonly line: Line | null = $derived.by(() => this.#tree?.line(this.head) ?? null);

  constructor(live: Live) {
    this.live = live;
    this.#chosen = typeof location === 'undefined' ? null : new URLSearchParams(location.search).get(PARAMETER);
    live.session.listen(() => untrack(() => this.#look()));
    live.session.follow((event) => {
      const me = untrack(() => live.state.you?.participant_id);
      if (event.kind === 'branch.created' && this.#expects && event.actor === me) {
        this.#expects = false;
        this.show(event.data.branch);
      }
      if (event.kind === 'branch.focused' && event.actor !== me) this.#focused(event.actor, event.data.branch);
    });
  }

  get branches(): readonly Branch[] {
    return this.live.state.view.branching.branches ?? [];
  }

  get main(): Branch | undefined {
    return this.branches[0];
  }

  get focus(): Branch | undefined {
    const { focus } = this.live.state.view.branching;
    return this.branches.find((branch) => branch.id === focus);
  }

  /** Those that somebody can write on. */
  get open(): readonly Branch[] {
    return this.branches.filter((branch) => !branch.archived);
  }

  /** The branch shown; undefined: none is known yet, or the line belongs to none. */
  get shown(): Branch | undefined {
    if (this.#loose !== null) return undefined;
    return this.branches.find((branch) => branch.id === this.#chosen) ?? (this.#chosen === null ? this.focus : undefined) ?? this.main;
  }

  get isMain(): boolean {
    return this.shown !== undefined && this.shown.id === this.main?.id;
  }

  /** Whether the line shown belongs to no branch. */
  get isLoose(): boolean {
    return this.#loose !== null;
  }

  get head(): Id | null {
    return this.#loose ?? this.shown?.head ?? null;
  }

  /** What a message says of where it goes; nothing on the main branch. */
  get target(): { branch?: Id } {
    const { shown } = this;
    return shown && !this.isMain ? { branch: shown.id } : {};
  }

  /** What an address says of the branch; empty on the main one. */
  get search(): string {
    const { branch } = this.target;
    return branch === undefined ? '' : `?${PARAMETER}=${branch}`;
  }

  /** Whether something was said on a branch since the reader looked at it. */
  hasNews(branch: Branch): boolean {
    return this.#seen !== null && branch.id !== this.shown?.id && !branch.archived && this.#seen.get(branch.id) !== branch.head;
  }

  siblings(id: Id): readonly Id[] {
    return this.#tree?.siblings(id) ?? [id];
  }

  /** Shows a branch, and says so in the address. */
  show(branch: Id): void {
    this.#chosen = branch;
    this.#loose = null;
    const address = new URL(location.href);
    if (branch === this.main?.id) address.searchParams.delete(PARAMETER);
    else address.searchParams.set(PARAMETER, branch);
    history.replaceState(history.state, '', address);
    untrack(() => this.#look());
  }

  /** Shows a line that goes through a message: that of a branch, if there is one. */
  showMessage(message: MessageView): void {
    const tree = this.#tree;
    if (!tree || this.line?.has(message.id) !== false) return;
    const own = message.branch ?? this.main?.id;
    const leads = (branch: Branch) => tree.leads(branch.head, message.id);
    const found = this.branches.find((branch) => branch.id === own && leads(branch)) ?? this.open.find(leads) ?? this.branches.find(leads);
    if (found) this.show(found.id);
    else this.#loose = tree.end(message.id);
  }

  /** The next branch that the reader begins is shown as soon as it is there. */
  expect(): void {
    this.#expects = true;
  }

  /** What is there when the reader comes is not news. */
  #look(): void {
    if (!this.live.state.live) return;
    const { shown } = this;
    if (this.#seen === null) this.#seen = new Map(this.branches.map((branch) => [branch.id, branch.head]));
    else if (shown && this.#seen.get(shown.id) !== shown.head) this.#seen = new Map(this.#seen).set(shown.id, shown.head);
  }

  #treeNow(): Tree | null {
    const { view, pages } = this.live.state;
    const stream = view.streams.main;
    const { branches } = this;
    // Where there is one branch and its head is the newest message, everything lies on it.
    const isPlain = branches.length === 0 || (branches.length === 1 && this.#loose === null && branches[0]!.head === (stream?.messages.at(-1)?.id ?? null));
    return isPlain || !stream ? null : new Tree({ stream, pages: pages.main });
  }

  #focused(by: Id, branch: Id): void {
    // What happened before the reader came is only where they begin.
    if (!untrack(() => this.live.state.live)) return;
    const name = untrack(() => this.branches.find((one) => one.id === branch)?.name);
    const shown = untrack(() => this.shown?.id);
    // Nobody is moved who has not said so.
    if (this.#loose === null) this.#chosen ??= shown ?? null;
    if (name === undefined || shown === branch) return;
    toast(t('branches.focused', { name: this.live.nameOf(by), branch: nameOf({ id: branch, name } as Branch, this.main) }), {
      action: { label: t('branches.go_there'), run: () => this.show(branch) },
    });
  }
}

/** Returns what a branch is called here: the main one has no name that anybody gave it. */
export function nameOf(branch: Branch, main: Branch | undefined): string {
  return branch.id === main?.id && branch.name === 'main' ? t('branches.main') : branch.name;
}

const all = new WeakMap<Live, Branching>();

/** Returns the branching of a session; its parts on the page share one. */
export function branchingOf(live: Live): Branching {
  let known = all.get(live);
  if (!known) all.set(live, (known = new Branching(live)));
  return known;
}
