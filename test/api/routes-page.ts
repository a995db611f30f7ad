// Writes docs/api-routes.md: every route of the admin API and what it asks of the caller, from the policy table.
//
//   bun test/api/routes-page.ts      in the folder of package.json (`npm run docs`)

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { policyOf } from '../../src/api/api.ts';
import { apiPrefix, type Requirement } from '../../src/api/policy.ts';

const head = `# Routes of the admin API

Written by \`npm run docs\` from the policy table: the server does not start with a route that has no line in it. Paths are below \`${apiPrefix}\`.

A right such as \`member:create\` is asked for in the project that the path names; with "on the server" as a right of the whole; with "where it belongs" in the
project of the object that the path names, or on the server; "what the caller may see" shows nothing else and counts nothing else. Who may not
know that something is there gets 404, as for what is not there; without a login always 401.

| Route | Asks for |
|---|---|
`;

export function routesPage(): string {
  const rows = Object.entries(policyOf())
    .map(([key, requirement]) => ({ key: key.replace(apiPrefix, ''), requirement }))
    .sort((a, b) => (pathOf(a.key) < pathOf(b.key) ? -1 : pathOf(a.key) > pathOf(b.key) ? 1 : a.key < b.key ? -1 : 1))
    .map(({ key, requirement }) => `| \`${key}\` | ${words(requirement)} |`);
  return `${head}${rows.join('\n')}\n`;
}

function pathOf(key: string): string {
  return key.slice(key.indexOf(' '));
}

function words(requirement: Requirement): string {
  if (requirement === 'public') return 'nothing';
  if (requirement === 'login') return 'a login';
  if ('system' in requirement) return `\`${requirement.system}\` on the server`;
  if ('project' in requirement) return `\`${requirement.project}\``;
  if ('object' in requirement) return `\`${requirement.action}\` where it belongs`;
  return `${requirement.login === true ? 'a login; ' : ''}what the caller may see (\`${requirement.filtered}\`)`;
}

if (import.meta.main) writeFileSync(join(import.meta.dir, '../../docs/api-routes.md'), routesPage());
