import { createHash } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import type { Authority, Issued } from './authority.ts';
import { signatureOid, signDer } from './keys.ts';

/** How an authority answers OCSP requests; whatever is left out is as it should be. */
export interface OcspOptions {
  /** A responder that the authority has certified; the authority itself signs if left out. */
  readonly delegate?: Issued;
  /** Whether the nonce of a request is repeated. */
  readonly withNonce?: boolean;
  /** Another nonce than the request's. */
  readonly nonce?: Uint8Array;
  readonly thisUpdate?: Date;
  readonly nextUpdate?: Date | undefined;
  /** Says that it knows none of the certificates. */
  readonly knowsNone?: boolean;
}

const NONCE = '1.3.6.1.5.5.7.48.1.2';
const BASIC_RESPONSE = '1.3.6.1.5.5.7.48.1.1';
const LIFE_MS = 24 * 60 * 60 * 1000;
const TAG_CLASS_CONTEXT = 3;

/** Answers an OCSP request about certificates of the authority, in DER. @throws Error when the request is malformed */
export function answerOcsp(authority: Authority, der: Uint8Array, options: OcspOptions = {}): Uint8Array {
  const { tbsRequest } = pkijs.OCSPRequest.fromBER(Uint8Array.from(der));
  const signer = options.delegate ?? authority.issued;
  const certificate = pkijs.Certificate.fromBER(Uint8Array.from(signer.certificate.raw));
  const basic = new pkijs.BasicOCSPResponse();
  const data = basic.tbsResponseData;
  const keyBits = certificate.subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView;
  data.responderID = new asn1js.OctetString({ valueHex: bytes(createHash('sha1').update(keyBits).digest()) });
  data.producedAt = new Date(authority.now);
  const nextUpdate = 'nextUpdate' in options ? options.nextUpdate : new Date(authority.now + LIFE_MS);
  data.responses = tbsRequest.requestList.map(({ reqCert }) => {
    const response = new pkijs.SingleResponse({
      certID: reqCert,
      certStatus: statusOf(authority, reqCert, options),
      thisUpdate: options.thisUpdate ?? new Date(authority.now - 60_000),
    });
    if (nextUpdate !== undefined) response.nextUpdate = nextUpdate;
    return response;
  });
  const nonce = tbsRequest.requestExtensions?.find(({ extnID }) => extnID === NONCE);
  if (options.nonce !== undefined) {
    const extnValue = new asn1js.OctetString({ valueHex: bytes(options.nonce) }).toBER();
    data.responseExtensions = [new pkijs.Extension({ extnID: NONCE, extnValue })];
  } else if (nonce !== undefined && options.withNonce !== false) {
    data.responseExtensions = [nonce];
  }
  data.tbsView = new Uint8Array((data.toSchema(true) as asn1js.Sequence).toBER());
  basic.signatureAlgorithm = new pkijs.AlgorithmIdentifier({ algorithmId: signatureOid(signer.keys) });
  basic.signature = new asn1js.BitString({ valueHex: bytes(signDer(signer.keys, data.tbsView)) });
  if (options.delegate !== undefined) basic.certs = [certificate];
  const response = new pkijs.OCSPResponse({
    responseStatus: new asn1js.Enumerated({ value: 0 }),
    responseBytes: new pkijs.ResponseBytes({
      responseType: BASIC_RESPONSE,
      response: new asn1js.OctetString({ valueHex: basic.toSchema().toBER() }),
    }),
  });
  return new Uint8Array(response.toSchema().toBER());
}

/** @see RFC 6960, 4.2.1, `CertStatus` */
function statusOf(authority: Authority, id: pkijs.CertID, { knowsNone = false }: OcspOptions): asn1js.BaseBlock {
  const idBlock = (tagNumber: number): object => ({ tagClass: TAG_CLASS_CONTEXT, tagNumber });
  if (knowsNone) return new asn1js.Primitive({ idBlock: idBlock(2) });
  // Node writes serial numbers without the octet that keeps them positive.
  const serial = Buffer.from(id.serialNumber.valueBlock.valueHexView)
    .toString('hex')
    .replace(/^00(?=.)/, '');
  const at = authority.revoked.ocsp.get(serial);
  if (at === undefined) return new asn1js.Primitive({ idBlock: idBlock(0) });
  return new asn1js.Constructed({ idBlock: idBlock(1), value: [new asn1js.GeneralizedTime({ valueDate: at })] });
}

function bytes(buffer: Uint8Array): ArrayBuffer {
  return Uint8Array.from(buffer).buffer;
}
