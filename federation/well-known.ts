import { z } from 'zod';
import type { HttpsAnswer } from './https-get.ts';
import { isServerName } from './identifiers.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DEFAULT_LIFETIME = 24 * HOUR;
const MIN_LIFETIME = 5 * MINUTE;
const MAX_LIFETIME = 48 * HOUR;
// An unusable document is fetched again sooner, a server that does not answer sooner still.
const INVALID_LIFETIME = HOUR;
const UNREACHABLE_LIFETIME = 2 * MINUTE;
const MAX_ENTRIES = 1000;

const document = z.looseObject({ 'm.server': z.string().refine(isServerName) });

interface Entry {
  readonly delegated: Promise<string | undefined>;
  /** Infinite while the request is in flight. */
  expiresAt: number;
}

/** Fetches and caches to which server name a host delegates. */
export class WellKnownCache {
  readonly #fetch: (host: string) => Promise<HttpsAnswer>;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();

  /** @param fetch gets `https://host/.well-known/matrix/server`; rejects when there is no answer */
  constructor(fetch: (host: string) => Promise<HttpsAnswer>, now: () => number = Date.now) {
    this.#fetch = fetch;
    this.#now = now;
  }

  /**
   * The server name that a host delegates to, or undefined when it does not. At most one request per host is in flight;
   * documents are cached as long as their headers say, between 5 minutes and 48 hours, failures for less.
   *
   * @see Matrix specification, server-server API, "Resolving server names", step 3
   */
  delegation(host: string): Promise<string | undefined> {
    const known = this.#entries.get(host);
    if (known !== undefined && known.expiresAt > this.#now()) return known.delegated;
    this.#entries.delete(host);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size < MAX_ENTRIES) break;
      this.#entries.delete(oldest);
    }
    const answered = this.#ask(host);
    const entry: Entry = { delegated: answered.then(({ delegated }) => delegated), expiresAt: Infinity };
    answered.then(
      ({ lifetime }) => (entry.expiresAt = this.#now() + lifetime),
      // Those who wait for it get the error; the next caller tries again.
      () => (entry.expiresAt = this.#now()),
    );
    this.#entries.set(host, entry);
    return entry.delegated;
  }

  async #ask(host: string): Promise<{ delegated: string | undefined; lifetime: number }> {
    let answer: HttpsAnswer;
    try {
      answer = await this.#fetch(host);
    } catch {
      return { delegated: undefined, lifetime: UNREACHABLE_LIFETIME };
    }
    const delegated = answer.status === 200 ? readDocument(answer.body) : undefined;
    return { delegated, lifetime: delegated === undefined ? INVALID_LIFETIME : this.#lifetime(answer) };
  }

  #lifetime({ cacheControl, expires }: HttpsAnswer): number {
    let lifetime = DEFAULT_LIFETIME;
    const maxAge = /(?:^|[,\s])max-age\s*=\s*"?([0-9]{1,10})/i.exec(cacheControl ?? '')?.[1];
    if (/(?:^|[,\s])(?:no-store|no-cache)(?:[,\s]|$)/i.test(cacheControl ?? '')) lifetime = 0;
    else if (maxAge !== undefined) lifetime = Number(maxAge) * 1000;
    else if (expires !== undefined && !Number.isNaN(Date.parse(expires))) lifetime = Date.parse(expires) - this.#now();
    return Math.min(Math.max(lifetime, MIN_LIFETIME), MAX_LIFETIME);
  }
}

function readDocument(body: string): string | undefined {
  try {
    const parsed = document.safeParse(JSON.parse(body));
    return parsed.success ? parsed.data['m.server'] : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
