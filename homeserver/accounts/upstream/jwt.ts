/** What all tokens of the identity provider that we check have in common. */
import { errors } from 'jose';
import type { JWTVerifyGetKey } from 'jose';
import { z } from 'zod';

export interface JwtRules {
  readonly issuer: string;
  /** The audience. */
  readonly clientId: string;
  /** The keys of the issuer. */
  readonly keys: JWTVerifyGetKey;
  /** The clock, Unix ms. */
  readonly now: () => number;
}

/** How far the clocks of the provider and of this machine may be apart, in s. */
export const CLOCK_TOLERANCE_S = 30;

/** The session at the provider that a token is about (`sid`): never cut, for a logout token names it whole. */
export const sessionIdSchema = z.string().min(1).max(255);

/** Signatures that only the provider can make: nobody who knows the client's secret. */
export const SIGNATURE_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

/** What is wrong with the token itself, and not with the way to the keys. */
export function isOfToken(error: unknown): error is Error {
  return (
    error instanceof errors.JOSEError &&
    !(error instanceof errors.JWKSTimeout) &&
    !(error instanceof errors.JWKSInvalid) &&
    error.code !== 'ERR_JOSE_GENERIC'
  );
}
