// Where a command reads its surroundings and writes its output. Standard output carries results only (or JSON), standard error the rest.

export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard output; resolves when the text has left the process. */
  write(text: string): Promise<void>;
  /** Standard error. */
  warn(text: string): Promise<void>;
  /** A person watches standard error: a line may be rewritten. */
  readonly isInteractive?: boolean;
  /** Asks a person and gives what was typed, which is not shown; absent when nobody is there. */
  askSecret?(question: string): Promise<string>;
}

/** The terminal of this process. A reader that left (`| head`) is no failure. */
export const processTerminal: Terminal = {
  env: process.env,
  write: (text) => send(process.stdout, text),
  warn: (text) => send(process.stderr, text),
  isInteractive: process.stderr.isTTY === true,
  ...(process.stdin.isTTY === true && process.stderr.isTTY === true ? { askSecret } : {}),
};

/** Raw mode: nothing is echoed. Enter ends, Ctrl-C and Ctrl-D give up with an empty answer. */
async function askSecret(question: string): Promise<string> {
  const { stdin } = process;
  await send(process.stderr, question);
  stdin.setRawMode(true);
  let typed = '';
  try {
    for await (const chunk of stdin) {
      for (const key of String(chunk)) {
        if (key === '\r' || key === '\n') return typed;
        if (key === '\u0003' || key === '\u0004') return '';
        if (key === '\u007f' || key === '\b') typed = typed.slice(0, -1);
        else typed += key;
      }
    }
    return typed;
  } finally {
    stdin.setRawMode(false);
    await send(process.stderr, '\n');
  }
}

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
