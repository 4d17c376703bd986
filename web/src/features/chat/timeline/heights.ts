/**
 * Where rows of different heights lie below each other, when most were never measured.
 *
 * Owns: sums and searches, each in logarithmic time (a Fenwick tree). Must not know: elements. Unit: CSS pixels.
 * Invariant: what was not measured counts as `estimate`.
 */

export class Heights {
  #count = 0;
  /** Room in the arrays below: a power of two. */
  #room = 64;
  /** Measured height of each row; NaN: never measured. */
  #measured = new Float64Array(this.#room).fill(Number.NaN);
  /** Differences from the estimate, as a Fenwick tree, from 1. */
  #tree = new Float64Array(this.#room + 1);
  readonly estimate: number;

  constructor(estimate: number) {
    this.estimate = estimate;
  }

  get count(): number {
    return this.#count;
  }

  /** Sets how many rows there are; those that go are forgotten. */
  resize(count: number): void {
    for (let i = count; i < this.#count; i++) this.forget(i);
    this.#count = count;
    if (count > this.#room) this.#grow(count);
  }

  of(i: number): number {
    const height = this.#measured[i] ?? Number.NaN;
    return Number.isNaN(height) ? this.estimate : height;
  }

  isMeasured(i: number): boolean {
    return !Number.isNaN(this.#measured[i] ?? Number.NaN);
  }

  /** Returns by how much the row has become higher. */
  measure(i: number, height: number): number {
    const by = height - this.of(i);
    this.#measured[i] = height;
    if (by !== 0) this.#add(i, by);
    return by;
  }

  /** The row will be another one: its height is a guess again. */
  forget(i: number): void {
    const by = this.estimate - this.of(i);
    this.#measured[i] = Number.NaN;
    if (by !== 0) this.#add(i, by);
  }

  /** Returns where row `i` begins; for `count`, where all end. */
  top(i: number): number {
    let sum = i * this.estimate;
    for (let at = i; at > 0; at -= at & -at) sum += this.#tree[at]!;
    return sum;
  }

  get total(): number {
    return this.top(this.#count);
  }

  /** Returns the row in which `y` lies, the first or last where it lies outside. */
  at(y: number): number {
    let place = 0;
    let left = y;
    for (let step = this.#room; step > 0; step >>= 1) {
      const next = place + step;
      if (next > this.#count) continue;
      const height = step * this.estimate + this.#tree[next]!;
      if (height > left) continue;
      place = next;
      left -= height;
    }
    return Math.max(0, Math.min(place, this.#count - 1));
  }

  #add(i: number, by: number): void {
    for (let at = i + 1; at <= this.#room; at += at & -at) this.#tree[at]! += by;
  }

  #grow(count: number): void {
    const old = this.#measured;
    while (this.#room < count) this.#room *= 2;
    this.#measured = new Float64Array(this.#room).fill(Number.NaN);
    this.#measured.set(old);
    this.#tree = new Float64Array(this.#room + 1);
    for (let i = 0; i < old.length; i++) {
      const height = old[i]!;
      if (!Number.isNaN(height)) this.#add(i, height - this.estimate);
    }
  }
}
