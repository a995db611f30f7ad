// The fault list, row by row: what an upstream or a disk does, what the client at the front door sees, and what never reaches a source. A row
// is one test named by its id.

import { accessRows } from './rows-access.ts';
import { connectionRows } from './rows-connection.ts';
import { diskRows } from './rows-disk.ts';
import { lieRows } from './rows-lies.ts';
import { limitRows } from './rows-limits.ts';
import { redirectRows } from './rows-redirects.ts';
import { tagRows } from './rows-tags.ts';
import { runRows } from './run-rows.ts';

runRows([...connectionRows, ...lieRows, ...accessRows, ...limitRows, ...tagRows, ...redirectRows, ...diskRows]);
