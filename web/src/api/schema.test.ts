// @vitest-environment node
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import openapi, { astToString, COMMENT_HEADER } from 'openapi-typescript';
import { expect, it } from 'vitest';
import { KINDS } from '../session/view';

const read = (name: string) => readFileSync(resolve(import.meta.dirname, name), 'utf8');
const document = JSON.parse(read('../../openapi.json')) as {
  components: { schemas: Record<string, { oneOf: { properties: { kind: { enum: string[] } } }[] }> };
};

it('the generated types are those of the document (else: cargo xtask codegen)', async () => {
  const ast = await openapi(read('../../openapi.json'));
  expect(read('schema.ts')).toBe(COMMENT_HEADER + astToString(ast));
});

it('the view knows every event kind of the document', () => {
  const kinds = document.components.schemas['EventBody']!.oneOf.map((one) => one.properties.kind.enum[0]);
  expect([...KINDS].sort()).toEqual(kinds.sort());
});
