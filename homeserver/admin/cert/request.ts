/** Keys, and requests for certificates (PKCS#10). */
import 'reflect-metadata';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import {
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from '@peculiar/x509';
import { parseServerName } from '../../../federation/identifiers.ts';
import { CommandError } from '../command.ts';

export const KEY_TYPES = ['p256', 'ed25519'] as const;
export type KeyType = (typeof KEY_TYPES)[number];

/** The distinguished name of an organisation. */
export interface Subject {
  readonly organisation: string;
  readonly unit?: string | undefined;
  /** Two letters (ISO 3166). */
  readonly country?: string | undefined;
  readonly state?: string | undefined;
  readonly locality?: string | undefined;
}

const ALGORITHMS = {
  p256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  ed25519: { name: 'Ed25519' },
} as const;
/** @see RFC 5280, appendix A.1, upper bounds */
const MAX_NAME = 64;

export function newPrivateKey(type: KeyType): KeyObject {
  return type === 'ed25519'
    ? generateKeyPairSync('ed25519').privateKey
    : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** PKCS#8 in PEM. */
export function pemOfKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/**
 * A request for a certificate with the profile of docs/trust.md.
 *
 * @returns PEM
 * @throws CommandError when the key or the names are none that a certificate can have
 */
export async function makeRequest(key: KeyObject, serverName: string, subject: Subject): Promise<string> {
  const algorithm = ALGORITHMS[typeOf(key)];
  const { host, isIp } = parseServerName(serverName);
  const keys = {
    privateKey: key.toCryptoKey(algorithm, false, ['sign']),
    publicKey: createPublicKey(key).toCryptoKey(algorithm, true, ['verify']),
  };
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: distinguishedName(subject, host),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new SubjectAlternativeNameExtension([{ type: isIp ? 'ip' : 'dns', value: host }]),
    ],
  });
  return `${request.toString('pem').trim()}\n`;
}

function typeOf(key: KeyObject): KeyType {
  if (key.asymmetricKeyType === 'ed25519') return 'ed25519';
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'p256';
  throw new CommandError(
    `Requests are made for P-256 and Ed25519 keys; this one is ${nameOfKey(key)}. ` +
      'Make another one: npx hansetag cert key',
  );
}

/** The kind of a key, as people name it. */
export function nameOfKey(key: KeyObject): string {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'ed25519') return 'Ed25519';
  if (namedCurve !== undefined) return namedCurve === 'prime256v1' ? 'P-256' : namedCurve;
  return modulusLength === undefined ? String(key.asymmetricKeyType) : `RSA with ${String(modulusLength)} bits`;
}

function distinguishedName(subject: Subject, host: string): Record<string, string[]>[] {
  const { organisation, unit, country, state, locality } = subject;
  if (country !== undefined && !/^[A-Z]{2}$/.test(country)) {
    throw new CommandError(`The country must be two capital letters, such as DE; it is "${country}".`);
  }
  const parts: [string, string | undefined][] = [
    ['C', country],
    ['ST', state],
    ['L', locality],
    ['O', organisation],
    ['OU', unit],
    // A longer name of a host is in the alternative name alone.
    ['CN', host.length <= MAX_NAME ? host : undefined],
  ];
  return parts.flatMap(([type, value]) => {
    if (value === undefined || value === '') return [];
    if (value.length > MAX_NAME) {
      throw new CommandError(`"${value}" is longer than the ${String(MAX_NAME)} characters that a certificate allows.`);
    }
    return [{ [type]: [value] }];
  });
}
