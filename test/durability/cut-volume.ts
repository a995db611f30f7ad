// A filesystem whose power can be cut: ext4 on a loop device in memory, shut down by the EXT4_IOC_SHUTDOWN ioctl without flushing its journal.
// `commit=300` keeps what was not synced volatile for long enough to be lost.

import { mkdirSync, readFileSync, rmSync } from 'node:fs';

const shutdownRequest = 0x8004587d;
const noLogFlush = 2;

export interface CutVolume {
  readonly mountPoint: string;
  /** Everything that is not on the disk is lost. The mount stays until `remount`. */
  cut(): void;
  /** Unmounts and mounts again: the journal is replayed. No process may hold a file there. */
  remount(): void;
  remove(): void;
}

/** Whether loop mounts work on this machine. */
export function canMount(): boolean {
  const mountPoint = `/tmp/breakwater-mount-probe-${process.pid}`;
  try {
    createVolume(`/dev/shm/breakwater-mount-probe-${process.pid}.img`, mountPoint, 16).remove();
    return true;
  } catch {
    return false;
  } finally {
    rmSync(mountPoint, { recursive: true, force: true });
  }
}

export function createVolume(image: string, mountPoint: string, sizeMebibytes: number): CutVolume {
  mkdirSync(mountPoint, { recursive: true });
  const mount = (): void => run('mount', '-o', 'loop,commit=300', image, mountPoint);
  const unmount = (): void => run('umount', mountPoint);
  run('truncate', '-s', `${sizeMebibytes}M`, image);
  try {
    run('mkfs.ext4', '-q', '-F', image);
    mount();
  } catch (error) {
    rmSync(image, { force: true });
    throw error;
  }
  return {
    mountPoint,
    cut: () => {
      const script = `import fcntl,os,struct; fcntl.ioctl(os.open('${mountPoint}', os.O_RDONLY), ${shutdownRequest}, struct.pack('I', ${noLogFlush}))`;
      run('python3', '-c', script);
    },
    remount: () => {
      unmount();
      mount();
    },
    remove: () => {
      // After a failed `remount` there is nothing mounted; the image goes all the same.
      if (isMounted(mountPoint)) unmount();
      rmSync(image, { force: true });
    },
  };
}

function isMounted(mountPoint: string): boolean {
  return readFileSync('/proc/self/mounts', 'utf8').includes(` ${mountPoint} `);
}

function run(...command: string[]): void {
  const result = Bun.spawnSync(command, { stdout: 'ignore', stderr: 'pipe' });
  if (result.exitCode !== 0) throw new Error(`${command.join(' ')}: ${result.stderr.toString().trim()}`);
}
