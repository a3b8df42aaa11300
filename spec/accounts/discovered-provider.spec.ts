import type { Person } from './identity-provider.ts';
import { CHECK_MS, startHome } from './support.ts';
import type { TestHome } from './support.ts';

describe('Login: by any OpenID provider that is found by discovery', () => {
  let home: TestHome;
  beforeEach(async () => {
    home = await startHome();
  });
  afterEach(() => home.close());

  async function logIn(person: Person): Promise<void> {
    const body = { type: 'm.login.token', token: await home.loginToken(person), refresh_token: true };
    expect((await home.request('POST', '/_matrix/client/v3/login', { body })).status).toBe(200);
  }
  const known = async (): Promise<unknown[]> =>
    home.db.query('SELECT localpart, email, admin FROM users WHERE issuer = $1', [home.provider.issuer]);

  it('takes over what it says about somebody, at the log-in and at each check', async () => {
    const clara: Person = {
      sub: 'c',
      preferred_username: 'clara',
      email: 'clara@hamburg.example',
      email_verified: true,
      roles: ['hansetag-admin'],
    };
    await logIn(clara);
    expect(await known()).toEqual([{ localpart: 'clara', email: 'clara@hamburg.example', admin: true }]);
    home.provider.person = Object.assign(clara, { email_verified: false, roles: ['hansetag-tenant-admin'] });
    home.clock.advance(CHECK_MS);
    await home.upstream.check();
    expect(await known()).toEqual([{ localpart: 'clara', email: null, admin: false }]);
  });

  it('links accounts by issuer and subject: a verified address of somebody else opens nothing', async () => {
    const email = { email: 'clara@hamburg.example', email_verified: true };
    await logIn({ sub: 'c', preferred_username: 'clara', ...email });
    await logIn({ sub: 'other', preferred_username: 'clara', ...email });
    const rows = (await known()) as { localpart: string }[];
    expect(new Set(rows.map(({ localpart }) => localpart)).size).toBe(2);
  });
});
