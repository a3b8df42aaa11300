import { z } from 'zod';
import { isJsonObject, member } from './json.ts';
import type { JsonObject } from './json.ts';
import { signJson, verifySignature } from './signing.ts';
import type { SigningKey } from './signing.ts';

/** Finds public keys of servers. */
export interface KeyLookup {
  /**
   * @param validAt milliseconds since 1970 for an event (its `origin_server_ts`), `now` for a request
   * @returns the unpadded base64 of the public key, or undefined when it is unknown or was not valid then
   */
  key(server: string, keyId: string, validAt: number | 'now'): Promise<string | undefined>;
}

/** One key of another server. */
export interface StoredKey {
  /** Unpadded base64 of the public key. */
  readonly key: string;
  /** Unix time in ms. Signatures made later are not valid. */
  readonly validUntil: number;
  /** Whether the server still signs with it. Old keys are valid for events only. */
  readonly current: boolean;
}

/** What is known of the keys of a server, by key id. Plain JSON. */
export interface StoredKeys {
  readonly keys: Record<string, StoredKey>;
  /** The last properly signed document, for servers that query us as a notary. */
  readonly document?: JsonObject;
}

/** Stores keys across restarts. */
export interface KeyStore {
  get(server: string): Promise<StoredKeys | undefined>;
  put(server: string, keys: StoredKeys): Promise<void>;
}

/** A key with which we no longer sign, for events signed with it earlier. */
export interface OldKey {
  readonly keyId: string;
  readonly publicKey: string;
  /** Milliseconds since 1970. */
  readonly expiredTs: number;
}

/** Fetches key documents from other servers, by unsigned requests. */
interface Fetcher {
  /** @returns the JSON object of the response; rejects when there is none */
  request(options: {
    readonly destination: string;
    readonly method: 'GET';
    readonly onBehalfOf: 'server';
    /** Percent-encoded. */
    readonly path: string;
    readonly signed: false;
    /** Keys are needed to check the history of rooms, whoever signed it. */
    readonly exempt?: boolean;
    readonly timeoutMs: number;
    readonly maxBytes: number;
  }): Promise<JsonObject>;
}

