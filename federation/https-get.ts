import type { SecureContext } from 'node:tls';
import { Client } from 'undici';
import { pinnedConnector } from './pinned-connector.ts';
import { readBounded } from './read-bounded.ts';
import { untilAborted } from './until-aborted.ts';

/** What a web server answered in the end. */
export interface HttpsAnswer {
  readonly status: number;
  /** Values of headers that matter for caching, undefined where absent. */
  readonly cacheControl: string | undefined;
  readonly expires: string | undefined;
  readonly body: string;
}

export interface HttpsGetOptions {
  readonly roots: SecureContext;
  /** Addresses of a host, checked already. Rejects when none may be reached. */
  readonly addresses: (host: string) => Promise<readonly string[]>;
  /** For all hops together, to the end of the last answer. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Fetches a document of a web server that a stranger may have named. Every hop of a redirection must be https, and its
 * addresses are checked like those of the first.
 *
 * @throws Error when there is no answer, when it is too long, or when the redirections are too many or lead astray
 */
export async function httpsGet(address: string, options: HttpsGetOptions): Promise<HttpsAnswer> {
  const signal = AbortSignal.timeout(options.timeoutMs);
  let url = new URL(address);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const { location, ...answer } = await getOnce(url, options, signal);
    if (location === undefined) return answer;
    if (!URL.canParse(location, url.href)) throw new Error('A redirection is malformed.');
    url = new URL(location, url.href);
    if (url.protocol !== 'https:' || url.username !== '' || url.password !== '') {
      throw new Error('A redirection leads to what is not a plain https address.');
    }
  }
  throw new Error('There are too many redirections.');
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
