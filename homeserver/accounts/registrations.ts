/**
 * Registrations in progress: the final request of user-interactive authentication need not repeat the parameters, and
 * can be retried when its response was lost.
 *
 * @see Matrix specification, client-server API, "User-Interactive Authentication API"
 */
import { ExpiringMap } from '../base/expiring-map.ts';

/** The parameters of a registration. Passwords are kept as hashes only. */
export interface Wishes {
  readonly username?: string | undefined;
  readonly passwordHash?: string | undefined;
  readonly deviceId?: string | undefined;
  readonly displayName?: string | undefined;
  readonly inhibitLogin?: boolean | undefined;
  readonly refreshable?: boolean | undefined;
}

interface Registration {
  readonly wishes: Wishes;
  /** The resulting account. */
  readonly userId?: string;
}

const LIFE_MS = 15 * 60 * 1000;
const MAX_REGISTRATIONS = 20_000;

export class Registrations {
  readonly #known = new ExpiringMap<Registration>({ lifeMs: LIFE_MS, maxSize: MAX_REGISTRATIONS });

  /** The registration of a session, if known. */
  of(session: string | undefined): Registration | undefined {
    return session === undefined ? undefined : this.#known.get(session);
  }

  /** Stores the parameters of a new session. */
  begin(session: string, wishes: Wishes): void {
    if (this.#known.get(session) === undefined) this.#known.set(session, { wishes });
  }

  /** Stores the account created by a session. */
  end(session: string, wishes: Wishes, userId: string): void {
    this.#known.take(session);
    this.#known.set(session, { wishes, userId });
  }
}
