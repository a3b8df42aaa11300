import { createSecureContext, getCACertificates } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { buildConnector } from 'undici';

/** Where a connection goes: an address that was checked, never a name that could be looked up anew. */
export interface Target {
  readonly address: string;
  readonly port: number;
}

/** What certificates are checked against: the roots that Node has and further ones (PEM). */
export function trustedRoots(ca?: string): SecureContext {
  return createSecureContext({ ca: [...getCACertificates('default'), ...(ca === undefined ? [] : [ca])] });
}

/**
 * Makes an undici connector that goes to given addresses, one after the other until one answers, whatever the URL says.
 *
 * @param options `servername` is the name for SNI and for the check of the certificate; undefined for an IP literal,
 *   where the certificate must be for the address. `timeoutMs` is for each address.
 */
export function pinnedConnector(options: {
  readonly targets: readonly Target[];
  readonly servername: string | undefined;
  readonly roots: SecureContext;
  readonly timeoutMs: number;
}): buildConnector.connector {
  const { targets, servername, roots, timeoutMs } = options;
  const connect = buildConnector({ secureContext: roots, timeout: timeoutMs, allowH2: false });
  return (request, callback) => {
    const attempt = (index: number): void => {
      const target = targets[index];
      if (target === undefined) return callback(new Error('There is no address to connect to.'), null);
      // An empty name: undici would else take the one of the URL.
      const { servername: _servername, host: _host, ...rest } = request;
      const to = { ...rest, hostname: target.address, port: String(target.port) };
      connect(servername === undefined ? to : { ...to, servername }, (...result) => {
        if (result[0] === null || index + 1 >= targets.length) callback(...result);
        else attempt(index + 1);
      });
    };
    attempt(0);
  };
}
