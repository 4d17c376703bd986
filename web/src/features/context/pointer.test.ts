import { describe, expect, it } from 'vitest';
import { addressOf, applied, at, differences, escaped, type Json, steps, takenBack } from './pointer';

const plan: Json = { steps: [{ id: 'dig', done: false }, { id: 'pour', done: false }], 'a/b': { '~': 1, '@type': 'x' }, count: 3 };

describe('places', () => {
  it('are found by keys, numbers and ids, also where a key has signs of its own', () => {
    expect(at(plan, '')).toBe(plan);
    expect(at(plan, '/steps/1/id')).toBe('pour');
    expect(at(plan, '/steps/@dig/done')).toBe(false);
    expect(at(plan, '/a~1b/~0')).toBe(1);
    expect(at(plan, '/a~1b/@@type')).toBe('x');
    expect([at(plan, '/steps/@gone/done'), at(plan, '/count/x'), at(plan, '/steps/7'), at(plan, '/toString')]).toEqual(Array(4).fill(undefined));
    expect(escaped('@a/b~')).toBe('@@a~1b~0');
    expect(steps('/a~1b/~01')).toEqual(['a/b', '~1']);
  });

  it('are named by the ids of elements where those are the only ones of their name', () => {
    expect(addressOf(plan, '/steps/1/done')).toBe('/steps/@pour/done');
    expect(addressOf({ list: [{ id: 'a' }, { id: 'a' }, 4] }, '/list/1')).toBe('/list/1');
    expect(addressOf(plan, '/new/place')).toBe('/new/place');
  });
});

describe('changes', () => {
  it('are made without changing what was there', () => {
    const before = structuredClone(plan);
    const after = applied(plan, [
      { op: 'add', path: '/steps/0', value: { id: 'plan' } },
      { op: 'replace', path: '/steps/1/done', value: true },
      { op: 'remove', path: '/count' },
      { op: 'add', path: '/a~1b/new', value: null },
    ]);
    expect(after).toEqual({ steps: [{ id: 'plan' }, { id: 'dig', done: true }, { id: 'pour', done: false }], 'a/b': { '~': 1, '@type': 'x', new: null } });
    expect(plan).toEqual(before);
    expect(applied(plan, [{ op: 'replace', path: '', value: {} }])).toEqual({});
    expect(applied(plan, [{ op: 'remove', path: '/steps/0' }])).toMatchObject({ steps: [{ id: 'pour' }] });
  });

  it('are told by the deepest place that differs, and whole where an array has other elements', () => {
    const now = applied(plan, [{ op: 'replace', path: '/steps/0/done', value: true }]);
    expect(differences(plan, now)).toEqual([{ path: '/steps/@dig/done', was: false, now: true }]);
    expect(differences(plan, applied(plan, [{ op: 'remove', path: '/steps/0' }])).map((d) => d.path)).toEqual(['/steps']);
    expect(differences({ a: 1 }, { b: 1 })).toEqual([
      { path: '/b', was: undefined, now: 1 },
      { path: '/a', was: 1, now: undefined },
    ]);
    expect(differences(plan, structuredClone(plan))).toEqual([]);
  });

  it('are turned around to see what taking them back does; a sum loses only its part', () => {
    const later: Json = { count: 12, title: 'new', fresh: 1 };
    expect(
      takenBack(later, [
        { op: 'replace', path: '/count', value: 5, was: 3, how: 'inc' },
        { op: 'replace', path: '/title', value: 'new', was: 'old' },
        { op: 'add', path: '/fresh', value: 1 },
        { op: 'remove', path: '/gone', was: [1] },
      ]),
    ).toEqual([
      { path: '/gone', was: undefined, now: [1] },
      { path: '/fresh', was: 1, now: undefined },
      { path: '/title', was: 'new', now: 'old' },
      { path: '/count', was: 12, now: 10 },
    ]);
  });
});
