/**
 * Places in a JSON document, and changes at them.
 *
 * Owns: JSON Pointers (RFC 6901) with `@<id>` for elements of arrays, and applying what `context.patched` says. Must not
 * know: conflicts. Nothing is changed in place. An *address* names an element by its id where it has one, so that it stays
 * the same place when another is put in front.
 */

import type { ContextChange } from '../../session/protocol';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export const isObject = (value: unknown): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Returns a key as it stands in a pointer. */
export const escaped = (key: string) => (key.startsWith('@') ? `@${key}` : key).replaceAll('~', '~0').replaceAll('/', '~1');

export const steps = (pointer: string): string[] => (pointer === '' ? [] : pointer.slice(1).split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~')));

/** Returns where `step` leads in `value`: a key, or an index; -1: the end of an array or nowhere. */
function key(value: unknown, step: string): string | number {
  if (!Array.isArray(value)) return step.startsWith('@@') ? step.slice(1) : step;
  if (step === '-') return value.length;
  if (!step.startsWith('@')) return Number(step);
  return value.findIndex((one) => isObject(one) && String(one['id']) === step.slice(1));
}

/** Returns what is at a pointer; undefined: nothing. */
export function at(value: Json | undefined, pointer: string): Json | undefined {
  let here: unknown = value;
  for (const step of steps(pointer)) {
    if (typeof here !== 'object' || here === null) return undefined;
    const place = key(here, step);
    if (!Object.hasOwn(here, place)) return undefined;
    here = (here as Record<string | number, unknown>)[place];
  }
  return here as Json | undefined;
}

const idOf = (element: Json | undefined) => (isObject(element) && typeof element['id'] === 'string' && element['id'] !== '' ? element['id'] : undefined);

/** Returns the steps that name the elements of an array: the id where no other has the same, else the number. */
export function elementSteps(array: readonly Json[]): string[] {
  const times = new Map<string, number>();
  for (const element of array) {
    const id = idOf(element);
    if (id !== undefined) times.set(id, (times.get(id) ?? 0) + 1);
  }
  return array.map((element, index) => {
    const id = idOf(element);
    return id === undefined || times.get(id) !== 1 ? String(index) : `@${id.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  });
}

/** Returns a pointer with ids instead of numbers, where elements of `value` have them. */
export function addressOf(value: Json, pointer: string): string {
  let here: Json | undefined = value;
  let address = '';
  for (const step of steps(pointer)) {
    const place: string | number = here === undefined ? step : key(here, step);
    if (Array.isArray(here)) address += `/${(typeof place === 'number' ? elementSteps(here)[place] : undefined) ?? step}`;
    else address += `/${escaped(String(place))}`;
    here = typeof here === 'object' && here !== null ? (here as Record<string | number, Json>)[place] : undefined;
  }
  return address;
}

/** Makes the changes of one write. */
export function applied(value: Json, changes: readonly ContextChange[]): Json {
  return changes.reduce((now, change) => changed(now, steps(change.path), change), value);
}

function changed(value: Json, path: readonly string[], change: ContextChange): Json {
  const [step, ...rest] = path;
  if (step === undefined) return (change.op === 'remove' ? null : change.value) as Json;
  if (typeof value !== 'object' || value === null) return value;
  const place = key(value, step);
  if (Array.isArray(value)) {
    const index = Number(place);
    if (!(index >= 0)) return value;
    if (rest.length > 0) return index < value.length ? value.with(index, changed(value[index]!, rest, change)) : value;
    if (change.op === 'add') return value.toSpliced(index, 0, change.value as Json);
    return change.op === 'remove' ? value.toSpliced(index, 1) : value.with(index, change.value as Json);
  }
  const name = String(place);
  if (rest.length > 0) return Object.hasOwn(value, name) ? { ...value, [name]: changed(value[name]!, rest, change) } : value;
  if (change.op !== 'remove') return { ...value, [name]: change.value as Json };
  const { [name]: _, ...others } = value;
  return others;
}

export interface Difference {
  path: string;
  /** Undefined: it is not there. */
  was: Json | undefined;
  now: Json | undefined;
}

/** Returns where two documents differ, as far down as both are objects, or arrays of the same elements. */
export function differences(was: Json | undefined, now: Json | undefined, path = ''): Difference[] {
  if (was === now) return [];
  if (Array.isArray(was) && Array.isArray(now) && String(elementSteps(was)) === String(elementSteps(now))) {
    const names = elementSteps(now);
    return was.flatMap((one, i) => differences(one, now[i], `${path}/${names[i]}`));
  }
  if (isObject(was) && isObject(now)) {
    const keys = [...new Set([...Object.keys(now), ...Object.keys(was)])];
    return keys.flatMap((name) => differences(was[name], now[name], `${path}/${escaped(name)}`));
  }
  return JSON.stringify(was) === JSON.stringify(now) ? [] : [{ path, was, now }];
}

/** Returns what one write changed, turned around: what taking it back will do to `value`. */
export function takenBack(value: Json, changes: readonly ContextChange[]): Difference[] {
  return changes.toReversed().flatMap((change): Difference[] => {
    const path = addressOf(value, change.path);
    const was = at(value, change.path);
    const told = change.was as Json | undefined;
    if (change.how === 'inc' && typeof change.value === 'number' && typeof told === 'number' && typeof was === 'number') {
      return [{ path, was, now: was - (change.value - told) }];
    }
    return [{ path, was, now: change.op === 'add' ? undefined : told }];
  });
}