export interface KeyRingOptions {
  /** Our own server name; our own keys are never fetched. */
  readonly serverName: string;
  /** Read at each use, as is the next one: keys follow each other while a server runs. */
  readonly ownKeys: readonly SigningKey[];
  readonly ownOldKeys?: readonly OldKey[];
  readonly client: Fetcher;
  readonly store: KeyStore;
  /** Whether a server shares a room with us. Fetches for unknown servers cannot delay those for such a server. */
  readonly isNeighbour?: (server: string) => Promise<boolean>;
  /** Notary servers, trusted for the keys of servers that cannot be reached, for events only. */
  readonly notaries?: readonly string[];
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

interface Entry {
  known: StoredKeys;
  failures: number;
  /** Earliest time of the next fetch, Unix time in ms. */
  notBefore: number;
}

/** How well we know a server: it shares a room with us, we only have its keys, or it is unknown. */
type Standing = 'neighbour' | 'acquaintance' | 'stranger';

/** Keys are fetched again after this, whatever validity the server claims. @see room versions, 5 */
const MAX_VALIDITY_MS = 7 * 24 * 60 * 60_000;
// Anybody can name a server or key to look up: few fetches at a time, few per server, little memory.
const MAX_SERVERS = 1000;
// Concurrent fetches. Anybody can make us look up an unknown server; known servers must not have to wait for that.
const MAX_NEIGHBOURS = 50;
const MAX_ACQUAINTANCES = 50;
const MAX_STRANGERS = 50;
const SLOTS = { neighbour: MAX_NEIGHBOURS, acquaintance: MAX_ACQUAINTANCES, stranger: MAX_STRANGERS };
const MIN_INTERVAL_MS = 10_000;
const FIRST_RETRY_MS = 5_000;
const MAX_RETRY_MS = 10 * 60_000;
const MAX_DOCUMENT_BYTES = 64 * 1024;
const FETCH_TIMEOUT_MS = 10_000;
const MAX_KEYS = 20;
const MAX_OLD_KEYS = 100;
const KEY_ID = /^ed25519:[a-zA-Z0-9_]{1,100}$/;

function keysSchema<T extends z.ZodType>(entry: T, limit: number) {
  return z
    .custom<object>((keys) => isJsonObject(keys) && Object.keys(keys).length <= limit, `more than ${limit} keys`)
    .pipe(z.record(z.string(), entry))
    .transform((keys) => Object.entries(keys).filter(([keyId]) => KEY_ID.test(keyId)));
}

const publicKey = z.string().max(100);
const notarySchema = z.looseObject({ server_keys: z.array(z.custom<JsonObject>(isJsonObject)).max(1) });
const documentSchema = z.looseObject({
  server_name: z.string(),
  valid_until_ts: z.int().positive(),
  verify_keys: keysSchema(z.looseObject({ key: publicKey }), MAX_KEYS),
  old_verify_keys: keysSchema(z.looseObject({ key: publicKey, expired_ts: z.int() }), MAX_OLD_KEYS).default([]),
});

/**
 * The keys of servers: our own, those in the store, and those fetched from the servers themselves or, for events of
 * servers that cannot be reached, from notaries.
 *
 * @see Matrix specification, server-server API, "Retrieving server keys"
 */
export class KeyRing implements KeyLookup {
  readonly #options: KeyRingOptions;
  readonly #now: () => number;
  /** Least recently used server first. */
  readonly #entries = new Map<string, Entry>();
  readonly #fetches = new Map<string, Promise<void>>();
  /** Fetches in progress for servers of each standing. */
  readonly #taken: Record<Standing, number> = { neighbour: 0, acquaintance: 0, stranger: 0 };

