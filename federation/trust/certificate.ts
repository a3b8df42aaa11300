import { X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import * as pkijs from 'pkijs';
import { checkAlgorithm, checkKey } from './algorithms.ts';
import { checkDer, DerError } from './der.ts';
import { TrustError } from './trust-error.ts';
import { dig } from './untyped.ts';

/** A certificate as two readers understand it: OpenSSL, for keys, signatures and dates, and pkijs, for extensions. */
export interface Certificate {
  readonly x509: X509Certificate;
  readonly parsed: pkijs.Certificate;
  readonly key: KeyObject;
  /** By object identifier. */
  readonly extensions: ReadonlyMap<string, pkijs.Extension>;
  /** Unix ms. */
  readonly notBefore: number;
  /** Unix ms. */
  readonly notAfter: number;
  readonly isSelfIssued: boolean;
  /** For messages: `the certificate "O=…, CN=…"`. */
  readonly title: string;
}

/** Certificates of a path, and of a PEM file that holds one. */
export const MAX_CHAIN = 8;
/** Bytes of one certificate. */
export const MAX_CERTIFICATE_BYTES = 16 * 1024;
/** Authorities in a file of anchors. */
const MAX_ANCHORS = 500;
/** Elements of DER in one certificate or in one of its extensions. */
const MAX_ELEMENTS = 1000;
const MAX_EXTENSIONS = 50;
const MAX_TITLE = 200;
const MAX_PURPOSES = 50;

export const OID = {
  authorityKeyIdentifier: '2.5.29.35',
  basicConstraints: '2.5.29.19',
  certificatePolicies: '2.5.29.32',
  crlDistributionPoints: '2.5.29.31',
  extendedKeyUsage: '2.5.29.37',
  authorityInformation: '1.3.6.1.5.5.7.1.1',
  inhibitAnyPolicy: '2.5.29.54',
  keyUsage: '2.5.29.15',
  nameConstraints: '2.5.29.30',
  ocsp: '1.3.6.1.5.5.7.48.1',
  policyConstraints: '2.5.29.36',
  policyMappings: '2.5.29.33',
  subjectAltName: '2.5.29.17',
};

/** Bits of the first octet of a key usage. @see RFC 5280, 4.2.1.3 */
export const KEY_USAGE = { digitalSignature: 0x80, keyCertSign: 0x04, cRLSign: 0x02 };

/** Extensions that we process and that may be critical therefore. */
const PROCESSED: ReadonlySet<string> = new Set([
  OID.basicConstraints,
  OID.certificatePolicies,
  OID.crlDistributionPoints,
  OID.extendedKeyUsage,
  OID.authorityInformation,
  OID.inhibitAnyPolicy,
  OID.keyUsage,
  OID.nameConstraints,
  OID.policyConstraints,
  OID.policyMappings,
  OID.subjectAltName,
]);

/**
 * Reads a chain of certificates from PEM, the organisation's first and each followed by its issuer's.
 *
 * @throws TrustError `malformed` when there is none, when there are more than `MAX_CHAIN`, or when one cannot be read
 */
export function readChain(pem: string): X509Certificate[] {
  return readPem(pem, MAX_CHAIN);
}

/** Reads a file of authorities. @throws TrustError `malformed` */
export function readAnchors(pem: string): X509Certificate[] {
  return readPem(pem, MAX_ANCHORS);
}

function readPem(pem: string, limit: number): X509Certificate[] {
  const found: X509Certificate[] = [];
  const blocks = /-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]*)-----END \1-----/g;
  for (const [, label, base64 = ''] of pem.matchAll(blocks)) {
    if (label !== 'CERTIFICATE' && label !== 'X509 CERTIFICATE') continue;
    if (found.length === limit) throw new TrustError('malformed', `There are more than ${limit} certificates.`);
    try {
      found.push(new X509Certificate(Buffer.from(base64, 'base64')));
    } catch {
      throw new TrustError('malformed', `Certificate ${found.length + 1} of the PEM cannot be read.`);
    }
  }
  if (found.length === 0) throw new TrustError('malformed', 'There is no certificate in it (PEM, BEGIN CERTIFICATE).');
  return found;
}

/**
 * Reads a certificate and checks what holds for all certificates of a path: that it is DER, that its key is strong
 * enough, and that there is no critical extension that we do not process.
 *
 * @throws TrustError `malformed`, `weak-key`, `wrong-use`
 */
export function readCertificate(der: Uint8Array): Certificate {
  if (der.length > MAX_CERTIFICATE_BYTES) {
    throw new TrustError('malformed', `A certificate is longer than ${MAX_CERTIFICATE_BYTES} bytes.`);
  }
  const { x509, parsed, key } = parse(der);
  const title = `the certificate "${titleOf(x509)}"`;
  checkKey(key, title);
  const notBefore = x509.validFromDate.getTime();
  const notAfter = x509.validToDate.getTime();
  if (Number.isNaN(notBefore) || Number.isNaN(notAfter)) throw new TrustError('malformed', `${title} has no dates.`);
  return {
    x509,
    parsed,
    key,
    extensions: extensionsOf(parsed, title),
    notBefore,
    notAfter,
    isSelfIssued: bytesOf(parsed.subject).equals(bytesOf(parsed.issuer)),
    title,
  };
}

/** Checks how a certificate is signed; a trust anchor's own signature does not matter. @throws TrustError `weak-key` */
export function checkSignatureAlgorithm({ parsed, title }: Certificate): void {
  checkAlgorithm(parsed.signatureAlgorithm, title);
}

