// Names of users and groups. They are kept in NFC; a user's name is one whatever its case. What would read as something else is refused: names that
// the server uses itself, the `$` of robots, the colon that ends a name in Basic (RFC 7617), what cannot be seen.

import { foldName } from '../db/identity.ts';
import { OciError } from '../oci/errors.ts';

const nameMaxLength = 255;

/** Names that mean somebody else. `admin` is taken by the first account. */
const reserved: ReadonlySet<string> = new Set(['anonymous', 'breakwater', 'system']);
const forbidden = /[,~#%$:"\\/<>]/;
/** Jobs of a CI log in as `workload` or `workload+RULE`. */
const workloadName = /^workload(\+|$)/;
const invisible = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/u;

/** Why this cannot be the name of a user; undefined when it can. For names that come from identity providers too. */
export function accountNameProblem(name: string): string | undefined {
  const problem = nameProblem(name);
  if (problem !== undefined) return problem;
  if (forbidden.test(name)) return 'may not have any of , ~ # % $ : " \\ / < > in it';
  const folded = foldName(name);
  return reserved.has(folded) || workloadName.test(folded) ? 'is reserved' : undefined;
}

/** The name in NFC; BAD_REQUEST when it cannot be one. */
export function requireAccountName(text: string): string {
  const name = text.normalize('NFC');
  const problem = accountNameProblem(name);
  if (problem !== undefined) throw new OciError('BAD_REQUEST', `username: ${problem}`);
  return name;
}

/** A group's or role's name in NFC; BAD_REQUEST, naming the field, when it cannot be one. */
export function requirePlainName(text: string, field: string): string {
  const name = text.normalize('NFC');
  const problem = nameProblem(name);
  if (problem !== undefined) throw new OciError('BAD_REQUEST', `${field}: ${problem}`);
  return name;
}

function nameProblem(name: string): string | undefined {
  if (name === '' || name.length > nameMaxLength) return `must have 1 to ${nameMaxLength} characters`;
  if (name !== name.trim()) return 'may not begin or end with a space';
  return invisible.test(name) ? 'may not have control or invisible characters in it' : undefined;
}
