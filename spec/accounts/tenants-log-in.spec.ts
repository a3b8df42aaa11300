/** Where somebody belongs is what the identity provider says, and what is not right there lets nobody in. */
import { startHome, ssoUrl } from './support.ts';
import type { HomeOptions, TestHome } from './support.ts';
import { Browser } from './identity-provider.ts';
import type { Person } from './identity-provider.ts';
import { parseTenantsFile, TenantsFileError } from '../../homeserver/accounts/tenants/tenants-file.ts';
import { FILE } from './two-tenants.ts';

const V3 = '/_matrix/client/v3';
const file = parseTenantsFile(JSON.stringify(FILE));

describe('Tenants: somebody who logs in', () => {
  let home: TestHome;
  afterEach(() => home.close());

  async function start(tenants: HomeOptions['tenants']): Promise<void> {
    home = await startHome(tenants === undefined ? {} : { tenants });
  }
  const person = (claims: Partial<Person> = {}): Person => ({
    sub: 'anna',
    preferred_username: 'anna',
    name: 'Anna Petersen',
    ...claims,
  });
  async function logIn(who: Person): Promise<string> {
    const token = await home.loginToken(who);
    const { json } = await home.request('POST', `${V3}/login`, { body: { type: 'm.login.token', token } });
    return String(json['access_token']);
  }
  /** The page that somebody sees who is not let in. */
  async function refusal(who: Person): Promise<{ status: number; page: string }> {
    home.provider.person = who;
    const { response } = await new Browser().follow(ssoUrl(home, `${home.url}/login`), (url) =>
      url.searchParams.has('loginToken'),
    );
    return { status: response.status, page: await response.text() };
  }
  async function rows(): Promise<object[]> {
    return home.db.query('SELECT localpart, tenant, tariff FROM users ORDER BY localpart');
  }

  it('without tenants needs none, and none is kept', async () => {
    await start(undefined);
    await logIn(person({ tenant_id: 'altona' }));
    expect(await rows()).toEqual([{ localpart: 'anna', tenant: null, tariff: null }]);
  });

  it('belongs to the tenant that is named, with a tariff of their own where one is', async () => {
    await start({ file });
    const token = await logIn(person({ tenant_id: 'altona', tariff_id: 'large' }));
    expect(await rows()).toEqual([{ localpart: 'anna', tenant: 'altona', tariff: 'large' }]);
    const { json } = await home.request('GET', '/_hansetag/client/v1/organisation', { token });
    expect(json).toEqual({
      organisation: { serverName: 'hamburg.example', displayName: 'Bezirk Altona', colour: '#0a7d4f' },
      legal: { imprint: 'https://altona.example/impressum' },
      limits: { participants: 500, withoutModules: [] },
    });
  });

  it('has the limits of the tenant’s tariff otherwise, also when the tariff that is named does not exist', async () => {
    await start({ file });
    for (const tariff_id of [undefined, 'huge', 7, '__proto__']) {
      const token = await logIn(person({ tenant_id: 'bergedorf', tariff_id }));
      const { json } = await home.request('GET', '/_hansetag/client/v1/organisation', { token });
      expect(json['limits']).toEqual({
        participants: 20,
        hours: 2,
        storageBytes: 1_000_000,
        withoutModules: ['reactions'],
      });
    }
  });

  it('is not let in when no tenant is named, and is told what to do', async () => {
    await start({ file });
    const { status, page } = await refusal(person());
    expect(status).toBe(403);
    expect(page).toContain('keiner Organisation dieses Servers zugeordnet');
    expect(await rows()).toEqual([]);
  });

  it('is not let in when the tenant is none of the file: of any length, in another case or form, or no text', async () => {
    await start({ file });
    const ids = ['kiel', 'Altona', 'ALTONA', 'altona\u0000', '\u202ealtona', 'a\u006c\u0301tona', 'а' + 'ltona'];
    const others = ['x'.repeat(10_000), '__proto__', 'constructor', '', 7, true, null, ['altona'], { id: 'altona' }];
    for (const tenant_id of [...ids, ...others]) {
      if (tenant_id === null) continue;
      const { status, page } = await refusal(person({ tenant_id }));
      expect(status).withContext(String(tenant_id).slice(0, 20)).toBe(403);
      expect(page).toContain('die es auf diesem Server nicht gibt');
    }
    expect(await rows()).toEqual([]);
  });

  it('belongs to the default where there is one and none is named, but not when another is', async () => {
    await start({ file, fallback: 'altona' });
    const token = await logIn(person());
    const { json } = await home.request('GET', '/_hansetag/client/v1/organisation', { token });
    expect(json['organisation']).toEqual(jasmine.objectContaining({ displayName: 'Bezirk Altona' }));
    expect((await refusal(person({ sub: 'else', tenant_id: 'kiel' }))).status).toBe(403);
  });

  it('moves with the provider, at the next log-in and at the next check of the session', async () => {
    await start({ file });
    const token = await logIn(person({ tenant_id: 'altona' }));
    const displayName = async (): Promise<unknown> => {
      const { json } = await home.request('GET', '/_hansetag/client/v1/organisation', { token });
      return (json['organisation'] as { displayName: string }).displayName;
    };
    expect(await displayName()).toBe('Bezirk Altona');
    await logIn(person({ tenant_id: 'bergedorf' }));
    expect(await displayName()).toBe('Bezirk Bergedorf');
    home.provider.tell(person({ tenant_id: 'altona' }));
    home.clock.advance(2 * 60 * 60 * 1000);
    await home.upstream.check();
    expect(await displayName()).toBe('Bezirk Altona');
  });

  it('is logged out at the next check when the provider names no tenant of this instance any more', async () => {
    await start({ file });
    const token = await logIn(person({ tenant_id: 'altona' }));
    home.provider.tell(person({ tenant_id: 'kiel' }));
    home.clock.advance(2 * 60 * 60 * 1000);
    await home.upstream.check();
    expect((await home.request('GET', `${V3}/account/whoami`, { token })).status).toBe(401);
    expect(home.logged.join('')).toContain('belongs to no tenant of this instance any more');
  });
});

