/**
 * The authority of `npm start -- --pki`: it certifies the organisations of the demonstration and says, while that runs,
 * whether a certificate is revoked. The authority is kept in the demonstration's data; certificates are new with each start.
 */
import { join } from 'node:path';
import { keepAuthority } from '../authority/kept-authority.ts';
import { Responder } from '../authority/responder.ts';
import { writeWhole } from './drafts.mjs';
import { pkiPort } from './layout.ts';
import type { OrganisationKey, OrganisationLayout } from './layout.ts';

export interface DemoPki {
  /** Where CRL and OCSP are. */
  readonly url: string;
  /** The settings of an organisation's homeserver. */
  of(key: OrganisationKey): Readonly<Record<string, string>>;
  close(): Promise<void>;
}

export async function demoPki(options: {
  readonly plans: readonly OrganisationLayout[];
  readonly basePort: number;
  readonly dataDir: string;
}): Promise<DemoPki> {
  const { plans, basePort, dataDir } = options;
  const folder = join(dataDir, 'pki');
  const responder = await Responder.start(pkiPort(basePort));
  try {
    const { intermediate, rootFile } = await keepAuthority(folder, responder);
    for (const { key, host, name } of plans) {
      const { chainPem, keyPem } = await intermediate.organisation({ host, organisation: name });
      await writeWhole(keyFileOf(folder, key), keyPem);
      await writeWhole(certFileOf(folder, key), chainPem);
    }
    return {
      url: responder.url,
      of: (key) => ({
        HANSETAG_TRUST: 'pki',
        HANSETAG_TRUST_ANCHORS: rootFile,
        HANSETAG_ORGANISATION_CERT: certFileOf(folder, key),
        HANSETAG_ORGANISATION_KEY: keyFileOf(folder, key),
      }),
      close: () => responder.close(),
    };
  } catch (error) {
    await responder.close();
    throw error;
  }
}

function certFileOf(folder: string, key: OrganisationKey): string {
  return join(folder, `${key}.pem`);
}

function keyFileOf(folder: string, key: OrganisationKey): string {
  return join(folder, `${key}-key.pem`);
}
