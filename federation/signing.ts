import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { Base64Error, decodeBase64, encodeBase64 } from './base64.ts';
import { canonicalJson, isJsonObject, member } from './json.ts';
import type { JsonObject } from './json.ts';

/** One ed25519 key of a server. The private part stays inside. */
export interface SigningKey {
  /** For example `ed25519:a_1`. */
  readonly keyId: string;
  /** Unpadded base64 of the 32 bytes of the public key. */
  readonly publicKey: string;
  /** Signs UTF-8 text or bytes; returns the 64-byte signature in unpadded base64. */
  sign(data: string | Uint8Array): string;
}

// DER headers around the 32 raw bytes of an ed25519 key. @see RFC 8410, sections 4 and 7
const PKCS8_HEADER = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_HEADER = Buffer.from('302a300506032b6570032100', 'hex');
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const KEY_VERSION = /^[a-zA-Z0-9_]+$/;

/** Makes the secret of a new signing key: 32 random bytes in unpadded base64. */
export function generateSeed(): string {
  return encodeBase64(randomBytes(KEY_BYTES));
}

/**
 * Makes a signing key from a stored seed.
 *
 * @param seedBase64 32 bytes in base64
 * @param version the part of the key id after `ed25519:`, of the characters a-z, A-Z, 0-9 and `_`
 * @throws TypeError when the seed or the version is malformed. The message never contains the seed.
 */
export function createSigningKey(seedBase64: string, version: string): SigningKey {
  if (!KEY_VERSION.test(version)) throw new TypeError('The version of a signing key must match [a-zA-Z0-9_]+.');
  const seed = decodeSeed(seedBase64);
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_HEADER, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return {
    keyId: `ed25519:${version}`,
    publicKey: encodeBase64(spki.subarray(SPKI_HEADER.length)),
    sign: (data) => encodeBase64(sign(null, typeof data === 'string' ? Buffer.from(data) : data, privateKey)),
  };
}

/**
 * Signs a JSON object: `unsigned` and existing signatures are not covered and are kept.
 *
 * @returns a copy of the object with the signature added
 * @see Matrix specification, appendices, "Signing JSON"
 */
export function signJson(object: JsonObject, serverName: string, key: SigningKey): JsonObject {
  const { signatures: existing, ...rest } = object;
  const signatures: JsonObject = isJsonObject(existing) ? { ...existing } : {};
  const ofServer = member(signatures, serverName);
  signatures[serverName] = { ...(isJsonObject(ofServer) ? ofServer : {}), [key.keyId]: key.sign(signedText(object)) };
  return { ...rest, signatures };
}

/**
 * Whether the object has a valid ed25519 signature of that server with that key. Anything malformed counts as an invalid
 * signature.
 */
export function verifySignature(
  object: JsonObject,
  serverName: string,
  keyId: string,
  publicKeyBase64: string,
): boolean {
  const signatures = member(object, 'signatures');
  const ofServer = isJsonObject(signatures) ? member(signatures, serverName) : undefined;
  const signature = isJsonObject(ofServer) ? member(ofServer, keyId) : undefined;
  return typeof signature === 'string' && verifyText(signedText(object), signature, publicKeyBase64);
}

/** Like `verifySignature`, but on a thread of the pool: for many signatures at a time. */
export async function verifySignatureInPool(
  object: JsonObject,
  serverName: string,
  keyId: string,
  publicKeyBase64: string,
): Promise<boolean> {
  const signatures = member(object, 'signatures');
  const ofServer = isJsonObject(signatures) ? member(signatures, serverName) : undefined;
  const text = isJsonObject(ofServer) ? member(ofServer, keyId) : undefined;
  const signature = typeof text === 'string' ? decodeOrUndefined(text) : undefined;
  const publicKey = importPublicKey(publicKeyBase64);
  if (signature?.length !== SIGNATURE_BYTES || publicKey === undefined) return false;
  return new Promise((resolve, reject) => {
    verify(null, Buffer.from(signedText(object)), publicKey, signature, (error, good) => {
      if (error) reject(error);
      else resolve(good);
    });
  });
}

/** Whether the signature (base64) over the UTF-8 text was made with the private half of the public key (base64). */
export function verifyText(text: string, signatureBase64: string, publicKeyBase64: string): boolean {
  const signature = decodeOrUndefined(signatureBase64);
  const publicKey = importPublicKey(publicKeyBase64);
  if (signature?.length !== SIGNATURE_BYTES || publicKey === undefined) return false;
  return verify(null, Buffer.from(text), publicKey, signature);
}

/** What a signature covers: the canonical JSON without `signatures` and `unsigned`. */
function signedText(object: JsonObject): string {
  const { signatures: _signatures, unsigned: _unsigned, ...rest } = object;
  return canonicalJson(rest);
}

// Importing a key costs about as much as verifying with it, and the same few keys are used again and again.
const IMPORTED_LIMIT = 1000;
const imported = new Map<string, KeyObject>();

function importPublicKey(publicKeyBase64: string): KeyObject | undefined {
  const known = imported.get(publicKeyBase64);
  if (known !== undefined) return known;
  const raw = decodeOrUndefined(publicKeyBase64);
  if (raw?.length !== KEY_BYTES) return undefined;
  const key = createPublicKey({ key: Buffer.concat([SPKI_HEADER, raw]), format: 'der', type: 'spki' });
  if (imported.size >= IMPORTED_LIMIT) imported.clear();
  imported.set(publicKeyBase64, key);
  return key;
}

function decodeSeed(seedBase64: string): Buffer {
  const seed = decodeOrUndefined(seedBase64);
  if (seed?.length !== KEY_BYTES) throw new TypeError('The seed of a signing key must be 32 bytes in base64.');
  return seed;
}

function decodeOrUndefined(text: string): Buffer | undefined {
  try {
    return decodeBase64(text);
  } catch (error) {
    if (error instanceof Base64Error) return undefined;
    throw error;
  }
}
