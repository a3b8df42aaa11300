/** Thrown when the auth rules do not allow an event. Which state was checked decides if it is rejected or soft-failed. */
export class AuthError extends Error {
  override readonly name = 'AuthError';
  /** `M_BAD_JSON` when the content itself is wrong, whoever sends it. */
  readonly code: 'M_FORBIDDEN' | 'M_BAD_JSON';

  constructor(message: string, code: 'M_FORBIDDEN' | 'M_BAD_JSON' = 'M_FORBIDDEN') {
    super(message);
    this.code = code;
  }
}
