/**
 * What people said when they began to register, until they have: the request that ends it need not say it again, and
 * when its answer was lost it can be sent once more.
 *
 * @see Matrix specification, client-server API, "User-Interactive Authentication API"
 */
import { ExpiringMap } from '../base/expiring-map.ts';

/** What a request to register says. Passwords are kept as hashes only. */
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
  /** The account that came of it. */
  readonly userId?: string;
}

const LIFE_MS = 15 * 60 * 1000;
const MAX_REGISTRATIONS = 20_000;

export class Registrations {
  readonly #known = new ExpiringMap<Registration>({ lifeMs: LIFE_MS, maxSize: MAX_REGISTRATIONS });

  /** What a session was begun with, if it is known. */
  of(session: string | undefined): Registration | undefined {
    return session === undefined ? undefined : this.#known.get(session);
  }

  /** Remembers what a new session was begun with. */
  begin(session: string, wishes: Wishes): void {
    if (this.#known.get(session) === undefined) this.#known.set(session, { wishes });
  }

  /** Remembers the account that came of a session. */
  end(session: string, wishes: Wishes, userId: string): void {
    this.#known.take(session);
    this.#known.set(session, { wishes, userId });
  }
}
