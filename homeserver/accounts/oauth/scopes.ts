/**
 * OAuth 2.0 scopes.
 *
 * @see Matrix specification, client-server API, "Scope"; MSC2967 for the names of old
 */

/** The whole client-server API. */
export const API_SCOPES = ['urn:matrix:client:api:*', 'urn:matrix:org.matrix.msc2967.client:api:*'] as const;
const DEVICE = /^urn:matrix:(?:client|org\.matrix\.msc2967\.client):device:([A-Za-z0-9._~-]{1,255})$/;

/**
 * The device of a scope.
 *
 * @returns undefined unless the scope contains the API and exactly one device
 */
export function deviceOf(scope: string | undefined): string | undefined {
  const names = (scope ?? '').split(' ');
  if (!names.some((name) => API_SCOPES.some((api) => api === name))) return undefined;
  const devices = new Set<string>();
  for (const name of names) {
    const [, device] = DEVICE.exec(name) ?? [];
    if (device !== undefined) devices.add(device);
    else if (name.includes(':device:')) return undefined;
  }
  const [only, ...others] = devices;
  return others.length === 0 ? only : undefined;
}

/** The part of a scope that this server knows and grants. */
export function grantable(scope: string | undefined): string {
  const known = (scope ?? '')
    .split(' ')
    .filter((name) => name === 'openid' || API_SCOPES.some((api) => api === name) || DEVICE.test(name));
  return known.join(' ');
}
