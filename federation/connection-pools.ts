import type { SecureContext } from 'node:tls';
import { Pool } from 'undici';
import type { Discovery, ServerLocation } from './discovery.ts';
import { pinnedConnector } from './pinned-connector.ts';

/** Connections to one server. */
export interface Connection {
  /** For the `Host` header. */
  readonly host: string;
  readonly pool: Pool;
  /** Connections of their own for what must not wait until others have their answers. */
  readonly live: Pool;
}

interface Entry {
  readonly found: Promise<Found>;
  /** When the server is to be resolved again, Unix time in ms. */
  readonly expiresAt: number;
}

interface Found extends Connection {
  readonly location: string;
}

const MAX_SERVERS = 200;
const CONNECTIONS_PER_SERVER = 6;
const LIVE_CONNECTIONS_PER_SERVER = 4;
const LOCATION_LIFETIME_MS = 5 * 60_000;
const KEEP_ALIVE_MS = 30_000;

/** Keeps connections alive for further requests: a few per server, to a limited number of servers. */
export class ConnectionPools {
  readonly #discovery: Discovery;
  readonly #roots: SecureContext;
  /** Least recently used server first. */
  readonly #entries = new Map<string, Entry>();
  readonly #stale = new Set<string>();
  /** Pools that only finish their requests in flight. */
  readonly #retired = new Set<Pool>();

  constructor(discovery: Discovery, roots: SecureContext) {
    this.#discovery = discovery;
    this.#roots = roots;
  }

  /** @throws DiscoveryError */
  async connectionTo(destination: string): Promise<Connection> {
    const known = this.#entries.get(destination);
    this.#entries.delete(destination);
    const isFresh = known !== undefined && known.expiresAt > Date.now() && !this.#stale.delete(destination);
    const entry = isFresh
      ? known
      : { found: this.#find(destination, known), expiresAt: Date.now() + LOCATION_LIFETIME_MS };
    this.#entries.set(destination, entry);
    this.#shrink();
    try {
      return await entry.found;
    } catch (error) {
      if (this.#entries.get(destination) === entry) this.#entries.delete(destination);
      throw error;
    }
  }

  /** Makes the next request resolve the server again, because it was not reached where it should be. */
  forget(destination: string): void {
    if (this.#entries.has(destination)) this.#stale.add(destination);
  }

  /** Closes all connections; requests in flight fail. */
  async close(): Promise<void> {
    const pools = [...this.#entries.values()].map(async ({ found }) => {
      const { pool, live } = await found;
      await Promise.all([pool.destroy(), live.destroy()]);
    });
    this.#entries.clear();
    await Promise.allSettled([...pools, ...[...this.#retired].map((pool) => pool.destroy())]);
  }

  async #find(destination: string, known: Entry | undefined): Promise<Found> {
    const before = await known?.found.catch(() => undefined);
    let location: ServerLocation;
    try {
      location = await this.#discovery.resolveServer(destination);
    } catch (error) {
      if (before !== undefined) this.#retire(before);
      throw error;
    }
    const text = JSON.stringify(location);
    if (before?.location === text) return before;
    if (before !== undefined) this.#retire(before);
    const { host, servername, targets } = location;
    const connect = pinnedConnector({ targets, servername, roots: this.#roots });
    // The connector decides where connections go, and each request carries its Host header: not every server name can
    // be written as a URL of the same meaning.
    const poolOf = (connections: number): Pool =>
      new Pool('https://server.invalid', {
        connect,
        connections,
        keepAliveTimeout: KEEP_ALIVE_MS,
        // The time limit of the request holds for everything.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
    // Neither connects before its first request.
    return { host, pool: poolOf(CONNECTIONS_PER_SERVER), live: poolOf(LIVE_CONNECTIONS_PER_SERVER), location: text };
  }

  #shrink(): void {
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= MAX_SERVERS) return;
      this.#entries.delete(oldest);
      this.#stale.delete(oldest);
      entry.found.then(
        (connection) => this.#retire(connection),
        () => undefined,
      );
    }
  }

  /** Lets requests in flight finish, then closes the connections. */
  #retire(connection: Connection): void {
    for (const pool of [connection.pool, connection.live]) {
      this.#retired.add(pool);
      const retired = (): boolean => this.#retired.delete(pool);
      pool.close().then(retired, retired);
    }
  }
}
