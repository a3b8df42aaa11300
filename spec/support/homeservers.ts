/** Whole homeservers for specs: plain Matrix servers with a real database and real TLS between them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { demoCertificates } from '../../deploy/demo-authority.ts';
import { loadConfig } from '../../homeserver/config.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { startHomeserver } from '../../homeserver/app/server.ts';
import type { Homeserver } from '../../homeserver/app/server.ts';
import { testDatabase } from './database.ts';
import { freePorts } from './ports.ts';

export { freePorts } from './ports.ts';

type Settings = Readonly<Record<string, string>>;

/** An answer of the client API. */
export interface Answer {
  readonly status: number;
  /** JSON if it was any, else text. Look inside with `at`. */
  readonly body: unknown;
}

export interface TestUser {
  readonly userId: string;
  readonly token: string;
  /** Asks as this user; paths are below `/_matrix/`. */
  ask(method: string, path: string, body?: unknown): Promise<Answer>;
  /** The same, but what is no success is an error. */
  must(method: string, path: string, body?: unknown): Promise<unknown>;
}

export interface TestHomeserver {
  readonly serverName: string;
  readonly url: string;
  /** Asks without log-in. */
  ask(method: string, path: string, body?: unknown, token?: string): Promise<Answer>;
  register(localpart: string): Promise<TestUser>;
  registerGuest(): Promise<TestUser>;
  stop(): Promise<void>;
  /** Starts it again after `stop`, with the same data, and perhaps with other settings. */
  start(changed?: Settings): Promise<void>;
}

/** Names of hosts that every one of these servers reaches at 127.0.0.1, for specs in which access lists tell them apart. */
export const CITIES = ['luebeck', 'hamburg', 'bremen', 'kiel'].map((city) => `${city}.localhost`);

export interface TlsFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TestFederation {
  readonly servers: readonly TestHomeserver[];
  /** Files for further servers on localhost that these trust. */
  readonly tls: TlsFiles;
  /** The same for servers at one of `CITIES`. */
  tlsOf(host: string): Promise<TlsFiles>;
  close(): Promise<void>;
}

/**
 * Starts homeservers that can reach each other and nothing else.
 *
 * @param settings of each of them, or of the one at an index, with its address for clients
 * @param hosts of their names in their order: `localhost` where there is none, one of `CITIES`, or `127.0.0.1` for servers
 *   that are named by an address
 */
export async function startHomeservers(
  count: number,
  settings: Settings | ((index: number, url: string) => Settings | Promise<Settings>) = {},
  hosts: readonly string[] = [],
  log: Logger | ((index: number) => Logger) = createLog('silent'),
): Promise<TestFederation> {
  const folder = mkdtempSync(join(tmpdir(), 'hansetag-servers-'));
  const address = '127.0.0.1';
  const ports = await freePorts(count * 2);
  const tlsOf = async (host: string): Promise<TlsFiles> => {
    const { caFile, certificates } = await demoCertificates(join(folder, 'authority'), [{ host, address }]);
    const [certificate] = certificates;
    if (!certificate) throw new Error('A certificate is missing.');
    return { caFile, ...certificate };
  };
  const tls = await tlsOf('localhost');
  const servers: TestHomeserver[] = [];
  const databases: { close(): Promise<void> }[] = [];
  for (let index = 0; index < count; index++) {
    const certificate = CITIES.includes(hosts[index] ?? '') ? await tlsOf(hosts[index] ?? '') : tls;
    const database = await testDatabase();
    databases.push(database);
    const serverName = `${hosts[index] ?? 'localhost'}:${String(ports[index * 2])}`;
    const url = `http://${address}:${String(ports[index * 2 + 1])}`;
    const given = {
      HANSETAG_SERVER_NAME: serverName,
      HANSETAG_PUBLIC_URL: url,
      HANSETAG_CLIENT_LISTEN: `${address}:${String(ports[index * 2 + 1])}`,
      HANSETAG_FEDERATION_LISTEN: `${address}:${String(ports[index * 2])}`,
      HANSETAG_FEDERATION_CERT: certificate.certFile,
      HANSETAG_FEDERATION_KEY: certificate.keyFile,
      HANSETAG_FEDERATION_CA: certificate.caFile,
      HANSETAG_FEDERATION_HOSTS: ['localhost', ...CITIES].map((host) => `${host}=${address}`).join(','),
      HANSETAG_FEDERATION_ALLOWED_RANGES: '127.0.0.0/8',
      HANSETAG_SIGNING_KEY_FILE: join(folder, `signing-${String(index)}.key`),
      HANSETAG_MEDIA_DIR: join(folder, `media-${String(index)}`),
      HANSETAG_REGISTRATION: '1',
      HANSETAG_RATE_LIMITS: 'off',
      DATABASE_URL: database.url,
      ...(typeof settings === 'function' ? await settings(index, url) : settings),
    };
    const ownLog = typeof log === 'function' ? log(index) : log;
    let running: Homeserver | undefined = await startHomeserver(loadConfig(given), ownLog);
    servers.push({
      serverName,
      url,
      ...clientOf(url),
      stop: async () => {
        await running?.close();
        running = undefined;
      },
      start: async (changed) => {
        Object.assign(given, changed);
        running ??= await startHomeserver(loadConfig(given), ownLog);
      },
    });
  }
  return {
    servers,
    tls,
    tlsOf,
    close: async () => {
      await Promise.all(servers.map((server) => server.stop()));
      await Promise.all(databases.map((database) => database.close()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Ways to ask a homeserver of whatever make as its clients do. */
export function clientOf(url: string): Pick<TestHomeserver, 'ask' | 'register' | 'registerGuest'> {
  const ask = (method: string, path: string, body?: unknown, token?: string): Promise<Answer> =>
    request(`${url}/_matrix/${path}`, method, body, token);
  const registered = async (path: string, body: object): Promise<TestUser> => {
    const { status, body: made } = await ask('POST', path, body);
    if (status !== 200) throw new Error(`Somebody could not be registered: ${JSON.stringify(made)}`);
    const { user_id: userId, access_token: token } = made as { user_id: string; access_token: string };
    return {
      userId,
      token,
      ask: (method, asked, content) => ask(method, asked, content, token),
      must: async (method, asked, content) => {
        const answer = await ask(method, asked, content, token);
        if (answer.status !== 200) {
          throw new Error(`${method} ${asked}: ${String(answer.status)} ${JSON.stringify(answer.body)}`);
        }
        return answer.body;
      },
    };
  };
  return {
    ask,
    register: (localpart) =>
      registered('client/v3/register', {
        username: localpart,
        password: 'a long enough password',
        auth: { type: 'm.login.dummy' },
      }),
    registerGuest: () => registered('client/v3/register?kind=guest', {}),
  };
}

/** What is at a place inside an answer; undefined when there is none. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let inside = value;
  for (const step of path) {
    if (typeof inside !== 'object' || inside === null) return undefined;
    inside = (inside as Record<string | number, unknown>)[step];
  }
  return inside;
}

/** Asks again until the answer is as wanted. @throws Error after some seconds */
export async function eventually<T>(
  ask: () => Promise<T>,
  wanted: (value: T) => boolean,
  patienceMs = 8_000,
): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const value = await ask();
    if (wanted(value)) return value;
    if (Date.now() > deadline) throw new Error(`It did not happen; the last answer was ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function request(url: string, method: string, body: unknown, token?: string): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  let parsed: unknown = text;
  try {
    parsed = JSON.parse(text);
  } catch {
    // What is no JSON is looked at as text.
  }
  return { status: response.status, body: parsed };
}
