import type { X509Certificate } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import {
  authorityOf,
  crlUrlsOf,
  KEY_USAGE,
  keyUsageOf,
  ocspUrlsOf,
  purposesOf,
  readCertificate,
} from './certificate.ts';
import { checkServerName } from './names.ts';
import type { Path } from './path.ts';
import { TrustError } from './trust-error.ts';
import { dig } from './untyped.ts';

/** Longest life of an organisation's certificate. */
export const MAX_CERTIFICATE_LIFE_DAYS = 398;
const DAY_MS = 24 * 60 * 60 * 1000;
const ORGANISATION_NAME = '2.5.4.10';
/** RFC 5280 allows 64 characters; some authorities write more. */
const MAX_ORGANISATION = 200;

/**
 * Purposes of which a certificate must have one if it lists purposes: any, signing of JWTs (RFC 9509), and those of TLS,
 * because many authorities issue nothing else to servers.
 */
const PURPOSES: ReadonlySet<string> = new Set([
  '2.5.29.37.0',
  '1.3.6.1.5.5.7.3.37',
  '1.3.6.1.5.5.7.3.1',
  '1.3.6.1.5.5.7.3.2',
]);

/**
 * Checks a certificate by itself against the profile of organisation certificates (docs/trust.md): for whoever imports
 * one. Whether an authority is trusted and nothing is revoked is not part of it.
 *
 * @returns the organisation's name
 * @throws TrustError
 */
export function checkProfile(certificate: X509Certificate, serverName: string): string {
  const read = readCertificate(certificate.raw);
  checkServerName(read, serverName);
  return checkOrganisation([read]);
}

/**
 * Checks the organisation's certificate of a path against the profile.
 *
 * @returns the organisation's name
 * @throws TrustError `wrong-use`, `outside-profile`, `weak-key`
 */
export function checkOrganisation(path: Path): string {
  const [leaf] = path;
  const { title, key, notBefore, notAfter } = leaf;
  if (authorityOf(leaf).isAuthority) throw new TrustError('wrong-use', `${title} is one of an authority.`);
  if (((keyUsageOf(leaf) ?? 0) & KEY_USAGE.digitalSignature) === 0) {
    throw new TrustError('wrong-use', `The key usage of ${title} must be digitalSignature.`);
  }
  if (((keyUsageOf(leaf) ?? 0) & (KEY_USAGE.keyCertSign | KEY_USAGE.cRLSign)) !== 0) {
    throw new TrustError('wrong-use', `The key of ${title} may sign certificates or CRLs. It must not.`);
  }
  for (const certificate of path) {
    const purposes = purposesOf(certificate);
    if (purposes !== undefined && !purposes.some((purpose) => PURPOSES.has(purpose))) {
      throw new TrustError(
        'wrong-use',
        `The extended key usage of ${certificate.title} does not allow statements. ` +
          'Leave it out, or add id-kp-jwt (1.3.6.1.5.5.7.3.37), serverAuth or clientAuth.',
      );
    }
  }
  if (signatureAlgorithmOf(leaf) === undefined) {
    throw new TrustError(
      'weak-key',
      `The key of ${title} must be P-256 or Ed25519, not ${String(key.asymmetricKeyType)}.`,
    );
  }
  if (notAfter - notBefore > MAX_CERTIFICATE_LIFE_DAYS * DAY_MS) {
    throw new TrustError('outside-profile', `${title} is valid for more than ${MAX_CERTIFICATE_LIFE_DAYS} days.`);
  }
  if (crlUrlsOf(leaf).length + ocspUrlsOf(leaf).length === 0) {
    throw new TrustError(
      'outside-profile',
      `${title} names neither a CRL nor an OCSP responder by an http address, so nobody could tell whether it is revoked.`,
    );
  }
  return organisationOf(leaf);
}

/** How the key of an organisation's certificate signs statements; undefined for keys outside the profile. */
export function signatureAlgorithmOf({ key }: Pick<Certificate, 'key'>): 'ES256' | 'EdDSA' | undefined {
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA';
  return key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? 'ES256' : undefined;
}

function organisationOf({ parsed, title }: Certificate): string {
  const names = parsed.subject.typesAndValues.filter(({ type }) => (type as unknown) === ORGANISATION_NAME);
  const value: unknown = dig(names[0]?.value, 'valueBlock', 'value');
  const name = typeof value === 'string' ? value.trim() : '';
  if (names.length !== 1 || name === '' || name.length > MAX_ORGANISATION || /\p{C}/u.test(name)) {
    throw new TrustError(
      'outside-profile',
      `The subject of ${title} must have one organisation (O) that can be shown.`,
    );
  }
  return name;
}
