// What an operator should hear of at once, beside the log line of the same name (`mirror.<kind>`).

export type AlarmKind = 'tag-drift' | 'tag-poisoned' | 'wrong-bytes' | 'disk-full' | 'quota-low' | 'audit-dropped';
export type OnAlarm = (kind: AlarmKind, fields: Readonly<Record<string, unknown>>) => void;
