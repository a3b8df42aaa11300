import type { Readable } from 'node:stream';
import type { SecureContext } from 'node:tls';
import type { Dispatcher } from 'undici';
import { ConnectionPools } from './connection-pools.ts';
import { Discovery, DiscoveryError } from './discovery.ts';
import type { DiscoveryOptions } from './discovery.ts';
import { isServerName } from './identifiers.ts';
import { canonicalJsonWithAnyNumbers, DEPTH, isJsonObject, JsonParseError, member, parseLong } from './json.ts';
import type { JsonObject } from './json.ts';
import { trustedRoots } from './pinned-connector.ts';
import { BodyError, readBounded } from './read-bounded.ts';
import type { SigningKey } from './signing.ts';
import { untilAborted } from './until-aborted.ts';
import { signRequest } from './x-matrix.ts';

export type FederationErrorCode =
  /** Our trust rules do not allow that server. */
  | 'NOT_ALLOWED'
  /** The name leads to no server, or to where we must not go. */
  | 'NOT_FOUND'
  /** No connection, or it broke. */
  | 'UNREACHABLE'
  | 'TIMEOUT'
  /** The server answered with an error status. */
  | 'REFUSED'
  /** The server answered with something that is not the JSON object that it should be, or too much of it. */
  | 'BAD_ANSWER'
  | 'CLOSED';

/** Thrown when a request to another server fails. */
export class FederationError extends Error {
  override readonly name = 'FederationError';
  readonly code: FederationErrorCode;
  readonly destination: string;
  /** HTTP status of the response, if there was one. */
  readonly status: number | undefined;
  /** Matrix error code of the response, if there was one, such as `M_FORBIDDEN`. */
  readonly errcode: string | undefined;

  constructor(
    code: FederationErrorCode,
    destination: string,
    message: string,
    details: { status?: number; errcode?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, 'cause' in details ? { cause: details.cause } : {});
    this.code = code;
    this.destination = destination;
    this.status = details.status;
    this.errcode = details.errcode;
  }
}

export interface FederationClientOptions {
  /** Our own name. */
  readonly serverName: string;
  readonly signingKey: SigningKey;
  readonly discovery?: Omit<DiscoveryOptions, 'roots'>;
  /** PEM of authorities that are trusted besides the roots of Node. */
  readonly ca?: string;
  /** Time limit from the start of a request to the end of its response, in ms; requests may override it. */
  readonly timeoutMs?: number;
  /**
   * Whether we federate with a server: undefined when that is known to be so, else a promise that rejects with the error
   * for the caller when it is not. Without it, we federate with all.
   */
  readonly requireTrusted?: (server: string, isExempt: boolean) => Promise<void> | undefined;
  /** Decides on requests that people cause. Rejects with the error for them when the server must not be asked. */
  readonly requireMayAsk?: (server: string, onBehalfOf: Exclude<OnBehalfOf, 'server'>) => Promise<void>;
}

/**
 * On whose behalf a request is sent: `server` for what this server must do for its rooms, links and deliveries; `room`
 * for what people need from others in their rooms, such as files; `person` for anything else that somebody looks up.
 */
export type OnBehalfOf = 'server' | 'room' | 'person';

export interface FederationRequest {
  /** Name of the server. */
  readonly destination: string;
  readonly method: string;
  /** Path and query, percent-encoded as sent. */
  readonly path: string;
  /** Defaults to `person`, the most restricted one, so that a new kind of request is checked by default. */
  readonly onBehalfOf?: OnBehalfOf;
  readonly body?: JsonObject;
  readonly timeoutMs?: number;
  /** On connections of its own, so that it does not wait for the responses to other requests. */
  readonly live?: boolean;
  /** False for the few requests that need no X-Matrix signature. */
  readonly signed?: boolean;
  /** For discovery, keys and statements, by which it is found out whether a server is to be trusted. */
  readonly exempt?: boolean;
  /** Longest response accepted, in bytes. */
  readonly maxBytes?: number;
  /** The response holds several events, each checked on its own: see `parseWithAnyNumbers`. */
  readonly holdsEvents?: boolean;
  /** The response holds nothing that is signed: see `parseWithAnyNumbers`. */
  readonly anyNumbers?: boolean;
}

/** A response whose body has not been read yet. */
export interface FederationAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

const TIMEOUT_MS = 30_000;
/** Most responses are short. Only those that hold events, or that are declared to be longer, may exceed it. */
const MAX_ANSWER_BYTES = 256 * 1024;
const MAX_EVENTS_BYTES = 10 * 1024 * 1024;
/** For responses that are lists of rooms or devices, in bytes. */
export const LIST_BYTES = 4 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;

/**
 * Sends requests to other servers, over TLS with a verified certificate and to addresses that the policy allows.
 * Redirects are not followed.
 */
export class FederationClient {
  readonly #options: FederationClientOptions;
  readonly #pools: ConnectionPools;
  #closed = false;

  /** @throws TypeError when a range of addresses is malformed */
  constructor(options: FederationClientOptions) {
    this.#options = options;
    const roots: SecureContext = trustedRoots(options.ca);
    this.#pools = new ConnectionPools(new Discovery({ ...options.discovery, roots }), roots);
  }

  /**
   * Sends a request and returns the JSON object of the response.
   *
   * @throws FederationError; or what `requireMayAsk` rejects with
   * @throws CanonicalJsonError when the body has no canonical form
   */
  async request(request: FederationRequest): Promise<JsonObject> {
    return this.#send(request, 'application/json', (answer) => this.#read(request, answer));
  }

