// The program's entry: hands the words of the command line to the commands, and ends with their exit code.

import { runCommandLine } from './cli/program.ts';
import { processTerminal } from './cli/terminal.ts';

process.exit(await runCommandLine(process.argv.slice(2), processTerminal));
