import { createHash, randomBytes } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { checkAlgorithm, isSignedBy } from './algorithms.ts';
import { bytesOf, checkSignatureAlgorithm, purposesOf, readCertificate } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { AnswerError, serialText, SKEW_MS } from './crl.ts';
import { checkDer, DerError } from './der.ts';
import { TrustError } from './trust-error.ts';
import { dig } from './untyped.ts';

/** What a responder says of one certificate. */
export interface OcspAnswer {
  readonly status: 'good' | 'revoked' | 'unknown';
  /** Unix ms. */
  readonly thisUpdate: number;
  /** When there will be a newer one, Unix ms. */
  readonly nextUpdate: number;
  /** Who signed it on the authority's behalf and may itself be revoked. */
  readonly delegate: Certificate | undefined;
}

export interface OcspRequest {
  readonly der: Uint8Array;
  readonly nonce: Uint8Array;
}

/** Bytes of a response. */
export const MAX_OCSP_BYTES = 64 * 1024;

const MAX_ELEMENTS = 2000;
const MAX_DELEGATES = 4;
const NONCE_BYTES = 32;
/** A response that does not say when there will be a newer one. @see RFC 6960, 4.2.2.1 */
const UNDATED_LIFE_MS = 60 * 60_000;
const BASIC_RESPONSE = '1.3.6.1.5.5.7.48.1.1';
const NONCE = '1.3.6.1.5.5.7.48.1.2';
const NO_CHECK = '1.3.6.1.5.5.7.48.1.5';
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
const SHA1 = '1.3.14.3.2.26';
/** How a response names the authority. SHA-1 is no weakness there: nobody chooses both of two names that it would mix up. */
const HASHES: ReadonlyMap<string, string> = new Map([
  [SHA1, 'sha1'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);

/** Makes a request about one certificate, with a nonce. @see RFC 6960, 4.1; RFC 9654 */
export function makeOcspRequest(certificate: Certificate, issuer: Certificate): OcspRequest {
  const nonce = randomBytes(NONCE_BYTES);
  const { issuerNameHash, issuerKeyHash } = hashesOf(issuer, 'sha1');
  const request = new pkijs.OCSPRequest();
  request.tbsRequest.requestList = [
    new pkijs.Request({
      reqCert: new pkijs.CertID({
        // All responders know SHA-1 here, not all know anything else.
        hashAlgorithm: new pkijs.AlgorithmIdentifier({ algorithmId: SHA1, algorithmParams: new asn1js.Null() }),
        issuerNameHash: new asn1js.OctetString({ valueHex: Uint8Array.from(issuerNameHash) }),
        issuerKeyHash: new asn1js.OctetString({ valueHex: Uint8Array.from(issuerKeyHash) }),
        serialNumber: certificate.parsed.serialNumber,
      }),
    }),
  ];
  const value = new asn1js.OctetString({ valueHex: Uint8Array.from(nonce) }).toBER();
  request.tbsRequest.requestExtensions = [new pkijs.Extension({ extnID: NONCE, extnValue: value })];
  return { der: new Uint8Array(request.toSchema(true).toBER() as ArrayBuffer), nonce };
}

/**
 * Reads a response and verifies it: it must be signed by the certificate's issuer, or by a delegate whose certificate
 * the issuer has signed for that purpose. A nonce is compared if there is one: responders that sign in advance have none.
 *
 * @param nonce that of the request
 * @param now Unix ms
 * @throws AnswerError
 * @see RFC 6960, 3.2 and 4.2
 */
export function readOcspResponse(
  der: Uint8Array,
  certificate: Certificate,
  issuer: Certificate,
  nonce: Uint8Array,
  now: number,
): OcspAnswer {
  try {
    return read(der, certificate, issuer, nonce, now);
  } catch (error) {
    if (error instanceof AnswerError) throw error;
    const why = error instanceof DerError || error instanceof TrustError ? `: ${error.message}` : '';
    throw new AnswerError(`it cannot be read${why}`);
  }
}

function read(
  der: Uint8Array,
  certificate: Certificate,
  issuer: Certificate,
  nonce: Uint8Array,
  now: number,
): OcspAnswer {
  const basic = readBasic(der);
  const { tbsResponseData } = basic;
  checkAlgorithm(basic.signatureAlgorithm, 'it');
  const signer = signerOf(basic, issuer, now);
  for (const { extnID, extnValue, critical } of tbsResponseData.responseExtensions ?? []) {
    if (extnID === NONCE) checkNonce(extnValue.valueBlock.valueHexView, nonce);
    else if (critical) throw new AnswerError(`it has a critical extension that is not known here, ${extnID}`);
  }
  const single = tbsResponseData.responses.find(({ certID }) => isAbout(certID, certificate, issuer));
  if (single === undefined) throw new AnswerError('it is not about this certificate');
  if ((single.singleExtensions ?? []).some(({ critical }) => critical)) {
    throw new AnswerError('it has a critical extension that is not known here');
  }
  const thisUpdate = single.thisUpdate.getTime();
  const nextUpdate = single.nextUpdate?.getTime() ?? thisUpdate + UNDATED_LIFE_MS;
  if (!(thisUpdate <= now + SKEW_MS) || Number.isNaN(nextUpdate)) throw new AnswerError('it is from the future');
  const isFinal = signer === issuer || signer.extensions.has(NO_CHECK);
  return { status: statusOf(single), thisUpdate, nextUpdate, delegate: isFinal ? undefined : signer };
}

function readBasic(der: Uint8Array): pkijs.BasicOCSPResponse {
  if (der.length > MAX_OCSP_BYTES) throw new AnswerError(`it is longer than ${MAX_OCSP_BYTES} bytes`);
  checkDer(der, MAX_ELEMENTS);
  const response = pkijs.OCSPResponse.fromBER(Uint8Array.from(der));
  const status = response.responseStatus.valueBlock.valueDec;
  if (status !== 0) throw new AnswerError(`the responder answers with error ${status}`);
  if (response.responseBytes?.responseType !== BASIC_RESPONSE) throw new AnswerError('it is of an unknown type');
  const inner = Uint8Array.from(response.responseBytes.response.valueBlock.valueHexView);
  checkDer(inner, MAX_ELEMENTS);
  return pkijs.BasicOCSPResponse.fromBER(inner);
}

/** The issuer, or a delegate of it, whose signature the response has. */
function signerOf(basic: pkijs.BasicOCSPResponse, issuer: Certificate, now: number): Certificate {
  const { tbsResponseData, signatureAlgorithm, signature } = basic;
  const { tbsView } = tbsResponseData;
  const hasSigned = ({ key }: Certificate): boolean => isSignedBy(key, signatureAlgorithm, tbsView, signature);
  if (isNamed(tbsResponseData, issuer) && hasSigned(issuer)) return issuer;
  for (const parsed of (basic.certs ?? []).slice(0, MAX_DELEGATES)) {
    const delegate = readCertificate(new Uint8Array(parsed.toSchema().toBER() as ArrayBuffer));
    if (!isNamed(tbsResponseData, delegate)) continue;
    checkDelegate(delegate, issuer, now);
    if (hasSigned(delegate)) return delegate;
  }
  throw new AnswerError('its signature is not that of the authority or of a responder that it names');
}

/** @see RFC 6960, 4.2.2.2 */
function checkDelegate(delegate: Certificate, issuer: Certificate, now: number): void {
  checkSignatureAlgorithm(delegate);
  if (!delegate.x509.checkIssued(issuer.x509) || !delegate.x509.verify(issuer.key)) {
    throw new AnswerError('its responder is not certified by the authority itself');
  }
  if (!purposesOf(delegate)?.includes(OCSP_SIGNING)) {
    throw new AnswerError('its responder is not certified for OCSP (id-kp-OCSPSigning)');
  }
  if (now < delegate.notBefore || now > delegate.notAfter) {
    throw new AnswerError('the certificate of its responder has expired or is not valid yet');
  }
}

/** Whether a response says that a certificate has signed it. */
function isNamed({ responderID }: pkijs.ResponseData, { parsed }: Certificate): boolean {
  const id: unknown = responderID;
  if (id instanceof pkijs.RelativeDistinguishedNames) return id.isEqual(parsed.subject);
  const hash = createHash('sha1').update(publicKeyBits(parsed)).digest();
  return id instanceof asn1js.OctetString && hash.equals(id.valueBlock.valueHexView);
}

function checkNonce(value: Uint8Array, nonce: Uint8Array): void {
  const { result } = asn1js.fromBER(Uint8Array.from(value));
  const own = result instanceof asn1js.OctetString ? result.valueBlock.valueHexView : new Uint8Array();
  if (Buffer.compare(own, nonce) !== 0) throw new AnswerError('it answers another request');
}

function isAbout(id: pkijs.CertID, certificate: Certificate, issuer: Certificate): boolean {
  const hash = HASHES.get(id.hashAlgorithm.algorithmId);
  if (hash === undefined) return false;
  const { issuerNameHash, issuerKeyHash } = hashesOf(issuer, hash);
  return (
    issuerNameHash.equals(id.issuerNameHash.valueBlock.valueHexView) &&
    issuerKeyHash.equals(id.issuerKeyHash.valueBlock.valueHexView) &&
    serialText(id.serialNumber.valueBlock.valueHexView) ===
      serialText(certificate.parsed.serialNumber.valueBlock.valueHexView)
  );
}

function hashesOf({ parsed }: Certificate, hash: string): { issuerNameHash: Buffer; issuerKeyHash: Buffer } {
  return {
    issuerNameHash: createHash(hash).update(bytesOf(parsed.subject)).digest(),
    issuerKeyHash: createHash(hash).update(publicKeyBits(parsed)).digest(),
  };
}

function publicKeyBits({ subjectPublicKeyInfo }: pkijs.Certificate): Uint8Array {
  return subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView;
}

function statusOf({ certStatus }: pkijs.SingleResponse): OcspAnswer['status'] {
  const tag: unknown = dig(certStatus, 'idBlock', 'tagNumber');
  // What is neither of the three is never good.
  if (tag === 0) return 'good';
  return tag === 1 ? 'revoked' : 'unknown';
}
