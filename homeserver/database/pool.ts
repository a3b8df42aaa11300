/** The connection pool of statements, and their transactions. */
import pg from 'pg';
import { DatabaseUnavailableError } from './errors.ts';
import { Statements } from './statements.ts';

export interface Queries {
  /**
   * Runs one statement with `$1` parameters and returns its rows. @throws as `Database.query`
   *
   * @throws as `Database.query`
   */
  query<T extends object = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<T[]>;
}

/** An open SQL transaction; pass it to `query` to run inside it. */
export interface Tx {
  /** @throws Error when the transaction is over */
  query<T extends object>(sql: string, params: readonly unknown[]): Promise<T[]>;
}

/** Codes with which the database closes the connection. */
const ENDING = /^57P0/;

export class Pool {
  readonly #pool: pg.Pool;
  readonly #statements = new Statements();
  readonly #lost = new WeakSet<pg.ClientBase>();

  constructor(options: pg.PoolConfig) {
    this.#pool = new pg.Pool(options);
    this.#pool.on('connect', (client) => {
      // The user of the connection gets the error from its statement; nobody else needs it.
      client.on('error', () => this.#lost.add(client));
    });
    // An idle connection was lost; the pool opens another when it needs one.
    this.#pool.on('error', () => undefined);
  }

  /** @throws DatabaseUnavailableError; the driver's error for what the database refuses */
  async query<T extends object>(sql: string, params: readonly unknown[], tx?: Tx): Promise<T[]> {
    if (tx) return tx.query<T>(sql, params);
    return this.#with((client) => this.#run<T>(client, sql, params));
  }

  /** Commits when the function's promise resolves and rolls back when it rejects. */
  async transaction<T>(run: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#with(async (client) => {
      await this.#run(client, 'BEGIN', []);
      let over = false;
      const tx: Tx = {
        query: async (sql, params) => {
          if (over) throw new Error('The transaction is over.');
          return this.#run(client, sql, params);
        },
      };
      try {
        const result = await run(tx);
        over = true;
        await this.#commit(client);
        return result;
      } catch (error) {
        over = true;
        // The original error is more useful than that of the rollback, which closes the connection.
        if (!this.#lost.has(client)) await this.#run(client, 'ROLLBACK', []).catch(() => this.#lost.add(client));
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end();
  }

  async #with<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw new DatabaseUnavailableError(error);
    });
    try {
      return await use(client);
    } finally {
      client.release(this.#lost.has(client));
    }
  }

  /** `COMMIT` silently rolls back a transaction in which a statement has failed. */
  async #commit(client: pg.PoolClient): Promise<void> {
    const { command } = await this.#talk(client, () => client.query('COMMIT'));
    if (command !== 'COMMIT') throw new Error('Nothing was committed: a statement of the transaction has failed.');
  }

  async #run<T extends object>(client: pg.PoolClient, sql: string, params: readonly unknown[]): Promise<T[]> {
    return this.#talk(client, () => this.#statements.run<T>(client, sql, params));
  }

  /** Records closed connections, so that they are not reused. */
  async #talk<T>(client: pg.PoolClient, talk: () => Promise<T>): Promise<T> {
    try {
      return await talk();
    } catch (error) {
      if (error instanceof pg.DatabaseError) {
        if (ENDING.test(error.code ?? '')) this.#lost.add(client);
        throw error;
      }
      throw this.#lost.has(client) ? new DatabaseUnavailableError(error) : error;
    }
  }
}
