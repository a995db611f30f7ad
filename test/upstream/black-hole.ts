// An address that swallows connections, as a firewall or a dead network does.

import { connect } from 'node:net';

/** A listener whose queue is full and whose process is stopped: the kernel drops further connection attempts, as a dead network does. */
export async function startBlackHole(host: string, port: number): Promise<AsyncDisposable> {
  const script = `require('node:net').createServer().listen({ host: '${host}', port: ${port} }, () => console.log('ready'))`;
  const child = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe', stderr: 'inherit' });
  await child.stdout.getReader().read();
  child.kill('SIGSTOP');
  // The runtime listens with a queue of 512, whatever it is told.
  const fillers = Array.from({ length: 560 }, () => connect({ host, port }).on('error', () => undefined));
  await Bun.sleep(300);
  return {
    [Symbol.asyncDispose]: async () => {
      for (const filler of fillers) filler.destroy();
      child.kill('SIGKILL');
      await child.exited;
    },
  };
}
