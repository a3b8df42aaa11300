import { lookup as systemLookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { SecureContext } from 'node:tls';
import { AddressPolicy } from './address-policy.ts';
import { httpsGet } from './https-get.ts';
import type { HttpsAnswer } from './https-get.ts';
import { IdentifierError, parseServerName } from './identifiers.ts';
import type { ServerNameParts } from './identifiers.ts';
import type { Target } from './pinned-connector.ts';
import { trustedRoots } from './pinned-connector.ts';
import { WellKnownCache } from './well-known.ts';

/** Where a server is reached, and under which name. */
export interface ServerLocation {
  /** For the `Host` header. */
  readonly host: string;
  /** For TLS: SNI and the certificate. Undefined for an IP literal, where the certificate must be for the address. */
  readonly servername: string | undefined;
  /** In the order of preference; at least one. All addresses passed the policy. */
  readonly targets: readonly Target[];
}

/** One SRV record. */
export interface SrvRecord {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

export interface DiscoveryOptions {
  /** Addresses of host names, used before DNS, like a hosts file. No SRV records are looked up for these names. */
  readonly hostOverrides?: ReadonlyMap<string, string>;
  /** CIDR ranges that may be reached although they are not public. */
  readonly allowedRanges?: readonly string[];
  /** What the certificate of the well-known document is checked against; the roots of Node unless given. */
  readonly roots?: SecureContext;
  /** All addresses of a host, IPv4 and IPv6; rejects when there are none. */
  readonly lookup?: (host: string) => Promise<readonly string[]>;
  /** SRV records; rejects with the code ENOTFOUND or ENODATA when there are none. */
  readonly resolveSrv?: (name: string) => Promise<readonly SrvRecord[]>;
  /** Gets `https://host/.well-known/matrix/server`; rejects when there is no answer. */
  readonly fetchWellKnown?: (host: string) => Promise<HttpsAnswer>;
  readonly now?: () => number;
}

export type DiscoveryErrorCode = 'BAD_NAME' | 'NOT_FOUND' | 'FORBIDDEN_ADDRESS';

/** Thrown when a server cannot be resolved, or only to addresses that the policy forbids. */
export class DiscoveryError extends Error {
  override readonly name = 'DiscoveryError';
  readonly code: DiscoveryErrorCode;

  constructor(code: DiscoveryErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

const DEFAULT_PORT = 8448;
// The second name is the one from before the service was registered; still in use.
const SRV_SERVICES = ['_matrix-fed._tcp', '_matrix._tcp'];
const MAX_TARGETS = 8;
const WELL_KNOWN_MAX_BYTES = 50 * 1024;
/** Including redirects. Half of the time limit for fetching keys is left for DNS and the request to the server itself. */
const WELL_KNOWN_TIMEOUT_MS = 5_000;
const SRV_TIMEOUT_MS = 2_000;
const SRV_TRIES = 2;

/** Resolves server names. @see Matrix specification, server-server API, "Resolving server names" */
export class Discovery {
  readonly #policy: AddressPolicy;
  readonly #overrides: ReadonlyMap<string, string>;
  readonly #lookup: (host: string) => Promise<readonly string[]>;
  readonly #resolveSrv: (name: string) => Promise<readonly SrvRecord[]>;
  readonly #wellKnown: WellKnownCache;

  /** @throws TypeError when a range is malformed */
  constructor(options: DiscoveryOptions = {}) {
    this.#policy = new AddressPolicy(options.allowedRanges);
    this.#overrides = new Map([...(options.hostOverrides ?? [])].map(([host, ip]) => [host.toLowerCase(), ip]));
    this.#lookup = options.lookup ?? lookupAll;
    this.#resolveSrv = options.resolveSrv ?? systemResolveSrv;
    let { roots } = options;
    const getOptions = {
      addresses: (host: string) => this.#addresses(host),
      timeoutMs: WELL_KNOWN_TIMEOUT_MS,
      maxBytes: WELL_KNOWN_MAX_BYTES,
    };
    const fetchWellKnown =
      options.fetchWellKnown ??
      ((host) => {
        roots ??= trustedRoots();
        return httpsGet(`https://${host}/.well-known/matrix/server`, { ...getOptions, roots });
      });
    this.#wellKnown = new WellKnownCache(fetchWellKnown, options.now);
  }

  /**
   * Resolves a server name: IP literal, explicit port, well-known delegation, SRV records, port 8448, in this order.
   *
   * @throws DiscoveryError
   */
  async resolveServer(name: string): Promise<ServerLocation> {
    const parts = parse(name);
    if (parts.isIp || parts.port !== undefined) return this.#locate(name, parts);
    const delegated = await this.#wellKnown.delegation(parts.host.toLowerCase());
    // A delegated name cannot delegate again.
    return delegated === undefined ? this.#locate(name, parts) : this.#locate(delegated, parse(delegated));
  }

  async #locate(name: string, { host, port, isIp }: ServerNameParts): Promise<ServerLocation> {
    const servername = isIp ? undefined : host;
    if (!isIp && port === undefined) {
      const records = await this.#srvRecords(host);
      if (records.length > 0) return { host: name, servername, targets: await this.#targetsOf(records) };
    }
    const addresses = await this.#addresses(host);
    return { host: name, servername, targets: addresses.map((address) => ({ address, port: port ?? DEFAULT_PORT })) };
  }

  async #targetsOf(records: readonly SrvRecord[]): Promise<Target[]> {
    const targets: Target[] = [];
    let failure: unknown;
    for (const record of records) {
      try {
        for (const address of await this.#addresses(record.name)) targets.push({ address, port: record.port });
      } catch (error) {
        failure ??= error;
      }
      if (targets.length >= MAX_TARGETS) break;
    }
    if (targets.length === 0) throw failure;
    return targets.slice(0, MAX_TARGETS);
  }

  /** In the order in which they are to be tried; empty when there are none. */
  async #srvRecords(host: string): Promise<SrvRecord[]> {
    if (this.#overrides.has(host.toLowerCase())) return [];
    for (const service of SRV_SERVICES) {
      const records = await this.#srvOf(`${service}.${host}`);
      // DNS that does not answer the one query will not answer the other either, and each takes its time.
      if (records === undefined) return [];
      if (records.length === 0) continue;
      const usable = records.filter(({ name, port }) => name !== '' && name !== '.' && port > 0);
      if (usable.length === 0)
        throw new DiscoveryError('NOT_FOUND', `${host} declares in DNS that it offers no Matrix federation.`);
      return inOrder(usable).slice(0, MAX_TARGETS);
    }
    return [];
  }

  /**
   * Undefined when DNS fails. The DNS of container networks answers for addresses only; continuing without SRV records is
   * safe, because the certificate has to match the name wherever we connect.
   */
  async #srvOf(name: string): Promise<readonly SrvRecord[] | undefined> {
    try {
      return await this.#resolveSrv(name);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
      return code === 'ENOTFOUND' || code === 'ENODATA' ? [] : undefined;
    }
  }

  /** The addresses of a host that we may connect to; at least one. */
  async #addresses(host: string): Promise<string[]> {
    const all = await this.#allAddresses(host);
    const allowed = all.filter((address) => this.#policy.allows(address));
    if (allowed.length === 0) {
      throw new DiscoveryError('FORBIDDEN_ADDRESS', `${host} has no address that this server may connect to.`);
    }
    return allowed.slice(0, MAX_TARGETS);
  }

  async #allAddresses(host: string): Promise<readonly string[]> {
    if (isIP(host) !== 0) return [host];
    const override = this.#overrides.get(host.toLowerCase().replace(/\.$/, ''));
    if (override !== undefined) return [override];
    let addresses: readonly string[];
    try {
      addresses = await this.#lookup(host);
    } catch {
      addresses = [];
    }
    if (addresses.length === 0) throw new DiscoveryError('NOT_FOUND', `${host} has no address.`);
    return addresses;
  }
}

async function systemResolveSrv(name: string): Promise<SrvRecord[]> {
  return new Resolver({ timeout: SRV_TIMEOUT_MS, tries: SRV_TRIES }).resolveSrv(name);
}

async function lookupAll(host: string): Promise<string[]> {
  const found = await systemLookup(host, { all: true });
  return found.map(({ address }) => address);
}

function parse(name: string): ServerNameParts {
  try {
    return parseServerName(name);
  } catch (error) {
    if (error instanceof IdentifierError) throw new DiscoveryError('BAD_NAME', 'That is not a server name.');
    throw error;
  }
}

/** Lowest priority value first; among equals at random in proportion to the weights. @see RFC 2782 */
function inOrder(records: readonly SrvRecord[]): SrvRecord[] {
  return records
    .map((record) => ({ record, rank: Math.random() ** (1 / (record.weight + 0.01)) }))
    .sort((a, b) => a.record.priority - b.record.priority || b.rank - a.rank)
    .map(({ record }) => record);
}
