/** Sessions that follow the organisation's identity provider, put together. */
import type { Logger } from 'pino';
import type { Database } from '../../database/database.ts';
import type { Accounts } from '../accounts.ts';
import type { IdentityProvider } from '../oidc.ts';
import type { Profiles } from '../profiles.ts';
import type { Sessions } from '../sessions.ts';
import type { ShortLived } from '../short-lived.ts';
import type { Tenants } from '../tenants/tenants.ts';
import { followIdentity } from './identity.ts';
import { ProviderSessions } from './provider-sessions.ts';
import type { Seal } from '../seal.ts';
import { Services } from './services.ts';
import { UpstreamStore } from './store.ts';
import { Upstream } from './upstream.ts';

export interface UpstreamDeps {
  readonly db: Database;
  readonly accounts: Accounts;
  readonly profiles: Profiles;
  readonly sessions: Sessions;
  readonly tenants: Pick<Tenants, 'placeOf'>;
  readonly provider: Pick<IdentityProvider, 'connection'>;
  readonly seal: Seal;
  readonly shortLived: ShortLived;
  /** Each session is checked again after this time at the latest, in ms. */
  readonly checkMs: number;
  readonly log: Logger;
  /** The clock, Unix ms. */
  readonly now?: () => number;
}

export function makeUpstream(deps: UpstreamDeps): { upstream: Upstream; services: Services } {
  const now = deps.now ?? Date.now;
  const provider = new ProviderSessions(deps.provider.connection, now);
  const onIdentity = followIdentity(deps);
  const store = new UpstreamStore(deps.db, deps.seal, now);
  return {
    upstream: new Upstream({ ...deps, provider, store, onIdentity }),
    services: new Services({ ...deps, provider, onIdentity, lifeMs: deps.checkMs }),
  };
}
