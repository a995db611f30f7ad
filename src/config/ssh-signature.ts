// Detached signatures as `ssh-keygen -Y sign` makes them, with Ed25519 keys only. OpenSSH PROTOCOL.sshsig; RFC 8709 for key and signature blobs.
// A signature counts for one namespace, so that a file signed for something else is none of ours.

import { createHash, createPublicKey, verify } from 'node:crypto';

const algorithm = 'ssh-ed25519';
const header = '-----BEGIN SSH SIGNATURE-----';
const footer = '-----END SSH SIGNATURE-----';
/** DER of SubjectPublicKeyInfo before the 32 bytes of an Ed25519 key (RFC 8410). */
const keyPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** `ssh-ed25519 AAAA...` without comment, from a line of a .pub file; undefined for every other kind of key. */
export function parsePublicKey(text: string): string | undefined {
  const [type, body = '', ...comment] = text.trim().split(/\s+/);
  if (type !== algorithm || comment.length > 20 || !/^[A-Za-z0-9+/]+=*$/.test(body)) return undefined;
  return rawKey(Buffer.from(body, 'base64')) === undefined ? undefined : `${type} ${body}`;
}

/** Undefined when the signature is good; else what is wrong with it, in one line. `publicKey` as `parsePublicKey` gives it. */
export function checkSshSignature(options: {
  readonly data: Uint8Array;
  readonly signature: string;
  readonly publicKey: string;
  readonly namespace: string;
}): string | undefined {
  const parts = parseSignature(options.signature);
  if (parts === undefined) return 'the signature is none of `ssh-keygen -Y sign`';
  const wanted = Buffer.from(options.publicKey.split(' ')[1] ?? '', 'base64');
  if (!parts.publicKey.equals(wanted)) return 'it is signed with another key';
  if (parts.namespace !== options.namespace)
    return `it is signed for ${JSON.stringify(parts.namespace.slice(0, 50))}, not for ${options.namespace}`;
  const key = rawKey(wanted);
  if (key === undefined || (parts.hash !== 'sha512' && parts.hash !== 'sha256')) return 'the signature is of a kind that is not read here';
  const digest = createHash(parts.hash).update(options.data).digest();
  const signed = Buffer.concat([
    Buffer.from('SSHSIG'),
    ...[Buffer.from(parts.namespace), Buffer.alloc(0), Buffer.from(parts.hash), digest].map(sshString),
  ]);
  const publicKey = createPublicKey({ key: Buffer.concat([keyPrefix, key]), format: 'der', type: 'spki' });
  return verify(null, signed, publicKey, parts.signature) ? undefined : 'the signature does not fit the file';
}

interface Signature {
  readonly publicKey: Buffer;
  readonly namespace: string;
  readonly hash: string;
  /** 64 bytes. */
  readonly signature: Buffer;
}

function parseSignature(armored: string): Signature | undefined {
  if (armored.length > 8192) return undefined;
  const lines = armored.trim().split(/\r?\n/);
  if (lines[0] !== header || lines.at(-1) !== footer) return undefined;
  const read = createReader(Buffer.from(lines.slice(1, -1).join(''), 'base64'));
  if (read.bytes(6)?.toString() !== 'SSHSIG' || read.number() !== 1) return undefined;
  const [publicKey, namespace, reserved, hash, blob] = [read.text(), read.text(), read.text(), read.text(), read.text()];
  if (publicKey === undefined || namespace === undefined || reserved === undefined || hash === undefined || blob === undefined)
    return undefined;
  const inner = createReader(blob);
  const [kind, signature] = [inner.text(), inner.text()];
  if (kind?.toString() !== algorithm || signature?.length !== 64 || !read.isAtEnd() || !inner.isAtEnd()) return undefined;
  return { publicKey, namespace: namespace.toString(), hash: hash.toString(), signature };
}

function rawKey(blob: Buffer): Buffer | undefined {
  const read = createReader(blob);
  const [kind, key] = [read.text(), read.text()];
  return kind?.toString() === algorithm && key?.length === 32 && read.isAtEnd() ? key : undefined;
}

/** Reads the data types of RFC 4251 section 5; undefined behind the end. */
function createReader(buffer: Buffer) {
  let at = 0;
  const bytes = (length: number): Buffer | undefined => {
    if (at + length > buffer.length) return undefined;
    at += length;
    return buffer.subarray(at - length, at);
  };
  const number = (): number | undefined => bytes(4)?.readUInt32BE();
  return {
    bytes,
    number,
    text: (): Buffer | undefined => {
      const length = number();
      return length === undefined ? undefined : bytes(length);
    },
    isAtEnd: () => at === buffer.length,
  };
}

function sshString(data: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, data]);
}
