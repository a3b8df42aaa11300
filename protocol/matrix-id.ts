/**
 * The one check of Matrix ids that people are invited by: the client asks it before it sends, the homeserver before it
 * acts. Every id that passes is a user id for the federation library, too.
 */

/** No identifier is longer, in UTF-8 bytes. @see Matrix specification, appendices, "Identifier Grammar" */
const MAX_BYTES = 255;
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const PORT = /^[0-9]{1,5}$/;
/** Older servers have ids with nearly any character; nobody is invited by one that cannot be seen or typed. */
const LOCALPART = /^[^:\s\p{C}]+$/u;

/** Whether the text is a server name: a DNS name, an IPv4 address or an IPv6 address in brackets, and maybe a port. */
function isServerName(text: string): boolean {
  const match = /^(\[[0-9A-Fa-f:.]{2,45}\]|[^:[\]]+)(?::(.*))?$/s.exec(text);
  if (!match) return false;
  const [, host = '', port] = match;
  if (port !== undefined && (!PORT.test(port) || Number(port) < 1 || Number(port) > 65_535)) return false;
  if (host.startsWith('[')) return URL.canParse(`http://${host}/`);
  return host.length <= 230 && host.split('.').every((label) => LABEL.test(label)) && isReadAsWritten(host);
}

/** Whether the URL standard reads a host as it is written: `127.1` is another form of an address. */
function isReadAsWritten(host: string): boolean {
  return URL.canParse(`http://${host}/`) && new URL(`http://${host}/`).hostname === host.toLowerCase();
}

/** Whether somebody can be invited by this text: `@localpart:server`. */
export function isUserId(text: string): boolean {
  const colon = text.indexOf(':');
  return (
    text.startsWith('@') &&
    colon > 1 &&
    new TextEncoder().encode(text).length <= MAX_BYTES &&
    LOCALPART.test(text.slice(1, colon)) &&
    isServerName(text.slice(colon + 1))
  );
}

/**
 * The id with its server part in lower case: DNS does not distinguish, Matrix does. The local part stays as it is,
 * because older servers have people whose ids have capitals.
 */
export function withLowerServer(userId: string): string {
  const colon = userId.indexOf(':');
  return colon < 0 ? userId : userId.slice(0, colon) + userId.slice(colon).toLowerCase();
}
