// The fault list, row by row: what an upstream or a disk does, what the client at the front door sees, and what never reaches a source. A row
// is one test named by its id.

import { accessRows } from './rows-access.ts';
import { connectionRows } from './rows-connection.ts';
import { lieRows } from './rows-lies.ts';
import { runRows } from './run-rows.ts';

runRows([...connectionRows, ...lieRows, ...accessRows]);
