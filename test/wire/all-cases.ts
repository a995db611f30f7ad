// The whole suite, in the order of a report.
// It must never hold a case of its own.

import { authenticationCases } from './cases/authentication.ts';
import { baseCases } from './cases/base.ts';
import { blobReadCases } from './cases/blob-read.ts';
import { deleteCases } from './cases/deletes.ts';
import { isolationCases } from './cases/isolation.ts';
import { manifestKindCases } from './cases/manifest-kinds.ts';
import { manifestReadCases } from './cases/manifest-read.ts';
import { manifestWriteCases } from './cases/manifest-write.ts';
import { referrerCases } from './cases/referrers.ts';
import { sha512Cases } from './cases/sha512.ts';
import { tagCases } from './cases/tags.ts';
import { uploadChunkCases } from './cases/upload-chunks.ts';
import { uploadSessionCases } from './cases/upload-session.ts';
import { uploadWholeCases } from './cases/upload-whole.ts';
import type { WireCase } from './wire-case.ts';

export const allCases: readonly WireCase[] = [
  ...baseCases,
  ...authenticationCases,
  ...uploadWholeCases,
  ...uploadChunkCases,
  ...uploadSessionCases,
  ...blobReadCases,
  ...manifestWriteCases,
  ...manifestReadCases,
  ...manifestKindCases,
  ...referrerCases,
  ...tagCases,
  ...deleteCases,
  ...sha512Cases,
  ...isolationCases,
];
