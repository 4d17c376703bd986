import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { house } from './support/house';

const here = house();

it('the page was built against the interface that the server has (else: cargo xtask codegen)', async () => {
  const served = (await (await fetch(`${here.server.url}/api/openapi.json`)).json()) as unknown;
  const known = JSON.parse(readFileSync(resolve(import.meta.dirname, '../openapi.json'), 'utf8')) as unknown;
  expect(served).toEqual(known);
});
