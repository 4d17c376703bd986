import { describe, expect, it } from 'vitest';
import { CHUNK, oneLine, parsed, rowsOf, Writers } from './tree';

const all = { isOpen: () => true, most: () => CHUNK };
const wrote = (version: number, by = 'ana') => ({ by, at: '2026-01-01T00:00:00Z', version });

describe('rows', () => {
  it('are what is open, in order, each with its level and its place among its siblings', () => {
    const rows = rowsOf({ plan: { steps: [{ id: 'dig' }, 'x'] }, none: {} }, all);
    expect(rows.map((row) => [row.address, row.level, row.place, row.siblings, row.isOpen])).toEqual([
      ['/none', 1, 1, 2, null],
      ['/plan', 1, 2, 2, true],
      ['/plan/steps', 2, 1, 1, true],
      ['/plan/steps/@dig', 3, 1, 2, true],
      ['/plan/steps/@dig/id', 4, 1, 1, null],
      ['/plan/steps/1', 3, 2, 2, null],
    ]);
    expect(rowsOf({ a: { b: 1 } }, { ...all, isOpen: () => false }).map((row) => row.address)).toEqual(['/a']);
  });

  it('of a long list come in parts, and the last says how many are left', () => {
    const list = Array.from({ length: CHUNK + 5 }, (_, i) => i);
    const rows = rowsOf({ list }, all);
    expect(rows).toHaveLength(CHUNK + 2);
    expect(rows.at(-1)).toMatchObject({ hidden: 5, parent: '/list', level: 2 });
  });
});

describe('a value in one line', () => {
  it('is its text, its parts, or what it is called', () => {
    expect(oneLine('two\nlines')).toBe('two lines');
    expect(oneLine(true)).toBe('true');
    expect(oneLine([1, 'a'])).toBe('1, a');
    expect(oneLine({ id: 'x', title: 'Dig' })).toBe('Dig');
    expect(oneLine('x'.repeat(500))).toHaveLength(122);
  });
});

describe('who wrote a value', () => {
  it('is who wrote it, what it is in, or something in it, whoever was last', () => {
    const writers = new Writers();
    writers.note(['/plan/steps/@dig/done'], wrote(3, 'ben'));
    writers.note(['/plan'], wrote(2));
    expect(writers.of('/plan/steps/@dig/done')?.by).toBe('ben');
    expect(writers.of('/plan/title')?.by).toBe('ana');
    expect(writers.of('/plan')?.by).toBe('ben');
    expect(writers.of('')?.version).toBe(3);
    expect(writers.of('/other')).toBeUndefined();
    writers.note(['/plan'], wrote(9, 'chi'));
    expect(writers.of('/plan/steps/@dig/done')?.by).toBe('chi');
  });
});

describe('what is typed as JSON', () => {
  it('is a value, or the place where it stops being one', () => {
    expect(parsed('{"a": [1]}')).toEqual({ value: { a: [1] } });
    expect(parsed('{\n  "a": oops\n}')).toEqual({ line: 2, column: 8 });
    expect(parsed('{"a": 1')).toEqual({ line: 1, column: 8 });
    expect(parsed('{a: 1}')).toEqual({ line: 1, column: 2 });
    expect(parsed('[1, 2,]')).toEqual({ line: 1, column: 7 });
    expect(parsed('"x" y')).toEqual({ line: 1, column: 5 });
    expect(parsed('')).toEqual({ line: 1, column: 1 });
  });
});
