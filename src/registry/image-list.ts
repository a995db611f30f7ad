// Finds the images that a text names: a plain list, a compose file, or Kubernetes manifests as `kubectl` and `helm template` write them. What
// kind it is is told by the content. It reads no file and asks nobody.
//
//   every line an image ──────────────────> list       one image a line, # begins a comment
//   a mapping with `services` ────────────> compose    services.*.image, ${VARIABLE:-default} filled in
//   documents with `apiVersion` and `kind` ─> kubernetes  every `image:` that is a string (containers, CronJobs, custom resources)

import { type Document, parseAllDocuments } from 'yaml';

export interface FoundImages {
  readonly kind: 'list' | 'compose' | 'kubernetes';
  /** Each once, in the order of the text. */
  readonly images: readonly string[];
  /** What was left out, and why: for people. */
  readonly notes: readonly string[];
}

/** The text is not understood; the message says what was expected. */
export class ImageListError extends Error {
  override readonly name = 'ImageListError';
}

const textMaxLength = 16 * 1024 * 1024;
const documentsMax = 20_000;
const depthMax = 100;
const imagePattern = /^(?=.{1,600}$)[a-zA-Z0-9][\w.\-/:]*(?:@sha(?:256|512):[0-9a-f]{64,128})?$/;

/** The images of a text; `variables` fill in what a compose file leaves open. Throws ImageListError. */
export function findImages(text: string, variables: Readonly<Record<string, string | undefined>>): FoundImages {
  if (text.length > textMaxLength) throw new ImageListError('the text is larger than 16 MiB');
  const lines = readLines(text);
  if (lines.length === 0) throw new ImageListError('the text names no image');
  if (lines.every((line) => imagePattern.test(line))) return { kind: 'list', images: unique(lines), notes: [] };
  const documents = readDocuments(text);
  const found = documents.some((document) => isRecord(document['services']) && document['kind'] === undefined)
    ? readCompose(documents, variables)
    : readKubernetes(documents);
  if (found.images.length === 0) throw new ImageListError(`no image found${found.notes.length === 0 ? '' : `: ${found.notes.join('; ')}`}`);
  return found;
}

function readLines(text: string): string[] {
  return text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');
}

function readDocuments(text: string): Record<string, unknown>[] {
  const documents: readonly Document[] = toList(parseAllDocuments(text, { uniqueKeys: false, logLevel: 'error' }));
  if (documents.length > documentsMax) throw new ImageListError(`more than ${documentsMax} documents`);
  const values = documents.flatMap((document, index): Record<string, unknown>[] => {
    const [problem] = document.errors;
    if (problem !== undefined) throw new ImageListError(`document ${index + 1} is no YAML: ${problem.message.split('\n')[0]}`);
    const value: unknown = toValue(document);
    if (value === null || value === undefined) return [];
    if (!isRecord(value)) throw new ImageListError('expected a list with one image a line, a compose file, or Kubernetes manifests');
    return [value];
  });
  if (values.length === 0) throw new ImageListError('the text names no image');
  return values;
}

function toList(parsed: ReturnType<typeof parseAllDocuments>): readonly Document[] {
  return Array.isArray(parsed) ? parsed : [];
}

/** Aliases are counted, so that a few lines cannot stand for a billion values. */
function toValue(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 1000 });
  } catch (error) {
    throw new ImageListError(`the YAML cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readCompose(documents: readonly Record<string, unknown>[], variables: Readonly<Record<string, string | undefined>>): FoundImages {
  const images: string[] = [];
  const notes: string[] = [];
  for (const document of documents) {
    if (document['include'] !== undefined) notes.push('`include` is not followed; name the included files too');
    if (!isRecord(document['services'])) continue;
    for (const [name, service] of Object.entries(document['services'])) {
      if (!isRecord(service)) continue;
      if (isRecord(service['extends']) && service['image'] === undefined) notes.push(`service ${name}: \`extends\` is not followed`);
      const text = service['image'];
      if (typeof text === 'string') take(fillIn(text, variables), `service ${name}`, images, notes);
      else if (service['build'] !== undefined) notes.push(`service ${name} is built, not pulled`);
    }
  }
  return { kind: 'compose', images: unique(images), notes };
}

/** compose-spec "Interpolation": `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?error}`, `$$`. */
function fillIn(text: string, variables: Readonly<Record<string, string | undefined>>): string {
  return text.replace(
    /\$(?:\$|(\w+)|\{(\w+)(?:(:?[-?+])([^}]*))?\})/g,
    (whole, bare: string | undefined, braced: string | undefined, operator: string | undefined, rest: string | undefined) => {
      const name = bare ?? braced;
      if (name === undefined) return whole === '$$' ? '$' : whole;
      const value = variables[name];
      const isGiven = value !== undefined && (value !== '' || operator?.startsWith(':') !== true);
      if (operator?.endsWith('+') === true) return isGiven ? (rest ?? '') : '';
      if (isGiven) return value;
      return operator?.endsWith('-') === true ? (rest ?? '') : whole;
    },
  );
}

function readKubernetes(documents: readonly Record<string, unknown>[]): FoundImages {
  const images: string[] = [];
  const notes: string[] = [];
  const known = documents.filter((document) => typeof document['kind'] === 'string' && typeof document['apiVersion'] === 'string');
  if (known.length === 0)
    throw new ImageListError(
      'expected a list with one image a line, a compose file (`services`), or Kubernetes manifests (`apiVersion`, `kind`)',
    );
  for (const document of known) collect(document, String(document['kind']), 0, images, notes);
  return { kind: 'kubernetes', images: unique(images), notes };
}

function collect(value: unknown, where: string, depth: number, images: string[], notes: string[]): void {
  if (depth > depthMax) throw new ImageListError(`nested deeper than ${depthMax}`);
  if (Array.isArray(value)) {
    for (const item of value) collect(item, where, depth + 1, images, notes);
    return;
  }
  if (!isRecord(value)) return;
  // Their data are texts of somebody else's, and a schema speaks of images without naming one.
  if (value['kind'] === 'CustomResourceDefinition') return;
  const isText = value['kind'] === 'ConfigMap' || value['kind'] === 'Secret';
  for (const [key, item] of Object.entries(value)) {
    if (isText && (key === 'data' || key === 'stringData' || key === 'binaryData')) continue;
    if (key === 'image' && typeof item === 'string') take(item, where, images, notes);
    // An image volume: `image: { reference: ... }`.
    else if (key === 'image' && isRecord(item) && typeof item['reference'] === 'string') take(item['reference'], where, images, notes);
    else collect(item, where, depth + 1, images, notes);
  }
}

function take(text: string, where: string, images: string[], notes: string[]): void {
  const image = text.trim();
  if (imagePattern.test(image)) images.push(image);
  else if (image !== '')
    notes.push(`${where}: "${image.slice(0, 200)}" is no image name${image.includes('$') ? ' (a variable is not set)' : ''}`);
}

function unique(images: readonly string[]): string[] {
  return [...new Set(images)];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
