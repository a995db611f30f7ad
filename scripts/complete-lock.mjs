// Adds to package-lock.json the platform packages (optional dependencies with an exact version) that the registry used
// for `npm install` did not list, so that `npm ci` accepts the lock on every platform. Run after each change of dependencies:
//   npm install && node scripts/complete-lock.mjs
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const known = {
  os: ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'],
  cpu: ['arm64', 'arm', 'ia32', 'x64', 'ppc64', 'riscv64', 's390x', 'wasm32'],
};

for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const target = `node_modules/${name}`;
    if (path === '' || lock.packages[target] || lock.packages[`${path}/${target}`]) continue;
    const words = name.split('/').pop().split('-');
    const pick = (list) => list.filter((value) => words.includes(value)).slice(0, 1);
    const os = pick(known.os);
    const cpu = pick(known.cpu);
    const libc = words.some((word) => word.startsWith('musl')) ? ['musl'] : words.includes('gnu') ? ['glibc'] : [];
    lock.packages[target] = {
      version: version.replace(/^[~^]/, ''),
      ...(cpu.length ? { cpu } : {}),
      ...(entry.dev ? { dev: true } : {}),
      ...(libc.length ? { libc } : {}),
      optional: true,
      ...(os.length ? { os } : words.includes('wasm32') ? { cpu: ['wasm32'] } : {}),
    };
    console.log(`added ${name}@${version}`);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
