import { createSecureContext, getCACertificates } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { buildConnector } from 'undici';

/** Where a connection goes: a checked address, never a name that could resolve differently the next time. */
export interface Target {
  readonly address: string;
  readonly port: number;
}

/** Time limit per address, to the end of the TLS handshake. */
const CONNECT_TIMEOUT_MS = 3_000;

/** The root certificates: those of Node and further ones (PEM). */
export function trustedRoots(ca?: string): SecureContext {
  return createSecureContext({ ca: [...getCACertificates('default'), ...(ca === undefined ? [] : [ca])] });
}

/**
 * Makes an undici connector that tries the given addresses in order until one answers, whatever the URL says.
 *
 * @param options `servername` is the name for SNI and for the check of the certificate; undefined for an IP literal,
 *   where the certificate must be for the address. Further addresses are tried
 *   until `signal` is aborted; undefined where the time limit of the requests is enough.
 */
export function pinnedConnector(options: {
  readonly targets: readonly Target[];
  readonly servername: string | undefined;
  readonly roots: SecureContext;
  readonly signal?: AbortSignal;
}): buildConnector.connector {
  const { targets, servername, roots, signal } = options;
  const connect = buildConnector({ secureContext: roots, timeout: CONNECT_TIMEOUT_MS, allowH2: false });
  return (request, callback) => {
    const attempt = (index: number): void => {
      const target = targets[index];
      if (target === undefined) return callback(new Error('There is no address to connect to.'), null);
      // An empty name: otherwise undici would take the one in the URL.
      const { servername: _servername, host: _host, ...rest } = request;
      const to = { ...rest, hostname: target.address, port: String(target.port) };
      connect(servername === undefined ? to : { ...to, servername }, (...result) => {
        const isLast = index + 1 >= targets.length || signal?.aborted === true;
        if (result[0] === null || isLast) callback(...result);
        else attempt(index + 1);
      });
    };
    attempt(0);
  };
}
