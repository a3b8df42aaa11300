/**
 * What other instances say of themselves in their signed discovery document: name, colour, the address of their client,
 * and the addresses of their SFU. Media is sent to no other address than one in such a document (see docs/federation.md).
 */
import type { Logger } from 'pino';
import { FederationError, type OnBehalfOf } from '../../federation/client.ts';
import type { JsonObject } from '../../federation/json.ts';
import { type SigningKey, signJson, verifySignature } from '../../federation/signing.ts';
import type { KeyLookup } from '../../federation/keyring.ts';
import { displayName } from '../../protocol/display-text.ts';
import type { Organisation } from '../../protocol/session.ts';
import type { Trust } from '../engine/trust/trust.ts';
import { type Discovery, discoverySchema } from './conference/messages.ts';

/** Validity of the own document, and of a foreign one that does not say when it was issued, in ms. */
const VALID_MS = 10 * 60 * 1000;
/** A foreign document is kept for no shorter and no longer time than this, by our own clock from its receipt, in ms. */
const MIN_KEPT_MS = 60 * 1000;
const MAX_KEPT_MS = VALID_MS;
/** Clocks that differ by more are in the log, once an hour for each server, in ms. */
const CLOCKS_DIFFER_MS = 60 * 1000;
const WARN_EVERY_MS = 60 * 60 * 1000;
/** People wait for what is asked for, in ms. */
const TIMEOUT_MS = 8_000;
/** A document is some hundred bytes long. */
const MAX_BYTES = 64 * 1024;
/** A failed fetch is not repeated before this time, in ms, so that a silent peer costs little. */
const NEGATIVE_MS = 2_000;
/** Colour of organisations that do not say theirs (stock Matrix homeservers). */
const NEUTRAL_COLOUR = '#5f6b6d';
const MAX_CACHED = 5_000;

/** Why a discovery document was refused. */
export class DiscoveryError extends Error {
  readonly server: string;
  constructor(server: string, message: string) {
    super(message);
    this.server = server;
  }
}

interface Fetcher {
  request(options: {
    destination: string;
    method: string;
    onBehalfOf: OnBehalfOf;
    path: string;
    signed?: boolean;
    exempt?: boolean;
    timeoutMs?: number;
    maxBytes?: number;
  }): Promise<unknown>;
}

interface Cached {
  until: number;
  result: Promise<Discovery>;
}

export interface OrganisationsOptions {
  serverName: string;
  displayName: string;
  colour: string;
  /** Address of the web client, without a slash at the end. */
  publicUrl: string;
  key: SigningKey;
  keyring: KeyLookup;
  client: Fetcher;
  /** Absent: nothing is said of how organisations are trusted. */
  trust?: Pick<Trust, 'isTrusted' | 'summary'>;
  log: Logger;
}

/** What a discovery document said of an organisation. */
interface Known {
  readonly organisation: Organisation;
  readonly client: string | undefined;
}

/** The clock of another server, as it was when its document came. */
interface Clock {
  readonly aheadMs: number;
  warnedAt: number;
}

export class Organisations {
  readonly #options: OrganisationsOptions;
  readonly #cache = new Map<string, Cached>();
  readonly #names = new Map<string, Known>();
  readonly #clocks = new Map<string, Clock>();

  constructor(options: OrganisationsOptions) {
    this.#options = options;
  }

  get own(): Organisation {
    const { serverName, displayName, colour } = this.#options;
    return { serverName, displayName, colour };
  }

  /** The own document, signed. `sfu` undefined while the SFU has not been reached yet. */
  document(sfu: { address: string; minPort: number; maxPort: number; probePort: number } | undefined): JsonObject {
    const { serverName, displayName, colour, publicUrl, key } = this.#options;
    const document: JsonObject = {
      server_name: serverName,
      organisation: { display_name: displayName, colour },
      client: publicUrl,
      issued_ts: Date.now(),
      valid_until_ts: Date.now() + VALID_MS,
    };
    if (sfu) {
      document.sfu = {
        address: sfu.address,
        min_port: sfu.minPort,
        max_port: sfu.maxPort,
        probe_port: sfu.probePort,
      };
    }
    return signJson(document, serverName, key);
  }

