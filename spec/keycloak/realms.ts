/** A real Keycloak with a realm for each of two organisations, and what its administrator does. */
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issuerOf, startKeycloak } from '../../deploy/keycloak/server.ts';
import type { Keycloak } from '../../deploy/keycloak/server.ts';
import type { RealmPerson, RealmPlan } from '../../deploy/keycloak/realm.ts';
import { startPostgres } from '../../deploy/postgres/embedded-postgres.ts';
import type { Postgres, TcpAccess } from '../../deploy/postgres/embedded-postgres.ts';
import type { Browser } from '../accounts/identity-provider.ts';
import { at, eventually } from '../support/homeservers.ts';

export const REALMS = ['luebeck', 'hamburg'] as const;
export type Realm = (typeof REALMS)[number];
export const PASSWORD = 'a password of the spec';

export const ISSUED = { clientId: 'hansetag', clientSecret: randomBytes(32).toString('base64url') };
const SERVICE_SECRET = randomBytes(32).toString('base64url');
const ADMIN_PASSWORD = randomBytes(16).toString('base64url');
const EXIT_PATIENCE_MS = 20_000;

/** Everybody of a realm, by what they type. */
const PEOPLE: Readonly<Record<Realm, readonly [string, string, string][]>> = {
  luebeck: [
    ['bert', 'Bert', 'Brandt'],
    ['clara', 'Clara', 'Carstens'],
    ['dieter', 'Dieter', 'Drews'],
    ['emil', 'Emil', 'Ehlers'],
    ['frieda', 'Frieda', 'Fock'],
    ['greta', 'Greta', 'Groth'],
    ['hinnerk', 'Hinnerk', 'Harms'],
    ['inga', 'Inga', 'Iversen'],
    ['jan', 'Jan', 'Jansen'],
    ['karla', 'Karla', 'Kruse'],
  ],
  hamburg: [
    ['anna', 'Anna', 'Petersen'],
    ['bo', 'Bo', 'Behrens'],
  ],
};

export class Realms {
  readonly #folder = mkdtempSync(join(tmpdir(), 'hansetag-keycloak-'));
  readonly #port: number;
  readonly #plans: readonly RealmPlan[];
  readonly #access: TcpAccess;
  #postgres: Postgres | undefined;
  #running: Keycloak | undefined;

  private constructor(port: number, databasePort: number, plans: readonly RealmPlan[]) {
    this.#port = port;
    this.#plans = plans;
    this.#access = { host: '127.0.0.1', port: databasePort, password: randomBytes(16).toString('hex') };
  }

  /** @param urls public addresses of the homeservers of the realms */
  static async start(
    [port, databasePort]: readonly [number, number],
    urls: Readonly<Record<Realm, string>>,
  ): Promise<Realms> {
    const plans = REALMS.map((name) => ({
      name,
      organisation: name,
      publicUrl: urls[name],
      clientSecret: ISSUED.clientSecret,
      people: PEOPLE[name].map(person),
      services: [
        { clientId: 'recorder', secret: SERVICE_SECRET, roles: ['hansetag-service'] },
        { clientId: 'other', secret: SERVICE_SECRET, roles: [] },
      ],
    }));
    const realms = new Realms(port, databasePort, plans);
    await realms.start();
    return realms;
  }

  /** As it names itself. */
  static issuer(port: number, realm: Realm): string {
    return issuerOf({ url: `http://127.0.0.1:${String(port)}` }, realm);
  }

