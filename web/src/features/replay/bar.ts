/**
 * Where a seq is on the bar of a replay, and what is where.
 *
 * Owns: the time that a replay takes, with long pauses cut. Must not know: how it looks.
 */

import type { Marker, Timeline } from '../../api/client';

/** A place on the bar: after how much of the replay which seq is reached. */
interface Stop {
  seq: number;
  ms: number;
}

export class Bar {
  readonly #stops: Stop[];
  /** How long the replay takes at its own pace. Unit: milliseconds. */
  readonly length: number;

  constructor({ points }: Pick<Timeline, 'points'>, maxGap: number | null) {
    let ms = 0;
    this.#stops = points.map((point, i) => {
      const before = points[i - 1];
      if (before) {
        // Between two points lie several events, each with its own pause.
        const most = maxGap === null ? Infinity : maxGap * (point.seq - before.seq);
        ms += Math.min(Math.max(0, Date.parse(point.at) - Date.parse(before.at)), most);
      }
      return { seq: point.seq, ms };
    });
    this.length = ms;
  }

  /** Returns after how many milliseconds a seq is reached. */
  msOf(seq: number): number {
    return along(this.#stops, seq, (stop) => stop.seq, (stop) => stop.ms);
  }

  /** Returns the seq that is reached by then. */
  seqAt(ms: number): number {
    return Math.floor(along(this.#stops, ms, (stop) => stop.ms, (stop) => stop.seq));
  }

  /** Returns where a seq is, from 0 to 1. */
  shareOf(seq: number): number {
    return this.length === 0 ? 1 : this.msOf(seq) / this.length;
  }
}

/** Reads `to` at a place of `from`, straight between two stops. */
function along(stops: readonly Stop[], at: number, from: (stop: Stop) => number, to: (stop: Stop) => number): number {
  const next = stops.findIndex((stop) => from(stop) > at);
  if (next === 0) return at <= 0 ? 0 : to(stops[0]!);
  if (next < 0) return stops.length > 0 ? to(stops.at(-1)!) : 0;
  const [a, b] = [stops[next - 1]!, stops[next]!];
  return to(a) + ((at - from(a)) / (from(b) - from(a))) * (to(b) - to(a));
}

/** Most marks that a bar shows: more would be a grey line. */
const MOST = 150;

/** Returns the markers that a bar shows: all that are rare, and of joins and turns as many as there is room for. */
export function shown(markers: readonly Marker[]): Marker[] {
  const isOften = ({ kind }: Marker) => kind === 'turn.started' || kind === 'participant.joined';
  const rare = markers.filter((marker) => !isOften(marker)).slice(0, MOST);
  const often = markers.filter(isOften);
  const every = Math.max(1, Math.ceil(often.length / Math.max(1, MOST - rare.length)));
  return [...rare, ...often.filter((_, i) => i % every === 0)].sort((a, b) => a.seq - b.seq);
}

/** Returns the nearest marker before or behind a seq. */
export function neighbour(markers: readonly Marker[], seq: number, way: -1 | 1): Marker | undefined {
  return way > 0 ? markers.find((marker) => marker.seq > seq) : markers.findLast((marker) => marker.seq < seq);
}

/** Returns a length of time as a clock shows it. */
export function clock(ms: number): string {
  const total = Math.round(ms / 1000);
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}
