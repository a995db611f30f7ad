// How a command fails: one line that says what, one that says what to do, and the exit code. It must never hold a password.

/** 1: it did not work; 2: the command line is not understood. */
export type ExitCode = 1 | 2;

export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly hint: string | undefined;
  readonly exitCode: ExitCode;

  constructor(message: string, options: { hint?: string; exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? 1;
  }
}
