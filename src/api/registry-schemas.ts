// Registries as they go over the admin API: Harbor's members, so that its clients find what they know, and our sources as an extension. The command
// line loads this file too: it must never import the server.

import { z } from 'zod';
import { registryName, sourceEntry } from '../config/source-entry.ts';
import { sourceSchema } from './source-schemas.ts';

const time = z.string().meta({ description: 'RFC 3339, UTC', example: '2026-11-24T08:00:00.000Z' });

/** What a registry can be said to be; it decides nothing but where its address leads. */
export const registryTypes = [
  'docker-hub',
  'docker-registry',
  'harbor',
  'quay',
  'github-ghcr',
  'gitlab',
  'jfrog-artifactory',
  'google-gcr',
  'aws-ecr',
  'azure-acr',
  'ali-acr',
  'huawei-SWR',
  'tencent-tcr',
  'volcengine-cr',
  'dtr',
] as const;

const shownCredential = z.object({
  type: z.string(),
  access_key: z.string(),
  access_secret: z.string().meta({ description: 'always *****' }),
});

/** Harbor's members alone. */
export const harborRegistrySchema = z
  .object({
    id: z.number().int(),
    name: z.string().meta({ description: 'what it was called when it was added' }),
    url: z.string().meta({ description: 'of its authority, or of the source asked first' }),
    type: z.string(),
    credential: shownCredential.optional().meta({ description: "that source's login" }),
    insecure: z.boolean().meta({ description: "whether that source's certificate is not checked" }),
    description: z.string(),
    status: z.enum(['healthy', 'unhealthy']).meta({ description: 'healthy while a source of it may be asked' }),
    creation_time: time,
    update_time: time,
  })
  .meta({ id: 'HarborRegistry' });
export type HarborRegistryBody = z.infer<typeof harborRegistrySchema>;

export const registrySchema = harborRegistrySchema
  .extend({
    registry: z.string().meta({ description: 'its identity, and the name of its mirror project', example: 'docker.io' }),
    public: z.boolean().optional().meta({
      description: 'what was set: whether everybody may pull through its mirror; absent: unless a source has, or had, credentials',
    }),
    restricted: z.boolean().meta({ description: 'a source has, or had, credentials' }),
    origin: z.enum(['config', 'preset', 'api']),
    sources: z.array(sourceSchema).readonly(),
  })
  .meta({ id: 'Registry' });
export type RegistryBody = z.infer<typeof registrySchema>;

const secretText = z.string().max(4096);
/** Basic alone is possible; the others are those of Harbor, refused with a reason. */
const credentialType = z.enum(['basic', 'oauth', 'secret', '']);
const sentCredential = z.strictObject({
  type: credentialType.nullish().meta({ description: 'basic' }),
  access_key: z.string().max(512).nullish(),
  access_secret: secretText.nullish().meta({ description: '***** or nothing: stays as it is' }),
});
const title = z.string().min(1).max(128);
const type = z.enum(registryTypes);
const url = z.string().min(1).max(2048);

/** In our words (`name` is the identity, `sources` are entries of the config file), or in Harbor's (`name` is free, `url` says what it is). */
export const newRegistrySchema = z
  .strictObject({
    name: title.meta({ example: 'registry.example.com' }),
    registry: registryName.optional().meta({ description: 'its identity; without it what `url` says, or `name`' }),
    public: z
      .boolean()
      .optional()
      .meta({ description: 'whether everybody may pull through its mirror; without it unless a source has credentials' }),
    sources: z.array(sourceEntry).max(64).default([]),
    url: url.nullish().meta({ description: 'makes it the authority, with `credential` and `insecure`', example: 'https://hub.docker.com' }),
    type: type.nullish(),
    credential: sentCredential.nullish(),
    insecure: z.boolean().nullish(),
    description: z.string().max(512).nullish(),
    id: z.number().int().nullish(),
    status: z.string().max(64).nullish(),
    creation_time: z.string().max(64).nullish(),
    update_time: z.string().max(64).nullish(),
  })
  .meta({ id: 'NewRegistry' });
export type NewRegistryBody = z.infer<typeof newRegistrySchema>;

/** Harbor's change: of the name, the description, and the authority's address, login and certificate check. */
export const registryUpdateSchema = z
  .strictObject({
    name: title.nullish(),
    description: z.string().max(512).nullish(),
    url: url.nullish(),
    credential_type: credentialType.nullish(),
    access_key: z.string().max(512).nullish(),
    access_secret: secretText.nullish().meta({ description: '***** or nothing: stays as it is' }),
    insecure: z.boolean().nullish(),
    // What clients send back that they have read.
    type: z.string().max(64).nullish(),
    credential: sentCredential.nullish(),
    id: z.number().int().nullish(),
    status: z.string().max(64).nullish(),
    creation_time: z.string().max(64).nullish(),
    update_time: z.string().max(64).nullish(),
  })
  .meta({ id: 'RegistryUpdate' });
export type RegistryUpdateBody = z.infer<typeof registryUpdateSchema>;

export const registryPingSchema = z
  .strictObject({
    id: z.number().int().min(0).nullish().meta({ description: 'of a registry that is kept; what else is given replaces what it has' }),
    name: z.string().max(128).nullish(),
    description: z.string().max(512).nullish(),
    type: z.string().max(64).nullish(),
    url: url.nullish(),
    credential_type: credentialType.nullish(),
    access_key: z.string().max(512).nullish(),
    access_secret: secretText.nullish(),
    insecure: z.boolean().nullish(),
    credential: sentCredential.nullish(),
  })
  .meta({ id: 'RegistryPing' });

export const registryInfoSchema = z
  .object({
    type: z.string(),
    description: z.string(),
    supported_resource_filters: z
      .array(z.object({ type: z.string(), style: z.string(), values: z.array(z.string()).optional() }))
      .readonly(),
    supported_triggers: z.array(z.string()).readonly(),
  })
  .meta({ id: 'RegistryInfo', description: 'what replication can do with it; there is none here yet' });

export const registryChangeSchema = z
  .strictObject({
    public: z.boolean().nullable().meta({ description: 'null: public unless a source has, or had, credentials' }),
  })
  .meta({ id: 'RegistryChange' });
export const sourceOrderSchema = z
  .strictObject({
    ids: z
      .array(z.number().int().min(1))
      .max(64)
      .meta({ description: 'first asked first; the other sources of the registry follow as they stood' }),
  })
  .meta({ id: 'SourceOrder' });
