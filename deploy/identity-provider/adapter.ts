/** What the provider remembers, in memory and for a time: after a restart everybody logs in anew. */
import type { Adapter, AdapterPayload } from 'oidc-provider';

interface Entry {
  readonly payload: AdapterPayload;
  readonly expires: number;
}

/** Anybody can begin a log-in; with more than this, the oldest entries go. */
const MAX_ENTRIES = 10_000;

const entries = new Map<string, Entry>();

/** @see the adapter interface of oidc-provider (types of `Adapter`) */
export class MemoryAdapter implements Adapter {
  readonly #kind: string;

  constructor(kind: string) {
    this.#kind = kind;
  }

  upsert(id: string, payload: AdapterPayload, expiresIn: number): Promise<void> {
    const key = this.#key(id);
    entries.delete(key);
    entries.set(key, { payload, expires: Date.now() + expiresIn * 1000 });
    for (const oldest of entries.keys()) {
      if (entries.size <= MAX_ENTRIES) break;
      entries.delete(oldest);
    }
    return Promise.resolve();
  }

  find(id: string): Promise<AdapterPayload | undefined> {
    return Promise.resolve(this.#get(this.#key(id))?.payload);
  }

  findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return this.#search((payload) => payload.uid === uid);
  }

  findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    return this.#search((payload) => payload.userCode === userCode);
  }

  consume(id: string): Promise<void> {
    const entry = this.#get(this.#key(id));
    if (entry) entry.payload.consumed = Math.floor(Date.now() / 1000);
    return Promise.resolve();
  }

  destroy(id: string): Promise<void> {
    entries.delete(this.#key(id));
    return Promise.resolve();
  }

  revokeByGrantId(grantId: string): Promise<void> {
    for (const [key, { payload }] of entries) if (payload.grantId === grantId) entries.delete(key);
    return Promise.resolve();
  }

  #key(id: string): string {
    return `${this.#kind} ${id}`;
  }

  #get(key: string): Entry | undefined {
    const entry = entries.get(key);
    if (entry === undefined || entry.expires > Date.now()) return entry;
    entries.delete(key);
    return undefined;
  }

  #search(isWanted: (payload: AdapterPayload) => boolean): Promise<AdapterPayload | undefined> {
    for (const [key, { payload }] of entries) {
      if (key.startsWith(`${this.#kind} `) && isWanted(payload)) return Promise.resolve(this.#get(key)?.payload);
    }
    return Promise.resolve(undefined);
  }
}
