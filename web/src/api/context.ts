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

const at = (session: Id) => `/sessions/${encodeURIComponent(session)}/context`;

/** Returns the whole document, as it is or as it was. */
export const context = (session: Id, version?: number) => call<ContextBody>('GET', `${at(session)}${version === undefined ? '' : `?version=${version}`}`);

export const contextHistory = async (session: Id, before: number | null, limit: number) => {
  const query = new URLSearchParams({ limit: String(limit), ...(before === null ? {} : { before: String(before) }) });
  return (await call<{ items: ContextWrite[] }>('GET', `${at(session)}/history?${query}`)).items;
};

/** Returns what a write changed. */
export async function contextEvent(session: Id, version: number): Promise<SessionEvent<'context.patched'> | null> {
  const { events: found } = await events(session, 'main', version - 1, 1);
  const event = found[0];
  return event?.kind === 'context.patched' && event.seq === version ? event : null;
}

export const contextConflicts = async (session: Id) => (await call<{ items: OpenConflict[] }>('GET', `${at(session)}/conflicts`)).items;

export const patchContext = (session: Id, ops: readonly ContextOp[], base: number) =>
  call<ContextWritten>('PATCH', `${at(session)}?base=${base}`, { body: ops, type: 'application/json-patch+json', key: uuidv7() });

export const revertContext = (session: Id, what: Revert) => call<ContextWritten>('POST', `${at(session)}/revert`, { body: what });

export const resolveConflict = (session: Id, conflict: Id, choice: { take: EventData['context.resolved']['take']; value?: unknown }) =>
  call<ContextWritten>('POST', `${at(session)}/conflicts/${conflict}`, { body: choice });

/** Returns what a refusal tells of the conflict; null: it was refused for another reason. */
export function reportOf(problem: Problem): ContextReport | null {
  const report = problem as Problem & Partial<ContextReport>;
  if (problem.code !== 'context_conflict' || !Array.isArray(report.conflicts)) return null;
  return { version: report.version ?? 0, conflicts: report.conflicts, suggestion: report.suggestion ?? [] };
}
