import { describe, expect, it } from 'vitest';
import type { Settings } from '../../session/protocol';
import { isSameRules, rulesOf, strategiesOf } from './rules';

describe('the rules for writes that conflict', () => {
  it('are one for everything, which is refusing where nothing is said, and those of parts', () => {
    expect(rulesOf({})).toEqual({ usual: 'reject', parts: [] });
    expect(rulesOf({ '': 'merge', '/b': 'manual', '/a': 'reject' })).toEqual({
      usual: 'merge',
      parts: [
        { path: '/a', strategy: 'reject' },
        { path: '/b', strategy: 'manual' },
      ],
    });
  });

  it('become the setting again; a line without a path is no rule', () => {
    const all: Settings['context_strategies'][] = [{}, { '': 'merge' }, { '/plan': 'manual', '/plan/~1x/~0': 'reject' }];
    for (const strategies of all) {
      expect(strategiesOf(rulesOf(strategies))).toEqual({ strategies, wrong: [] });
    }
    expect(strategiesOf({ usual: 'reject', parts: [{ path: ' ', strategy: 'merge' }] })).toEqual({ strategies: {}, wrong: [] });
  });

  it('name each part once and as a pointer', () => {
    const parts = ['plan', '/plan', '/plan ', '/a~b', '/'].map((path) => ({ path, strategy: 'merge' as const }));
    expect(strategiesOf({ usual: 'reject', parts })).toEqual({ strategies: { '/plan': 'merge', '/': 'merge' }, wrong: [0, 2, 3] });
  });

  it('are the same in any order, and where what is usual is said', () => {
    expect(isSameRules({ '/a': 'merge', '/b': 'reject' }, { '/b': 'reject', '/a': 'merge' })).toBe(true);
    expect(isSameRules({ '': 'reject' }, {})).toBe(true);
    expect(isSameRules({ '/a': 'merge' }, { '/a': 'manual' })).toBe(false);
    expect(isSameRules({}, { '/a': 'merge' })).toBe(false);
  });
});
