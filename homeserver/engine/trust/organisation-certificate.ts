/** The certificate by which an organisation vouches for its server, as it is in files. */
import { createPrivateKey } from 'node:crypto';
import type { KeyObject, X509Certificate } from 'node:crypto';
import { readChain } from '../../../federation/trust/certificate.ts';
import { checkProfile } from '../../../federation/trust/profile.ts';
import { TrustError } from '../../../federation/trust/trust-error.ts';

export interface OrganisationCertificate {
  /** The organisation's first, then those of the authorities above it. */
  readonly chain: readonly X509Certificate[];
  readonly key: KeyObject;
  /** Unix ms. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** The files do not make a certificate for this server. The message says what to do and shows no key. */
export class OrganisationCertificateError extends Error {
  override readonly name = 'OrganisationCertificateError';
  readonly code = 'ORGANISATION_CERTIFICATE';
}

/** Nothing in a block begins another one, so that a text of many beginnings is read once. */
const KEY_BLOCK = /-----BEGIN ([A-Z ]*)PRIVATE KEY-----(?:(?!-----)[\s\S])*-----END \1PRIVATE KEY-----/g;
/** In one file there are a few: the one in use and the next one. */
const MAX_KEYS = 20;

/**
 * Reads a certificate and finds its key. A file of keys may have several, so that the next one is there before its
 * certificate is.
 *
 * @throws OrganisationCertificateError when nobody would trust this server by it, whatever the time: a wrong name, a key
 *   that does not belong, a certificate outside of the profile. One that has expired or is not valid yet is no error here
 */
export function readOrganisationCertificate(options: {
  readonly serverName: string;
  /** PEM texts. */
  readonly certificates: string;
  readonly keys: string;
  /** Where they are, for messages. */
  readonly certFile: string;
  readonly keyFile: string;
}): OrganisationCertificate {
  const { serverName, certFile, keyFile } = options;
  const chain = readCertificates(options.certificates, certFile);
  const [own] = chain;
  if (own === undefined) throw new OrganisationCertificateError(`There is no certificate in ${certFile}.`);
  const keys = readPrivateKeys(options.keys, keyFile);
  const key = keys.find((candidate) => own.checkPrivateKey(candidate));
  if (key === undefined) {
    throw new OrganisationCertificateError(
      `No key in ${keyFile} belongs to the certificate in ${certFile}. Put the key there that its request was made ` +
        'with, or import the certificate with its key: npx hansetag cert import',
    );
  }
  try {
    checkProfile(own, serverName);
  } catch (error) {
    if (!(error instanceof TrustError)) throw error;
    throw new OrganisationCertificateError(`The certificate in ${certFile} cannot be used: ${error.message}`);
  }
  return { chain, key, notBefore: own.validFromDate.getTime(), notAfter: own.validToDate.getTime() };
}

/**
 * The private keys of a PEM text.
 *
 * @throws OrganisationCertificateError when there is none, or one cannot be read
 */
export function readPrivateKeys(text: string, file: string): KeyObject[] {
  const blocks = text.match(KEY_BLOCK) ?? [];
  if (blocks.length === 0) throw new OrganisationCertificateError(`There is no private key (PEM) in ${file}.`);
  if (blocks.length > MAX_KEYS) {
    throw new OrganisationCertificateError(`There are more than ${String(MAX_KEYS)} keys in ${file}.`);
  }
  return blocks.map((block) => {
    if (/ENCRYPTED/.test(block)) {
      throw new OrganisationCertificateError(
        `The key in ${file} is protected by a password, which a server cannot type. ` +
          `Remove it: openssl pkey -in ${file} -out NEW_FILE`,
      );
    }
    try {
      return createPrivateKey(block);
    } catch {
      throw new OrganisationCertificateError(`A private key in ${file} is damaged.`);
    }
  });
}

function readCertificates(text: string, file: string): X509Certificate[] {
  try {
    return readChain(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'It is malformed.';
    throw new OrganisationCertificateError(`The certificates in ${file} cannot be read. ${why}`);
  }
}
