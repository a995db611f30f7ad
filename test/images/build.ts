// `bun test/images/build.ts FOLDER` builds the test images into a new FOLDER: real content, offline apart from Debian's mirror.
// The set appears whole or not at all (built beside FOLDER, then renamed); a FOLDER that exists is left as it is.
//
//   FOLDER/
//     debian/        v1 v2 v3                           a Debian root and one or two layers more, by umoci; the first layer is shared
//     app/           1.0                                115 MiB, five layers, one of 66 MiB that does not compress
//     big/           256m                               365 MiB, one layer of 256 MiB
//     multiarch/     latest                             index of three platforms with attestations
//     zstd/          zstd gzip mixed uncompressed       layer compressions
//     manylayers/    100                                one hundred layers
//     artifacts/     helm oras wasm empty image nested  artifacts, an index in an index, untagged referrers
//     schema2/       (skopeo dir:)                      Docker schema2 image
//     schema2-list/  (skopeo dir:)                      Docker manifest list
//     policy.json                                       accepts any image; for skopeo and podman

import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { buildDebian } from './debian-image.ts';
import { buildSchema2, buildSchema2List } from './docker-formats.ts';
import { buildApp, buildArtifacts, buildBig, buildCompressions, buildManyLayers, buildMultiarch } from './kinds.ts';

/** Builds the whole set at `folder` unless it is there already. */
export async function buildTestImages(folder: string): Promise<void> {
  if (existsSync(folder)) return;
  mkdirSync(dirname(folder), { recursive: true });
  const root = mkdtempSync(`${folder}.part-`);
  const workDirectory = mkdtempSync(`${folder}.work-`);
  try {
    const policyFile = `${root}/policy.json`;
    writeFileSync(policyFile, '{"default":[{"type":"insecureAcceptAnything"}]}\n');
    const base = await buildDebian(`${root}/debian`, workDirectory);
    buildMultiarch(root, base);
    buildSchema2List(root);
    await buildSchema2(root, policyFile);
    buildApp(root, base);
    buildBig(root, base);
    buildCompressions(root, base);
    buildManyLayers(root);
    buildArtifacts(root);
    renameSync(root, folder);
  } finally {
    rmSync(root, { recursive: true, force: true });
    rmSync(workDirectory, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const folder = process.argv[2];
  if (folder === undefined) throw new Error('usage: bun test/images/build.ts FOLDER');
  const startedAtMs = performance.now();
  await buildTestImages(folder);
  console.log(`test images ready at ${folder} after ${Math.round((performance.now() - startedAtMs) / 1000)} s`);
}
