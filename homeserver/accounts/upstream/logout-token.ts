/**
 * The token by which an identity provider says that somebody was logged out there.
 *
 * @see OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6
 */
import { jwtVerify } from 'jose';
import { z } from 'zod';
import { CLOCK_TOLERANCE_S, isOfToken, sessionIdSchema, SIGNATURE_ALGORITHMS } from './jwt.ts';
import type { JwtRules } from './jwt.ts';

export interface LogoutClaims {
  readonly issuer: string;
  /** The token's own id. */
  readonly id: string;
  /** Whose sessions end; only the one with `sid`, if there is one. */
  readonly subject: string | undefined;
  readonly sid: string | undefined;
}

/** The token does not prove that anybody was logged out. */
export class LogoutTokenError extends Error {
  override readonly name = 'LogoutTokenError';
  readonly code = 'LOGOUT_TOKEN';
}

/** Longer than any that a provider makes, in characters. */
export const MAX_LOGOUT_TOKEN = 12_000;
/** A token is not good for longer after it was made, in seconds, whatever it says itself. */
const LOGOUT_TOKEN_LIFE_S = 5 * 60;
const TYPES = new Set([undefined, 'jwt', 'logout+jwt', 'application/logout+jwt']);
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

const name = z.string().min(1).max(255);
const claimsSchema = z
  .looseObject({
    jti: name,
    sub: name.optional(),
    sid: sessionIdSchema.optional(),
    events: z.looseObject({ [EVENT]: z.looseObject({}) }),
  })
  .refine((claims) => !('nonce' in claims), 'has a nonce, as ID tokens have')
  .refine(({ sub, sid }) => sub !== undefined || sid !== undefined, 'names neither sub nor sid');

/**
 * Checks a token.
 *
 * @throws LogoutTokenError saying what is wrong
 * @throws the error of the network when the keys cannot be had
 */
export async function verifyLogoutToken(token: string, rules: JwtRules): Promise<LogoutClaims> {
  if (token.length > MAX_LOGOUT_TOKEN) throw new LogoutTokenError('The token is too long.');
  const { payload, protectedHeader } = await jwtVerify(token, rules.keys, {
    issuer: rules.issuer,
    audience: rules.clientId,
    algorithms: SIGNATURE_ALGORITHMS,
    requiredClaims: ['iat', 'exp', 'jti', 'events'],
    maxTokenAge: LOGOUT_TOKEN_LIFE_S,
    clockTolerance: CLOCK_TOLERANCE_S,
    currentDate: new Date(rules.now()),
  }).catch((error: unknown) => {
    if (!isOfToken(error)) throw error;
    throw new LogoutTokenError(`The token is not good: ${error.message}`, { cause: error });
  });
  // Tokens of the same provider for something else, such as ID tokens, must not do.
  if (!TYPES.has(protectedHeader.typ?.toLowerCase())) throw new LogoutTokenError('The token is of another type.');
  const claims = claimsSchema.safeParse(payload);
  if (!claims.success) {
    const [issue] = claims.error.issues;
    throw new LogoutTokenError(`The token is not good: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
  }
  const { jti: id, sub: subject, sid } = claims.data;
  return { issuer: rules.issuer, id, subject, sid };
}
