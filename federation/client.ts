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
  /** We do not talk to that server. */
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
  /** HTTP status of the answer, where there was one. */
  readonly status: number | undefined;
  /** Matrix error code of the answer, where there was one, for example `M_FORBIDDEN`. */
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
  /** For a request from its beginning to the end of the answer, unless it says otherwise. */
  readonly timeoutMs?: number;
  /** Whether we talk to a server at all. */
  readonly isAllowed?: (server: string) => boolean;
  /** Judges requests that are made for people. Rejects with what they are told when a server is not asked for them. */
  readonly requireMayAsk?: (server: string, matter: Exclude<Matter, 'server'>) => Promise<void>;
}

/**
 * Whose matter a request is, whoever's act led to it: `server` for what a server owes to its rooms, links and
 * deliveries; `room` for what people need of the others in their rooms, such as files; `person` for anything else that
 * somebody wants to know.
 */
export type Matter = 'server' | 'room' | 'person';

export interface FederationRequest {
  /** Name of the server. */
  readonly destination: string;
  readonly method: string;
  /** Path and query with percent-encoding, as it goes onto the wire. */
  readonly path: string;
  /** `person` unless said otherwise, so that a new question is judged before anybody has thought of it. */
  readonly matter?: Matter;
  readonly body?: JsonObject;
  readonly timeoutMs?: number;
  /** On connections of their own: it does not wait until other requests to the server have their answers. */
  readonly live?: boolean;
  /** False for the few requests that need no proof of who asks. */
  readonly signed?: boolean;
  /** The answer may be this long. */
  readonly maxBytes?: number;
  /** The answer holds several events, each to be looked at by itself: see `parseWithAnyNumbers`. */
  readonly holdsEvents?: boolean;
  /** The answer holds nothing that is signed: see `parseWithAnyNumbers`. */
  readonly anyNumbers?: boolean;
}

/** An answer whose body is still to be read. */
export interface FederationAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

const TIMEOUT_MS = 30_000;
/** Most answers are short. Only those that hold events, and those that say so, may be longer. */
const MAX_ANSWER_BYTES = 256 * 1024;
const MAX_EVENTS_BYTES = 10 * 1024 * 1024;
/** For requests that are answered with a list of rooms or devices, in bytes. */
export const LIST_BYTES = 4 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;

/**
 * Sends requests to other servers, over TLS with a verified certificate and to addresses that the policy allows.
 * Redirections are not followed.
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
   * Sends a request and answers the JSON object that comes back.
   *
   * @throws FederationError; or what `requireMayAsk` rejects with
   * @throws CanonicalJsonError when the body has no canonical form
   */
  async request(request: FederationRequest): Promise<JsonObject> {
    return this.#send(request, 'application/json', (answer) => this.#read(request, answer));
  }

  /**
   * Sends a request whose answer is no JSON. Redirections are answered like any success. Whoever asks reads the body to
   * its end or destroys it, and bounds its length; the time limit of the request holds for it too.
   *
   * @throws FederationError also for an error status
   */
  async open(request: Omit<FederationRequest, 'body' | 'maxBytes'>): Promise<FederationAnswer> {
    return this.#send(request, '*/*', async (answer) => {
      const { statusCode: status, headers, body } = answer;
      // Whoever destroys it early does not want to hear of it.
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
    const { destination, method, path, matter = 'person' } = request;
    const { timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS } = request;
    if (this.#closed) throw new FederationError('CLOSED', destination, 'The client is closed.');
    const { serverName, isAllowed } = this.#options;
    if (destination === serverName || isAllowed?.(destination) === false) {
      throw new FederationError('NOT_ALLOWED', destination, `${destination} is not among the servers that we talk to.`);
    }
    if (!isServerName(destination)) {
      throw new FederationError('NOT_FOUND', destination, 'The destination is not a server name.');
    }
    if (matter !== 'server') await this.#options.requireMayAsk?.(destination, matter);
    const signal = AbortSignal.timeout(timeoutMs);
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
    throw new FederationError('BAD_ANSWER', destination, `The answer of ${destination} is not an object.`, { status });
  }

  async #refusal(
    { destination, maxBytes = MAX_ERROR_BYTES }: FederationRequest,
    { statusCode: status, body }: Dispatcher.ResponseData,
  ): Promise<FederationError> {
    const text = await readBounded(body, Math.min(maxBytes, MAX_ERROR_BYTES)).catch((error: unknown) => {
      if (error instanceof BodyError) return '';
      throw error;
    });
    const errcode = errcodeOf(text);
    const what = errcode === undefined ? String(status) : `${status} ${errcode}`;
    return new FederationError('REFUSED', destination, `${destination} answered ${what}.`, { status, errcode });
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
    return new FederationError('UNREACHABLE', destination, `${destination} can not be reached (${code}).`, {
      cause: error,
    });
  }
}

/** The Matrix error code in the body of an error, if there is one. */
function errcodeOf(text: string): string | undefined {
  try {
    const body: unknown = JSON.parse(text);
    const errcode = isJsonObject(body) ? member(body, 'errcode') : undefined;
    return typeof errcode === 'string' && /^[A-Z0-9_.a-z]{1,100}$/.test(errcode) ? errcode : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
