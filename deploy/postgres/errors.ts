export type PostgresFailure =
  /** There are no binaries for this machine. */
  | 'NO_BINARIES'
  /** The data was made by another major version. */
  | 'OTHER_VERSION'
  /** A path is too long or can not be entered by PostgreSQL's user, or data could not be made. */
  | 'CAN_NOT_MAKE'
  | 'CAN_NOT_START';

export class PostgresError extends Error {
  override readonly name = 'PostgresError';
  readonly code: PostgresFailure;

  constructor(code: PostgresFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
