/** Fetches URLs from users, without being led into our own network. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Readable } from 'node:stream';
import type { SecureContext } from 'node:tls';
import { Client } from 'undici';
import { AddressPolicy } from '../../federation/address-policy.ts';
import { pinnedConnector, trustedRoots } from '../../federation/pinned-connector.ts';
import { readBounded, readBytes } from '../../federation/read-bounded.ts';
import { untilAborted } from '../../federation/until-aborted.ts';

export type FetchErrorCode =
  /** The address is none, or leads to where we must not go. */
  | 'FORBIDDEN'
  /** No answer, or one that is of no use. */
  | 'FAILED';

/** Thrown when a URL cannot be fetched. */
export class FetchError extends Error {
  override readonly name = 'FetchError';
  readonly code: FetchErrorCode;

  constructor(code: FetchErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}

export interface SafeFetchOptions {
  /** CIDR ranges that may be connected to although they are not public. */
  readonly allowedRanges?: readonly string[];
  /** Addresses of host names, used before DNS. */
  readonly hostOverrides?: ReadonlyMap<string, string>;
  /** PEM of CAs that are trusted besides those of Node. */
  readonly ca?: string;
  /** Time limit in ms, including redirects and body. */
  readonly timeoutMs: number;
  /** Rejects with the error for requesters on whose behalf nothing is fetched. */
  readonly requireMayAsk?: () => Promise<void>;
}

/** The final response; valid while the callback runs. */
export interface Fetched {
  /** The final URL. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

const MAX_REDIRECTS = 5;
const MAX_TARGETS = 4;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export class SafeFetch {
  readonly #options: SafeFetchOptions;
  readonly #policy: AddressPolicy;
  readonly #roots: SecureContext;

  /** @throws TypeError when an address range is malformed @throws TypeError when a range of addresses is malformed */
  constructor(options: SafeFetchOptions) {
    this.#options = options;
    this.#policy = new AddressPolicy(options.allowedRanges);
    this.#roots = trustedRoots(options.ca);
  }

  /**
   * Fetches a document by http or https. The addresses of every redirect are checked, and the connection goes to the
   * checked address.
   *
   * @param read reads the response, which has status 200; it limits the length
   * @throws FetchError; or what `read` throws, or `requireMayAsk`
   */
  async get<T>(address: string, accept: string, read: (answer: Fetched) => Promise<T>): Promise<T> {
    await this.#options.requireMayAsk?.();
    const signal = AbortSignal.timeout(this.#options.timeoutMs);
    let url = webAddress(address, undefined);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const client = await this.#client(url, signal);
      try {
        const { statusCode, headers, body } = await client
          .request({
            method: 'GET',
            path: url.pathname + url.search,
            headers: { accept, 'accept-encoding': 'identity', 'user-agent': 'Hansetag' },
            signal,
          })
          .catch((error: unknown) => {
            throw new FetchError('FAILED', 'The server does not respond.', error);
          });
        // Destroying the client discards the unread rest.
        body.on('error', () => undefined);
        if (REDIRECTS.has(statusCode)) {
          url = webAddress(single(headers['location']) ?? '', url);
          continue;
        }
        if (statusCode !== 200)
          throw new FetchError('FAILED', `The server responded with status ${String(statusCode)}.`);
        if ((single(headers['content-encoding']) ?? 'identity') !== 'identity') {
          throw new FetchError('FAILED', 'The response is compressed.');
        }
        return await read({ url: url.href, headers, body });
      } finally {
        await client.destroy();
      }
    }
    throw new FetchError('FAILED', 'There are too many redirects.');
  }

  /**
   * Posts JSON; redirects are not followed.
   *
   * @throws FetchError; BodyError when the response is longer than `maxBytes`
   */
  async post(address: string, json: string, maxBytes: number): Promise<{ status: number; body: string }> {
    return this.#post(address, json, { sent: 'application/json' }, (body) => readBounded(body, maxBytes));
  }

  /**
   * Posts bytes of a media type; redirects are not followed.
   *
   * @throws FetchError; BodyError when the response is longer than `maxBytes`
   */
  async postBytes(
    address: string,
    bytes: Uint8Array,
    types: { readonly sent: string; readonly accepted: string },
    maxBytes: number,
  ): Promise<{ status: number; body: Uint8Array }> {
    return this.#post(address, bytes, types, (body) => readBytes(body, maxBytes));
  }

  async #post<T>(
    address: string,
    content: string | Uint8Array,
    { sent, accepted }: { readonly sent: string; readonly accepted?: string },
    read: (body: Readable) => Promise<T>,
  ): Promise<{ status: number; body: T }> {
    const url = webAddress(address, undefined);
    const signal = AbortSignal.timeout(this.#options.timeoutMs);
    const client = await this.#client(url, signal);
    try {
      const { statusCode, body } = await client
        .request({
          method: 'POST',
          path: url.pathname + url.search,
          headers: {
            'content-type': sent,
            'user-agent': 'Hansetag',
            ...(accepted === undefined ? {} : { accept: accepted }),
          },
          body: content,
          signal,
        })
        .catch((error: unknown) => {
          throw new FetchError('FAILED', 'The server does not respond.', error);
        });
      body.on('error', () => undefined);
      return { status: statusCode, body: await read(body) };
    } finally {
      await client.destroy();
    }
  }

  async #client(url: URL, signal: AbortSignal): Promise<Client> {
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
    const addresses = await this.#addresses(host, signal);
    const connect = pinnedConnector({
      targets: addresses.map((address) => ({ address, port })),
      servername: isIP(host) === 0 ? host : undefined,
      roots: this.#roots,
      signal,
    });
    return new Client(url.origin, { connect, headersTimeout: 0, bodyTimeout: 0, maxHeaderSize: 32 * 1024 });
  }

  async #addresses(host: string, signal: AbortSignal): Promise<string[]> {
    const all = await this.#allAddresses(host, signal);
    const allowed = all.filter((address) => this.#policy.allows(address));
    if (allowed.length === 0) throw new FetchError('FORBIDDEN', 'The address is not public.');
    return allowed.slice(0, MAX_TARGETS);
  }

  async #allAddresses(host: string, signal: AbortSignal): Promise<string[]> {
    if (isIP(host) !== 0) return [host];
    const override = this.#options.hostOverrides?.get(host.toLowerCase().replace(/\.$/, ''));
    if (override !== undefined) return [override];
    try {
      return (await untilAborted(lookup(host, { all: true }), signal)).map(({ address }) => address);
    } catch (error) {
      throw new FetchError('FAILED', 'The host has no address.', error);
    }
  }
}

/** @throws FetchError when it is not a plain http(s) URL @throws FetchError when that is not a plain web address */
function webAddress(address: string, base: URL | undefined): URL {
  const url = URL.canParse(address, base?.href) ? new URL(address, base?.href) : undefined;
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (url === undefined || !isWeb || url.username !== '' || url.password !== '') {
    throw new FetchError('FORBIDDEN', 'The URL must be http or https, without credentials.');
  }
  return url;
}

/** A header that occurs at most once. */
export function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

/** Whether reading a response failed because the server disconnected or was too slow. */
export function brokeOff(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return error.name === 'TimeoutError' || error.name === 'AbortError' || /^(UND_ERR|ECONN|EPIPE|HPE_)/.test(code);
}
