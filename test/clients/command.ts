// Runs a client program to its end, with a deadline, and gives all it printed. It never uses a shell, so no argument is ever interpreted.

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Text for standard input; without it the program reads an empty one. */
  readonly input?: string;
  readonly timeoutMs?: number;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

/** Runs the program and gives its exit code and output. A program still running at the deadline is killed, and that throws. */
export async function runCommand(words: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const startedAtMs = performance.now();
  const timeoutMs = options.timeoutMs ?? 120_000;
  const child = Bun.spawn([...words], {
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdin: options.input === undefined ? 'ignore' : Buffer.from(options.input),
    stdout: 'pipe',
    stderr: 'pipe',
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  try {
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    if (late) throw new Error(`${describe(words)} still ran after ${timeoutMs} ms\n${stdout}${stderr}`);
    return { code, stdout, stderr, durationMs: performance.now() - startedAtMs };
  } finally {
    clearTimeout(timer);
  }
}

/** As `runCommand`, and throws with the whole output when the exit code is not 0. Gives standard output without the last newline. */
export async function runToSuccess(words: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await runCommand(words, options);
  if (result.code !== 0) throw new Error(`${describe(words)} ended with code ${result.code}\n${result.stdout}${result.stderr}`);
  return result.stdout.trimEnd();
}

function describe(words: readonly string[]): string {
  return words.join(' ').replace(/admin:\S+/g, 'admin:***');
}
