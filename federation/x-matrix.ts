import { isServerName } from './identifiers.ts';
import { canonicalJson, canonicalJsonAsWritten, CanonicalJsonError, canonicalJsonWithAnyNumbers } from './json.ts';
import type { JsonObject } from './json.ts';
import type { KeyLookup } from './keyring.ts';
import { verifyText } from './signing.ts';
import type { SigningKey } from './signing.ts';

/** What a signature of a request covers. */
export interface SignedRequest {
  /** In capitals, for example `PUT`. */
  readonly method: string;
  /** Path and query exactly as on the wire, percent-encoding untouched. */
  readonly uri: string;
  /** The name of the asking server, before any delegation. */
  readonly origin: string;
  /** The name of the asked server, before any delegation. */
  readonly destination: string;
  /** The parsed body; undefined when there is none. */
  readonly content?: JsonObject | undefined;
}

/** A request as it arrived. */
export interface ReceivedRequest extends Omit<SignedRequest, 'origin'> {
  /** The `Authorization` header, or all of them. */
  readonly authorization: string | readonly string[];
  /** The body before it was parsed, if it may have numbers that canonical JSON has no form for. */
  readonly contentText?: string | undefined;
}

/** An `Authorization` header taken apart. */
export interface XMatrixHeader {
  readonly origin: string;
  /** Absent in requests of old servers. */
  readonly destination: string | undefined;
  readonly keyId: string;
  readonly signature: string;
}

export type XMatrixErrorCode =
  'MISSING' | 'MALFORMED' | 'CONFLICTING_ORIGINS' | 'WRONG_DESTINATION' | 'UNKNOWN_KEY' | 'BAD_SIGNATURE';

/** Thrown when a request is not properly signed; the answer is 401 `M_UNAUTHORIZED`. */
export class XMatrixError extends Error {
  override readonly name = 'XMatrixError';
  readonly code: XMatrixErrorCode;

  constructor(code: XMatrixErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

const MAX_HEADER = 4096;
// Each header can cause a look-up of a key.
const MAX_HEADERS = 3;
const KEY_ID = /^ed25519:[a-zA-Z0-9_]{1,100}$/;
const SCHEME = /^X-Matrix +/i;
// A value without quotes may contain the colons that RFC 9110 wants quoted: old servers send it so.
const PARAMETER = /[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",\\]*))[ \t]*/y;

/**
 * Signs a request.
 *
 * @returns the value of the `Authorization` header
 * @throws CanonicalJsonError when the body has no canonical form
 * @see Matrix specification, server-server API, "Request Authentication"
 */
export function signRequest(request: SignedRequest, key: SigningKey): string {
  const { origin, destination } = request;
  const signature = key.sign(signedText(request));
  return `X-Matrix origin="${origin}",destination="${destination}",key="${key.keyId}",sig="${signature}"`;
}

/**
 * Takes an `Authorization` header apart: names of any case, any order, quoted or not, unknown parameters ignored.
 *
 * @throws XMatrixError `MALFORMED`
 * @see RFC 9110, section 11.4
 */
export function parseAuthorization(header: string): XMatrixHeader {
  if (header.length > MAX_HEADER) throw malformed('it is too long');
  const scheme = SCHEME.exec(header);
  if (scheme === null) throw malformed('the scheme is not X-Matrix');
  const parameters = parseParameters(header, scheme[0].length);
  const origin = parameters.get('origin');
  const keyId = parameters.get('key');
  const signature = parameters.get('sig') ?? parameters.get('signature');
  if (origin === undefined || !isServerName(origin)) throw malformed('the origin is not a server name');
  if (keyId === undefined || !KEY_ID.test(keyId)) throw malformed('the key is not the id of an ed25519 key');
  if (signature === undefined) throw malformed('there is no signature');
  return { origin, destination: parameters.get('destination'), keyId, signature };
}

/**
 * Checks who sent a request. Every signature by a key that is known and valid now must be good, and there must be one.
 *
 * @param request `destination` is our own name, `content` the parsed body
 * @returns the name of the server that sent it
 * @throws XMatrixError
 * @see Matrix specification, server-server API, "Request Authentication"
 */
export async function verifyRequest(request: ReceivedRequest, keys: KeyLookup): Promise<string> {
  const { authorization } = request;
  const headers = (typeof authorization === 'string' ? [authorization] : authorization).map(parseAuthorization);
  const [first] = headers;
  if (first === undefined) throw new XMatrixError('MISSING', 'The request is not signed.');
  if (headers.length > MAX_HEADERS) throw malformed('there are too many');
  const { origin } = first;
  for (const header of headers) {
    if (header.origin !== origin) {
      throw new XMatrixError('CONFLICTING_ORIGINS', 'The request is signed by several servers.');
    }
    if (header.destination !== undefined && header.destination !== request.destination) {
      throw new XMatrixError('WRONG_DESTINATION', 'The request is meant for another server.');
    }
  }
  const text = textOf({ ...request, origin });
  let verified = false;
  for (const { keyId, signature } of headers) {
    const publicKey = await keys.key(origin, keyId, 'now');
    if (publicKey === undefined) continue;
    if (!verifyText(text, signature, publicKey) && !verifyAsWritten({ ...request, origin }, signature, publicKey)) {
      throw new XMatrixError('BAD_SIGNATURE', `The signature of ${origin} with ${keyId} is wrong.`);
    }
    verified = true;
  }
  if (!verified) throw new XMatrixError('UNKNOWN_KEY', `No valid key of ${origin} is known that signed the request.`);
  return origin;
}

function parseParameters(header: string, start: number): Map<string, string> {
  const parameters = new Map<string, string>();
  PARAMETER.lastIndex = start;
  for (;;) {
    const at = PARAMETER.lastIndex;
    const match = PARAMETER.exec(header);
    const name = match?.[1]?.toLowerCase();
    if (match === null || name === undefined) throw malformed(`a parameter was expected at offset ${at}`);
    if (parameters.has(name)) throw malformed(`${name} is there twice`);
    parameters.set(name, match[2]?.replace(/\\(.)/g, '$1') ?? match[3] ?? '');
    if (PARAMETER.lastIndex === header.length) return parameters;
    if (header[PARAMETER.lastIndex] !== ',') throw malformed(`a comma was expected at offset ${PARAMETER.lastIndex}`);
    PARAMETER.lastIndex++;
  }
}

/** There is no rule for numbers like `1.0`; who signs them signs them as they are written. */
function verifyAsWritten(
  { method, uri, origin, destination, contentText }: SignedRequest & Pick<ReceivedRequest, 'contentText'>,
  signature: string,
  publicKey: string,
): boolean {
  if (contentText === undefined) return false;
  const rest = canonicalJson({ destination, method, origin, uri });
  // The content is the first of the members in their order.
  return verifyText(`{"content":${canonicalJsonAsWritten(contentText)},${rest.slice(1)}`, signature, publicKey);
}

function textOf(request: SignedRequest): string {
  try {
    return signedText(request);
  } catch (error) {
    if (error instanceof CanonicalJsonError) throw new XMatrixError('MALFORMED', error.message);
    throw error;
  }
}

// Only what the signature covers: a received request carries more.
function signedText({ method, uri, origin, destination, content }: SignedRequest): string {
  return canonicalJsonWithAnyNumbers({
    method,
    uri,
    origin,
    destination,
    ...(content === undefined ? {} : { content }),
  });
}

function malformed(why: string): XMatrixError {
  return new XMatrixError('MALFORMED', `The Authorization header is malformed: ${why}.`);
}
