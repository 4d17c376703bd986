import { describe, expect, it } from 'vitest';
import type { Memory } from '../../session/protocol';
import { MAX_TEXT, memorable, shownOf, tagsIn, tagsOf } from './memories';

const memory = (id: string, text: string, more: Partial<Memory> = {}): Memory => ({ id, text, author: 'ana', at: '2026-01-01T00:00:00Z', ...more });
const list = [memory('1', 'We meet at four', { tags: ['plans'] }), memory('2', 'Oak, 30 mm', { pinned: true, tags: ['wood', 'plans'] }), memory('3', 'The saw is at Ben’s', { tags: ['tools'] })];
const ids = (search = '', tag: string | null = null) => shownOf(list, search, tag).map((one) => one.id);

describe('memories', () => {
  it('stand with the pinned ones first, then the newest first', () => {
    expect(ids()).toEqual(['2', '3', '1']);
  });

  it('are found by every word, in text or tags, whatever the case, and by a tag', () => {
    expect(ids('FOUR')).toEqual(['1']);
    expect(ids('plans oak')).toEqual(['2']);
    expect(ids('', 'plans')).toEqual(['2', '1']);
    expect(ids('saw', 'plans')).toEqual([]);
  });

  it('have tags, the most used first, typed with commas between', () => {
    expect(tagsOf(list)).toEqual([{ tag: 'plans', count: 2 }, { tag: 'tools', count: 1 }, { tag: 'wood', count: 1 }]);
    expect(tagsIn(' a,  two  words ,, a')).toEqual(['a', 'two words']);
  });

  it('take as much of a message as fits', () => {
    expect(memorable('  short ')).toBe('short');
    const long = memorable('😀'.repeat(2_000));
    expect([...long]).toHaveLength(MAX_TEXT);
    expect(long.endsWith('😀…')).toBe(true);
  });
});
