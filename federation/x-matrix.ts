import { isServerName } from './identifiers.ts';
import {
  canonicalJson,
  canonicalJsonAsWritten,
  CanonicalJsonError,
  canonicalJsonOfLong,
  canonicalJsonWithAnyNumbers,
} from './json.ts';
import type { JsonObject } from './json.ts';
import type { KeyLookup } from './keyring.ts';
import { verifyText } from './signing.ts';
import type { SigningKey } from './signing.ts';

/** What the signature of a request covers. */
export interface SignedRequest {
  /** In capitals, for example `PUT`. */
  readonly method: string;
  /** Path and query exactly as on the wire, percent-encoding untouched. */
  readonly uri: string;
  /** The name of the requesting server, before any delegation. */
  readonly origin: string;
  /** The name of the receiving server, before any delegation. */
  readonly destination: string;
  /** The parsed body; undefined when there is none. */
  readonly content?: JsonObject | undefined;
}

/** A request as it arrived. */
export interface ReceivedRequest extends Omit<SignedRequest, 'origin'> {
  /** The `Authorization` header, or all of them. */
  readonly authorization: string | readonly string[];
  /** The body before it was parsed. */
  readonly contentText?: string | undefined;
}

/** A parsed `Authorization` header. */
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
/** Longer bodies are not verified as they were written, in characters. */
const MAX_AS_WRITTEN = 256 * 1024;
// Each header can cause a look-up of a key.
const MAX_HEADERS = 3;
const KEY_ID = /^ed25519:[a-zA-Z0-9_]{1,100}$/;
const SCHEME = /^X-Matrix +/i;
// An unquoted value may contain colons, although RFC 9110 requires quotes then: old servers send it like that.
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
 * Parses an `Authorization` header: parameter names in any case and order, values quoted or not, unknown ones ignored.
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

/** Which server claims to have sent a request, and its signatures. */
export interface Claim {
  readonly origin: string;
  readonly signatures: readonly { readonly keyId: string; readonly signature: string }[];
}

/** A claim whose keys are known: it can be checked without further requests. */
export interface CheckableClaim {
  readonly origin: string;
  readonly signatures: readonly { readonly keyId: string; readonly signature: string; readonly publicKey: string }[];
}

/**
 * Which server claims to have sent a request.
 *
 * @param authorization the `Authorization` header, or all of them
 * @param serverName our own name
 * @throws XMatrixError
 */
export function claimOf(authorization: string | readonly string[], serverName: string): Claim {
  const headers = (typeof authorization === 'string' ? [authorization] : authorization).map(parseAuthorization);
  const [first] = headers;
  if (first === undefined) throw new XMatrixError('MISSING', 'The request is not signed.');
  if (headers.length > MAX_HEADERS) throw malformed('there are too many');
  const { origin } = first;
  for (const header of headers) {
    if (header.origin !== origin) {
      throw new XMatrixError('CONFLICTING_ORIGINS', 'The request is signed by several servers.');
    }
    if (header.destination !== undefined && header.destination !== serverName) {
      throw new XMatrixError('WRONG_DESTINATION', 'The request is meant for another server.');
    }
  }
  return { origin, signatures: headers.map(({ keyId, signature }) => ({ keyId, signature })) };
}

/**
 * Looks up the keys of a claim; may fetch them from the server.
 *
 * @throws XMatrixError `UNKNOWN_KEY` when none is known that is valid now
 */
export async function lookUpKeys({ origin, signatures }: Claim, keys: KeyLookup): Promise<CheckableClaim> {
  const known: { keyId: string; signature: string; publicKey: string }[] = [];
  for (const { keyId, signature } of signatures) {
    const publicKey = await keys.key(origin, keyId, 'now');
    if (publicKey !== undefined) known.push({ keyId, signature, publicKey });
  }
  if (known.length > 0) return { origin, signatures: known };
  throw new XMatrixError('UNKNOWN_KEY', `No currently valid key of ${origin} signed the request.`);
}

/**
 * Checks a claim: every signature must be good.
 *
 * @throws XMatrixError `BAD_SIGNATURE` or `MALFORMED`
 */
export async function verifyClaim(
  { origin, signatures }: CheckableClaim,
  received: Omit<ReceivedRequest, 'authorization'>,
): Promise<void> {
  const request = { ...received, origin };
  // Most senders send what they sign, so a long body need not be serialised again.
  const arrived = textAsArrived(request);
  let canonical: string | undefined;
  for (const { keyId, signature, publicKey } of signatures) {
    if (arrived !== undefined && verifyText(arrived, signature, publicKey)) continue;
    canonical ??= await textOf(request);
    if (verifyText(canonical, signature, publicKey) || verifyAsWritten(request, signature, publicKey)) continue;
    throw new XMatrixError('BAD_SIGNATURE', `The signature of ${origin} with ${keyId} is wrong.`);
  }
}

/**
 * Checks which server sent a request. Every signature by a key that is known and valid now must verify, and there must be
 * at least one.
 *
 * @param request `destination` is our own name, `content` the parsed body
 * @returns the name of the server that sent it
 * @throws XMatrixError
 * @see Matrix specification, server-server API, "Request Authentication"
 */
export async function verifyRequest(request: ReceivedRequest, keys: KeyLookup): Promise<string> {
  const claim = await lookUpKeys(claimOf(request.authorization, request.destination), keys);
  await verifyClaim(claim, request);
  return claim.origin;
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

/** The specification has no rule for numbers like `1.0`; servers that send them sign them as written. */
function verifyAsWritten(
  { method, uri, origin, destination, contentText }: SignedRequest & Pick<ReceivedRequest, 'contentText'>,
  signature: string,
  publicKey: string,
): boolean {
  if (contentText === undefined || contentText.length > MAX_AS_WRITTEN) return false;
  const content = canonicalJsonAsWritten(contentText);
  if (content === undefined) return false;
  const rest = canonicalJson({ destination, method, origin, uri });
  // `content` is the first member in canonical order.
  return verifyText(`{"content":${content},${rest.slice(1)}`, signature, publicKey);
}

/** The signed text, if the body was sent as canonical JSON: `content` is the first member in canonical order. */
function textAsArrived(request: SignedRequest & Pick<ReceivedRequest, 'contentText'>): string | undefined {
  if (request.contentText === undefined) return undefined;
  return `{"content":${request.contentText},${signedText({ ...request, content: undefined }).slice(1)}`;
}

async function textOf(request: SignedRequest): Promise<string> {
  try {
    if (request.content === undefined) return signedText(request);
    const content = await canonicalJsonOfLong(request.content);
    return `{"content":${content},${signedText({ ...request, content: undefined }).slice(1)}`;
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
