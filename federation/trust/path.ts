import type { X509Certificate } from 'node:crypto';
import * as pkijs from 'pkijs';
import {
  authorityOf,
  checkSignatureAlgorithm,
  KEY_USAGE,
  keyUsageOf,
  MAX_CHAIN,
  OID,
  readCertificate,
} from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { checkNameConstraints } from './names.ts';
import { TrustError } from './trust-error.ts';

/** The organisation's certificate, the authorities between, and the anchor. */
export type Path = readonly [Certificate, ...Certificate[]];

/** Anchors that a chain may lead to, and are tried. */
const MAX_PATHS = 8;
/** Constraints that an authority makes for those below it. pkijs ignores them where nobody is below. */
const FOR_AUTHORITIES = [OID.nameConstraints, OID.policyConstraints, OID.policyMappings, OID.inhibitAnyPolicy];

/**
 * Finds a path that is valid now from a chain to one of the anchors.
 *
 * The chain is in order, as RFC 7515 demands of `x5c`, so there is nothing to search: it ends where an anchor has issued
 * a certificate of it. The path is checked by pkijs (dates, names, authorities, policies). What pkijs 3.4 does not look
 * at is checked here: signatures with node:crypto (pkijs cannot verify Ed25519), their algorithms, key lengths,
 * path length, authorities without a key usage, critical extensions that are unknown, extensions that occur
 * twice or cannot be read, the intersection of name constraints, and those of the anchor.
 *
 * @param chain DER of the organisation's certificate, then of each issuer; the anchor may be absent
 * @param now Unix ms
 * @throws TrustError
 * @see RFC 5280, 6.1
 */
export async function findPath(
  chain: readonly Uint8Array[],
  anchors: readonly X509Certificate[],
  now: number,
): Promise<Path> {
  const certificates = readAll(chain);
  let failure: TrustError | undefined;
  for (const path of pathsOf(certificates, anchors)) {
    try {
      await checkPath(path, now);
      return path;
    } catch (error) {
      if (!(error instanceof TrustError)) throw error;
      failure ??= error;
    }
  }
  throw failure ?? unknownAuthority(certificates);
}

/**
 * Why an anchor can be the end of no path, for whoever configures anchors.
 *
 * @param now Unix ms
 */
export function anchorFault(anchor: X509Certificate, now: number): TrustError | undefined {
  try {
    const read = readCertificate(anchor.raw);
    checkDates(read, now);
    checkAuthority(read, [], true);
    return undefined;
  } catch (error) {
    if (error instanceof TrustError) return error;
    throw error;
  }
}

function readAll(chain: readonly Uint8Array[]): [Certificate, ...Certificate[]] {
  if (chain.length > MAX_CHAIN) {
    throw new TrustError('malformed', `The chain has ${chain.length} certificates. At most ${MAX_CHAIN} are allowed.`);
  }
  const [leaf, ...others] = chain.map((der) => readCertificate(der));
  if (leaf === undefined) throw new TrustError('malformed', 'The chain has no certificate.');
  const all: [Certificate, ...Certificate[]] = [leaf, ...others];
  if (new Set(all.map(({ x509 }) => x509.fingerprint256)).size < all.length) {
    throw new TrustError('malformed', 'The chain has a certificate twice.');
  }
  return all;
}

/** Paths whose signatures are right, shortest first. Nothing is read of anchors that issued none of the chain. */
function* pathsOf(chain: Path, anchors: readonly X509Certificate[]): Generator<Path> {
  const [leaf] = chain;
  const path: [Certificate, ...Certificate[]] = [leaf];
  let paths = 0;
  for (const [index, certificate] of chain.entries()) {
    if (index > 0) {
      const subject = path.at(-1) ?? leaf;
      if (!isIssuedBy(subject.x509, certificate.x509)) return;
      path.push(certificate);
    }
    for (const anchor of anchors) {
      if (!isIssuedBy(certificate.x509, anchor)) continue;
      // An anchor at the end of the chain has issued itself.
      if (index > 0 && anchor.raw.equals(certificate.x509.raw)) continue;
      if (++paths > MAX_PATHS) return;
      yield [...path, readCertificate(anchor.raw)];
    }
  }
}

