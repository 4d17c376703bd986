/** The list of memories as the panel shows it: order, search, tags. */

import type { Memory } from '../../session/protocol';

/** Longest text. Unit: characters (code points). */
export const MAX_TEXT = 1_000;
export const MAX_TAGS = 10;
/** Longest tag. Unit: characters. */
export const MAX_TAG = 40;

/** Returns the pinned ones first, then the newest first; those that have every word of `search` and the tag. */
export function shownOf(memories: readonly Memory[], search: string, tag: string | null): Memory[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (memory: Memory) => {
    const all = [memory.text, ...(memory.tags ?? [])].join('\n').toLowerCase();
    return words.every((word) => all.includes(word)) && (tag === null || (memory.tags ?? []).includes(tag));
  };
  const fitting = memories.filter(fits).toReversed();
  return [...fitting.filter((memory) => memory.pinned), ...fitting.filter((memory) => !memory.pinned)];
}

/** Returns all tags, the most used first. */
export function tagsOf(memories: readonly Memory[]): { tag: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const tag of memories.flatMap((memory) => memory.tags ?? [])) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].map(([tag, count]) => ({ tag, count })).sort((a, b) => b.count - a.count || a.tag.localeCompare(b.tag));
}

/** Returns the tags that somebody has typed, with commas between. */
export const tagsIn = (text: string): string[] => [...new Set(text.split(',').map((tag) => tag.trim().replace(/\s+/g, ' ')).filter(Boolean))];

/** Returns a message's text as a memory can hold it. */
export function memorable(text: string): string {
  const all = [...text.trim()];
  return all.length <= MAX_TEXT ? all.join('') : `${all.slice(0, MAX_TEXT - 1).join('').trimEnd()}…`;
}
