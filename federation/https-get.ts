import type { SecureContext } from 'node:tls';
import { Client } from 'undici';
import { pinnedConnector } from './pinned-connector.ts';
import { readBounded } from './read-bounded.ts';
import { untilAborted } from './until-aborted.ts';

/** The response of a web server, after redirects. */
export interface HttpsAnswer {
  readonly status: number;
  /** Values of headers that matter for caching, undefined where absent. */
  readonly cacheControl: string | undefined;
  readonly expires: string | undefined;
  readonly body: string;
}

export interface HttpsGetOptions {
  readonly roots: SecureContext;
  /** The addresses of a host that we may connect to. Rejects when there are none. */
  readonly addresses: (host: string) => Promise<readonly string[]>;
  /** For all redirects together, to the end of the last response. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Fetches a document from a web server that anybody may have named. Every redirect must lead to https, and its addresses
 * are checked like those of the first request.
 *
 * @throws Error when there is no response, when it is too long, or when there are too many or forbidden redirects
 */
export async function httpsGet(address: string, options: HttpsGetOptions): Promise<HttpsAnswer> {
  const signal = AbortSignal.timeout(options.timeoutMs);
  let url = new URL(address);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const { location, ...answer } = await getOnce(url, options, signal);
    if (location === undefined) return answer;
    if (!URL.canParse(location, url.href)) throw new Error('The location of a redirect is malformed.');
    url = new URL(location, url.href);
    if (url.protocol !== 'https:' || url.username !== '' || url.password !== '') {
      throw new Error('A redirect does not lead to an https URL without credentials.');
    }
  }
  throw new Error('There are too many redirects.');
}

async function getOnce(
  url: URL,
  options: HttpsGetOptions,
  signal: AbortSignal,
): Promise<HttpsAnswer & { location: string | undefined }> {
  const { roots, maxBytes } = options;
  const isIpv6 = url.hostname.startsWith('[');
  const host = isIpv6 ? url.hostname.slice(1, -1) : url.hostname;
  const port = url.port === '' ? 443 : Number(url.port);
  const addresses = await untilAborted(options.addresses(host), signal);
  const isIp = addresses.length === 1 && addresses[0] === host;
  const connect = pinnedConnector({
    targets: addresses.map((address) => ({ address, port })),
    servername: isIp ? undefined : host,
    roots,
    signal,
  });
  const client = new Client(url.origin, { connect, headersTimeout: 0, bodyTimeout: 0 });
  try {
    const { statusCode, headers, body } = await client.request({
      method: 'GET',
      path: url.pathname + url.search,
      headers: { accept: 'application/json' },
      signal,
    });
    const location = REDIRECTS.has(statusCode) ? single(headers['location']) : undefined;
    return {
      status: statusCode,
      cacheControl: single(headers['cache-control']),
      expires: single(headers['expires']),
      body: location === undefined ? await readBounded(body, maxBytes) : '',
      location,
    };
  } finally {
    await client.destroy();
  }
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
