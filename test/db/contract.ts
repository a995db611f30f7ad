// What every database must do, in one suite: each command and query of the port, its errors, the order of what is listed, many writers
// at once, and what is left after closing.

import { afterAll, beforeAll, describe } from 'bun:test';
import { accountCases } from './account-cases.ts';
import { artifactCases } from './artifact-cases.ts';
import { artifactListCases } from './artifact-list-cases.ts';
import { auditCases } from './audit-cases.ts';
import { blobCases } from './blob-cases.ts';
import { concurrencyCases } from './concurrency-cases.ts';
import { credentialCases } from './credential-cases.ts';
import { deleteCases } from './delete-cases.ts';
import { createFixture, type Fixture, type OpenedDatabase } from './fixture.ts';
import { labelCases } from './label-cases.ts';
import { listingCases } from './listing-cases.ts';
import { loginCases } from './login-cases.ts';
import { manifestCases } from './manifest-cases.ts';
import { offlineCases } from './offline-cases.ts';
import { portCases } from './port-cases.ts';
import { projectCases } from './project-cases.ts';
import { projectListCases } from './project-list-cases.ts';
import { projectWordsCases } from './project-words-cases.ts';
import { providerCases } from './provider-cases.ts';
import { rightsCases } from './rights-cases.ts';
import { sealedCases } from './sealed-cases.ts';
import { sessionCases } from './session-cases.ts';
import { sourceCases } from './source-cases.ts';
import { sourceHistoryCases } from './source-history-cases.ts';
import { uploadCases } from './upload-cases.ts';

export function databaseContract(name: string, open: () => Promise<OpenedDatabase>): void {
  describe(name, () => {
    let fixture: Awaited<ReturnType<typeof createFixture>> | undefined;
    beforeAll(async () => {
      fixture = await createFixture(open);
    }, 60_000);
    afterAll(async () => {
      await fixture?.close();
    }, 60_000);
    const now = (): Fixture => {
      if (fixture === undefined) throw new Error('the database is not open');
      return fixture;
    };
    for (const cases of [
      auditCases,
      projectCases,
      accountCases,
      rightsCases,
      projectListCases,
      projectWordsCases,
      labelCases,
      uploadCases,
      blobCases,
      manifestCases,
      deleteCases,
      artifactCases,
      listingCases,
      sourceCases,
      sealedCases,
      sourceHistoryCases,
      offlineCases,
      credentialCases,
      providerCases,
      loginCases,
      sessionCases,
      concurrencyCases,
      artifactListCases,
      portCases,
    ])
      cases(now);
  });
}
