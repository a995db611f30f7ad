// Bytes on a socket, as no well-behaved client would send them, and what came back. It understands just enough HTTP to count answers.

import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  /** Everything received, as Latin-1. */
  readonly text: string;
  /** Status numbers of the answers, in order; 100 included. */
  readonly statuses: readonly number[];
  /** The server has ended the connection. */
  readonly isClosed: boolean;
}

const quietMs = 150;
const patienceMs = 5000;

/** Sends the bytes and gathers what comes until the server closes, or has been quiet after its first byte. */
export function exchange(port: number, bytes: string | Uint8Array): Promise<RawAnswer> {
  return new Promise((resolve) => {
    let text = '';
    let quiet: ReturnType<typeof setTimeout> | undefined;
    const socket = connect(port, '127.0.0.1', () => socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes));
    const finish = (isClosed: boolean): void => {
      clearTimeout(quiet);
      clearTimeout(patience);
      socket.destroy();
      resolve({ text, statuses: statusesOf(text), isClosed });
    };
    const patience = setTimeout(() => finish(false), patienceMs);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      clearTimeout(quiet);
      quiet = setTimeout(() => finish(false), quietMs);
    });
    socket.on('close', () => finish(true));
    // A reset is a close.
    socket.on('error', () => undefined);
  });
}

export interface RawConnection {
  readonly socket: Socket;
  write(bytes: string | Uint8Array): void;
  /** Resolves when what was received holds the text; rejects after five seconds. */
  received(text: string): Promise<string>;
  readonly closed: Promise<void>;
}

/** A connection to be driven by hand. */
export async function openConnection(port: number): Promise<RawConnection> {
  let text = '';
  let wake = (): void => undefined;
  const socket = connect(port, '127.0.0.1');
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.on('data', (data) => {
    text += data.toString('latin1');
    wake();
  });
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.on('connect', () => resolve()));
  return {
    socket,
    write: (bytes) => void socket.write(bytes),
    closed,
    received: (wanted) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`"${wanted}" did not come; came: ${text}`)), patienceMs);
        wake = () => {
          if (!text.includes(wanted)) return;
          clearTimeout(timer);
          resolve(text);
        };
        wake();
      }),
  };
}

function statusesOf(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n/g)].map((match) => Number(match[1]));
}
