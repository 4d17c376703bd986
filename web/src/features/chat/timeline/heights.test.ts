import { describe, expect, it } from 'vitest';
import { Heights } from './heights';

/** The same in the slowest and plainest way. */
class Plain {
  rows: number[] = [];
  top = (i: number) => this.rows.slice(0, i).reduce((a, b) => a + b, 0);
  at(y: number): number {
    let left = y;
    const found = this.rows.findIndex((h) => (left -= h) < 0);
    return found < 0 ? this.rows.length - 1 : found;
  }
}

describe('heights', () => {
  it('says the same as adding up, whatever is measured in which order', () => {
    const heights = new Heights(50);
    const plain = new Plain();
    let seed = 7;
    const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
    for (let step = 0; step < 600; step++) {
      if (step % 5 === 0) {
        const count = plain.rows.length + random(9);
        heights.resize(count);
        while (plain.rows.length < count) plain.rows.push(50);
      } else if (plain.rows.length > 0) {
        const i = random(plain.rows.length);
        const height = 10 + random(200);
        expect(heights.measure(i, height)).toBe(height - plain.rows[i]!);
        plain.rows[i] = height;
      }
      const i = random(plain.rows.length + 1);
      expect(heights.top(i)).toBe(plain.top(i));
      if (plain.rows.length > 0) {
        const y = random(heights.total + 20);
        expect(heights.at(y), `row at ${y}`).toBe(plain.at(y));
      }
    }
    expect(heights.total).toBe(plain.top(plain.rows.length));
  });

  it('finds the first and the last row beyond the ends', () => {
    const heights = new Heights(10);
    heights.resize(3);
    expect([heights.at(-5), heights.at(0), heights.at(10), heights.at(29), heights.at(500)]).toEqual([0, 0, 1, 2, 2]);
  });

  it('forgets rows that go', () => {
    const heights = new Heights(10);
    heights.resize(2);
    heights.measure(1, 100);
    heights.resize(1);
    heights.resize(2);
    expect(heights.total).toBe(20);
    expect(heights.isMeasured(1)).toBe(false);
  });
});
