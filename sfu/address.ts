/** The address of the control connection: the path of a unix socket, or a loopback TCP address. */
import { isIPv6 } from 'node:net';

export type ControlAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** The longest path of a unix socket, in bytes (unix(7)). */
const PATH_LIMIT = 107;

/**
 * Parses a path that begins with `/`, or `host:port` (IPv6 in brackets).
 *
 * @returns undefined when it is neither, or too long for a socket
 */
export function parseControlAddress(text: string): ControlAddress | undefined {
  if (text.startsWith('/')) {
    return Buffer.byteLength(text) <= PATH_LIMIT ? { path: text } : undefined;
  }
  // Only letters that stand for themselves in the URL of the client.
  const match = /^(?:\[([^[\]]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text);
  const [, inBrackets, name] = match ?? [];
  if (inBrackets !== undefined && !isIPv6(inBrackets)) return undefined;
  const host = inBrackets ?? name;
  const port = Number(match?.[3]);
  return host !== undefined && port >= 1 && port <= 65535 ? { host, port } : undefined;
}
