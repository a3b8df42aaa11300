/** Runs SQL on connections; statements that come again are prepared, so that PostgreSQL reads each of them once. */
import type pg from 'pg';

/** The best plan for these depends on their parameters: it is made each time. */
const DEPENDS = /\bLIMIT \$|\bCASE WHEN\b/;

/** Each connection keeps what it has prepared. */
const MOST_PREPARED = 300;
/** Statements that were seen once, to find those that come again. */
const MOST_SEEN = 1_000;

export class Statements {
  /** Names by their text. */
  readonly #prepared = new Map<string, string>();
  readonly #seen = new Set<string>();

  /** Runs one statement, or several without parameters, and answers the rows. @throws the driver's error */
  async run<T extends object>(connection: pg.ClientBase, sql: string, params: readonly unknown[]): Promise<T[]> {
    const name = params.length === 0 || DEPENDS.test(sql) ? undefined : this.#name(sql);
    const answer = await connection.query<T>({
      text: sql,
      ...(params.length === 0 ? {} : { values: [...params] }),
      ...(name === undefined ? {} : { name }),
    });
    return rowsOf(answer);
  }

  #name(sql: string): string | undefined {
    const name = this.#prepared.get(sql);
    if (name !== undefined) return name;
    if (this.#prepared.size >= MOST_PREPARED) return undefined;
    if (!this.#seen.delete(sql)) {
      if (this.#seen.size < MOST_SEEN) this.#seen.add(sql);
      return undefined;
    }
    const fresh = `s${String(this.#prepared.size)}`;
    this.#prepared.set(sql, fresh);
    return fresh;
  }
}

/** Of several statements the driver gives several results. */
function rowsOf<T extends object>(answer: pg.QueryResult<T> | pg.QueryResult<T>[]): T[] {
  return Array.isArray(answer) ? answer.flatMap((each) => each.rows) : answer.rows;
}
