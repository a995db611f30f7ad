// Robots over HTTP, in the shapes of Harbor v2.0, with what ours have besides: networks, who made one, and when it was used last.
// It must never import the server: the command line loads this file.

import { z } from 'zod';

const time = z.string().meta({ description: 'RFC 3339, UTC' });
/** Clients written in Go send empty lists as null. */
const orAbsent = <T extends z.ZodType>(schema: T) => schema.nullish();

const accessSchema = z
  .strictObject({
    resource: z.string().min(1).max(64).meta({ example: 'repository' }),
    action: z.string().min(1).max(64).meta({ example: 'pull' }),
    effect: z.string().max(16).optional().meta({ description: 'allow, also when it is absent' }),
  })
  .meta({ id: 'Access' });

export const robotPermissionSchema = z
  .strictObject({
    kind: z.string().max(16).meta({ description: 'system or project', example: 'project' }),
    namespace: z.string().max(512).meta({
      description:
        '`/` for kind system; for kind project the name of a project, `*` for all, or beyond Harbor a glob: `team-*` of projects, `team-a/ci/**` of repositories',
      example: 'team-a',
    }),
    access: z.array(accessSchema).max(200),
  })
  .meta({ id: 'RobotPermission' });
export type RobotPermissionBody = z.infer<typeof robotPermissionSchema>;

const networks = z
  .array(z.string().max(64))
  .max(50)
  .meta({
    description: 'CIDR blocks that it may log in from; empty: from everywhere',
    example: ['10.0.0.0/8'],
  });
const duration = z.number().int().min(-1).max(36_500).meta({ description: "days; -1: for ever; 0 or absent: the server's default of 90" });

export const robotSchema = z
  .object({
    id: z.number().int(),
    name: z.string().meta({ description: 'as it logs in', example: 'robot$team-a+ci' }),
    description: z.string(),
    level: z.enum(['system', 'project']),
    duration: z.number().int(),
    expires_at: z.number().int().meta({ description: 'seconds since 1970; -1: never' }),
    editable: z.boolean(),
    disable: z.boolean(),
    permissions: z.array(robotPermissionSchema).readonly(),
    creation_time: time,
    update_time: time,
    networks: z.array(z.string()).readonly(),
    creator: z.string().meta({ description: 'who made it, by id', example: 'user:1' }),
    creator_type: z.enum(['local', 'robot', 'other']).meta({ description: 'local: a user' }),
    creator_ref: z.number().int().meta({ description: "the user's or robot's id; 0 for others" }),
    last_used_at: time.optional(),
    last_used_from: z.string().optional().meta({ description: 'an address' }),
  })
  .meta({ id: 'Robot' });
export type RobotBody = z.infer<typeof robotSchema>;

export const createdRobotSchema = z
  .object({
    id: z.number().int(),
    name: z.string(),
    secret: z.string().meta({ description: 'told this once' }),
    creation_time: time,
    expires_at: z.number().int(),
  })
  .meta({ id: 'RobotCreated' });

export const robotSecretSchema = z
  .strictObject({ secret: z.string().max(512).optional().meta({ description: 'empty or absent: one is made' }) })
  .meta({ id: 'RobotSec' });

/** What Harbor's clients send back of what they read; it changes nothing. */
const readOnly = {
  creation_time: orAbsent(z.string().max(64)),
  update_time: orAbsent(z.string().max(64)),
  expires_at: orAbsent(z.number()),
  editable: orAbsent(z.boolean()),
  creator_type: orAbsent(z.string().max(64)),
  creator_ref: orAbsent(z.union([z.string().max(64), z.number()])),
};

export const newRobotSchema = z
  .strictObject({
    name: z.string().min(1).max(255).meta({ description: 'without prefix and project', example: 'ci' }),
    description: orAbsent(z.string().max(1024)),
    level: z.enum(['system', 'project']),
    duration: orAbsent(duration),
    disable: orAbsent(z.boolean()),
    secret: orAbsent(z.string().max(512)).meta({ description: 'of your own; empty or absent: one is made' }),
    permissions: z.array(robotPermissionSchema).max(500),
    networks: orAbsent(networks),
    id: orAbsent(z.number().int()),
    ...readOnly,
  })
  .meta({ id: 'RobotCreate' });

export const robotUpdateSchema = z
  .strictObject({
    id: orAbsent(z.number().int()),
    name: orAbsent(z.string().max(512)).meta({ description: 'cannot be changed' }),
    description: orAbsent(z.string().max(1024)),
    level: orAbsent(z.enum(['system', 'project'])).meta({ description: 'cannot be changed' }),
    duration: orAbsent(duration).meta({ description: 'days from when it was made; -1: for ever' }),
    disable: orAbsent(z.boolean()),
    permissions: orAbsent(z.array(robotPermissionSchema).max(500)),
    networks: orAbsent(networks),
    secret: orAbsent(z.string().max(512)).meta({ description: 'ignored; PATCH changes it' }),
    creator: orAbsent(z.string().max(255)),
    last_used_at: orAbsent(z.string().max(64)),
    last_used_from: orAbsent(z.string().max(64)),
    ...readOnly,
  })
  .meta({ id: 'RobotUpdate', description: 'what is absent or null stays as it is' });

/** Harbor's older way, below a project: `resource` is a path such as `/project/1/repository`. */
export const newProjectRobotSchema = z
  .strictObject({
    name: z.string().min(1).max(255),
    description: orAbsent(z.string().max(1024)),
    expires_at: orAbsent(z.number().int()).meta({ description: 'seconds since 1970; -1: never' }),
    access: z
      .array(
        z.strictObject({ resource: z.string().min(1).max(255), action: z.string().min(1).max(64), effect: z.string().max(16).optional() }),
      )
      .max(200),
  })
  .meta({ id: 'RobotCreateV1' });
