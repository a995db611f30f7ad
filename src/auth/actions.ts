// What can be done here, in Harbor's words: `resource:action`. A role is a set of them, a route asks for one. Rights in a project and rights on
// the server as a whole are two lists: `robot:create` in a project and on the server are told apart by where they are granted.

const projectWords = {
  project: ['read', 'update', 'delete'],
  member: ['create', 'read', 'update', 'delete', 'list'],
  metadata: ['create', 'read', 'update', 'delete', 'list'],
  log: ['list'],
  label: ['create', 'read', 'update', 'delete', 'list'],
  quota: ['read'],
  repository: ['list', 'read', 'update', 'delete', 'pull', 'push'],
  artifact: ['create', 'read', 'list', 'delete'],
  'artifact-addition': ['read'],
  'artifact-label': ['create', 'delete'],
  tag: ['create', 'list', 'delete'],
  accessory: ['list'],
  robot: ['create', 'read', 'update', 'delete', 'list'],
  'tag-retention': ['create', 'read', 'update', 'delete', 'list', 'operate'],
  'immutable-tag': ['create', 'update', 'delete', 'list'],
  configuration: ['read', 'update'],
  'notification-policy': ['create', 'read', 'update', 'delete', 'list'],
  'preheat-policy': ['create', 'read', 'update', 'delete', 'list'],
  scan: ['create', 'read', 'stop'],
  sbom: ['create', 'read', 'stop'],
  scanner: ['create', 'read'],
  'export-cve': ['create', 'read', 'list'],
} as const;

const systemWords = {
  project: ['create', 'list'],
  user: ['create', 'read', 'update', 'delete', 'list'],
  'user-group': ['create', 'read', 'update', 'delete', 'list'],
  role: ['create', 'read', 'update', 'delete', 'list'],
  grant: ['create', 'read', 'delete', 'list'],
  robot: ['create', 'read', 'update', 'delete', 'list'],
  label: ['create', 'read', 'update', 'delete'],
  registry: ['create', 'read', 'update', 'delete', 'list'],
  source: ['create', 'read', 'update', 'delete', 'list', 'test'],
  explain: ['read'],
  catalog: ['read'],
  statistics: ['read'],
  warmup: ['create', 'read', 'delete', 'list'],
  pin: ['read', 'update'],
  verify: ['read'],
  archive: ['read', 'create'],
  configuration: ['read', 'update'],
  'identity-provider': ['create', 'read', 'update', 'delete', 'list', 'test'],
  'ldap-user': ['create', 'list'],
  'workload-rule': ['create', 'read', 'update', 'delete', 'list'],
  session: ['list', 'delete'],
  'signing-key': ['list', 'create'],
  'self-test': ['create'],
  'audit-log': ['list', 'read'],
  quota: ['read', 'update', 'list'],
  metrics: ['read'],
  status: ['read'],
  replication: ['create', 'read', 'list'],
  'replication-policy': ['create', 'read', 'update', 'delete', 'list'],
  'replication-adapter': ['list'],
  'garbage-collection': ['create', 'read', 'update', 'list', 'stop'],
  'purge-audit': ['create', 'read', 'update', 'list', 'stop'],
  'system-volumes': ['read'],
  'scan-all': ['create', 'read', 'update', 'stop'],
  'preheat-instance': ['create', 'read', 'update', 'delete', 'list'],
  'jobservice-monitor': ['list', 'stop'],
  'security-hub': ['list', 'read'],
} as const;

type Words = { readonly [resource: string]: readonly string[] };
type ActionsOf<W extends Words> = { [R in keyof W & string]: `${R}:${W[R][number]}` }[keyof W & string];

/** Something that can be done in one project. */
export type ProjectAction = ActionsOf<typeof projectWords>;
/** Something that can be done on the server as a whole. */
export type SystemAction = ActionsOf<typeof systemWords>;
export type Action = ProjectAction | SystemAction;

export const projectActions: readonly ProjectAction[] = listActions(projectWords) as ProjectAction[];
export const systemActions: readonly SystemAction[] = listActions(systemWords) as SystemAction[];

const projectSet: ReadonlySet<string> = new Set(projectActions);
const systemSet: ReadonlySet<string> = new Set(systemActions);

export function isProjectAction(text: string): text is ProjectAction {
  return projectSet.has(text);
}

export function isSystemAction(text: string): text is SystemAction {
  return systemSet.has(text);
}

function listActions(words: Words): string[] {
  return Object.entries(words).flatMap(([resource, actions]) => actions.map((action) => `${resource}:${action}`));
}