  get pid(): number {
    if (!this.#running) throw new Error('Keycloak is not running.');
    return this.#running.pid;
  }

  /** Starts it, with the data of before if there is any. Its database is another process, as in earnest. */
  async start(): Promise<void> {
    const began = Date.now();
    chmodSync(this.#folder, 0o755);
    this.#postgres ??= await startPostgres({
      dataDir: join(this.#folder, 'postgres'),
      socketDir: join(this.#folder, 'socket'),
      durable: false,
      tcp: this.#access,
    });
    this.#running = await startKeycloak({
      folder: this.#folder,
      host: '127.0.0.1',
      port: this.#port,
      realms: this.#plans,
      adminPassword: ADMIN_PASSWORD,
      database: { kind: 'postgres', access: this.#access },
    });
    const memory = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${String(this.pid)}/status`, 'utf8'))?.[1];
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    console.log(`  Keycloak was ready after ${seconds} s, with ${(Number(memory) / 1024).toFixed(0)} MB of memory`);
  }

  /** Kills Java, as a machine that fails does. */
  async kill(): Promise<void> {
    process.kill(this.pid, 'SIGKILL');
    await this.#running?.ended;
  }

  async close(): Promise<void> {
    await this.#running?.stop();
    await this.#postgres?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Whether the process is there. */
  async isGone(pid: number): Promise<boolean> {
    const isThere = async (): Promise<boolean> => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    return !(await eventually(isThere, (there) => !there, EXIT_PATIENCE_MS));
  }

  /** Asks Keycloak's administration API, below the realm. */
  async admin(realm: Realm, method: string, path: string, body?: unknown): Promise<unknown> {
    const base = `http://127.0.0.1:${String(this.#port)}`;
    const response = await fetch(`${base}/admin/realms/${realm}/${path}`, {
      method,
      headers: { authorization: `Bearer ${await this.#adminToken(base)}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${String(response.status)} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  /** Changes what Keycloak knows of somebody. */
  async change(realm: Realm, user: string, values: Readonly<Record<string, unknown>>): Promise<void> {
    const known = await this.person(realm, user);
    await this.admin(realm, 'PUT', `users/${String(at(known, 'id'))}`, { ...(known as object), ...values });
  }

  /** What Keycloak knows of somebody. */
  async person(realm: Realm, user: string): Promise<unknown> {
    return at(await this.admin(realm, 'GET', `users?exact=true&username=${user}`), 0);
  }

  /** The id of the session of somebody who has one. */
  async onlySession(realm: Realm, user: string): Promise<string> {
    const id = String(at(await this.person(realm, user), 'id'));
    const sessions = (await this.admin(realm, 'GET', `users/${id}/sessions`)) as { id: string }[];
    const [only, ...others] = sessions;
    if (!only || others.length > 0) throw new Error(`There are ${String(sessions.length)} sessions.`);
    return only.id;
  }

  /** What a service gets for its own credentials: an access token. */
  async serviceToken(realm: Realm, clientId: string): Promise<string> {
    const base = `http://127.0.0.1:${String(this.#port)}/realms/${realm}`;
    const response = await fetch(`${base}/protocol/openid-connect/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: clientId,
        client_secret: SERVICE_SECRET,
      }),
    });
    const answer: unknown = await response.json();
    const token = at(answer, 'access_token');
    if (typeof token !== 'string') throw new Error(`No token: ${JSON.stringify(answer)}`);
    return token;
  }

  /**
   * Changes the own profile as Keycloak's page for that does.
   *
   * @param browser in which the person is logged in
   * @returns the status of the answer
   */
  async editAsPerson(realm: Realm, browser: Browser, values: Readonly<Record<string, unknown>>): Promise<number> {
    const url = `http://127.0.0.1:${String(this.#port)}/realms/${realm}/account/`;
    const authorization = `Bearer ${await this.accountToken(realm, browser)}`;
    const headers = { authorization, accept: 'application/json', 'content-type': 'application/json' };
    const profile = (await (await fetch(url, { headers })).json()) as Record<string, unknown>;
    const body = JSON.stringify({ ...profile, ...values });
    return (await fetch(url, { method: 'POST', headers, body })).status;
  }

  /**
   * The access token that Keycloak's page for the own profile gets.
   *
   * @param browser in which the person is logged in
   */
  async accountToken(realm: Realm, browser: Browser): Promise<string> {
    const base = `http://127.0.0.1:${String(this.#port)}/realms/${realm}`;
    const verifier = randomBytes(32).toString('base64url');
    const client = { client_id: 'account-console', redirect_uri: `${base}/account/` };
    const asked = new URLSearchParams({
      ...client,
      response_type: 'code',
      scope: 'openid',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    const { next } = await browser.follow(`${base}/protocol/openid-connect/auth?${asked.toString()}`, (url) =>
      url.searchParams.has('code'),
    );
    const tokens = await fetch(`${base}/protocol/openid-connect/token`, {
      method: 'POST',
      body: new URLSearchParams({
        ...client,
        grant_type: 'authorization_code',
        code: next?.searchParams.get('code') ?? '',
        code_verifier: verifier,
      }),
    });
    return String(at(await tokens.json(), 'access_token'));
  }

  async #adminToken(base: string): Promise<string> {
    const response = await fetch(`${base}/realms/master/protocol/openid-connect/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'password',
        client_id: 'admin-cli',
        username: 'admin',
        password: ADMIN_PASSWORD,
      }),
    });
    return String(at(await response.json(), 'access_token'));
  }
}

function person([user, firstName, lastName]: readonly [string, string, string]): RealmPerson {
  return {
    user,
    firstName,
    lastName,
    password: PASSWORD,
    email: `${user}@people.example`,
    roles: user === 'clara' ? ['hansetag-admin'] : [],
    attributes: { tenant_id: 'council' },
  };
}