  constructor(options: KeyRingOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  async key(server: string, keyId: string, validAt: number | 'now'): Promise<string | undefined> {
    if (!KEY_ID.test(keyId)) return undefined;
    if (server === this.#options.serverName) return this.#find(this.#own, keyId, validAt);
    const entry = await this.#entry(server);
    const known = this.#find(entry.known, keyId, validAt);
    if (known !== undefined) return known;
    await this.#refresh(server, entry);
    return this.#find((await this.#entry(server)).known, keyId, validAt);
  }

  /** Whether a key that is valid for requests now is known, so that `key` needs no fetch. */
  async knows(server: string, keyId: string): Promise<boolean> {
    const known = server === this.#options.serverName ? this.#own : (await this.#entry(server)).known;
    return this.#find(known, keyId, 'now') !== undefined;
  }

  /**
   * The key document of another server, as that server signed it. An older one than requested is better than none: its
   * keys are valid for events of its time.
   *
   * @param validUntil Unix time in ms; a document that expires earlier is fetched again, if the server can be reached
   */
  async document(server: string, validUntil: number): Promise<JsonObject | undefined> {
    const entry = await this.#entry(server);
    const known = entry.known.document?.['valid_until_ts'];
    if (typeof known !== 'number' || known < Math.max(validUntil, this.#now())) await this.#refresh(server, entry);
    return (await this.#entry(server)).known.document;
  }

  /** Fetches the keys of a server, unless that was tried recently. */
  async #refresh(server: string, entry: Entry): Promise<void> {
    let fetch = this.#fetches.get(server);
    if (fetch === undefined) {
      if (this.#now() < entry.notBefore) return;
      fetch = this.#fetchInSlot(server, entry).finally(() => this.#fetches.delete(server));
      this.#fetches.set(server, fetch);
    }
    await fetch;
  }

  /** Fetches the keys of a server, unless too many fetches for servers of its standing are in progress. */
  async #fetchInSlot(server: string, entry: Entry): Promise<void> {
    const standing = await this.#standing(server, entry);
    if (this.#taken[standing] >= SLOTS[standing]) return;
    this.#taken[standing]++;
    try {
      await this.#fetch(server, entry);
    } finally {
      this.#taken[standing]--;
    }
  }

  get #own(): StoredKeys {
    const { ownKeys, ownOldKeys = [] } = this.#options;
    const current = ownKeys.map(({ keyId, publicKey: key }) => [keyId, currentKey(key, Infinity)] as const);
    const old = ownOldKeys.map(({ keyId, publicKey: key, expiredTs }) => [keyId, oldKey(key, expiredTs)] as const);
    return { keys: Object.fromEntries([...old, ...current]) };
  }

  async #standing(server: string, { known }: Entry): Promise<Standing> {
    if (await this.#options.isNeighbour?.(server)) return 'neighbour';
    return Object.keys(known.keys).length > 0 ? 'acquaintance' : 'stranger';
  }

  #find({ keys }: StoredKeys, keyId: string, validAt: number | 'now'): string | undefined {
    const found = Object.hasOwn(keys, keyId) ? keys[keyId] : undefined;
    if (found === undefined) return undefined;
    if (validAt === 'now') return found.current && found.validUntil > this.#now() ? found.key : undefined;
    return validAt <= found.validUntil ? found.key : undefined;
  }

  async #entry(server: string): Promise<Entry> {
    let entry = this.#entries.get(server);
    if (entry === undefined) {
      const known = (await this.#options.store.get(server)) ?? { keys: {} };
      entry = this.#entries.get(server) ?? { known, failures: 0, notBefore: 0 };
    }
    this.#entries.delete(server);
    this.#entries.set(server, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= MAX_SERVERS) break;
      this.#entries.delete(oldest);
    }
    return entry;
  }

  async #fetch(server: string, entry: Entry): Promise<void> {
    const keys = await this.#download(server).catch(() => undefined);
    const now = this.#now();
    if (keys === undefined) {
      const told = await this.#askNotaries(server);
      // What the server itself said takes precedence.
      if (told) entry.known = { ...entry.known, keys: { ...told, ...entry.known.keys } };
      entry.notBefore = now + Math.min(FIRST_RETRY_MS * 2 ** entry.failures, MAX_RETRY_MS);
      entry.failures++;
      return;
    }
    entry.known = merge(entry.known, keys, now);
    entry.failures = 0;
    entry.notBefore = now + MIN_INTERVAL_MS;
    await this.#options.store.put(server, entry.known);
  }

  /** The keys of a server as notaries have them; valid for events, not for requests. */
  async #askNotaries(server: string): Promise<StoredKeys['keys'] | undefined> {
    for (const notary of this.#options.notaries ?? []) {
      if (notary === server || notary === this.#options.serverName) continue;
      try {
        const answer = await this.#options.client.request({
          destination: notary,
          method: 'GET',
          onBehalfOf: 'server',
          path: `/_matrix/key/v2/query/${encodeURIComponent(server)}`,
          signed: false,
          timeoutMs: FETCH_TIMEOUT_MS,
          maxBytes: MAX_DOCUMENT_BYTES * 2,
        });
        const {
          server_keys: [document],
        } = notarySchema.parse(answer);
        const found =
          document && (await this.#isSignedBy(notary, document)) && readDocument(document, server, this.#now());
        if (!found) continue;
        const keys = Object.entries(found.keys).map(([keyId, { key, validUntil }]) => [keyId, oldKey(key, validUntil)]);
        return Object.fromEntries(keys) as StoredKeys['keys'];
      } catch {
        // The next one may know it.
      }
    }
    return undefined;
  }

  async #isSignedBy(server: string, document: JsonObject): Promise<boolean> {
    const signatures = member(document, 'signatures');
    const own = isJsonObject(signatures) ? signatures[server] : undefined;
    for (const keyId of isJsonObject(own) ? Object.keys(own).slice(0, MAX_KEYS) : []) {
      const key = await this.key(server, keyId, 'now');
      if (key !== undefined && verifySignature(document, server, keyId, key)) return true;
    }
    return false;
  }

