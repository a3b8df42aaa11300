import { createPrivateKey, createPublicKey, KeyObject, sign, webcrypto } from 'node:crypto';

export type KeyKind = 'P-256' | 'P-384' | 'Ed25519' | 'RSA-2048' | 'RSA-3072' | 'RSA-PSS-3072';

type Algorithm = webcrypto.RsaHashedKeyGenParams | webcrypto.EcKeyGenParams | { readonly name: 'Ed25519' };

/** A key pair, for WebCrypto, with which certificates are made, and for everything else. */
export interface Keys {
  readonly pair: webcrypto.CryptoKeyPair;
  readonly privateKey: KeyObject;
}

const EXPONENT = new Uint8Array([1, 0, 1]);

function algorithmOf(kind: KeyKind): Algorithm {
  if (kind === 'Ed25519') return { name: 'Ed25519' };
  if (kind === 'P-256' || kind === 'P-384') return { name: 'ECDSA', namedCurve: kind };
  return {
    name: kind === 'RSA-PSS-3072' ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5',
    modulusLength: kind === 'RSA-2048' ? 2048 : 3072,
    publicExponent: EXPONENT,
    hash: 'SHA-256',
  };
}

export async function makeKeys(kind: KeyKind): Promise<Keys> {
  const pair = await webcrypto.subtle.generateKey(algorithmOf(kind), true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new Error('WebCrypto has made no key pair.');
  return { pair, privateKey: KeyObject.from(pair.privateKey) };
}

/** Reads a P-256 key that `privatePem` has written. */
export async function readKeys(pem: string): Promise<Keys> {
  const privateKey = createPrivateKey(pem);
  const algorithm = algorithmOf('P-256');
  const { subtle } = webcrypto;
  const pair = {
    privateKey: await subtle.importKey('pkcs8', der(privateKey, 'pkcs8'), algorithm, true, ['sign']),
    publicKey: await subtle.importKey('spki', der(createPublicKey(privateKey), 'spki'), algorithm, true, ['verify']),
  };
  return { pair, privateKey };
}

function der(key: KeyObject, type: 'pkcs8' | 'spki'): Buffer {
  return type === 'spki' ? key.export({ type, format: 'der' }) : key.export({ type, format: 'der' });
}

/** PKCS#8 as PEM. */
export function privatePem({ privateKey }: Keys): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** How `signDer` signs, as object identifiers. */
export function signatureOid({ privateKey }: Keys): string {
  if (privateKey.asymmetricKeyType === 'ed25519') return '1.3.101.112';
  return privateKey.asymmetricKeyType === 'ec' ? '1.2.840.10045.4.3.2' : '1.2.840.113549.1.1.11';
}

/** Signs with SHA-256 (Ed25519: without). */
export function signDer({ privateKey }: Keys, data: Uint8Array): Uint8Array {
  const hash = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  return new Uint8Array(sign(hash, data, privateKey));
}
