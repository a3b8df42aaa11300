/** Tenants, put together. */
import type { Logger } from 'pino';
import type { Legal } from '../../../protocol/client-api.ts';
import type { Database } from '../../database/database.ts';
import { readTenantsFile, TenantsFileError } from './tenants-file.ts';
import { Tenants } from './tenants.ts';

export interface TenantsConfig {
  /** JSON file with the tenants and their tariffs. */
  readonly file: string;
  /** Id of the tenant of those for whom the identity provider names none; without it they are not let in. */
  readonly fallback: string | undefined;
}

export interface TenantsDeps {
  readonly db: Database;
  readonly serverName: string;
  /** Name, colour and pages of the instance. */
  readonly organisation: string;
  readonly colour: string;
  readonly legal: Legal;
  readonly log: Logger;
}

/**
 * @param config undefined on an instance of one organisation
 * @throws TenantsFileError when the file is not right, or the default is not in it
 */
export async function makeTenants(deps: TenantsDeps, config: TenantsConfig | undefined): Promise<Tenants> {
  const { db, serverName, organisation: displayName, colour, legal, log } = deps;
  const instance = { organisation: { serverName, displayName, colour }, legal };
  if (config === undefined) return new Tenants({ db, instance, file: undefined, fallback: undefined });
  const file = await readTenantsFile(config.file);
  const { fallback } = config;
  if (fallback !== undefined && !file.tenants.some(({ id }) => id === fallback)) {
    throw new TenantsFileError('HANSETAG_TENANTS_DEFAULT is not among the tenants of the file.');
  }
  log.info({ tenants: file.tenants.length, tariffs: file.tariffs.length }, 'this instance has tenants');
  return new Tenants({ db, instance, file, fallback });
}
