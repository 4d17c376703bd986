/** Calls about the shared context (docs/context.md); apart from the others, as only its panel needs them. */

import type { Actor, ContextChange, ContextConflict, ContextOp, EventData, Id, Problem, SessionEvent, Timestamp } from '../session/protocol';
import { uuidv7 } from '../session/uuid';
import { call, events } from './client';

export interface ContextBody {
  version: number;
  value: unknown;
}

/** One write; what exactly it changed is in its event. */
export interface ContextWrite {
  version: number;
  event: Id;
  by: Actor;
  at: Timestamp;
  base?: number | null;
  reverts: Id[];
  /** Elements of arrays by their ids: `/steps/@dig/done`. */
  paths: string[];
}

export interface OpenConflict {
  id: Id;
  /** Who wanted the change. */
  author: Actor;
  since: Timestamp;
  wanted: ContextOp;
  conflict: ContextConflict;
  /** Absent: the main branch. */
  branch?: Id | null;
}

export interface ContextWritten {
  version: number;
  event: Id;
  applied: ContextChange[];
  duplicate: boolean;
}

/** Why a write was refused, and what could be sent instead on `version`. */
export interface ContextReport {
  version: number;
  conflicts: ContextConflict[];
  suggestion: ContextOp[];
}

export type Revert = { event: Id; base?: number } | { to_version: number; paths?: string[]; base?: number };

/** The branch that a call is about; null: the main one. */
type On = Id | null;

const at = (session: Id) => `/sessions/${encodeURIComponent(session)}/context`;

const query = (of: Record<string, string | number | null | undefined>) => {
  const given = Object.entries(of).flatMap(([name, value]) => (value === null || value === undefined ? [] : [[name, String(value)]]));
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
};

/** Returns the whole document, as it is or as it was. */
export const context = (session: Id, branch: On, version?: number) => call<ContextBody>('GET', `${at(session)}${query({ version, branch })}`);

export const contextHistory = async (session: Id, branch: On, before: number | null, limit: number) =>
  (await call<{ items: ContextWrite[] }>('GET', `${at(session)}/history${query({ limit, before, branch })}`)).items;

/** Returns what a write changed. */
export async function contextEvent(session: Id, version: number): Promise<SessionEvent<'context.patched'> | null> {
  const { events: found } = await events(session, 'main', version - 1, 1);
  const event = found[0];
  return event?.kind === 'context.patched' && event.seq === version ? event : null;
}

/** Returns those of all branches. */
export const contextConflicts = async (session: Id) => (await call<{ items: OpenConflict[] }>('GET', `${at(session)}/conflicts`)).items;

export const patchContext = (session: Id, branch: On, ops: readonly ContextOp[], base: number) =>
  call<ContextWritten>('PATCH', `${at(session)}${query({ base, branch })}`, { body: ops, type: 'application/json-patch+json', key: uuidv7() });

export const revertContext = (session: Id, branch: On, what: Revert) =>
  call<ContextWritten>('POST', `${at(session)}/revert`, { body: branch === null ? what : { ...what, branch } });

export const resolveConflict = (session: Id, conflict: Id, choice: { take: EventData['context.resolved']['take']; value?: unknown }) =>
  call<ContextWritten>('POST', `${at(session)}/conflicts/${conflict}`, { body: choice });

/** Returns what a refusal tells of the conflict; null: it was refused for another reason. */
export function reportOf(problem: Problem): ContextReport | null {
  const report = problem as Problem & Partial<ContextReport>;
  if (problem.code !== 'context_conflict' || !Array.isArray(report.conflicts)) return null;
  return { version: report.version ?? 0, conflicts: report.conflicts, suggestion: report.suggestion ?? [] };
}
