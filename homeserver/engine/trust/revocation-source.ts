/** Fetches lists of revoked certificates, and asks OCSP responders, by the addresses that certificates name. */
import { readBytes } from '../../../federation/read-bounded.ts';
import { MAX_CRL_BYTES } from '../../../federation/trust/crl.ts';
import { MAX_OCSP_BYTES } from '../../../federation/trust/ocsp.ts';
import { FetchError, SafeFetch } from '../../base/safe-fetch.ts';

/** Somebody may wait for the judgement, in ms. */
const TIMEOUT_MS = 8_000;

export interface RevocationWeb {
  /** CIDR ranges that may be connected to although they are not public. */
  readonly allowedRanges: readonly string[];
  /** Addresses of host names, used before DNS. */
  readonly hosts: ReadonlyMap<string, string>;
  /** PEM of CAs for https addresses, besides those of Node. */
  readonly ca: string | undefined;
}

export interface RevocationSource {
  fetchCrl(url: string): Promise<Uint8Array>;
  /** @see RFC 6960, appendix A.1 */
  askOcsp(url: string, request: Uint8Array): Promise<Uint8Array>;
}

export function revocationSource({ allowedRanges, hosts, ca }: RevocationWeb): RevocationSource {
  const web = new SafeFetch({
    allowedRanges,
    hostOverrides: hosts,
    ...(ca === undefined ? {} : { ca }),
    timeoutMs: TIMEOUT_MS,
  });
  return {
    fetchCrl: (url) => web.get(url, 'application/pkix-crl', ({ body }) => readBytes(body, MAX_CRL_BYTES)),
    async askOcsp(url, request) {
      const types = { sent: 'application/ocsp-request', accepted: 'application/ocsp-response' };
      const { status, body } = await web.postBytes(url, request, types, MAX_OCSP_BYTES);
      if (status !== 200) throw new FetchError('FAILED', `The OCSP responder responds with status ${String(status)}.`);
      return body;
    },
  };
}
