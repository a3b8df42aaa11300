import { LEAVING_MS, OwnKeys } from '../../federation/own-keys.ts';
import type { KeyTurn } from '../../federation/own-keys.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';

const START = 1_800_000_000_000;
const ids = (keys: readonly { readonly keyId: string }[]): string[] => keys.map(({ keyId }) => keyId);

function turn(version: string, from: number, isSecretKept = true): KeyTurn {
  const key = createSigningKey(generateSeed(), version);
  return { from, keyId: key.keyId, publicKey: key.publicKey, ...(isSecretKept ? { key } : {}) };
}

describe('The signing keys of a server', () => {
  const turns = [turn('b', START), turn('a', -Infinity)];

  it('sign one after another, and others are told of the next one before', () => {
    const keys = new OwnKeys(turns, START - 1);
    expect(keys.keyId).toBe('ed25519:a');
    expect(ids(keys.published(START - 1))).toEqual(['ed25519:a', 'ed25519:b']);
    expect(keys.old(START - 1)).toEqual([]);
    keys.choose(START);
    expect(keys.keyId).toBe('ed25519:b');
  });

  it('name the key that signs, however the time goes on meanwhile', () => {
    const keys = new OwnKeys(turns, START - 1);
    const before = keys.keyId;
    // The clock has long passed the time of the other key.
    expect(keys.sign('text')).toBe(turns[1]?.key?.sign('text') ?? '');
    expect(keys.keyId).toBe(before);
  });

  it('stay published for a moment after the next one took over, and are old then', () => {
    const keys = new OwnKeys(turns, START);
    expect(ids(keys.published(START + LEAVING_MS - 1))).toEqual(['ed25519:a', 'ed25519:b']);
    expect(ids(keys.published(START + LEAVING_MS))).toEqual(['ed25519:b']);
    expect(keys.old(START + LEAVING_MS)).toEqual([
      { keyId: 'ed25519:a', publicKey: turns[1]?.publicKey ?? '', expiredTs: START + LEAVING_MS },
    ]);
  });

  it('prove what they signed when their secret is gone', () => {
    const gone = turn('a', -Infinity, false);
    const keys = new OwnKeys([gone, turn('b', START)], START);
    expect(ids(keys.published(START))).toEqual(['ed25519:b']);
    expect(keys.old(START + 1)).toEqual([{ keyId: 'ed25519:a', publicKey: gone.publicKey, expiredTs: START + 1 }]);
  });

  it('are not replaced by keys of which none signs now', () => {
    const keys = new OwnKeys(turns, START);
    expect(() => keys.replace([turn('c', START + 1)], START)).toThrowError(TypeError);
    expect(() => keys.replace([turn('c', START, false)], START)).toThrowError(TypeError);
    expect(keys.keyId).toBe('ed25519:b');
  });
});
