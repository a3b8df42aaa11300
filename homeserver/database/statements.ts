/** Runs SQL on connections; repeated statements are prepared, so that PostgreSQL parses each of them once. */
import type pg from 'pg';

/** The best plan for these depends on their parameters: they are planned each time. */
const DEPENDS = /\bLIMIT \$|\bCASE WHEN\b/;

/** Each connection keeps its prepared statements. */
const MOST_PREPARED = 300;
/** Statements seen once, to detect repeated ones. */
const MOST_SEEN = 1_000;

export class Statements {
  /** Statement names by text. */
  readonly #prepared = new Map<string, string>();
  readonly #seen = new Set<string>();

  /**
   * Runs one statement, or several without parameters, and returns the rows. @throws the driver's error
   *
   * @throws the driver's error
   */
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

/** For several statements, the driver returns several results. */
function rowsOf<T extends object>(answer: pg.QueryResult<T> | pg.QueryResult<T>[]): T[] {
  return Array.isArray(answer) ? answer.flatMap((each) => each.rows) : answer.rows;
}
