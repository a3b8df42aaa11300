/** Asking a homeserver that may be dead, or whose answer may never come. */
import { at } from '../support/homeservers.ts';
import type { Journal } from './journal.ts';

/** `status` 0: there was no answer, and nobody knows what became of the request. */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

const PATIENCE_MS = 20_000;
const REPETITIONS = 4;
const REPETITION_WAIT_MS = 1_500;

/** Asks once. Paths are below `/_matrix/client/v3/`. Does not throw. */
export async function ask(
  url: string,
  token: string | undefined,
  method: string,
  path: string,
  body?: object,
): Promise<Reply> {
  try {
    const response = await fetch(`${url}/_matrix/client/v3/${path}`, {
      method,
      headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: await response.json() };
  } catch {
    return { status: 0, body: undefined };
  }
}

interface Account {
  readonly name: string;
  readonly userId: string;
  readonly url: string;
  readonly token: string;
}

/** Somebody on one of the servers. */
export class Person {
  readonly name: string;
  readonly userId: string;
  readonly #url: string;
  readonly #token: string;
  readonly #journal: Journal;

  constructor({ name, userId, url, token }: Account, journal: Journal) {
    this.name = name;
    this.userId = userId;
    this.#url = url;
    this.#token = token;
    this.#journal = journal;
  }

  async ask(method: string, path: string, body?: object): Promise<Reply> {
    const began = Date.now();
    const reply = await ask(this.#url, this.#token, method, path, body);
    const { status } = reply;
    if (method !== 'GET' || status === 0) {
      this.#journal.note({ who: this.userId, method, path, body, status, answer: reply.body, ms: Date.now() - began });
    }
    return reply;
  }

  /** Asks again when no answer came, as a client does: for requests that may be repeated. */
  async askAgain(method: string, path: string, body?: object): Promise<Reply> {
    for (let attempt = 1; ; attempt += 1) {
      const reply = await this.ask(method, path, body);
      if (reply.status !== 0 || attempt > REPETITIONS) return reply;
      await new Promise((resolve) => setTimeout(resolve, REPETITION_WAIT_MS));
    }
  }

  /** @throws Error when it does not succeed */
  async must(method: string, path: string, body?: object): Promise<unknown> {
    const reply = await this.askAgain(method, path, body);
    if (reply.status === 200) return reply.body;
    throw new Error(`${this.userId} ${method} ${path}: ${String(reply.status)} ${String(at(reply.body, 'errcode'))}`);
  }
}

/** A path inside of a room. */
export const inRoom = (roomId: string, rest: string): string => `rooms/${encodeURIComponent(roomId)}/${rest}`;

/** Makes an account. @throws Error */
export async function register(url: string, name: string, journal: Journal): Promise<Person> {
  const { status, body } = await ask(url, undefined, 'POST', 'register', {
    username: name,
    password: 'a long enough password',
    auth: { type: 'm.login.dummy' },
  });
  if (status !== 200) throw new Error(`${name} could not be registered: ${String(status)}`);
  const account = { name, userId: String(at(body, 'user_id')), url, token: String(at(body, 'access_token')) };
  return new Person(account, journal);
}
