/** Trust in other servers, put together for the mode that is set. */
import type { Logger } from 'pino';
import type { FederationClient } from '../../../federation/client.ts';
import { Revocation } from '../../../federation/trust/revocation.ts';
import { judgeStatement } from '../../../federation/trust/statement.ts';
import type { Database } from '../../database/database.ts';
import { AnchorsError, faultsOf, readAnchors } from './anchors.ts';
import { CertificateTrust } from './certificate-trust.ts';
import { Decisions } from './decisions.ts';
import { revocationSource } from './revocation-source.ts';
import type { RevocationWeb } from './revocation-source.ts';
import { fetchStatement } from './statements.ts';
import { ListTrust } from './trust.ts';
import type { Trust, TrustMode } from './trust.ts';

export type { Trust } from './trust.ts';

export interface TrustSettings {
  readonly mode: TrustMode;
  /** The list of `allowlist`. */
  readonly servers: ReadonlySet<string>;
  /** PEM file with the authorities of `pki`. */
  readonly anchorsFile: string | undefined;
}

export interface TrustDeps extends RevocationWeb {
  readonly serverName: string;
  readonly settings: TrustSettings;
  readonly db: Database;
  /** Asked when a server is judged, and not before. */
  readonly client: () => Pick<FederationClient, 'open'>;
  /** Whether a server shares a room with us. */
  readonly isNeighbour: (server: string) => Promise<boolean>;
  readonly log: Logger;
}

/** @throws AnchorsError when the file with the authorities is of no use */
export async function makeTrust(deps: TrustDeps): Promise<Trust> {
  const { serverName, settings, log } = deps;
  if (settings.mode === 'open') return new ListTrust(serverName, undefined);
  if (settings.mode === 'allowlist') return new ListTrust(serverName, settings.servers);
  if (settings.anchorsFile === undefined) throw new AnchorsError('HANSETAG_TRUST_ANCHORS is missing.');
  const anchors = await readAnchors(settings.anchorsFile);
  for (const fault of faultsOf(anchors, Date.now()))
    log.warn({ fault }, 'an authority is of no use: nobody is trusted by it');
  const revocation = new Revocation(revocationSource(deps));
  return CertificateTrust.open({
    serverName,
    decisions: new Decisions(deps.db),
    anchors: anchors.digest,
    fetch: (server) => fetchStatement(deps.client(), server),
    judge: (jws, context) =>
      judgeStatement(jws, {
        serverName: context.serverName,
        now: context.now,
        anchors: anchors.certificates,
        revocation,
        ...(context.seen ? { seen: context.seen } : {}),
      }),
    isNeighbour: deps.isNeighbour,
    log,
  });
}
