/**
 * What other instances say of themselves in their signed discovery document: name, colour, and the addresses of
 * their SFU. Media is sent to no other address than one in such a document (see docs/federation.md).
 */
import type { JsonObject } from '../../federation/json.ts';
import { type SigningKey, signJson, verifySignature } from '../../federation/signing.ts';
import type { KeyLookup } from '../../federation/keyring.ts';
import type { Organisation } from '../../protocol/session.ts';
import { type Discovery, discoverySchema } from './conference/messages.ts';

/** Validity of the own document and the longest time that a foreign one is kept, in ms. */
const VALID_MS = 10 * 60 * 1000;
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
  request(options: { destination: string; method: string; path: string; signed?: boolean }): Promise<unknown>;
}

interface Cached {
  until: number;
  result: Promise<Discovery>;
}

export interface OrganisationsOptions {
  serverName: string;
  displayName: string;
  colour: string;
  key: SigningKey;
  keyring: KeyLookup;
  client: Fetcher;
}

export class Organisations {
  readonly #options: OrganisationsOptions;
  readonly #cache = new Map<string, Cached>();
  readonly #names = new Map<string, Organisation>();

  constructor(options: OrganisationsOptions) {
    this.#options = options;
  }

  get own(): Organisation {
    const { serverName, displayName, colour } = this.#options;
    return { serverName, displayName, colour };
  }

  /** The own document, signed. `sfu` undefined while the SFU has not been reached yet. */
  document(sfu: { address: string; minPort: number; maxPort: number; probePort: number } | undefined): JsonObject {
    const { serverName, displayName, colour, key } = this.#options;
    const document: JsonObject = {
      server_name: serverName,
      organisation: { display_name: displayName, colour },
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
        entry.until = Math.min(document.valid_until_ts, now + VALID_MS);
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

  /** What is known of an organisation now; asks in the background when nothing is. */
  known(server: string): Organisation {
    if (server === this.#options.serverName) return this.own;
    const known = this.#names.get(server);
    if (known) return known;
    void this.discovery(server).catch(() => undefined);
    return { serverName: server, displayName: server.replace(/:\d+$/, ''), colour: NEUTRAL_COLOUR };
  }

  /** Name and colour of an organisation; the server name stands in where it does not answer. */
  async info(server: string): Promise<Organisation> {
    if (server !== this.#options.serverName) await this.discovery(server).catch(() => undefined);
    return this.known(server);
  }

  async #fetch(server: string): Promise<Discovery> {
    const answer = await this.#options.client.request({
      destination: server,
      method: 'GET',
      path: '/_hansetag/federation/v1/discovery',
      signed: true,
    });
    const parsed = discoverySchema.safeParse(answer);
    if (!parsed.success) throw new DiscoveryError(server, 'the discovery document is malformed');
    const document = parsed.data;
    if (document.server_name !== server)
      throw new DiscoveryError(server, 'the discovery document names another server');
    if (document.valid_until_ts < Date.now()) throw new DiscoveryError(server, 'the discovery document has expired');
    await this.#verify(server, answer as JsonObject, document);
    if (this.#names.size >= MAX_CACHED) this.#names.clear();
    this.#names.set(server, {
      serverName: server,
      displayName: document.organisation.display_name,
      colour: document.organisation.colour,
    });
    return document;
  }

  async #verify(server: string, raw: JsonObject, document: Discovery): Promise<void> {
    for (const keyId of Object.keys(document.signatures[server] ?? {})) {
      const publicKey = await this.#options.keyring.key(server, keyId, 'now');
      if (publicKey && verifySignature(raw, server, keyId, publicKey)) return;
    }
    throw new DiscoveryError(server, 'the discovery document bears no valid signature of its server');
  }
}
