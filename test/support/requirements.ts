// Says what a suite needs of the machine (programs on PATH, root), and how long it may run.
// A suite whose need is absent is skipped with a reason printed once. With BREAKWATER_REQUIRE_CLIENTS=1 (CI) it fails instead,
// so that a missing package never looks like a green run. It must never install or start anything.
//
//   const ready = requireTools('skopeo', 'podman') && requireRoot();
//   describe.skipIf(!ready)('podman pulls through the mirror', () => { ... });
//   const cycles = count({ quick: 10, full: 200, env: 'BREAKWATER_CRASH_CYCLES' });

const printed = new Set<string>();

/** True when every named program is on PATH. Otherwise prints the reason once and gives false, or throws when clients are required. */
export function requireTools(...names: string[]): boolean {
  const absent = names.filter((name) => Bun.which(name) === null);
  return absent.length === 0 ? true : refuse(`not on PATH: ${absent.join(', ')}`);
}

/** True when the tests run as root (mounts, engines, other users). Otherwise as `requireTools`. */
export function requireRoot(): boolean {
  return process.getuid?.() === 0 ? true : refuse('not root');
}

/** True in the long run (`npm run test:full`, BREAKWATER_FULL=1). */
export function fullRun(): boolean {
  return process.env['BREAKWATER_FULL'] === '1';
}

/**
 * How often a suite repeats itself: the positive whole number in the environment variable `env` when it is set,
 * else `full` in the long run and `quick` in the quick one. Throws on a value that is no such number.
 */
export function count(options: { readonly quick: number; readonly full: number; readonly env?: string }): number {
  const text = options.env === undefined ? undefined : process.env[options.env];
  if (text === undefined || text === '') return fullRun() ? options.full : options.quick;
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new Error(`${options.env}: expected a positive whole number, got ${JSON.stringify(text)}`);
  return Number(text);
}

function refuse(reason: string): false {
  if (process.env['BREAKWATER_REQUIRE_CLIENTS'] === '1') {
    throw new Error(`A suite cannot run here and BREAKWATER_REQUIRE_CLIENTS=1: ${reason}`);
  }
  if (!printed.has(reason)) {
    printed.add(reason);
    console.log(`skipped a suite: ${reason}`);
  }
  return false;
}
