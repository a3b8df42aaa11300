/** A homeserver that two bodies share, with an identity provider that says who belongs to which. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CALLBACK_PATH } from '../../homeserver/accounts/sso-router.ts';
import { at, startHomeservers } from '../support/homeservers.ts';
import type { Answer, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Browser, CLIENT_ID, CLIENT_SECRET, startProvider } from './identity-provider.ts';
import type { Person, TestProvider } from './identity-provider.ts';
import { APP_URL, ssoUrl, tokenIn } from './support.ts';

export const FILE = {
  tenants: [
    { id: 'altona', name: 'Bezirk Altona', colour: '#0a7d4f', imprint: 'https://altona.example/impressum' },
    {
      id: 'bergedorf',
      name: 'Bezirk Bergedorf',
      colour: '#8a1c7c',
      privacy: 'https://bergedorf.example/datenschutz',
      tariff: 'small',
    },
  ],
  tariffs: [
    { id: 'small', participants: 20, hours: 2, storageBytes: 1_000_000, withoutModules: ['reactions'] },
    { id: 'large', participants: 500, withoutModules: [] },
  ],
};

export interface TestPerson extends TestUser {
  readonly deviceId: string;
  /** Asks as this user below `/_hansetag/client/v1/`. */
  own(method: string, path: string, body?: unknown): Promise<Answer>;
}

export interface TwoTenants {
  readonly server: TestHomeserver;
  /** A server of one organisation that federates with it. */
  readonly other: TestHomeserver;
  readonly provider: TestProvider;
  logIn(person: Person): Promise<TestPerson>;
  /** Logs in somebody of a tenant, by the name before the blank; with a verified mail address. */
  person(name: string, tenant: string): Promise<TestPerson>;
  /** Asks below `/_hansetag/client/v1/`. */
  own(method: string, path: string, body?: unknown, token?: string): Promise<Answer>;
  close(): Promise<void>;
}

export async function startTwoTenants(settings: Readonly<Record<string, string>> = {}): Promise<TwoTenants> {
  const folder = mkdtempSync(join(tmpdir(), 'hansetag-tenants-'));
  const file = join(folder, 'tenants.json');
  writeFileSync(file, JSON.stringify(FILE));
  const providers: TestProvider[] = [];
  const federation = await startHomeservers(2, async (index, url) => {
    if (index === 1) return {};
    const provider = await startProvider(url + CALLBACK_PATH);
    providers.push(provider);
    return {
      HANSETAG_ORGANISATION: 'Rechenzentrum Hamburg',
      HANSETAG_REGISTRATION: '0',
      HANSETAG_OIDC_ISSUER: provider.issuer,
      HANSETAG_OIDC_CLIENT_ID: CLIENT_ID,
      HANSETAG_OIDC_CLIENT_SECRET: CLIENT_SECRET,
      HANSETAG_TENANTS: 'claim',
      HANSETAG_TENANTS_FILE: file,
      HANSETAG_PRESENCE: 'local',
      HANSETAG_IMPRINT_PAGE: 'https://rechenzentrum.example/impressum',
      HANSETAG_SFU_CONTROL: join(folder, 'nobody.sock'),
      HANSETAG_SFU_SECRET: 'a secret of nobody at all',
      ...settings,
    };
  });
  const [server, other] = federation.servers;
  const [provider] = providers;
  if (!server || !other || !provider) throw new Error('A server is missing.');
  const home = server;
  const { url } = server;

  async function own(method: string, path: string, body?: unknown, token?: string): Promise<Answer> {
    const response = await fetch(`${url}/_hansetag/client/v1/${path}`, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: await response.json() };
  }
  const logInAs = async (person: Person): Promise<TestPerson> => {
    provider.person = person;
    const { response } = await new Browser().follow(ssoUrl(server, APP_URL));
    const token = tokenIn(await response.text());
    if (token === '') throw new Error(`Nobody was let in: ${String(response.status)}`);
    const answer = await server.ask('POST', 'client/v3/login', { type: 'm.login.token', token });
    return personOf(answer.body);
  };
  function personOf(body: unknown): TestPerson {
    const [userId, access] = [String(at(body, 'user_id')), String(at(body, 'access_token'))];
    const ask = (method: string, path: string, content?: unknown): Promise<Answer> =>
      home.ask(method, path, content, access);
    return {
      userId,
      token: access,
      deviceId: String(at(body, 'device_id')),
      ask,
      must: async (method, path, content) => {
        const answer = await ask(method, path, content);
        if (answer.status !== 200) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
        return answer.body;
      },
      own: (method, path, content) => own(method, path, content, access),
    };
  }
  return {
    server,
    other,
    provider,
    logIn: logInAs,
    person: (name, tenant) =>
      logInAs({
        sub: `${tenant}-${name}`,
        preferred_username: name.toLowerCase().replace(/ .*/, ''),
        name,
        tenant_id: tenant,
        email: `${name.toLowerCase().replace(/ .*/, '')}@${tenant}.example`,
        email_verified: true,
      }),
    own,
    close: async () => {
      await federation.close();
      await provider.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
