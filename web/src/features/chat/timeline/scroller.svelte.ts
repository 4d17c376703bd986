/**
 * Which rows of a long list are there, and what keeps still while heights change.
 *
 * Owns: the scroll position, the range of rows that are elements, where the end is. Must not know: what a row shows.
 * Invariant: what the reader looks at does not move unless the reader moves it: a change of height above it is made up for
 * before it is painted, and who is at the end stays there.
 *
 * Our own, not a library's: rows have places before they are loaded, so a list of 10,000 opens anywhere at once.
 */

import { Heights } from './heights';

/** Rows this far outside are kept ready. Unit: CSS pixels. */
const MARGIN = 700;
/** Who is this near the end is at the end. Unit: CSS pixels. */
const NEAR = 48;
/** A row that nobody has seen is taken for this high. Unit: CSS pixels. */
export const GUESS = 76;

/** How long after a turn of the wheel what scrolls is its doing; smooth scrolling takes as long. Unit: milliseconds. */
const INTENT = 400;
const UP: ReadonlySet<string> = new Set(['ArrowUp', 'PageUp', 'Home', 'k']);
const DOWN: ReadonlySet<string> = new Set(['ArrowDown', 'PageDown', 'End', 'j']);
const SIGNS = ['wheel', 'touchstart', 'touchmove', 'keydown', 'pointerdown'] as const;

const NONE: ReadonlySet<number> = new Set();

export interface Range {
  from: number;
  to: number;
}

export class Scroller {
  readonly #heights = new Heights(GUESS);
  #range: Range = $state.raw({ from: 0, to: 0 });
  /** Whether the reader is at the end and stays there. */
  #atEnd = $state(true);
  /** Counts changes of heights, for those who show sums of them. */
  #version = $state(0);
  #box: HTMLElement | null = null;
  readonly #rows = new Map<Element, () => number>();
  /** Elements that were measured before. */
  readonly #seen = new WeakSet<Element>();
  /** Rows without an element, which take no room. */
  readonly #hidden = new Set<number>();
  #sizes: ResizeObserver | null = null;
  #lastTop = 0;
  /** How far it could be scrolled when it was last placed. */
  #lastMost = 0;
  /** The row that is being brought into sight, until the reader does something. */
  #target: number | null = null;
  /** Until when what scrolls up is the reader's doing. Unit: milliseconds of `performance.now()`. */
  #upUntil = 0;
  #touchedAt: number | null = null;
  /** New rows are to be measured as soon as they are all there. */
  #isDue = false;

  get range(): Range {
    return this.#range;
  }

  get atEnd(): boolean {
    return this.#atEnd;
  }

  /** Height of what is not there above and below. Unit: CSS pixels. */
  get above(): number {
    void this.#version;
    return this.#heights.top(this.#range.from);
  }

