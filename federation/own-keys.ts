import type { OldKey } from './keyring.ts';
import type { SigningKey } from './signing.ts';

/** A key of this server and the time from which it signs. */
export interface KeyTurn {
  /** Unix ms. The key signs until the next one begins. */
  readonly from: number;
  readonly keyId: string;
  /** Unpadded base64 of the public key. */
  readonly publicKey: string;
  /** Absent when the secret is gone: such a key only proves what it signed before. */
  readonly key?: SigningKey;
}

/**
 * How long a key stays published as current after the next one has taken over, in ms. Whatever it signed last, by
 * whichever clock, is older than the time at which it expires for others.
 */
export const LEAVING_MS = 10 * 60_000;

/**
 * The signing keys of this server, which follow each other. It signs with one of them, and others are told of the next
 * one before it signs and of earlier ones for ever, because events that they signed stay valid.
 *
 * As a `SigningKey` it is the key that signs now. That changes only by `choose` and `replace`, so what is signed in one
 * turn of the event loop names the key that signs it.
 *
 * @see Matrix specification, server-server API, "Publishing Keys"
 */
export class OwnKeys implements SigningKey {
  #turns: readonly KeyTurn[] = [];
  #current: SigningKey;

  /** @throws TypeError when none of the keys signs now */
  constructor(turns: readonly KeyTurn[], now = Date.now()) {
    this.#current = this.replace(turns, now);
  }

  /** A server that has had one key only. */
  static of(key: SigningKey): OwnKeys {
    return new OwnKeys([{ from: -Infinity, keyId: key.keyId, publicKey: key.publicKey, key }]);
  }

  get keyId(): string {
    return this.#current.keyId;
  }

  get publicKey(): string {
    return this.#current.publicKey;
  }

  sign(data: string | Uint8Array): string {
    return this.#current.sign(data);
  }

  /** Takes other keys. @returns the one that signs now @throws TypeError when there is none; nothing is changed then */
  replace(turns: readonly KeyTurn[], now = Date.now()): SigningKey {
    const sorted = turns.toSorted((a, b) => (a.from === b.from ? 0 : a.from - b.from));
    const current = sorted.findLast(({ from }) => from <= now)?.key;
    if (current === undefined) throw new TypeError('None of the signing keys signs now.');
    this.#turns = sorted;
    this.#current = current;
    return current;
  }

  /** Lets the key sign whose turn it is. Called often enough that a key is not used for longer than `LEAVING_MS`. */
  choose(now = Date.now()): void {
    this.replace(this.#turns, now);
  }

  /** The keys that others are to accept now: the one that signs, the next one, and the one before for a moment. */
  published(now = Date.now()): readonly SigningKey[] {
    return this.#turns.flatMap(({ key }, index) => (key === undefined || this.#end(index) <= now ? [] : [key]));
  }

  /** The keys with which nothing is signed any more. */
  old(now = Date.now()): readonly OldKey[] {
    return this.#turns.flatMap(({ keyId, publicKey, key }, index) => {
      const expiredTs = this.#end(index);
      return key !== undefined && expiredTs > now ? [] : [{ keyId, publicKey, expiredTs: Math.min(expiredTs, now) }];
    });
  }

  /** When a key expires, Unix ms; never while no other follows. */
  #end(index: number): number {
    const next = this.#turns[index + 1];
    return next === undefined ? Infinity : next.from + LEAVING_MS;
  }
}
