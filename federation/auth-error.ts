/** Thrown when the auth rules do not allow an event. Such an event is rejected, or soft-failed, by what was checked. */
export class AuthError extends Error {
  override readonly name = 'AuthError';
  readonly code = 'M_FORBIDDEN';
}
