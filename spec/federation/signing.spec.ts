import { createSigningKey, generateSeed, signJson, verifySignature, verifyText } from '../../federation/signing.ts';
import type { JsonObject } from '../../federation/json.ts';

const SEED = 'YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1';
const key = createSigningKey(SEED, '1');

function signatureOf(object: JsonObject): unknown {
  return (signJson(object, 'domain', key) as { signatures: Record<string, Record<string, string>> }).signatures[
    'domain'
  ]?.['ed25519:1'];
}

describe('signing JSON', () => {
  it('derives the public key of the seed', () => {
    expect(key.publicKey).toBe('XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI');
    expect(key.keyId).toBe('ed25519:1');
  });

  it('makes the signatures of the appendix of the specification', () => {
    expect(signatureOf({})).toBe(
      'K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ',
    );
    expect(signatureOf({ two: 'Two', one: 1 })).toBe(
      'KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw',
    );
  });

  it('covers neither unsigned nor the signatures of others, and keeps both', () => {
    const signed = signJson(
      { one: 1, unsigned: { age: 3 }, signatures: { other: { 'ed25519:x': 'y' } } },
      'domain',
      key,
    );
    expect(verifySignature(signed, 'domain', 'ed25519:1', key.publicKey)).toBeTrue();
    expect(signed['unsigned'] as unknown).toEqual({ age: 3 });
    expect((signed['signatures'] as JsonObject)['other'] as unknown).toEqual({ 'ed25519:x': 'y' });
    expect(verifySignature({ ...signed, unsigned: {} }, 'domain', 'ed25519:1', key.publicKey)).toBeTrue();
  });

  it('adds a second key of the same server beside the first', () => {
    const second = createSigningKey(generateSeed(), '2');
    const signed = signJson(signJson({ a: 1 }, 'domain', key), 'domain', second);
    expect(verifySignature(signed, 'domain', 'ed25519:1', key.publicKey)).toBeTrue();
    expect(verifySignature(signed, 'domain', 'ed25519:2', second.publicKey)).toBeTrue();
  });

  it('refuses a changed object, another server, another key id and a key of somebody else', () => {
    const signed = signJson({ one: 1 }, 'domain', key);
    const other = createSigningKey(generateSeed(), '1');
    expect(verifySignature({ ...signed, one: 2 }, 'domain', 'ed25519:1', key.publicKey)).toBeFalse();
    expect(verifySignature({ ...signed, extra: 1 }, 'domain', 'ed25519:1', key.publicKey)).toBeFalse();
    expect(verifySignature(signed, 'elsewhere', 'ed25519:1', key.publicKey)).toBeFalse();
    expect(verifySignature(signed, 'domain', 'ed25519:2', key.publicKey)).toBeFalse();
    expect(verifySignature(signed, 'domain', 'ed25519:1', other.publicKey)).toBeFalse();
    expect(verifySignature(signed, 'constructor', 'name', key.publicKey)).toBeFalse();
  });

  it('treats a malformed signature or key as a bad signature', () => {
    const good = key.sign('text');
    expect(verifyText('text', good, key.publicKey)).toBeTrue();
    expect(verifyText('text', `${good}==`, key.publicKey)).toBeTrue();
    for (const bad of ['', good.slice(4), `${good}AAAA`, `!${good.slice(1)}`, 'A'.repeat(86)]) {
      expect(verifyText('text', bad, key.publicKey))
        .withContext(bad)
        .toBeFalse();
    }
    for (const bad of ['', 'AAAA', 'no base64!', 'A'.repeat(43)]) {
      expect(verifyText('text', good, bad))
        .withContext(bad)
        .toBeFalse();
    }
    expect(verifySignature({ signatures: [] }, 'domain', 'ed25519:1', key.publicKey)).toBeFalse();
    expect(verifySignature({ signatures: { domain: 'x' } }, 'domain', 'ed25519:1', key.publicKey)).toBeFalse();
  });

  it('refuses a seed or a version of the wrong form without repeating the seed', () => {
    const secret = 'c2VjcmV0c2VjcmV0';
    expect(() => createSigningKey(secret, '1')).toThrowMatching((e: Error) => !e.message.includes(secret));
    expect(() => createSigningKey(generateSeed(), 'a:b')).toThrowError(TypeError);
    expect(() => createSigningKey(generateSeed(), '')).toThrowError(TypeError);
  });
});
