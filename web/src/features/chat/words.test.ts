import { describe, expect, it } from 'vitest';
import { elapsed } from './clock.svelte';
import { oneLine } from './words';

describe('a message in one line', () => {
  it('is its words without their marks', () => {
    const told = [
      'Three ways to **join a top to its legs**, from [the handbook](https://example.org/joints):\n\n1. *Mortise and tenon*, glued',
      '# Title\n\n> said `so`\n\n- one\n- _two_',
      '```js\nconst a = 1;\n```',
      '| wood | weight |\n|---|--:|\n| oak | 720 |',
      'snake_case_name and 2 * 3 * 4 stay',
      '![a table](x.png)',
    ].map(oneLine);
    expect(told).toEqual([
      'Three ways to join a top to its legs, from the handbook: Mortise and tenon, glued',
      'Title said so one two',
      'const a = 1;',
      '| wood | weight | | oak | 720 |',
      'snake_case_name and 2 * 3 * 4 stay',
      'a table',
    ]);
  });

  it('is short, however long the message is', () => {
    expect(oneLine('word '.repeat(30_000)).length).toBeLessThanOrEqual(200);
  });
});

describe('the time that an answer takes', () => {
  it('is said in seconds, then in minutes', () => {
    const at = '2026-11-20T10:00:00.000Z';
    const told = [0, 8, 59, 60, 125, 3_725].map((seconds) => elapsed(at, Date.parse(at) + seconds * 1000));
    expect(told).toEqual(['0 s', '8 s', '59 s', '1 min 00 s', '2 min 05 s', '1 h 02 min']);
    expect(elapsed(at, Date.parse(at) - 5_000)).toBe('0 s');
  });
});
