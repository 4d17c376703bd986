/**
 * Checkpoints and branches as people see them: the part of the view's fold that is about them.
 *
 * Must not know: rules. Invariant: it says the same as `crates/protocol/src/view/branches.rs`.
 */

import type { Branch, BranchingView, CheckpointInfo, Id, SessionEvent } from './protocol';

export const emptyBranching = (): BranchingView => ({ branches: [], focus: null, checkpoints: [] });

/** The main branch is there from the start. */
export function began(view: BranchingView, event: SessionEvent<'session.created'>): BranchingView {
  const main: Branch = {
    id: event.data.main_branch,
    name: 'main',
    head: null,
    from_branch: null,
    fork_message: null,
    fork_seq: 0,
    by: event.actor,
    at: event.at,
    archived: false,
  };
  const from = event.data.forked_from;
  return { ...view, branches: [...view.branches, main], ...(from && { forked_from: from }) };
}

export function forked(view: BranchingView, event: SessionEvent<'session.forked'>): BranchingView {
  const { session, branch, message = null, seq } = event.data;
  return { ...view, forks: [...(view.forks ?? []), { session, branch, message, seq, by: event.actor, at: event.at }] };
}

/** A message is the newest one of the branch that it was said on. */
export function said(view: BranchingView, event: SessionEvent, message: Id): BranchingView {
  if (event.stream !== 'main') return view;
  // One that begins its branch stands before `branch.created`, which names it.
  const id = event.branch ?? view.branches[0]?.id;
  return id === undefined ? view : withBranch(view, id, { head: message });
}

export function branchCreated(view: BranchingView, event: SessionEvent<'branch.created'>): BranchingView {
  const { branch: id, name, from_branch, fork_message = null, fork_seq, head = null } = event.data;
  const { actor: by, at } = event;
  const branch: Branch = { id, name, head, from_branch, fork_message, fork_seq, by, at, archived: false };
  return { ...view, branches: [...view.branches, branch] };
}

export function withBranch(view: BranchingView, id: Id, change: Partial<Branch>): BranchingView {
  const place = view.branches.findIndex((b) => b.id === id);
  if (place < 0) return view;
  return { ...view, branches: view.branches.with(place, { ...view.branches[place]!, ...change }) };
}

export function checkpointCreated(view: BranchingView, event: SessionEvent<'checkpoint.created'>): BranchingView {
  const { checkpoint } = event.data;
  if (!checkpoint.name) return view;
  const { actor: by, at, seq } = event;
  return { ...view, checkpoints: [...view.checkpoints, { ...checkpoint, by, at, seq }] };
}

export function checkpointRenamed(view: BranchingView, now: CheckpointInfo): BranchingView {
  const place = view.checkpoints.findIndex((c) => c.id === now.id);
  const checkpoints = place < 0 ? [...view.checkpoints, now] : view.checkpoints.with(place, now);
  return { ...view, checkpoints };
}

export function checkpointDeleted(view: BranchingView, id: Id): BranchingView {
  return { ...view, checkpoints: view.checkpoints.filter((c) => c.id !== id) };
}
