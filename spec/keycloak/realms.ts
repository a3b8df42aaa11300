/** A real Keycloak with a realm for each of two organisations, and what its administrator does. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issuerOf, startKeycloak } from '../../deploy/keycloak/server.ts';
import type { Keycloak } from '../../deploy/keycloak/server.ts';
import type { RealmPerson, RealmPlan } from '../../deploy/keycloak/realm.ts';
import type { Browser } from '../accounts/identity-provider.ts';
import { at, eventually } from '../support/homeservers.ts';

export const REALMS = ['luebeck', 'hamburg'] as const;
export type Realm = (typeof REALMS)[number];
export const PASSWORD = 'a password of the spec';

export const ISSUED = { clientId: 'hansetag', clientSecret: randomBytes(32).toString('base64url') };
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
  ],
  hamburg: [['anna', 'Anna', 'Petersen']],
};

export class Realms {
  readonly #folder = mkdtempSync(join(tmpdir(), 'hansetag-keycloak-'));
  readonly #port: number;
  readonly #plans: readonly RealmPlan[];
  #running: Keycloak | undefined;

  private constructor(port: number, plans: readonly RealmPlan[]) {
    this.#port = port;
    this.#plans = plans;
  }

  /** @param urls public addresses of the homeservers of the realms */
  static async start(port: number, urls: Readonly<Record<Realm, string>>): Promise<Realms> {
    const plans = REALMS.map((name) => ({
      name,
      organisation: name,
      publicUrl: urls[name],
      clientSecret: ISSUED.clientSecret,
      people: PEOPLE[name].map(person),
    }));
    const realms = new Realms(port, plans);
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

  /** Starts it, with the data of before if there is any. */
  async start(): Promise<void> {
    this.#running = await startKeycloak({
      folder: this.#folder,
      host: '127.0.0.1',
      port: this.#port,
      realms: this.#plans,
      adminPassword: ADMIN_PASSWORD,
      durable: true,
    });
  }

  /** Kills Java, as a machine that fails does. */
  async kill(): Promise<void> {
    process.kill(this.pid, 'SIGKILL');
    await this.#running?.ended;
  }

  async close(): Promise<void> {
    await this.#running?.stop();
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

  /**
   * Changes the own profile as Keycloak's page for that does.
   *
   * @param browser in which the person is logged in
   * @returns the status of the answer
   */
  async editAsPerson(realm: Realm, browser: Browser, values: Readonly<Record<string, unknown>>): Promise<number> {
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
    const authorization = `Bearer ${String(at(await tokens.json(), 'access_token'))}`;
    const headers = { authorization, accept: 'application/json', 'content-type': 'application/json' };
    const profile = (await (await fetch(`${base}/account/`, { headers })).json()) as Record<string, unknown>;
    const body = JSON.stringify({ ...profile, ...values });
    return (await fetch(`${base}/account/`, { method: 'POST', headers, body })).status;
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
