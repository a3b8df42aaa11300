/** Certificates and keys in whatever form an authority sends them. */
import 'reflect-metadata';
import type { KeyObject } from 'node:crypto';
import { X509Certificate } from 'node:crypto';
import { X509Certificates } from '@peculiar/x509';
import { MAX_CHAIN } from '../../../federation/trust/certificate.ts';
import { readWhole } from '../../base/whole-files.ts';
import { CommandError } from '../command.ts';
import { readPkcs12 } from './pkcs12.ts';
import { readKeys } from './store.ts';

export interface Found {
  readonly certificates: readonly X509Certificate[];
  readonly keys: readonly KeyObject[];
}

const MAX_CERTIFICATES = 50;
const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]*)-----END \1-----/g;
const CERTIFICATE_LABELS = ['CERTIFICATE', 'X509 CERTIFICATE', 'TRUSTED CERTIFICATE'];
const CMS_LABELS = ['PKCS7', 'CMS'];

/**
 * Reads PEM, DER, PKCS#7 (`.p7b`) or PKCS#12 (`.p12`, `.pfx`).
 *
 * @param password is asked for when the file has one
 * @throws CommandError
 */
export async function readCertificateFile(file: string, password: () => Promise<string>): Promise<Found> {
  const bytes = await readWhole(file).catch((error: unknown) => {
    throw new CommandError(`${file} cannot be read: ${error instanceof Error ? error.message : 'unknown error'}`);
  });
  const text = bytes.toString('latin1');
  const found = text.includes('-----BEGIN ') ? readPem(text, file) : await readBinary(bytes, file, password);
  if (found.certificates.length > MAX_CERTIFICATES) {
    throw new CommandError(
      `${file} has more than ${String(MAX_CERTIFICATES)} certificates. ` +
        `Give the organisation's certificate and those of the authorities above it, ${String(MAX_CHAIN)} at most.`,
    );
  }
  return found;
}

function readPem(text: string, file: string): Found {
  const certificates: X509Certificate[] = [];
  for (const [, label = '', base64 = ''] of text.matchAll(BLOCK)) {
    const der = Buffer.from(base64, 'base64');
    if (CERTIFICATE_LABELS.includes(label)) certificates.push(readDer(der, file));
    else if (CMS_LABELS.includes(label)) certificates.push(...readCms(der, file));
    if (certificates.length > MAX_CERTIFICATES) break;
  }
  const keys = text.includes('PRIVATE KEY-----') ? readKeys(text, file) : [];
  const begun = text.split('-----BEGIN ').length;
  if (certificates.length + keys.length === 0) {
    throw new CommandError(
      begun > text.split('-----END ').length
        ? `${file} is cut off: an END line is missing. Copy it again from where it came from.`
        : `There is no certificate in ${file}.`,
    );
  }
  return { certificates, keys };
}

async function readBinary(bytes: Buffer, file: string, password: () => Promise<string>): Promise<Found> {
  try {
    return { certificates: [new X509Certificate(bytes)], keys: [] };
  } catch {
    // Something else.
  }
  try {
    return { certificates: readCms(bytes, file), keys: [] };
  } catch {
    // So it is PKCS#12, or nothing that we know.
  }
  if (!beginsAsPkcs12(bytes)) {
    throw new CommandError(`${file} is neither PEM nor DER, PKCS#7 or PKCS#12, or it is damaged.`);
  }
  return readPkcs12(bytes, await password(), file);
}

/** A sequence that begins with the version, 3. @see RFC 7292, 4 */
function beginsAsPkcs12(bytes: Buffer): boolean {
  const [SEQUENCE, LONG_FORM] = [0x30, 0x80];
  const length = bytes[1] ?? 0;
  const content = length > LONG_FORM ? length - LONG_FORM + 2 : 2;
  return bytes[0] === SEQUENCE && bytes.subarray(content, content + 3).equals(Buffer.from([2, 1, 3]));
}

function readDer(der: Uint8Array, file: string): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch {
    throw new CommandError(`A certificate in ${file} is damaged or cut off. Copy it again from where it came from.`);
  }
}

/** A list of certificates in a signed message without signers. @throws CommandError */
function readCms(der: Uint8Array, file: string): X509Certificate[] {
  let list: X509Certificates;
  try {
    list = new X509Certificates(Uint8Array.from(der));
  } catch {
    throw new CommandError(`The list of certificates in ${file} (PKCS#7) is damaged.`);
  }
  if (list.length === 0) throw new CommandError(`There is no certificate in ${file}.`);
  return list.map((certificate) => readDer(new Uint8Array(certificate.rawData), file));
}

/**
 * Puts certificates in the order in which each is followed by its issuer's. The authority at the top, which whoever
 * trusts it has already, is left out, and so is what does not belong to the path.
 *
 * @throws CommandError when the certificates go round in a circle, or the path is too long
 */
export function chainOf(own: X509Certificate, others: readonly X509Certificate[]): X509Certificate[] {
  const chain = [own];
  for (let last = own; !isSelfIssued(last);) {
    const above = others.filter((other) => isIssuedBy(last, other));
    if (above.length === 0 || above.some(isSelfIssued)) break;
    const further = above.filter((other) => !chain.some((known) => known.fingerprint256 === other.fingerprint256));
    // Of several for the same key, which bridge authorities have, the one that is valid for longest.
    const issuer = further.toSorted((a, b) => b.validToDate.getTime() - a.validToDate.getTime())[0];
    if (issuer === undefined) {
      throw new CommandError(
        `The certificates go round in a circle at "${nameOf(last)}". Nothing was changed; ` +
          'ask the authority for the chain that leads to its root.',
      );
    }
    if (chain.length === MAX_CHAIN) {
      throw new CommandError(`The path has more than ${String(MAX_CHAIN)} certificates, which nobody accepts.`);
    }
    chain.push(issuer);
    last = issuer;
  }
  return chain;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    // A key of a kind that is not known here.
    return false;
  }
}

export function isSelfIssued({ subject, issuer }: X509Certificate): boolean {
  return subject === issuer;
}

/** The distinguished name in one line that can be shown. */
export function nameOf({ subject }: X509Certificate): string {
  return oneLine(subject);
}

export function issuerOf({ issuer }: X509Certificate): string {
  return oneLine(issuer);
}

function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ').replace(/\p{C}/gu, '?');
}