function isIssuedBy(subject: X509Certificate, issuer: X509Certificate): boolean {
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

async function checkPath(path: Path, now: number): Promise<void> {
  for (const certificate of path) checkDates(certificate, now);
  for (const certificate of path.slice(0, -1)) checkSignatureAlgorithm(certificate);
  const [leaf, ...authorities] = path;
  const stray = FOR_AUTHORITIES.find((oid) => leaf.extensions.has(oid));
  if (stray !== undefined) {
    throw new TrustError('wrong-use', `${leaf.title} has an extension that is for authorities only, ${stray}.`);
  }
  for (const [index, authority] of authorities.entries()) {
    checkAuthority(authority, authorities.slice(0, index), index === authorities.length - 1);
    checkNameConstraints(authority, path.slice(0, index + 1), leaf);
  }
  await checkWithPkijs(path, now);
}

function checkDates({ notBefore, notAfter, title }: Certificate, now: number): void {
  if (now < notBefore) {
    throw new TrustError(
      'not-yet-valid',
      `${title} is valid from ${day(notBefore)} on. Check the clocks of both servers.`,
    );
  }
  if (now > notAfter) throw new TrustError('expired', `${title} expired at ${day(notAfter)}. It must be renewed.`);
}

function day(ms: number): string {
  return new Date(ms).toISOString();
}

/** @param below the authorities between it and the organisation's certificate */
function checkAuthority(authority: Certificate, below: readonly Certificate[], isAnchor: boolean): void {
  const { isAuthority, pathLength } = authorityOf(authority);
  const { title } = authority;
  if (!isAuthority) throw new TrustError('wrong-use', `${title} is not one of an authority (basic constraints).`);
  const usage = keyUsageOf(authority);
  // Old roots have no key usage; RFC 5280, 4.2.1.3, demands it of all others.
  const maySign = usage === undefined ? isAnchor : (usage & KEY_USAGE.keyCertSign) !== 0;
  if (!maySign) throw new TrustError('wrong-use', `The key of ${title} may not sign certificates (key usage).`);
  if (below.filter(({ isSelfIssued }) => !isSelfIssued).length > pathLength) {
    throw new TrustError('wrong-use', `${title} allows ${pathLength} authorities below it, and there are more.`);
  }
}

async function checkWithPkijs(path: Path, now: number): Promise<void> {
  const parsed = path.map((certificate) => certificate.parsed);
  const anchor = parsed.slice(-1);
  const engine = new pkijs.CertificateChainValidationEngine({
    trustedCerts: anchor,
    // pkijs takes the last one for the organisation's.
    certs: parsed.slice(0, -1).reverse(),
    checkDate: new Date(now),
    // The path is known and its signatures are verified: pkijs would search, without end in a loop.
    findIssuer: (certificate) => Promise.resolve(parsed.slice(parsed.indexOf(certificate) + 1).slice(0, 1)),
  });
  const { result, resultMessage } = await engine.verify();
  if (!result) throw new TrustError('wrong-use', `The path of ${path[0].title} is not valid: ${resultMessage}.`);
}

function unknownAuthority(chain: Path): TrustError {
  const { x509, title } = chain[chain.length - 1] ?? chain[0];
  const issuer = (x509.issuer ?? '').split('\n').join(', ').replace(/\p{C}/gu, '?').slice(0, 200);
  return new TrustError(
    'unknown-authority',
    `No path leads from ${chain[0].title} to an authority that is trusted here: ${title} was issued by "${issuer}". ` +
      'Add that authority to the trust anchors if you trust it, or the missing intermediate certificates to the chain.',
  );
}