describe('Tenants: the administrator of one', () => {
  let home: TestHome;
  beforeEach(async () => {
    home = await startHome({ tenants: { file } });
  });
  afterEach(() => home.close());

  it('administers the accounts of that tenant, and no other account exists for them', async () => {
    const logIn = async (name: string, tenant_id: string, roles: string[] = []): Promise<string> => {
      const token = await home.loginToken({ sub: name, preferred_username: name, name, tenant_id, roles });
      const { json } = await home.request('POST', `${V3}/login`, { body: { type: 'm.login.token', token } });
      return String(json['access_token']);
    };
    await logIn('arne', 'altona');
    await logIn('bert', 'bergedorf');
    const [head, plain, all] = [
      await logIn('anna', 'altona', ['hansetag-tenant-admin']),
      await logIn('alma', 'altona'),
      await logIn('ida', 'altona', ['hansetag-admin']),
    ];
    const ask = async (method: string, path: string, name: string, token: string): Promise<unknown[]> => {
      const userId = encodeURIComponent(`@${name}:hamburg.example`);
      const body = { locked: true };
      const { status, json } = await home.request(method, `${path}/${userId}`, {
        token,
        ...(method === 'PUT' ? { body } : {}),
      });
      return [status, json['errcode']];
    };
    const whois = `${V3}/admin/whois`;
    const lock = '/_matrix/client/v1/admin/lock';
    for (const [method, path] of [
      ['GET', whois],
      ['GET', lock],
      ['PUT', lock],
    ] as const) {
      expect(await ask(method, path, 'arne', plain)).toEqual([403, 'M_FORBIDDEN']);
      expect(await ask(method, path, 'bert', head)).toEqual([404, 'M_NOT_FOUND']);
      expect(await ask(method, path, 'nobody', head)).toEqual([404, 'M_NOT_FOUND']);
      expect(await ask(method, path, 'arne', head)).toEqual([200, undefined]);
    }
    expect(await ask('GET', whois, 'bert', all)).toEqual([200, undefined]);
    expect(await ask('PUT', lock, 'ida', head)).toEqual([403, 'M_FORBIDDEN']);
    // The role goes with the next log-in that does not name it.
    const later = await logIn('anna', 'altona');
    expect(await ask('GET', whois, 'arne', later)).toEqual([403, 'M_FORBIDDEN']);
  });
});

