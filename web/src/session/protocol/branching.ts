/** Checkpoints, branches and copies (crates/protocol/src/branching.rs): as they are, what happens to them, what can be asked. */

import type { Actor, Id, Stream, Timestamp } from './base';

export interface BranchHead {
  branch: Id;
  /** Its newest message; absent: it has none. */
  head?: Id | null;
  /** The version of its shared context; absent while nothing was written. */
  context?: number | null;
}

/** A point of a session that can be gone back to. */
export interface Checkpoint {
  id: Id;
  /** Absent while nobody has named it. */
  name?: string | null;
  kind: 'named' | 'automatic';
  /** By which rule an automatic one was made. */
  why?: string | null;
  seqs: { [S in Stream]?: number };
  heads?: BranchHead[];
  context?: number | null;
}

/** A named line of the conversation. */
export interface Branch {
  id: Id;
  name: string;
  /** Its newest message. */
  head: Id | null;
  from_branch: Id | null;
  /** The last message that it shares with the branch that it left; null: it began anew. */
  fork_message: Id | null;
  /** The seq in `main` up to which it shares the context of the branch that it left. */
  fork_seq: number;
  by: Actor;
  at: Timestamp;
  archived: boolean;
}

export type HeadMoved = 'append' | 'fork' | 'reject';
export type MergeHow = 'adopt' | 'pick' | 'summary';
export type RestoreHow = 'branch' | 'in_place';

/** Where the text of a copied message comes from. */
export interface CopiedFrom {
  message: Id;
  author: Actor;
  /** How it was there, when the message is one of another session. */
  there?: CopiedThere | null;
}

export interface CopiedThere {
  session: Id;
  /** What the author is called there. */
  name: string;
  agent?: boolean;
  at: Timestamp;
  /** How many files came with it; they stay there. */
  files?: number;
}

/** Which point of which session a session began as a copy of. */
export interface ForkedFrom {
  session: Id;
  branch: Id;
  message?: Id | null;
  seq: number;
  /** How many older messages were left out. */
  left_out?: number;
}

/** A session that began as a copy of this one. */
export interface Fork {
  session: Id;
  branch: Id;
  message: Id | null;
  seq: number;
  by: Actor;
  at: Timestamp;
}

export interface CheckpointInfo extends Checkpoint {
  by: Actor;
  at: Timestamp;
  /** The seq in `main` of the event that made it. */
  seq: number;
}

export interface BranchingView {
  /** The main one first. */
  branches: Branch[];
  /** The branch that whoever presents shows. */
  focus: Id | null;
  /** Those that have a name, in the order in which they were made or named. */
  checkpoints: CheckpointInfo[];
  /** What the session began as a copy of. */
  forked_from?: ForkedFrom | null;
  /** The sessions that began as copies of this one. */
  forks?: Fork[];
}

/** The data of their events. */
export interface BranchingEvents {
  'checkpoint.created': { checkpoint: Checkpoint };
  /** The whole checkpoint under its new name. */
  'checkpoint.renamed': { checkpoint: CheckpointInfo };
  'checkpoint.deleted': { checkpoint: Id };
  'checkpoint.restored': { checkpoint: Id; how: RestoreHow; branch?: Id | null };
  'branch.created': {
    branch: Id;
    name: string;
    from_branch: Id;
    fork_message?: Id | null;
    fork_seq: number;
    head?: Id | null;
  };
  'branch.moved': { branch: Id; head?: Id | null; from?: Id | null };
  'branch.renamed': { branch: Id; name: string };
  'branch.archived': { branch: Id; archived: boolean };
  'branch.focused': { branch: Id };
  'branch.merged': {
    into: Id;
    from: Id;
    how: MergeHow;
    head?: Id | null;
    previous?: Id | null;
    messages?: Id[];
  };
  'session.forked': { session: Id; branch: Id; message?: Id | null; seq: number };
}

/** The data of commands about them. */
export interface BranchingCommands {
  'checkpoint.create': { name: string };
  'checkpoint.rename': { checkpoint: Id; name: string };
  'checkpoint.delete': { checkpoint: Id };
  'checkpoint.restore': { checkpoint: Id; how?: RestoreHow; branch?: Id; name?: string };
  'branch.create': { name?: string; from_branch?: Id; message?: Id; seq?: number };
  'branch.move': { branch: Id; head: Id; if_head?: Id };
  'branch.rename': { branch: Id; name: string };
  'branch.archive': { branch: Id; archived: boolean };
  'branch.focus': { branch: Id };
  'branch.merge': { into: Id; from: Id; how: MergeHow; if_head?: Id; messages?: Id[]; text?: string; question?: string };
}
