// An address that swallows connection attempts, as a dead network does: a listener whose process is stopped and whose queue is full, so that
// the kernel drops every further attempt without a word.

import { connect } from 'node:net';

/** The runtime listens with a queue of 512, whatever it is told. */
const fillers = 560;
const settleMs = 300;

export async function startBlackHole(): Promise<{ readonly url: string } & AsyncDisposable> {
  const script = "const s = require('node:net').createServer().listen(0, '127.0.0.1', () => console.log(s.address().port))";
  const child = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe', stderr: 'inherit' });
  const { value } = await child.stdout.getReader().read();
  const port = Number(new TextDecoder().decode(value ?? new Uint8Array()));
  child.kill('SIGSTOP');
  const sockets = Array.from({ length: fillers }, () => connect({ host: '127.0.0.1', port }).on('error', () => undefined));
  await Bun.sleep(settleMs);
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      child.kill('SIGKILL');
      await child.exited;
    },
  };
}
