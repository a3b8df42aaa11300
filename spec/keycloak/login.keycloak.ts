import { Browser } from '../accounts/identity-provider.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { Answer } from '../support/homeservers.ts';
import { SessionClient } from '../support/meetings.ts';
import {
  ACCESS_TOKEN_S,
  begin,
  house,
  logIn,
  meetingOf,
  redeem,
  START_PATIENCE_MS,
  submit,
  whoami,
} from './support.ts';
import type { House } from './support.ts';

describe('Login: by a real Keycloak', () => {
  let home: House;
  beforeAll(async () => {
    home = await house();
  }, START_PATIENCE_MS);

  it('brings people in by the code flow with PKCE, and those with the role as administrators', async () => {
    const first = new Browser();
    const page = await begin(home.luebeck, first);
    const asked = page.url.searchParams;
    expect(page.url.pathname).toBe('/realms/luebeck/protocol/openid-connect/auth');
    expect([asked.get('response_type'), asked.get('code_challenge_method')]).toEqual(['code', 'S256']);
    expect(asked.get('scope')).toBe('openid profile email');
    const bert = await redeem(home.luebeck, (await submit(first, page, 'bert')).next, first);
    expect(bert.userId).toBe(`@bert:${home.luebeck.serverName}`);
    expect((await whoami(home.luebeck, bert)).status).toBe(200);
    expect(at(await bert.must('GET', `client/v3/profile/${bert.userId}`), 'displayname')).toBe('Bert Brandt');
    const clara = await logIn(home.luebeck, 'clara');
    const moderates = async (user: typeof bert): Promise<boolean> =>
      at(await user.must('GET', 'client/v3/capabilities'), 'capabilities', 'm.account_moderation') !== undefined;
    expect([await moderates(bert), await moderates(clara)]).toEqual([false, true]);
  });

  it('lets nobody in with a wrong password, and nobody of the other organisation', async () => {
    for (const [user, password] of [
      ['bert', 'a wrong password'],
      ['anna', undefined],
    ] as const) {
      const browser = new Browser();
      const { response, next } = await submit(browser, await begin(home.luebeck, browser), user, password);
      expect(next).toBeUndefined();
      expect(await response.text()).toContain('kc-form-login');
    }
  });

  it('lets nobody in by a login token that was taken out of another browser, and the token is spent then', async () => {
    const browser = new Browser();
    const { next } = await submit(browser, await begin(home.luebeck, browser), 'dieter');
    expect(next?.searchParams.get('loginToken')).toMatch(/^hsl_/);
    await expectAsync(redeem(home.luebeck, next, new Browser())).toBeRejectedWithError(/M_FORBIDDEN/);
    await expectAsync(redeem(home.luebeck, next, browser)).toBeRejectedWithError(/M_FORBIDDEN/);
  });

  it('asks who is logged in at Keycloak already no second time', async () => {
    const browser = new Browser();
    const one = await logIn(home.luebeck, 'dieter', browser);
    const { next } = await begin(home.luebeck, browser);
    const two = await redeem(home.luebeck, next, browser);
    expect(two.userId).toBe(one.userId);
    expect(two.deviceId).not.toBe(one.deviceId);
  });

  it('brings people of two organisations, each by its own realm, into one meeting', async () => {
    const bert = await logIn(home.luebeck, 'bert');
    const anna = await logIn(home.hamburg, 'anna');
    expect(anna.userId).toBe(`@anna:${home.hamburg.serverName}`);
    const roomId = await meetingOf({ server: home.luebeck, user: bert }, { server: home.hamburg, user: anna });
    const his = await SessionClient.open(home.luebeck, bert);
    const hers = await SessionClient.open(home.hamburg, anna);
    await his.ask('conference.join', { roomId });
    await hers.ask('conference.join', { roomId });
    expect((await his.hears('participant.joined', ({ userId }) => userId === anna.userId, 30_000)).displayName).toBe(
      'Anna Petersen',
    );
    his.close();
    hers.close();
  });

  it('takes over a changed name and a changed role by the next check of the session', async () => {
    const emil = await logIn(home.luebeck, 'emil');
    await home.realms.change('luebeck', 'emil', { lastName: 'Eggers' });
    const role = await home.realms.admin('luebeck', 'GET', 'roles/hansetag-admin');
    const id = String(at(await home.realms.person('luebeck', 'emil'), 'id'));
    await home.realms.admin('luebeck', 'POST', `users/${id}/role-mappings/realm`, [role]);
    // The check may come while the access token of the log-in still is good, or after it: the name is public.
    await eventually(
      () => home.luebeck.ask('GET', `client/v3/profile/${emil.userId}`, undefined, emil.token),
      ({ body }) => at(body, 'displayname') === 'Emil Eggers',
      ACCESS_TOKEN_S * 2_000,
    );
    const again = await logIn(home.luebeck, 'emil');
    expect(at(await again.must('GET', 'client/v3/capabilities'), 'capabilities', 'm.account_moderation')).toBeDefined();
  });

  it('lets people edit their name, but not what the organisation says about them', async () => {
    const browser = new Browser();
    await logIn(home.luebeck, 'greta', browser);
    // One by one: a refused one would hide the others.
    for (const values of [
      { username: 'clara2' },
      { email: 'somebody.else@people.example' },
      { emailVerified: true },
      { realmRoles: ['hansetag-admin'] },
      { attributes: { tenant_id: ['another'] } },
      { attributes: { tariff_id: ['unlimited'] } },
      { attributes: { phone_number: ['+49 451 1'] } },
      { attributes: { roles: ['hansetag-admin'] } },
    ]) {
      expect(await home.realms.editAsPerson('luebeck', browser, values)).toBeLessThan(500);
    }
    const known = await home.realms.person('luebeck', 'greta');
    expect([at(known, 'username'), at(known, 'email'), at(known, 'attributes')]).toEqual([
      'greta',
      'greta@people.example',
      { tenant_id: ['council'] },
    ]);
    const roles = await home.realms.admin(
      'luebeck',
      'GET',
      `users/${String(at(known, 'id'))}/role-mappings/realm/composite`,
    );
    expect(JSON.stringify(roles)).not.toContain('hansetag');
    // The name is theirs to edit.
    await home.realms.editAsPerson('luebeck', browser, { firstName: 'Margarete' });
    expect(at(await home.realms.person('luebeck', 'greta'), 'firstName')).toBe('Margarete');
  });

  it('has people found by their mail address only when Keycloak says that it is verified', async () => {
    await home.realms.change('luebeck', 'dieter', { emailVerified: false });
    const bert = await logIn(home.luebeck, 'bert');
    const made = await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat' });
    for (const user of ['greta', 'dieter']) {
      const other = await logIn(home.luebeck, user);
      await other.must('POST', `client/v3/join/${encodeURIComponent(String(at(made, 'room_id')))}`, {});
    }
    const found = async (search_term: string): Promise<unknown[]> =>
      at(await bert.must('POST', 'client/v3/user_directory/search', { search_term }), 'results') as unknown[];
    expect((await found('dieter')).length).toBe(1);
    expect((await found('Greta@people.example')).map((user) => at(user, 'user_id'))).toEqual([
      `@greta:${home.luebeck.serverName}`,
    ]);
    expect(await found('greta@people')).toEqual([]);
    expect(await found('dieter@people.example')).toEqual([]);
  });

  it('lets in services that Keycloak has given the role, by client credentials, and nobody else so', async () => {
    const logIn = (token: string): Promise<Answer> =>
      home.luebeck.ask('POST', 'client/v3/login', { type: 'org.hansetag.login.service', token });
    const { status, body } = await logIn(await home.realms.serviceToken('luebeck', 'recorder'));
    expect([status, at(body, 'user_id')]).toEqual([200, `@recorder:${home.luebeck.serverName}`]);
    expect((await whoami(home.luebeck, { token: String(at(body, 'access_token')) })).status).toBe(200);
    const refused = [
      await home.realms.serviceToken('luebeck', 'other'),
      await home.realms.serviceToken('hamburg', 'recorder'),
      await home.realms.accountToken('luebeck', await browserOf('clara')),
    ];
    for (const token of refused) expect((await logIn(token)).status).toBe(403);
  });

  async function browserOf(user: string): Promise<Browser> {
    const browser = new Browser();
    await logIn(home.luebeck, user, browser);
    return browser;
  }
});
