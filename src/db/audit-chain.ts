// The audit log as a chain: each row's hash covers the row and the hash before it, ids have no gaps. Changing, removing, adding or reordering rows
// breaks it, and so does cutting off its end (the head is kept apart). Old rows are removed from the front; the anchor keeps the hash the rest
// begins with, and the removal is itself a row. Who can write the whole database can make a new chain: the log is forwarded for that.
//
//   hash = SHA-256(hash of the row before, "\n", JSON of the list of columns below), hex

export type AuditOutcome = 'success' | 'denied' | 'failed';

/** A row as it is hashed: absent values are null. */
export interface AuditRow {
  readonly id: number;
  /** Of several: the last of them. */
  readonly atMs: number;
  /** Of several: the first of them. */
  readonly sinceMs: number | null;
  /** How many like it the row stands for. */
  readonly count: number;
  readonly actorKind: string;
  readonly actorId: string | null;
  readonly actorName: string;
  readonly method: string;
  readonly address: string | null;
  readonly userAgent: string | null;
  readonly requestId: string | null;
  readonly operation: string;
  readonly resourceType: string;
  readonly resource: string;
  readonly projectId: number | null;
  readonly outcome: AuditOutcome;
  /** JSON: before, after, reason, truncated. */
  readonly detail: string | null;
  readonly hash: string;
}

/** What the chain of a new log begins with. */
const genesisHash = '0'.repeat(64);

export interface ChainEnd {
  /** Of the last row on this side; 0 before the first. */
  readonly id: number;
  readonly hash: string;
}
export const genesis: ChainEnd = { id: 0, hash: genesisHash };

/** The hash of a row behind `before`. */
export function chainHash(before: string, row: Omit<AuditRow, 'hash'>): string {
  const columns = [
    row.id,
    row.atMs,
    row.sinceMs,
    row.count,
    row.actorKind,
    row.actorId,
    row.actorName,
    row.method,
    row.address,
    row.userAgent,
    row.requestId,
    row.operation,
    row.resourceType,
    row.resource,
    row.projectId,
    row.outcome,
    row.detail,
  ];
  return Bun.CryptoHasher.hash('sha256', `${before}\n${JSON.stringify(columns)}`, 'hex');
}

export interface ChainReport {
  readonly isWhole: boolean;
  /** Rows looked at. */
  readonly rows: number;
  readonly firstId?: number;
  readonly lastId?: number;
  /** The first row that does not follow from the one before, and in which way. */
  readonly broken?: { readonly id: number; readonly reason: string };
}

export interface ChainWalk {
  /** False when the chain is broken: nothing after it means anything. */
  add(row: AuditRow): boolean;
  end(): ChainReport;
}

/** Follows a chain row by row from its anchor; `head` as it was before the first row was read. */
export function walkChain(anchor: ChainEnd, head: ChainEnd): ChainWalk {
  let at = anchor;
  let rows = 0;
  let firstId: number | undefined;
  let broken: ChainReport['broken'];
  let headHash = anchor.id === head.id ? anchor.hash : undefined;
  return {
    add: (row) => {
      rows++;
      firstId ??= row.id;
      if (row.id !== at.id + 1) broken = { id: row.id, reason: `row ${at.id + 1} is missing before it` };
      else if (chainHash(at.hash, row) !== row.hash) broken = { id: row.id, reason: 'it, or the row before it, was changed' };
      at = { id: row.id, hash: row.hash };
      if (row.id === head.id) headHash = row.hash;
      return broken === undefined;
    },
    end: () => {
      if (broken === undefined) {
        if (at.id < head.id) broken = { id: at.id + 1, reason: `it and what follows is missing; the last row was ${head.id}` };
        else if (headHash !== head.hash) broken = { id: head.id, reason: 'the kept hash of the last row is another' };
      }
      return {
        isWhole: broken === undefined,
        rows,
        ...(firstId === undefined ? {} : { firstId, lastId: at.id }),
        ...(broken === undefined ? {} : { broken }),
      };
    },
  };
}
