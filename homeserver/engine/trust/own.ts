/** What this server says of itself to others, kept up to date: its signing keys and its organisation's statement. */
import type { Router } from 'express';
import type { Logger } from 'pino';
import { every } from '../../base/every.ts';
import type { SigningKeyFile } from '../../base/signing-key-file.ts';
import { OwnStatement, statementRouter } from './own-statement.ts';
import type { OrganisationFiles } from './own-statement.ts';

export interface OwnTrustDeps {
  readonly serverName: string;
  readonly signing: SigningKeyFile;
  /** Absent when the organisation has no certificate. */
  readonly organisationFiles: OrganisationFiles | undefined;
  readonly log: Logger;
}

export interface OwnTrust {
  readonly statement: OwnStatement | undefined;
  readonly router: Router;
  close(): void;
}

/** How long a changed file goes unseen when nobody asks for what is in it. */
const LOOK_MS = 30_000;

/** @throws OrganisationCertificateError */
export async function makeOwnTrust(deps: OwnTrustDeps): Promise<OwnTrust> {
  const { serverName, signing, organisationFiles, log } = deps;
  const statement =
    organisationFiles && (await OwnStatement.open({ ...organisationFiles, serverName, keys: signing.keys, log }));
  const look = () => Promise.all([signing.look(), statement?.look()]);
  return {
    statement,
    router: statementRouter(statement, signing),
    close: every(LOOK_MS, look, log, 'the files of keys could not be read again'),
  };
}
