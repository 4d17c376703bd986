/** Calls about branches (docs/branches.md), apart from the others, as only few need them. */

import type { Branch, Fork, ForkedFrom, Id, MergeHow, MessageView } from '../session/protocol';
import { call } from './client';

/** Two branches beside each other. */
export interface Comparison {
  /** The newest message that both have. */
  ancestor: Id | null;
  /** What only one has, the oldest first; at most the newest 200. */
  only_a: MessageView[];
  only_b: MessageView[];
  count_a: number;
  count_b: number;
  /** Where their shared contexts differ; at most 200 places, values up to 2 KiB. */
  context?: { differences: { path: string; op: string; a?: unknown; b?: unknown }[]; count: number };
}

export interface Merge {
  from: Id;
  how: MergeHow;
  /** The newest message that the caller knows of. */
  if_head?: Id;
  messages?: Id[];
  /** Absent in a summary: the assistant is asked for one. */
  text?: string;
  question?: string;
}

/** What a session began as a copy of, and what began as copies of it; a title is null where the reader may not look. */
export interface Lineage {
  forked_from: (ForkedFrom & { title?: string | null }) | null;
  forks: (Fork & { title?: string | null })[];
}

const at = (session: Id) => `/sessions/${encodeURIComponent(session)}/branches`;

/** Returns the branches as they are now, the main one first, those put away among them. */
export const listBranches = async (session: Id): Promise<Branch[]> => (await call<{ items: Branch[] }>('GET', at(session))).items;

export const newBranch = (session: Id, body: { name?: string; from_branch?: Id; message?: Id }) => call<Branch>('POST', at(session), { body });

export const changeBranch = (session: Id, branch: Id, change: { name?: string; archived?: boolean; focus?: true }) =>
  call<Branch>('PATCH', `${at(session)}/${branch}`, { body: change });

export const compareBranches = (session: Id, a: Id, b: Id) => call<Comparison>('GET', `${at(session)}/compare?a=${a}&b=${b}`);

export const mergeBranch = (session: Id, into: Id, merge: Merge) => call<void>('POST', `${at(session)}/${into}/merge`, { body: merge });

export const lineage = (session: Id) => call<Lineage>('GET', `/sessions/${encodeURIComponent(session)}/lineage`);

/** Begins a session of one's own as a copy up to a message. */
export const forkSession = (session: Id, message: Id) => call<{ id: Id }>('POST', `/sessions/${encodeURIComponent(session)}/fork`, { body: { message } });
