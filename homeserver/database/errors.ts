/** What went wrong in the database, by class of error: the one place that knows those of the driver and of Sequelize. */
import pg from 'pg';
import { BaseError, ConnectionError, ValidationError } from 'sequelize';

/** There was no connection, or it ended before the answer came. */
export class DatabaseUnavailableError extends Error {
  override readonly name = 'DatabaseUnavailableError';

  /** @param cause what the driver said */
  constructor(cause: unknown) {
    super(`The database can not be reached: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** A text has a character that PostgreSQL keeps in none. */
export class UnstorableTextError extends Error {
  override readonly name = 'UnstorableTextError';

  constructor() {
    super('There is a character that can not be stored.');
  }
}

/** Name of the rule of models that a text has no character which PostgreSQL keeps in none. */
export const STORABLE = 'storable';

const FOREIGN_KEY_VIOLATION = '23503';
const UNIQUE_VIOLATION = '23505';
/** character_not_in_repertoire and untranslatable_character. */
const UNSTORABLE: readonly string[] = ['22021', '22P05'];

/**
 * Nothing is wrong with what was asked, and the same may succeed later: connection exceptions (08), insufficient
 * resources (53), system errors (58), and by name: serialization_failure, statement_completion_unknown,
 * deadlock_detected, admin_shutdown, crash_shutdown, cannot_connect_now, idle_session_timeout; and
 * read_only_sql_transaction, for a standby that has not taken over yet.
 *
 * @see PostgreSQL documentation, appendix A, "PostgreSQL Error Codes"
 */
const TRANSIENT = /^(08...|53...|58...|40001|40003|40P01|57P01|57P02|57P03|57P05|25006)$/;

/**
 * Whether something failed because of the state of the database or of the way to it, and not because of what was asked:
 * what must not be lost has to be tried again.
 */
export function isTransient(error: unknown): boolean {
  if (error instanceof DatabaseUnavailableError || error instanceof ConnectionError) return true;
  if (error instanceof pg.DatabaseError) return TRANSIENT.test(error.code ?? '');
  const cause = causeOf(error);
  // Sequelize passes on what the driver said; apart from mistakes in its use, only a lost connection has no code.
  if (error instanceof BaseError && cause instanceof Error && !(cause instanceof pg.DatabaseError)) {
    return !(cause instanceof TypeError);
  }
  return cause !== undefined && isTransient(cause);
}

/** Whether a statement failed because what it refers to is not there (any more). */
export function isForeignKeyViolation(error: unknown): boolean {
  return codeOf(error) === FOREIGN_KEY_VIOLATION;
}

/** Whether a statement failed because what it adds is there already. */
export function isUniqueViolation(error: unknown): boolean {
  return codeOf(error) === UNIQUE_VIOLATION;
}

/** Whether a statement failed because of a character that the database keeps in no text, such as NUL. */
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