function parse(der: Uint8Array): Pick<Certificate, 'x509' | 'parsed' | 'key'> {
  try {
    checkDer(der, MAX_ELEMENTS);
    const x509 = new X509Certificate(der);
    return { x509, parsed: pkijs.Certificate.fromBER(Uint8Array.from(der)), key: x509.publicKey };
  } catch (error) {
    const why = error instanceof DerError ? ` ${error.message}` : '';
    throw new TrustError('malformed', `A certificate cannot be read.${why}`);
  }
}

/** A distinguished name as it is encoded. */
export function bytesOf(name: pkijs.RelativeDistinguishedNames): Buffer {
  return Buffer.from(name.valueBeforeDecode);
}

/** The subject in one line, without control characters. */
function titleOf(x509: X509Certificate): string {
  return (x509.subject ?? '').split('\n').join(', ').replace(/\p{C}/gu, '?').slice(0, MAX_TITLE);
}

function extensionsOf(parsed: pkijs.Certificate, title: string): Map<string, pkijs.Extension> {
  const list = parsed.extensions ?? [];
  if (list.length > MAX_EXTENSIONS) throw new TrustError('malformed', `${title} has too many extensions.`);
  if (list.length > 0 && parsed.version !== 2) throw new TrustError('malformed', `${title} is not of version 3.`);
  const found = new Map<string, pkijs.Extension>();
  for (const extension of list) {
    const { extnID } = extension;
    if (found.has(extnID)) throw new TrustError('malformed', `${title} has the extension ${extnID} twice.`);
    if (extension.critical && !PROCESSED.has(extnID)) {
      throw new TrustError('wrong-use', `${title} has a critical extension that is not known here, ${extnID}.`);
    }
    if (PROCESSED.has(extnID)) requireReadable(extension, title);
    found.set(extnID, extension);
  }
  return found;
}

function requireReadable(extension: pkijs.Extension, title: string): void {
  try {
    checkDer(extension.extnValue.valueBlock.valueHexView, MAX_ELEMENTS);
    const value: unknown = extension.parsedValue;
    const isRead = typeof value === 'object' && value !== null;
    if (isRead && !('parsingError' in value && value.parsingError !== undefined)) return;
  } catch {
    // The same as what pkijs notes in the value.
  }
  throw new TrustError('malformed', `${title} has an extension that cannot be read, ${extension.extnID}.`);
}

/** The value of an extension, as the class of pkijs that reads it. */
function valueOf<T>({ extensions }: Certificate, oid: string, type: new (...args: never[]) => T): T | undefined {
  const value: unknown = extensions.get(oid)?.parsedValue;
  return value instanceof type ? value : undefined;
}

/** Whether a certificate is one of an authority, and how many authorities may come below it. */
export function authorityOf(certificate: Certificate): { readonly isAuthority: boolean; readonly pathLength: number } {
  const value = valueOf(certificate, OID.basicConstraints, pkijs.BasicConstraints);
  const length = value?.pathLenConstraint;
  return {
    isAuthority: value?.cA === true,
    // What is no number is larger than any path.
    pathLength: typeof length === 'number' ? length : Infinity,
  };
}

/** Bits as in `KEY_USAGE`; undefined when the certificate does not limit the use of its key. */
export function keyUsageOf({ extensions }: Certificate): number | undefined {
  const value: unknown = extensions.get(OID.keyUsage)?.parsedValue;
  if (value === undefined) return undefined;
  const bytes: unknown = dig(value, 'valueBlock', 'valueHexView');
  return bytes instanceof Uint8Array ? (bytes[0] ?? 0) : 0;
}

/** Object identifiers of the purposes; undefined when the certificate does not limit them. */
export function purposesOf(certificate: Certificate): readonly string[] | undefined {
  return valueOf(certificate, OID.extendedKeyUsage, pkijs.ExtKeyUsage)?.keyPurposes.slice(0, MAX_PURPOSES);
}

export function alternativeNamesOf(certificate: Certificate): readonly pkijs.GeneralName[] {
  return valueOf(certificate, OID.subjectAltName, pkijs.AltName)?.altNames ?? [];
}

export function nameConstraintsOf(certificate: Certificate): pkijs.NameConstraints | undefined {
  return valueOf(certificate, OID.nameConstraints, pkijs.NameConstraints);
}

/**
 * Where CRLs are that list every reason and are issued by the certificate's issuer: the http and https URLs of each
 * distribution point. CRLs of somebody else (indirect) or for some reasons only are not used.
 */
export function crlUrlsOf(certificate: Certificate): string[] {
  const points = valueOf(certificate, OID.crlDistributionPoints, pkijs.CRLDistributionPoints)?.distributionPoints ?? [];
  return points.flatMap(({ distributionPoint, reasons, cRLIssuer }) =>
    reasons === undefined && cRLIssuer === undefined && Array.isArray(distributionPoint)
      ? distributionPoint.flatMap(httpUrl)
      : [],
  );
}

/** The http and https URLs of OCSP responders. */
export function ocspUrlsOf(certificate: Certificate): string[] {
  const list = valueOf(certificate, OID.authorityInformation, pkijs.InfoAccess)?.accessDescriptions ?? [];
  return list.flatMap(({ accessMethod, accessLocation }) => (accessMethod === OID.ocsp ? httpUrl(accessLocation) : []));
}

function httpUrl({ type, value }: pkijs.GeneralName): string[] {
  const URI = 6;
  const text: unknown = value;
  return type === URI && typeof text === 'string' && /^https?:\/\//i.test(text) && URL.canParse(text) ? [text] : [];
}
