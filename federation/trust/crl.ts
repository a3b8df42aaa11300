import { setImmediate as nextTurn } from 'node:timers/promises';
import * as pkijs from 'pkijs';
import { checkAlgorithm, isSignedBy } from './algorithms.ts';
import { authorityOf, KEY_USAGE, keyUsageOf } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { checkDer, childrenOf, DerError, readElement, TAG, writeElement } from './der.ts';
import type { Element } from './der.ts';

/** What a CRL says. */
export interface Crl {
  /** Unix ms. */
  readonly thisUpdate: number;
  /** When the next one is due, Unix ms. */
  readonly nextUpdate: number;
  /** Serial numbers as `serialText` writes them. */
  readonly revoked: ReadonlySet<string>;
  /** Whether it lists certificates of authorities, of others, or both. */
  readonly lists: 'authorities' | 'others' | 'all';
}

/** Thrown when a CRL or an OCSP response cannot be used. The message says why. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError';
}

/** Bytes of a CRL; some 100,000 revoked certificates. */
export const MAX_CRL_BYTES = 4 * 1024 * 1024;
/** Clocks may differ a little. */
export const SKEW_MS = 5 * 60_000;

/** Of a CRL and of its three parts. */
const TAGS: readonly number[] = [TAG.sequence, TAG.sequence, TAG.sequence, TAG.bitString];
/** How long reading may block the event loop, in ms. */
const SLICE_MS = 10;
/** Entries after which the clock is looked at. */
const SLICE_ENTRIES = 500;
const MAX_HEADER_ELEMENTS = 1000;
const EXTENSIONS = 0xa0;
const BOOLEAN = 0x01;
const ISSUING_DISTRIBUTION_POINT = '2.5.29.28';
const DELTA = '2.5.29.27';
/** Of a revoked certificate: the reason (2.5.29.21), encoded. */
const REASON_CODE = '0603551d15';

/**
 * Reads a CRL of an authority and verifies it. CRLs of others (indirect), for some reasons only, and delta CRLs are
 * refused.
 *
 * The list itself is not handed to pkijs, which makes some twenty objects of each revoked certificate.
 *
 * @param url where it is from: one that is for a distribution point must be for this one
 * @param now Unix ms
 * @throws AnswerError
 * @see RFC 5280, 5 and 6.3
 */
export async function readCrl(der: Uint8Array, issuer: Certificate, url: string, now: number): Promise<Crl> {
  try {
    return await read(der, issuer, url, now);
  } catch (error) {
    if (error instanceof AnswerError) throw error;
    throw new AnswerError(`it cannot be read${error instanceof DerError ? `: ${error.message}` : ''}`);
  }
}

async function read(der: Uint8Array, issuer: Certificate, url: string, now: number): Promise<Crl> {
  if (der.length > MAX_CRL_BYTES) throw new AnswerError(`it is longer than ${MAX_CRL_BYTES} bytes`);
  const root = readElement(der, 0);
  const [tbs, algorithm, signature, ...rest] = [...limited(childrenOf(der, root), 4)];
  const tags = [root.tag, tbs?.tag, algorithm?.tag, signature?.tag];
  if (!tbs || !algorithm || !signature || rest.length > 0 || root.end !== der.length || !isSame(tags, TAGS)) {
    throw new AnswerError('it is not a CRL');
  }
  const { parsed, list } = readHeader(der, tbs, der.subarray(algorithm.start, signature.end));
  if (!parsed.issuer.isEqual(issuer.parsed.subject)) throw new AnswerError('it is by another authority');
  const usage = keyUsageOf(issuer);
  if (usage !== undefined && (usage & KEY_USAGE.cRLSign) === 0) {
    throw new AnswerError('its issuer may not sign CRLs (key usage)');
  }
  checkAlgorithm(parsed.signatureAlgorithm, 'it');
  if (!isSignedBy(issuer.key, parsed.signatureAlgorithm, der.subarray(tbs.start, tbs.end), parsed.signatureValue)) {
    throw new AnswerError('its signature is wrong');
  }
  const lists = checkExtensions(parsed.crlExtensions?.extensions ?? [], url);
  const thisUpdate = parsed.thisUpdate.value.getTime();
  const nextUpdate = parsed.nextUpdate?.value.getTime() ?? Number.NaN;
  if (!(thisUpdate <= now + SKEW_MS)) throw new AnswerError('it is from the future');
  if (Number.isNaN(nextUpdate)) throw new AnswerError('it does not say when the next one is due');
  return { thisUpdate, nextUpdate, revoked: await readRevoked(der, list), lists };
}