  /**
   * Sends a request whose response is not JSON. Redirects are returned like any success. The caller reads the body to its
   * end or destroys it, and limits its length; the time limit of the request covers the body too.
   *
   * @throws FederationError also for an error status
   */
  async open(request: Omit<FederationRequest, 'body' | 'maxBytes'>): Promise<FederationAnswer> {
    return this.#send(request, '*/*', async (answer) => {
      const { statusCode: status, headers, body } = answer;
      // A caller that destroys the body early needs no error.
      body.on('error', () => undefined);
      if (status >= 200 && status < 400) return { status, headers, body };
      throw await this.#refusal(request, answer);
    });
  }

  /** Closes all connections; requests under way fail. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#pools.close();
  }

  async #send<T>(
    request: FederationRequest,
    accept: string,
    read: (answer: Dispatcher.ResponseData) => Promise<T>,
  ): Promise<T> {
    const { destination, method, path, onBehalfOf = 'person' } = request;
    const { timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS } = request;
    if (this.#closed) throw new FederationError('CLOSED', destination, 'The client is closed.');
    if (destination === this.#options.serverName) {
      throw new FederationError('NOT_ALLOWED', destination, 'This server does not federate with itself.');
    }
    if (!isServerName(destination)) {
      throw new FederationError('NOT_FOUND', destination, 'The destination is not a server name.');
    }
    const signal = AbortSignal.timeout(timeoutMs);
    const decided = this.#options.requireTrusted?.(destination, request.exempt ?? false);
    if (decided) {
      await untilAborted(decided, signal).catch((error: unknown) => {
        throw error === signal.reason ? this.#failure(destination, error, signal) : error;
      });
    }
    if (onBehalfOf !== 'server') await this.#options.requireMayAsk?.(destination, onBehalfOf);
    const headers = this.#headers(request);
    const body = request.body === undefined ? undefined : canonicalJsonWithAnyNumbers(request.body);
    try {
      const connection = await untilAborted(this.#pools.connectionTo(destination), signal);
      const answer = await (request.live ? connection.live : connection.pool).request({
        method: method as Dispatcher.HttpMethod,
        path,
        headers: { ...headers, accept, host: connection.host },
        body: body ?? null,
        signal,
      });
      return await read(answer);
    } catch (error) {
      throw this.#failure(destination, error, signal);
    }
  }

  #headers({ destination, method, path, body, signed }: FederationRequest): Record<string, string> {
    const headers: Record<string, string> = {};
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (signed === false) return headers;
    const { serverName: origin, signingKey } = this.#options;
    headers['authorization'] = signRequest({ method, uri: path, origin, destination, content: body }, signingKey);
    return headers;
  }

  async #read(request: FederationRequest, answer: Dispatcher.ResponseData): Promise<JsonObject> {
    const { destination, holdsEvents = false, anyNumbers = false } = request;
    const { maxBytes = holdsEvents ? MAX_EVENTS_BYTES : MAX_ANSWER_BYTES } = request;
    const status = answer.statusCode;
    if (status < 200 || status >= 300) throw await this.#refusal(request, answer);
    const text = await readBounded(answer.body, maxBytes);
    const value = await parseLong(text, holdsEvents ? DEPTH.stored : DEPTH.event, holdsEvents || anyNumbers);
    if (isJsonObject(value)) return value;
    throw new FederationError('BAD_ANSWER', destination, `The response of ${destination} is not a JSON object.`, {
      status,
    });
  }

  async #refusal(
    { destination, maxBytes = MAX_ERROR_BYTES }: FederationRequest,
    { statusCode: status, body }: Dispatcher.ResponseData,
  ): Promise<FederationError> {
    const text = await readBounded(body, Math.min(maxBytes, MAX_ERROR_BYTES)).catch((error: unknown) => {
      if (error instanceof BodyError) return '';
      throw error;
    });
    const { errcode, error } = errorIn(text);
    const what = errcode === undefined ? String(status) : `${status} ${errcode}`;
    // Why a server does not federate with us is for our administrator, too.
    const why = status === 403 && error !== undefined ? `: ${error}` : '.';
    return new FederationError('REFUSED', destination, `${destination} responded with ${what}${why}`, {
      status,
      errcode,
    });
  }

  #failure(destination: string, error: unknown, signal: AbortSignal): unknown {
    if (error instanceof FederationError) return error;
    if (error instanceof DiscoveryError) {
      return new FederationError('NOT_FOUND', destination, error.message, { cause: error });
    }
    if (error instanceof JsonParseError || error instanceof BodyError) {
      const message = `The answer of ${destination} is unusable: ${error.message}`;
      return new FederationError('BAD_ANSWER', destination, message, { cause: error });
    }
    if (this.#closed) return new FederationError('CLOSED', destination, 'The client is closed.');
    if (signal.aborted) {
      return new FederationError('TIMEOUT', destination, `${destination} did not answer in time.`);
    }
    this.#pools.forget(destination);
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return new FederationError('UNREACHABLE', destination, `${destination} cannot be reached (${code}).`, {
      cause: error,
    });
  }
}

/** Longest text of another server in one of our errors, in characters. */
const MAX_ERROR_TEXT = 300;

/** The Matrix error in the body of an error response, if there is one. The text is without control characters. */
function errorIn(text: string): { readonly errcode?: string; readonly error?: string } {
  try {
    const body: unknown = JSON.parse(text);
    if (!isJsonObject(body)) return {};
    const errcode = member(body, 'errcode');
    const error = member(body, 'error');
    return {
      ...(typeof errcode === 'string' && /^[A-Z0-9_.a-z]{1,100}$/.test(errcode) ? { errcode } : {}),
      ...(typeof error === 'string' ? { error: error.slice(0, MAX_ERROR_TEXT).replace(/[\p{Cc}\p{Cf}]/gu, ' ') } : {}),
    };
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
