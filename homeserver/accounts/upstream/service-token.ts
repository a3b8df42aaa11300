/**
 * The token by which a service shows who it is: an access token that the identity provider has given it for credentials
 * of its own (client credentials), for this homeserver, with the role of services.
 *
 * @see RFC 6749, section 4.4; RFC 9068 (JWT profile for access tokens)
 */
import { jwtVerify } from 'jose';
import { z } from 'zod';
import type { Identity } from '../accounts.ts';
import { identityOf } from './claims.ts';
import type { ClaimNames } from './claims.ts';
import { CLOCK_TOLERANCE_S, isOfToken, SIGNATURE_ALGORITHMS } from './jwt.ts';
import type { JwtRules } from './jwt.ts';
import { SERVICE_ROLE } from './roles.ts';

/** The token does not let a service in. The message says why. */
export class ServiceTokenError extends Error {
  override readonly name = 'ServiceTokenError';
  readonly code = 'SERVICE_TOKEN';
}

/** Longer than any that a provider makes, in characters. */
export const MAX_SERVICE_TOKEN = 12_000;
const TYPES = new Set([undefined, 'jwt', 'at+jwt', 'application/at+jwt']);
/** What only tokens of people have, and logout tokens. */
const OF_PEOPLE = ['sid', 'nonce', 'auth_time', 'at_hash', 'c_hash', 's_hash', 'events'];
/** What Keycloak calls the user that belongs to a client, before the client's id. */
const KEYCLOAK_PREFIX = 'service-account-';
/** Where Keycloak names roles in access tokens, unless a mapper does it elsewhere. */
const KEYCLOAK_ROLES = 'realm_access.roles';

const name = z.string().min(1).max(255);
const claimsSchema = z.looseObject({
  sub: name,
  client_id: name.optional(),
  azp: name.optional(),
  preferred_username: name.optional(),
  /** Keycloak says here what a token is for. */
  typ: z.literal('Bearer').optional(),
});

/**
 * Checks a token.
 *
 * @returns who the service is
 * @throws ServiceTokenError saying what is wrong
 * @throws the error of the network when the keys cannot be had
 */
export async function verifyServiceToken(
  token: string,
  { names, ...rules }: JwtRules & { readonly names: ClaimNames },
): Promise<Identity> {
  if (token.length > MAX_SERVICE_TOKEN) throw new ServiceTokenError('The token is too long.');
  const { payload, protectedHeader } = await jwtVerify(token, rules.keys, {
    issuer: rules.issuer,
    audience: rules.clientId,
    algorithms: SIGNATURE_ALGORITHMS,
    requiredClaims: ['iat', 'exp', 'sub'],
    clockTolerance: CLOCK_TOLERANCE_S,
    currentDate: new Date(rules.now()),
  }).catch((error: unknown) => {
    if (!isOfToken(error)) throw error;
    throw new ServiceTokenError(`The token is not good: ${error.message}`, { cause: error });
  });
  const claims = claimsSchema.safeParse(payload);
  if (!claims.success || !TYPES.has(protectedHeader.typ?.toLowerCase())) {
    throw new ServiceTokenError('The token is no access token.');
  }
  const clientId = ownClient(claims.data);
  if (clientId === undefined) throw new ServiceTokenError('The token is of a person, not of a service.');
  const roles = [names.roles, KEYCLOAK_ROLES].flatMap(
    (claim) => identityOf(payload, { ...names, roles: claim }).roles ?? [],
  );
  if (!roles.includes(SERVICE_ROLE)) throw new ServiceTokenError(`The service has no role ${SERVICE_ROLE}.`);
  return { ...identityOf(payload, names), preferredUsername: clientId, name: clientId, email: undefined };
}

/** The client that got the token for itself; undefined where it stands for a person. */
function ownClient(claims: z.output<typeof claimsSchema>): string | undefined {
  if (OF_PEOPLE.some((claim) => claim in claims)) return undefined;
  const client = claims.client_id ?? claims.azp;
  if (client === undefined) return undefined;
  // RFC 9068, section 2.2: without a person, the subject is the client.
  const isOwn = claims.sub === client || claims.preferred_username === KEYCLOAK_PREFIX + client.toLowerCase();
  return isOwn ? client : undefined;
}
