// Where a command reads its surroundings and writes its output. Standard output carries results only (or JSON), standard error the rest.

export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard output; resolves when the text has left the process. */
  write(text: string): Promise<void>;
  /** Standard error. */
  warn(text: string): Promise<void>;
  /** A person watches standard error: a line may be rewritten. */
  readonly isInteractive?: boolean;
}

/** The terminal of this process. A reader that left (`| head`) is no failure. */
export const processTerminal: Terminal = {
  env: process.env,
  write: (text) => send(process.stdout, text),
  warn: (text) => send(process.stderr, text),
  isInteractive: process.stderr.isTTY === true,
};

/** Not `Bun.write`: that writes at the start of a file that standard output was appended to. */
function send(to: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    to.write(text, (error) => {
      if (error && !('code' in error && error.code === 'EPIPE')) reject(error);
      else resolve();
    });
  });
}

/** A value as `--json` prints it: two spaces of indentation, one newline at the end. */
export function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
