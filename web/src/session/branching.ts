/**
 * Checkpoints and branches as people see them: the part of the view's fold that is about them.
 *
 * Must not know: rules. Invariant: it says the same as `crates/protocol/src/view/branches.rs`.
 */

import type { BranchingView, CheckpointInfo, Id, SessionEvent } from './protocol';

export const emptyBranching = (): BranchingView => ({ checkpoints: [] });

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
