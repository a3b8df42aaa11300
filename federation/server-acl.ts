import { IdentifierError, parseServerName } from './identifiers.ts';
import type { ServerNameParts } from './identifiers.ts';
import { member } from './json.ts';
import type { JsonObject } from './json.ts';

/**
 * Whether the server ACL of a room allows a server. `deny` takes precedence over `allow`; without `allow`, no server is
 * allowed.
 *
 * @param content of `m.room.server_acl`, undefined when the room has none
 * @see Matrix specification, client-server API, "Server Access Control Lists (ACLs) for rooms"
 */
export function serverAllowed(content: JsonObject | undefined, server: string): boolean {
  if (content === undefined) return true;
  let parts: ServerNameParts;
  try {
    parts = parseServerName(server);
  } catch (error) {
    if (error instanceof IdentifierError) return false;
    throw error;
  }
  if (parts.isIp && member(content, 'allow_ip_literals') === false) return false;
  const hosts = namesOf(hostIn(parts));
  const isIn = (list: readonly string[]): boolean => list.some((glob) => hosts.some((host) => matches(glob, host)));
  return !isIn(globs(content, 'deny')) && isIn(globs(content, 'allow'));
}

/**
 * How an access list names a server: by its host without port.
 * @throws IdentifierError for what is no server name
 */
export function accessListName(server: string): string {
  return hostIn(parseServerName(server));
}

/** As in server names, IPv6 addresses are in brackets. */
function hostIn({ host }: ServerNameParts): string {
  return (host.includes(':') ? `[${host}]` : host).toLowerCase();
}

/** A host as it is written and, where that differs, as the URL standard writes it. */
function namesOf(host: string): string[] {
  if (!host.startsWith('[')) return [host];
  return [host, new URL(`http://${host}/`).hostname];
}

function globs(content: JsonObject, name: string): string[] {
  const list = member(content, name);
  return Array.isArray(list) ? list.filter((glob) => typeof glob === 'string').map((glob) => glob.toLowerCase()) : [];
}

/**
 * Whether a text matches a glob: `*` is any number of characters, `?` is one. Not by a regular expression, because many
 * stars make that exponentially slow, and globs come from other servers.
 */
function matches(glob: string, text: string): boolean {
  let at = 0;
  let star = -1;
  let resumeAt = 0;
  let i = 0;
  while (i < text.length) {
    const wanted = glob[at];
    if (wanted === '*') {
      star = at++;
      resumeAt = i;
    } else if (wanted === '?' || wanted === text[i]) {
      at++;
      i++;
    } else if (star >= 0) {
      // Let the last star match one more character.
      at = star + 1;
      i = ++resumeAt;
    } else {
      return false;
    }
  }
  while (glob[at] === '*') at++;
  return at === glob.length;
}
