// docs/api.md tells the truth: its routes and rights are those of the policy table, its examples are valid, its codes have their statuses.

import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { presetStatusSchema } from '../../src/api/preset-schemas.ts';
import { explanationSchema, newProjectSchema, projectSchema } from '../../src/api/schemas.ts';
import { registrySourcesSchema } from '../../src/api/source-schemas.ts';
import { errorBody, statusOf } from '../../src/http/errors.ts';
import { OciError, type OciErrorCode } from '../../src/oci/errors.ts';
import { routesPage } from './routes-page.ts';

const page = readFileSync(join(import.meta.dir, '../../docs/api.md'), 'utf8');

test('the page of routes is the policy table', () => {
  expect(readFileSync(join(import.meta.dir, '../../docs/api-routes.md'), 'utf8')).toBe(routesPage());
});

test('the examples are what the schemas describe', () => {
  const examples = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map((match) => JSON.parse(match[1] ?? ''));
  expect(examples).toHaveLength(4);
  expect(z.strictObject(projectSchema.shape).parse(examples[0])).toEqual(examples[0]);
  expect(z.array(registrySourcesSchema).parse(examples[1])).toEqual(examples[1]);
  expect(z.strictObject(presetStatusSchema.shape).parse(examples[2])).toEqual(examples[2]);
  expect(z.strictObject(explanationSchema.shape).parse(examples[3])).toEqual(examples[3]);
});

test('the members of a new project are told, all of them', () => {
  const section = page.slice(page.indexOf('`POST /projects` takes'), page.indexOf('The body is JSON'));
  for (const member of Object.keys(newProjectSchema.shape)) expect(section).toMatch(new RegExp(`\`${member}[\`.]`));
});

test('each code is sent with the status that stands beside it', () => {
  const rows = [...page.matchAll(/^\| (\d{3}) \| `([A-Z_]+)` \|/gm)].map((row) => `${row[1]} ${row[2]}`);
  const codes: readonly OciErrorCode[] = [
    'BAD_REQUEST',
    'NAME_INVALID',
    'DIGEST_INVALID',
    'TAG_INVALID',
    'UNAUTHORIZED',
    'DENIED',
    'NAME_UNKNOWN',
    'NOT_FOUND',
    'METHOD_NOT_ALLOWED',
    'BODY_TOO_SLOW',
    'CONFLICT',
    'BODY_TOO_LARGE',
    'INTERNAL',
  ];
  expect(rows).toEqual(codes.map((code) => `${statusOf(code)} ${JSON.parse(errorBody(new OciError(code, ''))).errors[0].code}`));
});