  /**
   * The verified document of another instance, cached, with one fetch at a time.
   * @throws DiscoveryError or the federation client's error
   */
  discovery(server: string): Promise<Discovery> {
    const now = Date.now();
    const cached = this.#cache.get(server);
    if (cached && cached.until > now) return cached.result;
    const result = this.#fetch(server);
    const entry: Cached = { until: now + VALID_MS, result };
    if (this.#cache.size >= MAX_CACHED) this.#cache.clear();
    this.#cache.set(server, entry);
    result.then(
      (document) => {
        entry.until = Date.now() + lifetime(document);
      },
      () => {
        entry.until = Date.now() + NEGATIVE_MS;
      },
    );
    return result;
  }

  /** Forgets what is cached, so that the next look-up asks again (addresses may have changed). */
  forget(server: string): void {
    this.#cache.delete(server);
  }

  /** Asks a server for its document, whatever is cached. Rejects when it does not answer. */
  async ask(server: string): Promise<void> {
    this.forget(server);
    await this.discovery(server);
  }

  /**
   * How far the clock of another server is ahead of ours, in ms; 0 as long as that is not known. Times that it writes
   * are read by it, so that a wrong clock neither ends what has just begun nor keeps what is over.
   */
  clockAhead(server: string): number {
    return this.#clocks.get(server)?.aheadMs ?? 0;
  }

  /** What is known of an organisation now; asks in the background when nothing is. */
  known(server: string): Organisation {
    if (server === this.#options.serverName) return { ...this.own, trust: 'own' };
    const known = this.#names.get(server);
    if (!known) void this.discovery(server).catch(() => undefined);
    const shown = known?.organisation ?? {
      serverName: server,
      displayName: nameOfServer(server),
      colour: NEUTRAL_COLOUR,
    };
    const trust = this.#trustIn(server);
    return trust ? { ...shown, trust } : shown;
  }

  #trustIn(server: string): Organisation['trust'] {
    const { trust } = this.#options;
    if (!trust?.isTrusted(server)) return undefined;
    const mode = trust.summary()?.mode;
    if (mode === undefined) return 'open';
    return mode === 'allowlist' ? 'listed' : 'certificate';
  }

  /** Name and colour of an organisation; the server name stands in where it does not answer. */
  async info(server: string): Promise<Organisation> {
    if (server !== this.#options.serverName) await this.discovery(server).catch(() => undefined);
    return this.known(server);
  }

  /** Where the people of another organisation take part, without a slash at the end; undefined where that is not known. */
  async clientOf(server: string): Promise<string | undefined> {
    try {
      await this.discovery(server);
      return this.#names.get(server)?.client;
    } catch (error) {
      if (error instanceof DiscoveryError || error instanceof FederationError) return undefined;
      throw error;
    }
  }

  /** The organisation whose client is at a host, among those that are known; a server name stands for itself. */
  ofClient(host: string): string | undefined {
    if (this.#names.has(host) || host === this.#options.serverName) return host;
    if (hostOf(this.#options.publicUrl) === host) return this.#options.serverName;
    for (const [server, { client }] of this.#names) if (client !== undefined && hostOf(client) === host) return server;
    return undefined;
  }

  async #fetch(server: string): Promise<Discovery> {
    const answer = await this.#options.client.request({
      destination: server,
      method: 'GET',
      onBehalfOf: 'server',
      path: '/_hansetag/federation/v1/discovery',
      signed: true,
      exempt: true,
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
    });
    const parsed = discoverySchema.safeParse(answer);
    if (!parsed.success) throw new DiscoveryError(server, 'the discovery document is malformed');
    const document = parsed.data;
    if (document.server_name !== server)
      throw new DiscoveryError(server, 'the discovery document names another server');
    // Whether it has expired is not for our clock to say: it was asked for just now.
    await this.#verify(server, answer as JsonObject, document);
    this.#compareClocks(server, document);
    if (this.#names.size >= MAX_CACHED) this.#names.clear();
    this.#names.set(server, {
      organisation: {
        serverName: server,
        displayName: displayName(document.organisation.display_name) ?? nameOfServer(server),
        colour: document.organisation.colour,
      },
      client: plainClient(document.client, this.#options.publicUrl),
    });
    return document;
  }

  #compareClocks(server: string, { issued_ts: issued, valid_until_ts: until }: Discovery): void {
    const now = Date.now();
    const aheadMs = (issued ?? until - VALID_MS) - now;
    const warnedAt = this.#clocks.get(server)?.warnedAt ?? -Infinity;
    const differs = Math.abs(aheadMs) > CLOCKS_DIFFER_MS;
    const warns = differs && now - warnedAt > WARN_EVERY_MS;
    if (this.#clocks.size >= MAX_CACHED) this.#clocks.clear();
    // Some milliseconds are the way of the answer.
    this.#clocks.set(server, { aheadMs: differs ? aheadMs : 0, warnedAt: warns ? now : warnedAt });
    if (!warns) return;
    this.#options.log.warn(
      { server, aheadSeconds: Math.round(aheadMs / 1000) },
      'the clock of another server differs from ours: one of them is wrong',
    );
  }

  async #verify(server: string, raw: JsonObject, document: Discovery): Promise<void> {
    for (const keyId of Object.keys(document.signatures[server] ?? {})) {
      const publicKey = await this.#options.keyring.key(server, keyId, 'now');
      if (publicKey && verifySignature(raw, server, keyId, publicKey)) return;
    }
    throw new DiscoveryError(server, 'the discovery document bears no valid signature of its server');
  }
}

function hostOf(url: string): string {
  return new URL(url).host;
}

/** The address of a client, if people may be sent there: over TLS, unless we do without it ourselves. */
function plainClient(client: string | undefined, publicUrl: string): string | undefined {
  if (client === undefined) return undefined;
  const { protocol, username, password, origin, pathname } = new URL(client);
  if (username !== '' || password !== '') return undefined;
  if (protocol !== 'https:' && protocol !== new URL(publicUrl).protocol) return undefined;
  return (origin + pathname).replace(/\/+$/, '');
}

/** Stands in for the name of an organisation. */
function nameOfServer(server: string): string {
  return server.replace(/:\d+$/, '');
}

/** How long a document may be used, in ms: as long as its server says, counted from the receipt on. */
function lifetime({ issued_ts: issued, valid_until_ts: until }: Discovery): number {
  const said = issued === undefined ? VALID_MS : until - issued;
  return Math.min(Math.max(said, MIN_KEPT_MS), MAX_KEPT_MS);
}
