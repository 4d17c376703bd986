/**
 * The document as rows of a tree.
 *
 * Owns: which rows there are, how a value is told in one line, who wrote it last. Must not know: elements.
 */

import type { ContextWrite } from '../../api/context';
import type { Actor } from '../../session/protocol';
import { elementSteps, escaped, isObject, type Json } from './pointer';

/** Of more children the rest is shown when asked for. */
export const CHUNK = 100;

export interface TreeRow {
  /** With ids instead of numbers: what a row is kept under. */
  address: string;
  /** A member's name, or an element's number from 1. */
  name: string;
  isElement: boolean;
  value: Json;
  /** From 1. */
  level: number;
  /** Null: nothing is inside. */
  isOpen: boolean | null;
  place: number;
  siblings: number;
  parent: string;
  /** Instead of a value: how many children are not shown yet. */
  hidden?: number;
}

export interface Shown {
  isOpen(address: string, level: number): boolean;
  /** How many children are shown. */
  most(address: string): number;
}

/** Returns the rows of what is inside `value`; members by their names, as the server has them in no other order. */
export function rowsOf(value: Json, shown: Shown, parent = '', level = 1): TreeRow[] {
  if (typeof value !== 'object' || value === null) return [];
  const ids = Array.isArray(value) ? elementSteps(value) : [];
  const inside: [name: string, step: string, value: Json][] = Array.isArray(value)
    ? value.map((one, i) => [String(i + 1), ids[i]!, one])
    : Object.keys(value).sort().map((name) => [name, escaped(name), value[name]!]);
  const most = shown.most(parent);
  const rows = inside.slice(0, most).flatMap(([name, step, one], i): TreeRow[] => {
    const address = `${parent}/${step}`;
    const isOpen = countOf(one) > 0 ? shown.isOpen(address, level) : null;
    const row: TreeRow = { address, name, isElement: Array.isArray(value), value: one, level, isOpen, place: i + 1, siblings: inside.length, parent };
    return isOpen ? [row, ...rowsOf(one, shown, address, level + 1)] : [row];
  });
  const hidden = inside.length - most;
  if (hidden <= 0) return rows;
  const rest: TreeRow = { address: `${parent}/ …`, name: '', isElement: false, value: null, level, isOpen: null, place: most + 1, siblings: inside.length, parent, hidden };
  return [...rows, rest];
}

/** Returns how many children a value has. */
export function countOf(value: Json | undefined): number {
  if (Array.isArray(value)) return value.length;
  return isObject(value) ? Object.keys(value).length : 0;
}

/** Returns a value in one line, cut to what a row can show. */
export function oneLine(value: Json | undefined, most = 120): string {
  if (value === undefined) return '';
  const text = typeof value === 'string' ? value.slice(0, most + 1).replace(/\s+/g, ' ') : typeof value === 'object' && value !== null ? peek(value) : JSON.stringify(value);
  return text.length > most ? `${text.slice(0, most)} …` : text;
}

/** Returns what a person would know an object by, or its beginning. */
function peek(value: Json[] | { [key: string]: Json }): string {
  if (Array.isArray(value)) return value.slice(0, 8).every((one) => typeof one !== 'object' || one === null) ? value.slice(0, 8).map(String).join(', ') + (value.length > 8 ? ' …' : '') : '';
  for (const name of ['title', 'name', 'label', 'text', 'id']) if (typeof value[name] === 'string') return value[name].slice(0, 200);
  return Object.keys(value).slice(0, 6).join(', ');
}

export interface Wrote {
  by: Actor;
  at: string;
  version: number;
}

/** Who wrote what last, by address. */
export class Writers {
  readonly #at = new Map<string, Wrote>();
  /** The newest write inside an address. */
  readonly #inside = new Map<string, Wrote>();

  note(paths: readonly string[], wrote: Wrote): void {
    for (const path of paths) {
      if ((this.#at.get(path)?.version ?? 0) < wrote.version) this.#at.set(path, wrote);
      for (let end = path.lastIndexOf('/'); end >= 0; end = path.lastIndexOf('/', end - 1)) {
        const above = path.slice(0, end);
        if ((this.#inside.get(above)?.version ?? 0) < wrote.version) this.#inside.set(above, wrote);
        if (end === 0) break;
      }
    }
  }

  /** Returns who wrote last what is at `address`: itself, what it is in, or something in it. */
  of(address: string): Wrote | undefined {
    let last = later(this.#at.get(address), this.#inside.get(address));
    for (let end = address.lastIndexOf('/'); end >= 0; end = end === 0 ? -1 : address.lastIndexOf('/', end - 1)) last = later(last, this.#at.get(address.slice(0, end)));
    return last;
  }
}

function later(a: Wrote | undefined, b: Wrote | undefined): Wrote | undefined {
  if (!a || !b) return a ?? b;
  return a.version >= b.version ? a : b;
}

export const wroteOf = ({ by, at, version }: ContextWrite): Wrote => ({ by, at, version });

/** Reads what somebody typed as JSON. Returns the value, or the line and column where it stops being JSON. */
export function parsed(text: string): { value: Json } | { line: number; column: number } {
  try {
    return { value: JSON.parse(text) as Json };
  } catch {
    const before = text.slice(0, faultIn(text));
    return { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') };
  }
}

const SPACE = /\s*/y;
const SCALAR = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** Returns where a text stops being JSON; browsers do not agree on telling it. */
function faultIn(text: string): number {
  let place = 0;
  const take = (what: RegExp | string): boolean => {
    SPACE.lastIndex = place;
    SPACE.exec(text);
    const start = SPACE.lastIndex;
    let end = start;
    if (typeof what === 'string') {
      if (text.startsWith(what, start)) end += what.length;
    } else {
      what.lastIndex = start;
      if (what.exec(text)) end = what.lastIndex;
    }
    place = end > start ? end : start;
    return end > start;
  };
  const list = (close: string, member: () => boolean): boolean => {
    if (take(close)) return true;
    do if (!member()) return false;
    while (take(','));
    return take(close);
  };
  const value = (): boolean => {
    if (take('{')) return list('}', () => text[nextOf(place)] === '"' && take(SCALAR) && take(':') && value());
    if (take('[')) return list(']', value);
    return take(SCALAR);
  };
  const nextOf = (from: number) => {
    SPACE.lastIndex = from;
    SPACE.exec(text);
    return (place = SPACE.lastIndex);
  };
  if (value()) nextOf(place);
  return place;
}
