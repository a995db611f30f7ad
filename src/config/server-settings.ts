// Settings that are changed while the server runs, through the admin API instead of the config file. They have Harbor's names and types, because
// Harbor's clients set them; those that mean nothing here keep one value, and saying so is no error.

/** Of a setting that can be changed: its default, and what is wrong with a value (undefined: nothing). */
interface Changeable {
  readonly kind: Kind;
  readonly initial: string | number | boolean;
  readonly refuse: (value: never) => string | undefined;
}
type Kind = 'text' | 'whole' | 'boolean';
type ValueOf<K extends Kind> = K extends 'text' ? string : K extends 'whole' ? number : boolean;

function text(initial: string, refuse: (value: string) => string | undefined) {
  return { kind: 'text', initial, refuse } as const;
}
function whole(initial: number, { min, max }: { min: number; max: number }) {
  const refuse = (value: number): string | undefined =>
    Number.isSafeInteger(value) && value >= min && value <= max ? undefined : `is a whole number from ${min} to ${max}`;
  return { kind: 'whole', initial, refuse } as const;
}

const bannerMaxChars = 2048;

/** What can be changed. */
export const changeableSettings = {
  /** Who may make projects. */
  project_creation_restriction: text('adminonly', (value) =>
    value === 'everyone' || value === 'adminonly' ? undefined : 'is everyone or adminonly',
  ),
  /** Days a robot lives when its maker says nothing; -1: for ever. */
  robot_token_duration: {
    kind: 'whole',
    initial: 30,
    refuse: (value: number) =>
      value === -1 || (Number.isSafeInteger(value) && value >= 1 && value <= 36_500)
        ? undefined
        : 'is a number of days from 1 to 36500, or -1',
  },
  /** Before the name of every robot. */
  robot_name_prefix: text('robot$', (value) =>
    /^[A-Za-z0-9._-]{0,30}[$+!_.-]$/.test(value) ? undefined : 'is up to 31 letters and digits with one of $ + ! _ . - at its end',
  ),
  /** Minutes until a session that is not used ends. */
  session_timeout: whole(60, { min: 1, max: 43_200 }),
  /** Where audit records are sent; empty: nowhere. */
  audit_log_forward_endpoint: text('', (value) => (value.length <= 512 ? undefined : 'has at most 512 characters')),
  /** What everybody is told who opens the web page. */
  banner_message: text('', (value) => (value.length <= bannerMaxChars ? undefined : `has at most ${bannerMaxChars} characters`)),
} as const satisfies Readonly<Record<string, Changeable>>;

export type SettingName = keyof typeof changeableSettings;
export type ServerSettings = { readonly [N in SettingName]: ValueOf<(typeof changeableSettings)[N]['kind']> };

/** What Harbor's clients ask for too and what cannot be another value here. */
export const fixedSettings: Readonly<Record<string, string | number | boolean>> = {
  auth_mode: 'db_auth',
  primary_auth_mode: false,
  self_registration: false,
  read_only: false,
  token_expiration: 5,
  notification_enable: false,
  quota_per_project_enable: false,
  count_per_project: -1,
  storage_per_project: -1,
  scanner_skip_update_pulltime: false,
  skip_audit_log_database: false,
  disabled_audit_log_event_types: '',
};

/** Why a value cannot be given to a setting that can be changed; undefined when it can. */
export function refuseSetting(name: SettingName, value: unknown): string | undefined {
  const { kind, refuse } = changeableSettings[name];
  const type = kind === 'text' ? 'string' : kind === 'whole' ? 'number' : 'boolean';
  if (typeof value !== type) return `is a ${type}`;
  if (typeof value === 'string' && !isPlain(value)) return 'has no control characters';
  return (refuse as (value: unknown) => string | undefined)(value);
}

function isPlain(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
  return value.isWellFormed() && !/[\u0000-\u0008\u000b-\u001f\u007f]/.test(value);
}
