import { isIP, isIPv6 } from 'node:net';

/** Thrown when an identifier does not follow the grammar. */
export class IdentifierError extends Error {
  override readonly name = 'IdentifierError';
  readonly code = 'M_INVALID_PARAM';
}

/** No identifier is longer than this, in UTF-8 bytes. @see Matrix specification, appendices, "Identifier Grammar" */
export const MAX_IDENTIFIER_BYTES = 255;

const DNS_NAME = /^[A-Za-z0-9.-]{1,230}$/;
/** Most host names: the last label is not a number and none is Punycode, so that the URL standard leaves them as they are. */
const PLAIN_HOST = /^(?!.*xn--)(?:.*\.)?[a-z][a-z0-9-]*$/i;
const LOCALPART = /^[^:\0]*$/;
const OPAQUE = /^[A-Za-z0-9_-]{43}$/;

/** The parts of a server name. IPv6 addresses come without brackets. */
export interface ServerNameParts {
  readonly host: string;
  readonly port: number | undefined;
  readonly isIp: boolean;
}

/**
 * Parses a server name (`example.org`, `example.org:8448`, `1.2.3.4`, `[::1]:8448`).
 *
 * @throws IdentifierError when it does not follow the grammar
 * @see Matrix specification, appendices, "Server Name"
 */
export function parseServerName(name: string): ServerNameParts {
  const match = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([^:[\]]+))(?::([0-9]{1,5}))?$/.exec(name);
  if (match === null || name.length > MAX_IDENTIFIER_BYTES) throw new IdentifierError('Not a server name.');
  const [, ipv6, host, portText] = match;
  const port = portText === undefined ? undefined : Number(portText);
  if (port !== undefined && (port < 1 || port > 65535)) throw new IdentifierError('The port is out of range.');
  if (ipv6 !== undefined) {
    if (!isIPv6(ipv6)) throw new IdentifierError('Not an IPv6 address.');
    return { host: ipv6, port, isIp: true };
  }
  if (host === undefined || !DNS_NAME.test(host) || !isReadAsWritten(host))
    throw new IdentifierError('Not a host name.');
  return { host, port, isIp: isIP(host) !== 0 };
}

/**
 * Whether the URL standard leaves a host as it is written. A host must not have several names, of which an access list
 * has only one: `example.org.` is `example.org`, `127.1` and `0x7f000001` are `127.0.0.1`.
 *
 * @see https://url.spec.whatwg.org/#host-parsing
 */
function isReadAsWritten(host: string): boolean {
  if (PLAIN_HOST.test(host)) return true;
  if (host.endsWith('.') || !URL.canParse(`http://${host}/`)) return false;
  return new URL(`http://${host}/`).hostname === host.toLowerCase();
}

/** Whether the text is a server name. */
export function isServerName(name: string): boolean {
  try {
    parseServerName(name);
    return true;
  } catch (error) {
    if (error instanceof IdentifierError) return false;
    throw error;
  }
}

/**
 * Whether the text is a user id that other servers may use: `@localpart:server`, where the localpart may contain
 * anything but `:` and NUL, because rooms still have historical user ids.
 */
export function isUserId(text: string): boolean {
  const colon = text.indexOf(':');
  return (
    text.startsWith('@') &&
    colon > 0 &&
    Buffer.byteLength(text) <= MAX_IDENTIFIER_BYTES &&
    LOCALPART.test(text.slice(1, colon)) &&
    text.isWellFormed() &&
    isServerName(text.slice(colon + 1))
  );
}

/** Whether the text is a user id with a localpart that new accounts may have. */
export function isNewUserId(text: string): boolean {
  return isUserId(text) && /^@[a-z0-9._=/+-]+:/.test(text);
}

/** Whether the text is a room alias, `#name:server`. */
export function isRoomAlias(text: string): boolean {
  return text.startsWith('#') && text.length > 2 && isUserId(`@${text.slice(1)}`) && !text.startsWith('#:');
}

/** Whether the text is an event id of room version 4 or later: `$` and the URL-safe base64 of a SHA-256. */
export function isEventId(text: string): boolean {
  return text.startsWith('$') && OPAQUE.test(text.slice(1));
}

/** Whether the text is an event id of room versions 1 and 2: `$name:server`. */
export function isGivenEventId(text: unknown): text is string {
  return typeof text === 'string' && text.startsWith('$') && isUserId(`@${text.slice(1)}`);
}

/** Whether the text is a room id of room version 12 and later: `!` and the URL-safe base64 of a SHA-256. */
export function isHashRoomId(text: string): boolean {
  return text.startsWith('!') && OPAQUE.test(text.slice(1));
}

/** Whether the text is a room id of any version. */
export function isRoomId(text: string): boolean {
  if (isHashRoomId(text)) return true;
  const colon = text.indexOf(':');
  return (
    text.startsWith('!') &&
    colon > 1 &&
    Buffer.byteLength(text) <= MAX_IDENTIFIER_BYTES &&
    isServerName(text.slice(colon + 1))
  );
}

/**
 * The server of a user id, of a room alias, or of a room id that has one.
 *
 * @throws IdentifierError when the id has no server part that is a server name
 */
export function serverOf(id: string): string {
  const colon = id.indexOf(':');
  const server = colon < 1 ? '' : id.slice(colon + 1);
  if (!isServerName(server)) throw new IdentifierError('The identifier has no server name.');
  return server;
}