describe('Tenants: a service', () => {
  it('is of the tenant that is named, or of none, but not of one that does not exist', async () => {
    const home = await startHome({ tenants: { file } });
    const logIn = async (claims: object): Promise<unknown[]> => {
      const recorder = { events: undefined, sub: 'recorder', client_id: 'recorder', roles: ['hansetag-service'] };
      const token = await home.provider.logoutToken({ ...recorder, ...claims }, { typ: 'at+jwt' });
      const body = { type: 'org.hansetag.login.service', token };
      const { status } = await home.request('POST', `${V3}/login`, { body });
      const rows = await home.db.query<{ tenant: string | null }>('SELECT tenant FROM users');
      return [status, rows.map((row) => row.tenant)];
    };
    try {
      expect(await logIn({ tenant_id: 'kiel' })).toEqual([403, []]);
      expect(await logIn({ tenant_id: 'altona' })).toEqual([200, ['altona']]);
      expect(await logIn({})).toEqual([200, [null]]);
    } finally {
      await home.close();
    }
  });
});

describe('Tenants: the file', () => {
  const failure = (content: unknown): string => {
    try {
      parseTenantsFile(typeof content === 'string' ? content : JSON.stringify(content));
    } catch (error) {
      if (error instanceof TenantsFileError) return error.message;
      throw error;
    }
    return '';
  };
  const [altona] = FILE.tenants;
  const withTenant = (change: object): unknown => ({ tenants: [{ ...altona, ...change }] });

  it('is taken when it is right', () => {
    expect(failure(FILE)).toBe('');
    expect(failure({ tenants: [altona] })).toBe('');
  });

  it('names what is wrong and where', () => {
    expect(failure('no JSON')).toContain('is not JSON');
    expect(failure([])).toContain('the file:');
    expect(failure({ tenants: [] })).toContain('tenants:');
    expect(failure({ ...FILE, tenant: [] })).toContain('tenant');
    for (const [change, where] of [
      [{ id: '' }, 'tenants.0.id: must be 1 to 63'],
      [{ id: 'x'.repeat(64) }, 'tenants.0.id: must be 1 to 63'],
      [{ id: '__proto__' }, 'tenants.0.id: must be 1 to 63'],
      [{ id: 'alt\u006f\u0308na' }, 'tenants.0.id: must be 1 to 63'],
      [{ id: 'altona\n' }, 'tenants.0.id: must be 1 to 63'],
      [{ name: '' }, 'tenants.0.name'],
      [{ name: 'Bezirk\u202eAltona' }, 'tenants.0.name'],
      [{ colour: 'green' }, 'tenants.0.colour'],
      [{ imprint: 'javascript:alert(1)' }, 'tenants.0.imprint'],
      [{ privacy: 'https://somebody:secret@altona.example/' }, 'tenants.0.privacy'],
      [{ tariff: 'huge' }, 'tenants.0.tariff: is not among the tariffs'],
    ] as const) {
      expect(failure(withTenant(change)))
        .withContext(JSON.stringify(change))
        .toContain(where);
    }
    const twice = { tenants: [altona, { ...altona, id: 'ALTONA' }] };
    expect(failure(twice)).toContain('tenants.1.id: is there twice');
    for (const limit of [{ participants: 0 }, { hours: -1 }, { storageBytes: 1.5 }, { withoutModules: ['dance'] }]) {
      expect(failure({ ...FILE, tariffs: [{ id: 'small', ...limit }] })).toContain('tariffs.0.');
    }
  });

  it('says little about a file that is wrong in a thousand places', () => {
    const many = Array.from({ length: 1_000 }, () => ({ id: 'x'.repeat(10_000) }));
    expect(failure({ tenants: many }).length).toBeLessThan(2_000);
  });
});
