/** Two branches compared by the server: asked again when another one is chosen or something is said. */

import { type Comparison, compareBranches } from '../../api/branches';
import { problemOf } from '../../api/problem';
import type { Id, Problem } from '../../session/protocol';

export class Compared {
  data: Comparison | null = $state.raw(null);
  problem: Problem | null = $state.raw(null);
  #asked = 0;

  async load(session: Id, a: Id, b: Id): Promise<void> {
    const asked = ++this.#asked;
    this.problem = null;
    try {
      const data = await compareBranches(session, a, b);
      if (asked === this.#asked) this.data = data;
    } catch (error) {
      if (asked === this.#asked) this.problem = problemOf(error);
    }
  }
}
