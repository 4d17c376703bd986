/** What becomes of writes of the shared context that conflict, as people write it down: a list of places. */

import type { Settings, ContextStrategy } from '../../session/protocol';

/** From the strictest to the loosest, as the server orders them. */
export const STRATEGIES = ['reject', 'manual', 'first_writer_wins', 'merge', 'role_priority', 'last_writer_wins'] as const satisfies readonly ContextStrategy[];

/** What holds for one part of the shared context and all that is in it. */
export interface Rule {
  /** A JSON Pointer such as `/plan`. */
  path: string;
  strategy: ContextStrategy;
}

/** The rule of everything else, and those of parts, in the order of their paths. */
export interface Rules {
  usual: ContextStrategy;
  parts: Rule[];
}

export function rulesOf(strategies: Settings['context_strategies']): Rules {
  const parts = Object.entries(strategies).flatMap(([path, strategy]) => (path === '' ? [] : [{ path, strategy }]));
  return { usual: strategies[''] ?? 'reject', parts: parts.toSorted((a, b) => (a.path < b.path ? -1 : 1)) };
}

/** Returns the setting, and which parts cannot be: no pointer, or named twice. An empty line is no rule yet. */
export function strategiesOf({ usual, parts }: Rules): { strategies: Settings['context_strategies']; wrong: number[] } {
  const strategies: Record<string, ContextStrategy> = usual === 'reject' ? {} : { '': usual };
  const wrong: number[] = [];
  parts.forEach(({ path, strategy }, i) => {
    const place = path.trim();
    if (place === '') return;
    // RFC 6901: every part begins with a slash, and a tilde is written ~0 or ~1.
    if (!/^(?:\/(?:[^~/]|~[01])*)+$/.test(place) || place in strategies) wrong.push(i);
    else strategies[place] = strategy;
  });
  return { strategies, wrong };
}

export function isSameRules(a: Settings['context_strategies'], b: Settings['context_strategies']): boolean {
  const { usual, parts } = rulesOf(a);
  const other = rulesOf(b);
  return usual === other.usual && parts.length === other.parts.length && parts.every((rule, i) => rule.path === other.parts[i]!.path && rule.strategy === other.parts[i]!.strategy);
}