  get below(): number {
    void this.#version;
    return Math.max(0, this.#heights.total - this.#heights.top(this.#range.to));
  }

  /** The element that scrolls, to be used as an attachment. */
  readonly box = (box: HTMLElement): (() => void) => {
    this.#box = box;
    const sizes = new ResizeObserver((entries) => this.#resized(entries));
    this.#sizes = sizes;
    sizes.observe(box);
    for (const row of this.#rows.keys()) sizes.observe(row);
    const scrolled = () => this.#scrolled();
    const moved = (event: Event) => {
      this.#target = null;
      this.#intends(event);
    };
    box.addEventListener('scroll', scrolled, { passive: true });
    for (const sign of SIGNS) box.addEventListener(sign, moved, { passive: true });
    this.#look();
    return () => {
      sizes.disconnect();
      box.removeEventListener('scroll', scrolled);
      for (const sign of SIGNS) box.removeEventListener(sign, moved);
      this.#box = null;
      this.#sizes = null;
    };
  };

  /** A row's element, to be used as an attachment. `n` is asked whenever it is measured. */
  row(element: HTMLElement, n: () => number): () => void {
    this.#rows.set(element, n);
    this.#sizes?.observe(element);
    this.#settleSoon();
    return () => {
      this.#rows.delete(element);
      this.#sizes?.unobserve(element);
    };
  }

  /** Sets how many rows there are. */
  resize(count: number): void {
    if (count === this.#heights.count) return;
    for (const n of this.#hidden) if (n >= count) this.#hidden.delete(n);
    this.#heights.resize(count);
    this.#version += 1;
    this.#look();
  }

  /** Sets which rows take no room. */
  hide(hides: ((n: number) => boolean) | null): void {
    let changed = false;
    for (let n = 0; n < this.#heights.count; n++) {
      const isHidden = hides?.(n) ?? false;
      if (isHidden === this.#hidden.has(n)) continue;
      changed = true;
      if (isHidden) {
        this.#hidden.add(n);
        this.#heights.measure(n, 0);
      } else {
        this.#hidden.delete(n);
        this.#heights.forget(n);
      }
    }
    if (!changed) return;
    this.#version += 1;
    this.#stay();
    this.#look();
  }

  /** To be called when the rows have become elements, before they are painted; again when `range`, `above` or `below` change. */
  settle(): void {
    const fresh = new Set<number>();
    const sizes = [...this.#rows].map(([element, n]): [number, number] => {
      if (!this.#seen.has(element)) fresh.add(n());
      this.#seen.add(element);
      return [n(), element.getBoundingClientRect().height];
    });
    this.#measure(sizes, fresh);
  }

  /**
   * Settles once the rows that are being made are all there. Whether they are when `settle` is called depends on the order in
   * which a component's effects run; what observes sizes comes later, and until then everything below new rows stands elsewhere.
   */
  #settleSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      this.settle();
    });
  }

  toEnd(): void {
    this.#target = null;
    this.#atEnd = true;
    this.#stay();
    this.#look();
  }

  /** Brings row `n` into sight and keeps it there until the reader moves. */
  to(n: number): void {
    this.#target = n;
    this.#atEnd = false;
    this.#stay();
    this.#look();
  }

  #scrolled(): void {
    const box = this.#box;
    if (!box) return;
    const most = box.scrollHeight - box.clientHeight;
    const left = most - box.scrollTop;
    const isLeaving = performance.now() < this.#upUntil;
    // What became higher or lower by itself is no wish of the reader's.
    if (this.#atEnd && !isLeaving && Math.abs(most - this.#lastMost) >= 1) this.#stay();
    else if (left < NEAR && !(isLeaving && left >= 1)) this.#atEnd = this.#target === null || left < 1;
    // Only the reader scrolls up; what grows below leaves the position alone.
    else if (box.scrollTop < this.#lastTop - 1) this.#atEnd = false;
    this.#lastTop = box.scrollTop;
    this.#look();
  }

  /**
   * Takes in what the reader is about to do.
   *
   * A text that streams makes the list longer between a turn of the wheel and its scroll event: who turns it up must get
   * away from the end all the same, on a slow machine too.
   */
  #intends(event: Event): void {
    let up: boolean | null = null;
    if (event instanceof WheelEvent) up = event.deltaY === 0 ? null : event.deltaY < 0;
    else if (event instanceof KeyboardEvent) up = (event.target as Element).matches('input, textarea') ? null : UP.has(event.key) ? true : DOWN.has(event.key) ? false : null;
    else if (event.type === 'touchstart') this.#touchedAt = (event as TouchEvent).touches[0]?.clientY ?? null;
    else if (event.type === 'touchmove') {
      const at = (event as TouchEvent).touches[0]?.clientY ?? null;
      if (at !== null && this.#touchedAt !== null && at !== this.#touchedAt) up = at > this.#touchedAt;
      this.#touchedAt = at;
    }
    if (up === null) return;
    this.#upUntil = up ? performance.now() + INTENT : 0;
    const box = this.#box;
    if (up && box && box.scrollTop > 0) this.#atEnd = false;
  }

  /** Chooses the rows that must be there. Returns whether they are others now. */
  #look(): boolean {
    const box = this.#box;
    const { count } = this.#heights;
    if (!box || count === 0) return this.#choose({ from: 0, to: count });
    const height = box.clientHeight || innerHeight;
    const top = this.#atEnd ? Math.max(0, this.#heights.total - height) : box.scrollTop;
    const from = this.#heights.at(Math.max(0, top - MARGIN));
    const to = Math.min(count, this.#heights.at(top + height + MARGIN) + 1);
    const { from: oldFrom, to: oldTo } = this.#range;
    // A little more than needed stays: each step of the wheel must not change elements.
    const slack = 6;
    const fits = oldFrom <= from && oldTo >= to && oldTo <= count && from - oldFrom <= slack && oldTo - to <= slack;
    return fits ? false : this.#choose({ from: Math.max(0, from - 2), to: Math.min(count, to + 2) });
  }

  #choose(range: Range): boolean {
    if (range.from === this.#range.from && range.to === this.#range.to) return false;
    this.#range = range;
    return true;
  }

  #resized(entries: ResizeObserverEntry[]): void {
    const sizes: [number, number][] = [];
    for (const { target, borderBoxSize } of entries) {
      const n = this.#rows.get(target)?.();
      const height = borderBoxSize[0]?.blockSize;
      if (n !== undefined && height !== undefined) sizes.push([n, height]);
    }
    this.#measure(sizes);
  }

  /** Takes in how high rows are, and makes up for what changed above what is seen. `fresh`: rows whose element is new. */
  #measure(sizes: readonly [n: number, height: number][], fresh: ReadonlySet<number> = NONE): void {
    const box = this.#box;
    // What is hidden has no height that means anything.
    if (!box || box.clientHeight === 0) return;
    const still = this.#still(box, fresh);
    let above = 0;
    let changed = false;
    for (const [n, height] of sizes) {
      if (n >= this.#heights.count) continue;
      if (this.#heights.isMeasured(n) && Math.abs(this.#heights.of(n) - height) < 0.1) continue;
      const by = this.#heights.measure(n, height);
      changed = true;
      if (n < still) above += by;
    }
    if (changed) this.#version += 1;
    if (above !== 0 && !this.#atEnd && this.#target === null) this.#scroll(box.scrollTop + above);
    this.#stay();
    this.#look();
  }

  /** Returns the row that must not move: the first that is seen, but not one that has just taken the place of another. */
  #still(box: HTMLElement, fresh: ReadonlySet<number>): number {
    const first = this.#heights.at(box.scrollTop);
    const last = this.#heights.at(box.scrollTop + box.clientHeight);
    for (let n = first; n <= last; n++) if (!fresh.has(n)) return n;
    return first;
  }

  #stay(): void {
    const box = this.#box;
    if (!box) return;
    // Where nothing has been said, the end is the only row, and what stands there instead is read from its beginning.
    if (this.#target !== null) {
      const row = this.#heights.of(this.#target);
      this.#scroll(this.#heights.top(this.#target) - Math.max(16, (box.clientHeight - row) / 3));
    } else if (this.#atEnd && this.#heights.count > 1) this.#scroll(box.scrollHeight - box.clientHeight);
  }

  #scroll(top: number): void {
    const box = this.#box;
    if (!box) return;
    if (Math.abs(box.scrollTop - top) >= 0.5) box.scrollTop = top;
    this.#lastTop = box.scrollTop;
    this.#lastMost = box.scrollHeight - box.clientHeight;
  }
}
