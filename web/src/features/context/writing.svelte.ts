/** One write on its way: whether it is, and why it was refused. */

import { type ContextReport, patchContext, reportOf } from '../../api/context';
import { problemOf } from '../../api/problem';
import type { ContextOp, Problem } from '../../session/protocol';

export class Writing {
  busy = $state(false);
  problem: Problem | null = $state.raw(null);
  /** Somebody else has written there since: what both want. */
  report: ContextReport | null = $state.raw(null);
  readonly #doc: { readonly id: string; readonly branch: string | null };

  constructor(doc: { readonly id: string; readonly branch: string | null }) {
    this.#doc = doc;
  }

  /** Writes on the version that its author has read. Returns whether it is done. */
  send(ops: readonly ContextOp[], base: number): Promise<boolean> {
    return this.run(() => patchContext(this.#doc.id, this.#doc.branch, ops, base));
  }

  /** Does what may conflict. Returns whether it is done. */
  async run(deed: () => Promise<unknown>): Promise<boolean> {
    this.busy = true;
    this.problem = null;
    try {
      await deed();
      this.report = null;
      return true;
    } catch (error) {
      const problem = problemOf(error);
      this.report = reportOf(problem);
      this.problem = this.report ? null : problem;
      return false;
    } finally {
      this.busy = false;
    }
  }
}
