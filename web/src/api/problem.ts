/** Problems as the server tells them, and those that never reached a server. */

import type { Problem } from '../session/protocol';

/** A call that was refused or did not arrive. */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.title}: ${problem.detail}`);
    this.name = 'ApiError';
    this.problem = problem;
  }
}

/** Makes a problem that this page noticed itself. */
export function localProblem(code: string, title: string, detail: string, retryable = false): Problem {
  return { type: 'about:blank', title, status: 0, detail, code, retryable };
}

/** Returns the problem inside anything that was thrown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  const detail = error instanceof Error ? error.message : String(error);
  return localProblem('page_fault', 'Something went wrong in this page', `${detail}. Reload the page.`);
}

export function isProblem(value: unknown): value is Problem {
  const p = value as Partial<Problem> | null;
  return typeof p === 'object' && p !== null && typeof p.code === 'string' && typeof p.title === 'string';
}
