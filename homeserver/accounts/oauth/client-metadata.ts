/** Client metadata of dynamic client registration. */

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

export interface ClientAddresses {
  readonly clientUri: unknown;
  readonly applicationType: unknown;
  readonly redirectUris: unknown;
}

/**
 * Checks the URIs of a client: they must belong together, so that the displayed client URI tells users where their
 * session goes.
 *
 * @returns what is wrong; undefined when they are valid
 * @see Matrix specification, client-server API, "Redirect URI validation"
 */
export function wrongAddress({ clientUri, applicationType, redirectUris }: ClientAddresses): string | undefined {
  const base = parse(clientUri);
  if (base === undefined || base.username !== '' || base.password !== '') return 'client_uri must be a web page';
  if (base.protocol !== 'https:' && !isLoopback(base)) return 'client_uri must use https';
  for (const redirectUri of Array.isArray(redirectUris) ? (redirectUris as unknown[]) : []) {
    const url = parse(redirectUri);
    if (url === undefined || !belongs(url, base, applicationType === 'native')) {
      return 'redirect_uris must belong to client_uri';
    }
  }
  return undefined;
}

function belongs(url: URL, base: URL, native: boolean): boolean {
  if (url.username !== '' || url.password !== '') return false;
  if (url.protocol === 'https:') return isWithin(url.hostname, base.hostname);
  if (isLoopback(url)) return native || isLoopback(base);
  // The URI scheme of an app is its reversed domain name: `example.client` for client.example.
  const domain = url.protocol.slice(0, -1).split('.').reverse().join('.');
  return native && domain.includes('.') && isWithin(domain, base.hostname);
}

function isWithin(host: string, base: string): boolean {
  return host === base || host.endsWith(`.${base}`);
}

function isLoopback(url: URL): boolean {
  return url.protocol === 'http:' && LOOPBACK.has(url.hostname);
}

function parse(value: unknown): URL | undefined {
  return typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
}
