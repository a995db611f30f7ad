// Settings of the server that are changed while it runs: kept in the database, read by everything that follows them, remembered for a second
// (another server on the same database may change them).

import { changeableSettings, fixedSettings, refuseSetting, type ServerSettings, type SettingName } from '../config/server-settings.ts';
import type { Database } from '../db/database.ts';
import { readSettings } from '../db/settings.ts';
import type { Clock } from '../lib/clock.ts';
import { OciError } from '../oci/errors.ts';

export interface Settings {
  /** As they are, to within a second. */
  read(): Promise<ServerSettings>;
  /**
   * Sets all that is given, or nothing. BAD_REQUEST names what is wrong: an unknown setting, a value of another type, a setting that cannot be
   * another value here. Gives what was different before and is now.
   */
  change(values: Readonly<Record<string, unknown>>): Promise<readonly SettingChange[]>;
}
export interface SettingChange {
  readonly name: SettingName;
  readonly before: string | number | boolean;
  readonly after: string | number | boolean;
}

const rememberMs = 1000;

export function createSettings({ database, clock }: { database: Database; clock: Clock }): Settings {
  let known: { readonly settings: ServerSettings; readonly untilMs: number } | undefined;
  let changes = 0;

  const read = async (): Promise<ServerSettings> => {
    if (known !== undefined && known.untilMs > clock.monotonicMs()) return known.settings;
    const before = changes;
    const settings = toSettings(await readSettings(database.read));
    if (before === changes) known = { settings, untilMs: clock.monotonicMs() + rememberMs };
    return settings;
  };
  return {
    read,
    change: async (values) => {
      const asked = Object.entries(values).flatMap(([name, value]) => checked(name, value));
      const now = await read();
      const changed = asked.filter(({ name, value }) => now[name] !== value);
      if (changed.length === 0) return [];
      await database.run('changeSettings', { values: changed.map(({ name, value }) => ({ name, value: JSON.stringify(value) })) });
      changes++;
      known = undefined;
      return changed.map(({ name, value }) => ({ name, before: now[name], after: value }));
    },
  };
}

function checked(name: string, value: unknown): { name: SettingName; value: string | number | boolean }[] {
  if (isChangeable(name)) {
    const refusal = refuseSetting(name, value);
    if (refusal !== undefined) throw new OciError('BAD_REQUEST', `body: ${name} ${refusal}`);
    return [{ name, value: value as string | number | boolean }];
  }
  const fixed = Object.hasOwn(fixedSettings, name) ? fixedSettings[name] : undefined;
  if (fixed === undefined) throw new OciError('BAD_REQUEST', `body: there is no setting named ${name.slice(0, 60)}`);
  if (fixed !== value) throw new OciError('BAD_REQUEST', `body: ${name} is ${JSON.stringify(fixed)} here and cannot be changed`);
  return [];
}

function isChangeable(name: string): name is SettingName {
  return Object.hasOwn(changeableSettings, name);
}

/** A row that this program cannot read, such as one of another version, counts as never set. */
function toSettings(rows: ReadonlyMap<string, string>): ServerSettings {
  const entries = Object.entries(changeableSettings).map(([name, { initial }]) => {
    const row = rows.get(name);
    const value: unknown = row === undefined ? initial : JSON.parse(row);
    return [name, refuseSetting(name as SettingName, value) === undefined ? value : initial];
  });
  return Object.fromEntries(entries) as ServerSettings;
}
