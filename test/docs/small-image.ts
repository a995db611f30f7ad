// The smallest image that every client unpacks: one layer with one file.

import { gzipSync } from 'node:zlib';
import { writeTar } from '../images/tar.ts';
import { type Content, contentOf, digestOf, type Image, imageType } from '../mirror/images.ts';

export function smallImage(word: string): Image {
  const tar = writeTar([{ name: 'word', data: `${word}\n` }]);
  const layer = contentOf(gzipSync(tar));
  const config = contentOf(
    Buffer.from(
      JSON.stringify({
        architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
        os: 'linux',
        config: { Cmd: ['/word'] },
        rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
        history: [{ created_by: word }],
      }),
    ),
  );
  const describe = (mediaType: string, content: Content) => ({ mediaType, digest: content.digest, size: content.bytes.length });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: imageType,
    config: describe('application/vnd.oci.image.config.v1+json', config),
    layers: [describe('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
  });
  return { manifest: { ...contentOf(Buffer.from(manifest)), mediaType: imageType }, config, layers: [layer] };
}
