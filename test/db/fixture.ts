// What the database suites share: one open database, and short ways to make repositories, blobs and manifests in it.

import { type ContentQueries, prepareContentQueries } from '../../src/db/content.ts';
import type { Database } from '../../src/db/database.ts';
import type { NewManifest } from '../../src/db/new-manifest.ts';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { OciError } from '../../src/oci/errors.ts';

/** How a suite gets at one implementation. */
export interface OpenedDatabase {
  readonly database: Database;
  /** Closes it and opens the same data again. */
  restart(): Promise<OpenedDatabase>;
  /** Runs SQL behind the port's back: to make states that no command makes. */
  alter(sql: string): Promise<void>;
  close(): Promise<void>;
}

export interface Fixture {
  readonly database: Database;
  readonly content: ContentQueries;
  readonly projectId: number;
  alter(sql: string): Promise<void>;
  restart(): Promise<void>;
  repository(): Promise<Repository>;
  /** Records bytes of that text as a blob; gives the key that holds them. */
  blob(repositoryId: number, text: string, more?: BlobDetails): Promise<string>;
}
export interface Repository {
  readonly id: number;
  readonly name: string;
}
export interface BlobDetails {
  readonly origin?: 'public' | 'restricted';
  readonly key?: string;
  readonly trail?: string;
  readonly sizeBytes?: number;
}

export async function createFixture(open: () => Promise<OpenedDatabase>): Promise<Fixture & { close(): Promise<void> }> {
  let opened = await open();
  let content = prepareContentQueries(opened.database);
  const project = await opened.database.run('createProject', { name: 'p', kind: 'local', isPublic: true });
  let nextName = 0;
  return {
    projectId: project.id,
    get database() {
      return opened.database;
    },
    get content() {
      return content;
    },
    alter: (sql) => opened.alter(sql),
    restart: async () => {
      opened = await opened.restart();
      content = prepareContentQueries(opened.database);
    },
    repository: async () => {
      const name = `p/r${nextName++}`;
      return { name, id: await opened.database.run('ensureRepository', { projectId: project.id, name }) };
    },
    blob: async (repositoryId, text, more = {}) => {
      const recorded = await opened.database.run('recordBlob', {
        repositoryId,
        digest: digest(text),
        storageKey: more.key ?? `${digest(text)}.${nextName++}`,
        sizeBytes: more.sizeBytes ?? text.length,
        origin: more.origin ?? 'restricted',
        ...(more.trail === undefined ? {} : { trail: more.trail }),
      });
      return recorded.storageKey;
    },
    close: () => opened.close(),
  };
}

export const day = 24 * 60 * 60 * 1000;

export function digest(text: string): Digest {
  return digestOf(Buffer.from(text));
}

/** A manifest whose bytes are the text. */
export function manifest(repositoryId: number, text: string, more: Partial<NewManifest> = {}): NewManifest {
  return {
    repositoryId,
    digest: digest(text),
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    annotations: '{}',
    bytes: new Uint8Array(Buffer.from(text)),
    references: [],
    tags: [],
    completeness: 'complete',
    ...more,
  };
}

type NewReference = NewManifest['references'][number];

export function layer(text: string, more: Partial<NewReference> = {}): NewReference {
  return { digest: digest(text), kind: 'layer', sizeBytes: text.length, required: true, ...more };
}

export function child(text: string): NewReference {
  return layer(text, { kind: 'manifest' });
}

const imageType = 'application/vnd.oci.image.manifest.v1+json';
const configType = 'application/vnd.oci.image.config.v1+json';

/** An image manifest that says what it is, of one config and one layer. */
export function storedImage(config: string, layerText: string, subject?: Digest) {
  const references = [layer(config, { kind: 'config' }), layer(layerText)];
  const [configPart, ...layers] = references.map((part) => ({ mediaType: configType, digest: part.digest, size: part.sizeBytes }));
  const about = subject === undefined ? {} : { subject: { mediaType: imageType, digest: subject, size: 1 } };
  return {
    ...storedManifest({ schemaVersion: 2, mediaType: imageType, config: configPart, layers, ...about }, references, imageType),
    configMediaType: configType,
  };
}

/** A manifest with the document's bytes. */
export function storedManifest(document: object, references: readonly NewReference[], mediaType: string) {
  const bytes = new Uint8Array(Buffer.from(JSON.stringify(document)));
  const tags: string[] = [];
  return { digest: digestOf(bytes), mediaType, bytes, references, annotations: '{}', tags, completeness: 'complete' as const };
}

/** The code of the OciError a command ends with; `done` when it succeeds, the text of any other error. */
export async function outcome(task: Promise<unknown>): Promise<string> {
  return task.then(
    () => 'done',
    (error) => (error instanceof OciError ? error.code : String(error)),
  );
}