/** Everything but the list, read by pkijs, and where the list is. */
function readHeader(
  der: Uint8Array,
  tbs: Element,
  signed: Uint8Array,
): { readonly parsed: pkijs.CertificateRevocationList; readonly list: Element | undefined } {
  const fields = [...limited(childrenOf(der, tbs), 8)];
  const lastTime = fields.findLastIndex(({ tag }) => tag === TAG.utcTime || tag === TAG.generalizedTime);
  const after = fields[lastTime + 1];
  const list = after?.tag === TAG.sequence ? after : undefined;
  const kept = fields.filter((field) => field !== list).map(({ start, end }) => der.subarray(start, end));
  if (fields.slice(lastTime + 1).some((field) => field !== list && field.tag !== EXTENSIONS)) {
    throw new AnswerError('it is not a CRL');
  }
  const header = writeElement(TAG.sequence, Buffer.concat(kept));
  const small = writeElement(TAG.sequence, Buffer.concat([header, signed]));
  checkDer(small, MAX_HEADER_ELEMENTS);
  const parsed = pkijs.CertificateRevocationList.fromBER(Uint8Array.from(small));
  if (!parsed.signature.isEqual(parsed.signatureAlgorithm)) throw new AnswerError('it has two signature algorithms');
  return { parsed, list };
}

function checkExtensions(extensions: readonly pkijs.Extension[], url: string): Crl['lists'] {
  let lists: Crl['lists'] = 'all';
  const seen = new Set<string>();
  for (const { extnID, critical, parsedValue } of extensions) {
    if (seen.size === seen.add(extnID).size) throw new AnswerError(`it has the extension ${extnID} twice`);
    if (extnID === DELTA) throw new AnswerError('it is a delta CRL');
    if (extnID === ISSUING_DISTRIBUTION_POINT) lists = checkDistributionPoint(parsedValue, url);
    else if (critical) throw new AnswerError(`it has a critical extension that is not known here, ${extnID}`);
  }
  return lists;
}

function checkDistributionPoint(value: unknown, url: string): Crl['lists'] {
  if (!(value instanceof pkijs.IssuingDistributionPoint) || 'parsingError' in value) {
    throw new AnswerError('its distribution point cannot be read');
  }
  const { distributionPoint: names, onlySomeReasons, indirectCRL, onlyContainsAttributeCerts } = value;
  if (indirectCRL || onlySomeReasons !== undefined || onlyContainsAttributeCerts) {
    throw new AnswerError('it is indirect or partial');
  }
  if (names !== undefined && !(Array.isArray(names) && names.some((name) => (name.value as unknown) === url))) {
    throw new AnswerError('it is for another distribution point');
  }
  if (value.onlyContainsCACerts && value.onlyContainsUserCerts) throw new AnswerError('it lists nothing');
  if (value.onlyContainsCACerts) return 'authorities';
  return value.onlyContainsUserCerts ? 'others' : 'all';
}

async function readRevoked(der: Uint8Array, list: Element | undefined): Promise<Set<string>> {
  const revoked = new Set<string>();
  let sliceEnd = performance.now() + SLICE_MS;
  for (let at = list?.contents ?? 0, end = list?.end ?? 0; at < end;) {
    const entry = readElement(der, at, end);
    const serial = readElement(der, entry.contents, entry.end);
    const date = readElement(der, serial.end, entry.end);
    if (entry.tag !== TAG.sequence || serial.tag !== TAG.integer) throw new AnswerError('its list cannot be read');
    if (date.end < entry.end) checkEntryExtensions(der, readElement(der, date.end, entry.end), entry);
    revoked.add(serialText(der.subarray(serial.contents, serial.end)));
    at = entry.end;
    if (revoked.size % SLICE_ENTRIES === 0 && performance.now() > sliceEnd) {
      await nextTurn();
      sliceEnd = performance.now() + SLICE_MS;
    }
  }
  return revoked;
}

/** An entry with a critical extension may be about another authority's certificate. @see RFC 5280, 5.3 */
function checkEntryExtensions(der: Uint8Array, extensions: Element, entry: Element): void {
  if (extensions.end !== entry.end) throw new AnswerError('its list cannot be read');
  for (const extension of limited(childrenOf(der, extensions), 10)) {
    const [id, critical] = [...limited(childrenOf(der, extension), 3)];
    const isCritical = critical?.tag === BOOLEAN;
    if (id === undefined || (isCritical && hex(der.subarray(id.start, id.end)) !== REASON_CODE)) {
      throw new AnswerError('it has entries with a critical extension that is not known here');
    }
  }
}

/** Bytes of memory that a CRL takes, roughly. */
export function sizeOf({ revoked }: Crl): number {
  return 1024 + 256 * revoked.size;
}

/** Whether a CRL of its issuer lists the certificate; undefined when it is not about certificates of this kind. */
export function isListed({ revoked, lists }: Crl, certificate: Certificate): boolean | undefined {
  if (lists !== 'all' && (lists === 'authorities') !== authorityOf(certificate).isAuthority) return undefined;
  return revoked.has(serialText(certificate.parsed.serialNumber.valueBlock.valueHexView));
}

/** A serial number for comparing: hexadecimal without zeros in front, which an encoding may have or not. */
export function serialText(contents: Uint8Array): string {
  return hex(contents).replace(/^(00)+/, '');
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

function isSame(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.every((value, index) => value === other[index]);
}

function* limited<T>(values: Iterable<T>, limit: number): Generator<T> {
  let count = 0;
  for (const value of values) {
    if (++count > limit) throw new DerError('There are more elements than expected.');
    yield value;
  }
}
