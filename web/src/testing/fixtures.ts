/** Reads the fixtures that this page shares with the server's crates; only for tests. */

import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../../../fixtures');

/** Returns the files of a folder of fixtures: name and lines. */
export function fixtures<Line>(folder: string): { name: string; lines: Line[] }[] {
  return readdirSync(`${ROOT}/${folder}`)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
    .map((name) => {
      const text = readFileSync(`${ROOT}/${folder}/${name}`, 'utf8');
      return { name, lines: text.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Line) };
    });
}
