/** Why somebody could not be logged in at the identity provider. */
export type LoginFailure =
  /** The identity provider does not respond, or with an error. */
  | 'unavailable'
  /** The answer belongs to no log-in that this browser has begun within the last ten minutes. */
  | 'unknown'
  /** The identity provider has let nobody in. */
  | 'refused'
  /** The identity provider names no tenant of somebody, or one that this instance does not have. */
  | 'no-tenant'
  | 'unknown-tenant';

export class LoginError extends Error {
  override readonly name = 'LoginError';
  readonly code: LoginFailure;

  constructor(code: LoginFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