  async #download(server: string): Promise<StoredKeys | undefined> {
    const document = await this.#options.client.request({
      destination: server,
      method: 'GET',
      onBehalfOf: 'server',
      path: '/_matrix/key/v2/server',
      signed: false,
      exempt: true,
      timeoutMs: FETCH_TIMEOUT_MS,
      maxBytes: MAX_DOCUMENT_BYTES,
    });
    return readDocument(document, server, this.#now());
  }
}

/**
 * The document in which a server publishes its keys, signed with each current key.
 *
 * @param options `validForMs` is how long others may cache it, in ms
 * @see Matrix specification, server-server API, "Publishing Keys"
 */
export function serverKeysDocument(options: {
  readonly serverName: string;
  readonly keys: readonly SigningKey[];
  readonly oldKeys?: readonly OldKey[];
  readonly validForMs: number;
  readonly now?: () => number;
}): JsonObject {
  const { serverName, keys, oldKeys = [], validForMs, now = Date.now } = options;
  const document: JsonObject = {
    server_name: serverName,
    valid_until_ts: now() + validForMs,
    verify_keys: Object.fromEntries(keys.map(({ keyId, publicKey: key }) => [keyId, { key }])),
    old_verify_keys: Object.fromEntries(
      oldKeys.map(({ keyId, publicKey: key, expiredTs }) => [keyId, { key, expired_ts: expiredTs }]),
    ),
  };
  return keys.reduce((signed, key) => signJson(signed, serverName, key), document);
}

/** The keys of a document, or undefined when it is malformed, expired, of another server or not properly signed. */
function readDocument(document: JsonObject, server: string, now: number): StoredKeys | undefined {
  const parsed = documentSchema.safeParse(document);
  if (!parsed.success) return undefined;
  const { server_name, valid_until_ts, verify_keys, old_verify_keys } = parsed.data;
  if (server_name !== server || valid_until_ts <= now) return undefined;
  // Only keys that signed the document count, so that nobody can publish a key without having its private half.
  const proven = verify_keys.filter(([keyId, { key }]) => verifySignature(document, server, keyId, key));
  if (proven.length === 0) return undefined;
  const validUntil = Math.min(valid_until_ts, now + MAX_VALIDITY_MS);
  const old = old_verify_keys.map(([keyId, { key, expired_ts }]) => [keyId, oldKey(key, expired_ts)] as const);
  const current = proven.map(([keyId, { key }]) => [keyId, currentKey(key, validUntil)] as const);
  return { keys: Object.fromEntries([...old, ...current]), document };
}

/**
 * Merges a new document into what the server published before. Keys that it no longer lists stay valid for earlier
 * events, and the validity of a key is never shortened.
 */
function merge(before: StoredKeys, after: StoredKeys, now: number): StoredKeys {
  const keys: Record<string, StoredKey> = {};
  for (const [keyId, known] of Object.entries(before.keys).slice(-(MAX_KEYS + MAX_OLD_KEYS))) {
    keys[keyId] = known.current ? oldKey(known.key, Math.min(known.validUntil, now)) : known;
  }
  for (const [keyId, fresh] of Object.entries(after.keys)) {
    const known = before.keys[keyId];
    const isSame = known?.key === fresh.key && known.current && fresh.current;
    keys[keyId] = isSame ? currentKey(fresh.key, Math.max(known.validUntil, fresh.validUntil)) : fresh;
  }
  return { keys, ...(after.document === undefined ? {} : { document: after.document }) };
}

function currentKey(key: string, validUntil: number): StoredKey {
  return { key, validUntil, current: true };
}

function oldKey(key: string, validUntil: number): StoredKey {
  return { key, validUntil, current: false };
}
