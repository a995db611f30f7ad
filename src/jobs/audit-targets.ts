// Where the audit log is forwarded to, and in which form: a webhook with a signature (like Stripe's and GitHub's: a time and a delivery id are under
// it), and syslog messages whose text is one entry as JSON. RFC 5424; RFC 2104.

import { createHmac } from 'node:crypto';
import { hostname } from 'node:os';
import { type AuditEntry, auditEntryOf } from '../auth/audit-entry.ts';
import type { AuditRow } from '../db/audit-chain.ts';
import type { Secret } from '../lib/secret.ts';
import type { OutboundCall } from '../upstream/outbound-call.ts';
import type { SyslogSend, SyslogTarget } from '../upstream/syslog.ts';
import { UpstreamError } from '../upstream/verdict.ts';

export interface AuditTarget {
  /** Its place in the log is kept under this name. */
  readonly name: string;
  /** Resolves when the entries were taken. Throws otherwise; then the same are sent again. */
  send(rows: readonly AuditRow[], signal: AbortSignal): Promise<void>;
}

export interface WebhookSettings {
  readonly url: string;
  readonly secret: Secret;
  readonly ca?: string;
}

const timeoutMs = 15_000;
const answerMaxBytes = 64 * 1024;

/** Entries as `{ delivery, events }`. A delivery that was taken and not confirmed comes again under the same id. */
export function webhookTarget(settings: WebhookSettings, call: OutboundCall, nowMs: () => number): AuditTarget {
  const { url, secret, ca } = settings;
  return {
    name: 'webhook',
    send: async (rows, signal) => {
      const delivery = `audit-${rows[0]?.id ?? 0}-${rows.at(-1)?.id ?? 0}`;
      const body = JSON.stringify({ delivery, events: rows.map(auditEntryOf) });
      const timestamp = String(Math.floor(nowMs() / 1000));
      const answer = await call(
        { id: 'audit webhook', url, allowPrivate: true, ...(ca === undefined ? {} : { tls: { ca, insecure: false } }) },
        {
          url,
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'x-breakwater-timestamp': timestamp,
            'x-breakwater-delivery': delivery,
            'x-breakwater-signature': `v1=${signDelivery(secret, { timestamp, delivery, body })}`,
          },
          body,
          timeoutMs,
          maxBytes: answerMaxBytes,
          signal,
        },
      );
      if (answer.status < 200 || answer.status > 299)
        throw new UpstreamError('bad-answer', { detail: `status ${answer.status}`, status: answer.status, origin: new URL(url).origin });
    },
  };
}

/** HMAC-SHA256 over `TIMESTAMP.DELIVERY.BODY`, hex. */
function signDelivery(secret: Secret, signed: { readonly timestamp: string; readonly delivery: string; readonly body: string }): string {
  return createHmac('sha256', secret.reveal()).update(`${signed.timestamp}.${signed.delivery}.${signed.body}`).digest('hex');
}

export function syslogTarget(name: string, target: SyslogTarget, send: SyslogSend): AuditTarget {
  const host = wordOf(hostname());
  return {
    name,
    send: (rows, signal) =>
      send(
        target,
        rows.map((row) => syslogMessage(auditEntryOf(row), host)),
        { timeoutMs, signal },
      ),
  };
}

/** `<PRI>1 TIME HOST breakwater - OPERATION - JSON`: facility 13 (audit), severity 6 for what was done and 4 for what was not. ASCII only. */
export function syslogMessage(entry: AuditEntry, host: string): string {
  const priority = 13 * 8 + (entry.operation_result ? 6 : 4);
  const json = JSON.stringify(entry).replace(/[\u007f-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `<${priority}>1 ${entry.op_time} ${host} breakwater - ${wordOf(entry.operation).slice(0, 32)} - ${json}`;
}

function wordOf(text: string): string {
  const word = text.replace(/[^\x21-\x7e]/g, '-');
  return word === '' ? '-' : word.slice(0, 255);
}
