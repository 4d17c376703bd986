import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';

const SOURCES = resolve(import.meta.dirname, '../../..');

it('only sanitize.ts makes elements of a string', () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((f) => /\.(?:svelte|ts)$/.test(f) && !f.endsWith('.test.ts'));
  expect(files.length).toBeGreaterThan(20);
  const makers = /\{@html|\b(?:inner|outer)HTML\b|insertAdjacentHTML|createContextualFragment|document\.write|srcdoc|DOMParser|setHTMLUnsafe/;
  const found = files.filter((f) => makers.test(readFileSync(join(SOURCES, f), 'utf8')));
  expect(found).toEqual([]);
});
