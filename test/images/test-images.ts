// Gives a test the image set, building it once per machine: about half a minute the first time, nothing after.
// Two test runs at the same time do not build twice: a kernel file lock (flock) is held while one builds, and ends with its process.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Raise it when what build.ts writes changes, so that an older set is not taken for the new one. */
const imagesVersion = 1;

/** The programs the builder runs; a suite names them in `requireTools`. */
export const imageTools = ['mmdebstrap', 'umoci', 'skopeo', 'flock'] as const;

export interface TestImages {
  readonly folder: string;
  /** Accepts any image. */
  readonly policyFile: string;
  /** `oci:` reference of a tag in a layout of the set. */
  oci(layout: string, tag: string): string;
  /** `dir:` reference of a Docker-format folder of the set. */
  dir(name: 'schema2' | 'schema2-list'): string;
  /** The folder of a layout. */
  layout(name: string): string;
}

/** The image set in BREAKWATER_TEST_IMAGES, or in a folder of /var/tmp. Builds it when absent; throws when that fails. */
export async function testImages(): Promise<TestImages> {
  const folder = process.env['BREAKWATER_TEST_IMAGES'] ?? `/var/tmp/breakwater-test-images-${imagesVersion}`;
  if (!existsSync(folder)) {
    const builder = [process.execPath, fileURLToPath(import.meta.resolve('./build.ts')), folder];
    const child = Bun.spawn(['flock', `${folder}.lock`, ...builder], { stdin: 'ignore', stdout: 'inherit', stderr: 'inherit' });
    const code = await child.exited;
    if (code !== 0) throw new Error(`building the test images ended with code ${code}`);
  }
  return {
    folder,
    policyFile: join(folder, 'policy.json'),
    oci: (layout, tag) => `oci:${join(folder, layout)}:${tag}`,
    dir: (name) => `dir:${join(folder, name)}`,
    layout: (name) => join(folder, name),
  };
}
