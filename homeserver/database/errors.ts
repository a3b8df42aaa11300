/** Classification of database errors: the one place that knows those of the driver and of Sequelize. */
import pg from 'pg';
import { BaseError, ConnectionError, ValidationError } from 'sequelize';

/** Thrown when there was no connection, or it was lost before the result arrived. */
export class DatabaseUnavailableError extends Error {
  override readonly name = 'DatabaseUnavailableError';

  /** @param cause what the driver said */
  constructor(cause: unknown) {
    super(`The database can not be reached: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Thrown for a text with a character that PostgreSQL cannot store. */
export class UnstorableTextError extends Error {
  override readonly name = 'UnstorableTextError';

  constructor() {
    super('The text contains a character that cannot be stored.');
  }
}

/** Name of the validation of models that refuses characters which PostgreSQL cannot store. */
export const STORABLE = 'storable';

const FOREIGN_KEY_VIOLATION = '23503';
const UNIQUE_VIOLATION = '23505';
/** character_not_in_repertoire and untranslatable_character. */
const UNSTORABLE: readonly string[] = ['22021', '22P05'];

/**
 * Errors after which the same statement may succeed later: connection exceptions (08), insufficient resources (53),
 * system errors (58), and by name: serialization_failure, statement_completion_unknown, deadlock_detected,
 * admin_shutdown, crash_shutdown, cannot_connect_now, idle_session_timeout; and read_only_sql_transaction, for a
 * standby that has not taken over yet.
 *
 * @see PostgreSQL documentation, appendix A, "PostgreSQL Error Codes"
 */
const TRANSIENT = /^(08...|53...|58...|40001|40003|40P01|57P01|57P02|57P03|57P05|25006)$/;

/**
 * Whether a failure is due to the database or the connection to it, and not to the statement: what must not be lost has
 * to be retried.
 */
export function isTransient(error: unknown): boolean {
  if (error instanceof DatabaseUnavailableError || error instanceof ConnectionError) return true;
  if (error instanceof pg.DatabaseError) return TRANSIENT.test(error.code ?? '');
  const cause = causeOf(error);
  // Sequelize passes on the driver's error; apart from misuse, only a lost connection has no code.
  if (error instanceof BaseError && cause instanceof Error && !(cause instanceof pg.DatabaseError)) {
    return !(cause instanceof TypeError);
  }
  return cause !== undefined && isTransient(cause);
}

/** Whether a statement failed because a referenced row does not exist (any more). */
export function isForeignKeyViolation(error: unknown): boolean {
  return codeOf(error) === FOREIGN_KEY_VIOLATION;
}

/** Whether a statement failed because the row already exists. */
export function isUniqueViolation(error: unknown): boolean {
  return codeOf(error) === UNIQUE_VIOLATION;
}

/** Whether a statement failed because of a character that PostgreSQL cannot store in text, such as NUL. */
export function isUnstorable(error: unknown): boolean {
  if (error instanceof UnstorableTextError) return true;
  if (error instanceof ValidationError) return error.errors.some((item) => item.validatorKey === STORABLE);
  return UNSTORABLE.includes(codeOf(error) ?? '');
}

/** SQLSTATE of an error of the database, also of one that Sequelize has wrapped. */
function codeOf(error: unknown): string | undefined {
  const said = error instanceof BaseError ? causeOf(error) : error;
  return said instanceof pg.DatabaseError ? said.code : undefined;
}

function causeOf(error: unknown): unknown {
  if (error instanceof BaseError && 'parent' in error) return error.parent;
  return error instanceof Error ? error.cause : undefined;
}
