import { describe, expect, it } from 'vitest';
import type { Marker } from '../../api/client';
import { Bar, clock, neighbour, shown } from './bar';

const at = (seconds: number) => new Date(Date.UTC(2026, 10, 25) + seconds * 1000).toISOString();
const points = [
  { seq: 1, at: at(0) },
  { seq: 2, at: at(1) },
  { seq: 3, at: at(3601) },
  { seq: 5, at: at(3602) },
];
const marker = (seq: number, kind = 'turn.started'): Marker => ({ seq, kind, at: at(0) });

describe('the bar of a replay', () => {
  it('is as long as what happened, with pauses cut', () => {
    expect(new Bar({ points }, null).length).toBe(3_602_000);
    expect(new Bar({ points }, 2_000).length).toBe(4_000);
    expect(new Bar({ points: [] }, 2_000).length).toBe(0);
  });

  it('finds a seq by its place and a place by its seq', () => {
    const bar = new Bar({ points }, 2_000);
    expect([1, 2, 3, 4, 5, 9].map((seq) => bar.msOf(seq))).toEqual([0, 1_000, 3_000, 3_500, 4_000, 4_000]);
    expect([-5, 0, 1_000, 2_999, 3_000, 3_600, 4_000, 9_000].map((ms) => bar.seqAt(ms))).toEqual([0, 1, 2, 2, 3, 4, 5, 5]);
    expect(bar.shareOf(3)).toBe(0.75);
    expect(new Bar({ points: points.slice(0, 1) }, null).shareOf(1)).toBe(1);
  });

  it('shows what is rare and thins out what is often', () => {
    const many = [...Array.from({ length: 2_000 }, (_, i) => marker(i + 1)), marker(3_000, 'decision.recorded')];
    const few = shown(many);
    expect(few.length).toBeLessThanOrEqual(150);
    expect(few.at(-1)).toEqual(marker(3_000, 'decision.recorded'));
  });

  it('knows the neighbours of a place', () => {
    const markers = [marker(3), marker(8)];
    expect([neighbour(markers, 3, 1)?.seq, neighbour(markers, 8, 1)?.seq]).toEqual([8, undefined]);
    expect([neighbour(markers, 8, -1)?.seq, neighbour(markers, 3, -1)?.seq]).toEqual([3, undefined]);
  });

  it('tells lengths as a clock does', () => {
    expect([0, 61_400, 3_601_000].map(clock)).toEqual(['0:00', '1:01', '1:00:01']);
  });
});
