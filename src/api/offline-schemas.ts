// What goes over the admin API about warm-ups and pinned sets. As schemas.ts it must never import the server: the command line loads it.

import { z } from 'zod';

const time = z.string().meta({ description: 'RFC 3339, UTC', example: '2026-11-24T08:00:00.000Z' });
const image = z.string().min(1).max(600).meta({ description: 'as one would pull it', example: 'ghcr.io/owner/app:1' });
const platformsSchema = z
  .string()
  .min(1)
  .max(2000)
  .meta({ description: 'platforms of an index, or `all`, which takes attestations too', example: 'linux/amd64,linux/arm64' });

export const newWarmupSchema = z
  .strictObject({
    images: z.array(image).max(5000).default([]),
    pins: z
      .string()
      .min(1)
      .max(128)
      .optional()
      .meta({ description: 'a pinned set, each image for its own platforms when `platforms` is left out' }),
    platforms: platformsSchema.optional().meta({ description: 'linux/amd64 when left out' }),
    bandwidthBytes: z.number().int().min(1024).optional().meta({ description: 'bytes per second, over the whole run' }),
    concurrency: z.number().int().min(1).max(32).default(4).meta({ description: 'images, and blobs, at a time' }),
  })
  .meta({ id: 'NewWarmup' });

export const warmedImageSchema = z
  .object({
    image: z.string(),
    platforms: z.string(),
    state: z.enum(['waiting', 'running', 'done', 'failed', 'cancelled']),
    digest: z.string().optional(),
    manifests: z.number(),
    blobs: z.number(),
    blobsTotal: z.number(),
    totalBytes: z.number(),
    fetchedBytes: z.number().meta({ description: 'brought by this run' }),
    cachedBytes: z.number().meta({ description: 'here before' }),
    warning: z.string().optional(),
    error: z.object({ code: z.string(), message: z.string() }).optional(),
  })
  .meta({ id: 'WarmedImage' });
export type WarmedImageBody = z.infer<typeof warmedImageSchema>;

export const warmupSchema = z
  .object({
    id: z.string(),
    name: z.string().optional().meta({ description: 'of a schedule' }),
    state: z.enum(['queued', 'running', 'done', 'failed', 'cancelled']).meta({ description: 'failed: an image could not be had' }),
    bandwidthBytes: z.number().optional(),
    concurrency: z.number(),
    createdAt: time,
    endedAt: time.optional(),
    imagesTotal: z.number(),
    images: z.array(warmedImageSchema).readonly().meta({ description: 'empty in a list of runs' }),
  })
  .meta({ id: 'Warmup' });
export type WarmupBody = z.infer<typeof warmupSchema>;

export const newPinsSchema = z
  .strictObject({ images: z.array(image).min(1).max(5000), platforms: platformsSchema.default('linux/amd64') })
  .meta({ id: 'NewPins' });

export const pinSchema = z
  .object({
    set: z.string(),
    image: z.string(),
    platforms: z.string(),
    repository: z.string().meta({ description: 'what the name means here' }),
    reference: z.string(),
    createdAt: time,
  })
  .meta({ id: 'Pin' });
export type PinBody = z.infer<typeof pinSchema>;

export const removedPinsSchema = z.object({ removed: z.number() }).meta({ id: 'RemovedPins' });

export const verifyLineSchema = z
  .discriminatedUnion('kind', [
    z.object({
      kind: z.literal('image'),
      image: z.string(),
      complete: z.boolean(),
      digest: z.string().optional(),
      manifests: z.number(),
      blobs: z.number(),
      sizeBytes: z.number(),
      servedUntil: time.optional().meta({ description: 'until when a mirrored tag is served although no source confirms it' }),
      missing: z
        .array(
          z.object({
            what: z.enum(['name', 'tag', 'manifest', 'platform', 'blob']),
            digest: z.string().optional(),
            reason: z.string(),
          }),
        )
        .readonly(),
    }),
    z.object({ kind: z.literal('progress'), image: z.string(), checkedBytes: z.number() }),
  ])
  .meta({ id: 'VerifyLine' });
export type VerifyLine = z.infer<typeof verifyLineSchema>;

export const importedSchema = z
  .object({
    images: z.array(
      z.object({
        image: z.string().meta({ description: 'as the archive names it' }),
        repository: z.string(),
        tag: z.string().optional(),
        digest: z.string(),
      }),
    ),
    manifests: z.number(),
    blobsStored: z.number(),
    blobsPresent: z.number().meta({ description: 'that were here already' }),
    sizeBytes: z.number(),
  })
  .meta({ id: 'Imported' });
