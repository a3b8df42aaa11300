/**
 * Services that log in by credentials of their own at the identity provider. Their sessions live as long as an access
 * token does: a service that goes on logs in again, on the same device, and what it has going on stays. One that may no
 * longer gets no token there, and is out here.
 */
import type { Logger } from 'pino';
import { MatrixError } from '../../base/errors.ts';
import { every } from '../../base/every.ts';
import type { Accounts, Identity } from '../accounts.ts';
import { LoginError } from '../login-error.ts';
import type { Sessions } from '../sessions.ts';
import type { Tenants } from '../tenants/tenants.ts';
import type { ProviderSessions } from './provider-sessions.ts';
import { ServiceTokenError } from './service-token.ts';

export interface ServicesOptions {
  readonly accounts: Pick<Accounts, 'logIn'>;
  readonly sessions: Pick<Sessions, 'endExpired'>;
  readonly tenants: Pick<Tenants, 'placeOf'>;
  readonly provider: Pick<ProviderSessions, 'verifyServiceToken'>;
  readonly onIdentity: (userId: string, identity: Identity) => Promise<void>;
  /** Life of an access token, in ms. */
  readonly lifeMs: number;
  readonly log: Logger;
}

const ROUNDS = 20;
const LONGEST_PAUSE_MS = 60_000;

export class Services {
  readonly #options: ServicesOptions;
  readonly lifeMs: number;
  #stop: (() => void) | undefined;

  constructor(options: ServicesOptions) {
    this.#options = options;
    this.lifeMs = options.lifeMs;
  }

  /** Begins to end sessions of services that have not come again. */
  start(): void {
    const { sessions, log } = this.#options;
    const pause = Math.min(this.lifeMs / ROUNDS, LONGEST_PAUSE_MS);
    this.#stop = every(pause, () => sessions.endExpired(), log, 'expired sessions of services were not ended');
  }

  close(): void {
    this.#stop?.();
  }

  /**
   * @param token of the provider
   * @returns the user id of the service
   * @throws MatrixError 403 M_FORBIDDEN saying what is wrong with the token, 502 when the provider does not answer
   */
  async logIn(token: string): Promise<string> {
    const { accounts, tenants, provider, onIdentity, log } = this.#options;
    try {
      const identity = await provider.verifyServiceToken(token);
      const userId = await accounts.logIn(identity, tenants.placeOf(identity, false));
      await onIdentity(userId, identity);
      return userId;
    } catch (error) {
      if (error instanceof ServiceTokenError) {
        log.info({ reason: error.message }, 'a service was refused');
        throw new MatrixError(403, 'M_FORBIDDEN', error.message);
      }
      if (error instanceof LoginError && error.code === 'unknown-tenant') {
        throw new MatrixError(403, 'M_FORBIDDEN', error.message);
      }
      if (error instanceof LoginError) throw new MatrixError(502, 'M_UNKNOWN', error.message);
      throw error;
    }
  }
}
