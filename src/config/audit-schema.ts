// The settings of the audit log. A part of the schema in schema.ts; it reads no file itself.

import { z } from 'zod';
import { booleanSetting, durationSetting } from './setting.ts';

export const auditSettings = z.strictObject({
  retention: durationSetting('How long entries of the audit log are kept.', { min: '1d', max: '3650d' }).prefault('180d'),
  pulls: booleanSetting('Pulls are recorded, too, those alike together.').prefault(true),
  pull_window: durationSetting('Pulls of one tag or digest by one caller within this time are one entry with their number.', {
    min: '1m',
    max: '24h',
  }).prefault('10m'),
});

export interface AuditConfig {
  readonly retentionMs: number;
  readonly pulls: boolean;
  readonly pullWindowMs: number;
}

export function buildAudit(file: z.output<typeof auditSettings>): AuditConfig {
  return { retentionMs: file.retention, pulls: file.pulls, pullWindowMs: file.pull_window };
}
