/** A client of a homeserver that costs little, so that the measured server and not the load is what is busy. */
import { Pool } from 'undici';

export interface User {
  readonly userId: string;
  readonly token: string;
}

const REQUEST_TIMEOUT_MS = 120_000;

/** Many users of one homeserver, over kept connections. */
export class LoadClient {
  readonly #pool: Pool;

  /** @param connections how many requests run at the same time at most; waiting syncs count */
  constructor(url: string, connections: number) {
    this.#pool = new Pool(url, {
      connections,
      pipelining: 1,
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: REQUEST_TIMEOUT_MS,
    });
  }

  /** Asks `/_matrix/client/v3/<path>`. @throws Error when the answer is no success */
  async ask<T = unknown>(
    user: User | undefined,
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    body?: object,
  ): Promise<T> {
    const { statusCode, body: answer } = await this.#pool.request({
      method,
      path: `/_matrix/client/v3/${path}`,
      headers: {
        ...(user === undefined ? {} : { authorization: `Bearer ${user.token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (statusCode !== 200) throw new Error(`${method} ${path}: ${String(statusCode)} ${text.slice(0, 500)}`);
    return JSON.parse(text) as T;
  }

  async register(username: string): Promise<User> {
    const { user_id: userId, access_token: token } = await this.ask<{ user_id: string; access_token: string }>(
      undefined,
      'POST',
      'register',
      { username, password: 'a long enough password', auth: { type: 'm.login.dummy' } },
    );
    return { userId, token };
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

/** Does something for each item, so many at a time. */
export async function each<T>(
  items: readonly T[],
  concurrency: number,
  run: (item: T) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await run(item);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
