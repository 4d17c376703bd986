/** The shared context (crates/protocol/src/context.rs): how it is written, what happens to it, what can be asked. */

import type { Actor, Id, Timestamp } from './base';

export type ContextStrategy =
  | 'reject'
  | 'manual'
  | 'first_writer_wins'
  | 'merge'
  | 'role_priority'
  | 'last_writer_wins';

export interface ContextOp {
  op:
    | 'add'
    | 'remove'
    | 'replace'
    | 'move'
    | 'copy'
    | 'test'
    | 'inc'
    | 'union'
    | 'remove_values'
    | 'append'
    | 'text';
  path: string;
  from?: string | null;
  value?: unknown;
  was?: string | null;
}

export interface ContextChange {
  op: 'add' | 'replace' | 'remove';
  path: string;
  value?: unknown;
  was?: unknown;
  how?: 'inc' | 'union' | 'append' | null;
}

export interface ContextConflict {
  path: string;
  op_index: number;
  base_version?: number | null;
  yours?: unknown;
  current?: unknown;
  current_version: number;
  by: Actor;
  at: Timestamp;
  event: Id;
  reason: 'written' | 'written_above' | 'written_below' | 'array_moved' | 'gone' | 'text_overlaps';
}

/** The document itself is read with `GET /sessions/{id}/context` and followed by the changes of `context.patched`. */
export interface ContextView {
  /** Of the main branch. */
  version: number;
  /** Of each other branch that has been written on. */
  branches?: Record<Id, number>;
  conflicts: Id[];
}

/** The data of its events. */
export interface ContextEvents {
  'context.patched': {
    base?: number | null;
    ops: ContextChange[];
    strategy?: ContextStrategy;
    skipped?: { op_index: number; path: string; reason: string }[];
    overwrote?: { path: string; was?: unknown; by: Actor; version: number }[];
    reverts?: Id[];
    reason?: string | null;
  };
  'context.refused': { base?: number | null; conflicts: ContextConflict[] };
  'context.conflicted': { wanted: ContextOp; conflict: ContextConflict };
  'context.resolved': { conflict: Id; take: 'current' | 'yours' | 'value' };
}

/** The data of commands about it. */
export interface ContextCommands {
  'context.patch': {
    /** Absent: the main branch. */
    branch?: Id;
    base?: number;
    if_version?: number;
    ops?: ContextOp[];
    merge?: Record<string, unknown>;
    strategy?: ContextStrategy;
    atomic?: boolean;
    reason?: string;
  };
  'context.revert': {
    branch?: Id;
    event?: Id;
    to_version?: number;
    paths?: string[];
    base?: number;
    strategy?: ContextStrategy;
    reason?: string;
  };
  'context.resolve': { conflict: Id; take: 'current' | 'yours' | 'value'; value?: unknown };
}
