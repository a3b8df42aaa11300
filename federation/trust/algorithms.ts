import { constants, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { BitString } from 'asn1js';
import * as pkijs from 'pkijs';
import { TrustError } from './trust-error.ts';

type Scheme =
  | { readonly keys: readonly string[]; readonly hash: string; readonly saltLength?: number }
  | { readonly keys: readonly ['ed25519']; readonly hash: undefined };

const PSS = '1.2.840.113549.1.1.10';
const MGF1 = '1.2.840.113549.1.1.8';
/** Signature algorithms without parameters that matter. @see RFC 4055, RFC 5758, RFC 8410 */
const SCHEMES: ReadonlyMap<string, Scheme> = new Map<string, Scheme>([
  ['1.2.840.113549.1.1.11', { keys: ['rsa'], hash: 'sha256' }],
  ['1.2.840.113549.1.1.12', { keys: ['rsa'], hash: 'sha384' }],
  ['1.2.840.113549.1.1.13', { keys: ['rsa'], hash: 'sha512' }],
  ['1.2.840.10045.4.3.2', { keys: ['ec'], hash: 'sha256' }],
  ['1.2.840.10045.4.3.3', { keys: ['ec'], hash: 'sha384' }],
  ['1.2.840.10045.4.3.4', { keys: ['ec'], hash: 'sha512' }],
  ['1.3.101.112', { keys: ['ed25519'], hash: undefined }],
]);
const HASHES: ReadonlyMap<string, string> = new Map([
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);
const CURVES: ReadonlySet<string> = new Set([
  'prime256v1',
  'secp384r1',
  'secp521r1',
  'brainpoolP256r1',
  'brainpoolP384r1',
  'brainpoolP512r1',
]);
const MIN_RSA_BITS = 3072;
/** A larger key makes each of our checks expensive and nothing safer. */
const MAX_RSA_BITS = 8192;
const MIN_RSA_EXPONENT = 65537n;
const MAX_RSA_EXPONENT = 2n ** 64n;

/**
 * Checks that the key of an authority or of an organisation is strong enough.
 *
 * @param whose for the message, such as `the certificate CN=…`
 * @throws TrustError `weak-key`
 * @see BSI TR-02102-1
 */
export function checkKey(key: KeyObject, whose: string): void {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = key;
  if (type === 'ed25519') return;
  if (type === 'ec') {
    if (details.namedCurve !== undefined && CURVES.has(details.namedCurve)) return;
    throw weak(whose, 'has a key on a curve that is not allowed. Use P-256');
  }
  if (type === 'rsa' || type === 'rsa-pss') {
    const { modulusLength: bits = 0, publicExponent: exponent = 0n } = details;
    if (bits < MIN_RSA_BITS) throw weak(whose, `has an RSA key of ${bits} bits. It must have at least ${MIN_RSA_BITS}`);
    if (bits > MAX_RSA_BITS) throw weak(whose, `has an RSA key of ${bits} bits. At most ${MAX_RSA_BITS} are allowed`);
    if (exponent >= MIN_RSA_EXPONENT && exponent < MAX_RSA_EXPONENT && exponent % 2n === 1n) return;
    throw weak(whose, `has an RSA key with a public exponent that is not allowed. Use ${MIN_RSA_EXPONENT}`);
  }
  throw weak(whose, `has a key of the kind ${String(type)}, which is not allowed. Use P-256 or Ed25519`);
}

/** Checks that signatures are made with an algorithm that is strong enough. @throws TrustError `weak-key` */
export function checkAlgorithm(algorithm: pkijs.AlgorithmIdentifier, whose: string): void {
  if (schemeOf(algorithm) === undefined) {
    throw weak(whose, `is signed with ${algorithm.algorithmId} (SHA-1 or unknown). Use SHA-256 or newer`);
  }
}

/** Whether a signature of an X.509 structure was made by the key with an algorithm that is allowed. */
export function isSignedBy(
  key: KeyObject,
  algorithm: pkijs.AlgorithmIdentifier,
  data: Uint8Array,
  signature: BitString,
): boolean {
  const scheme = schemeOf(algorithm);
  if (scheme === undefined || !scheme.keys.some((type) => type === key.asymmetricKeyType)) return false;
  const { unusedBits, valueHexView } = signature.valueBlock;
  if (unusedBits !== 0) return false;
  const isPss = 'saltLength' in scheme;
  const padding = isPss ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: scheme.saltLength } : {};
  return verify(scheme.hash, data, { key, ...padding }, valueHexView);
}

function schemeOf(algorithm: pkijs.AlgorithmIdentifier): Scheme | undefined {
  return algorithm.algorithmId === PSS ? pssScheme(algorithm) : SCHEMES.get(algorithm.algorithmId);
}

/** The defaults of RSASSA-PSS are SHA-1, so absent parameters are refused. */
function pssScheme(algorithm: pkijs.AlgorithmIdentifier): Scheme | undefined {
  try {
    const parameters = new pkijs.RSASSAPSSParams({ schema: algorithm.algorithmParams as unknown });
    const mask = parameters.maskGenAlgorithm;
    const maskHash = new pkijs.AlgorithmIdentifier({ schema: mask.algorithmParams as unknown });
    const hash = HASHES.get(parameters.hashAlgorithm.algorithmId);
    if (hash === undefined || mask.algorithmId !== MGF1 || HASHES.get(maskHash.algorithmId) !== hash) return undefined;
    return { keys: ['rsa', 'rsa-pss'], hash, saltLength: parameters.saltLength };
  } catch {
    return undefined;
  }
}

function weak(whose: string, what: string): TrustError {
  return new TrustError('weak-key', `${whose} ${what}.`);
}
