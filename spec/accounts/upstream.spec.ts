import { randomBytes } from 'node:crypto';
import { Seal } from '../../homeserver/accounts/seal.ts';
import { startProvider } from './identity-provider.ts';
import type { Person } from './identity-provider.ts';
import { eventually } from '../support/homeservers.ts';
import { CHECK_MS, startHome } from './support.ts';
import type { TestHome } from './support.ts';

const V3 = '/_matrix/client/v3';
const BACK_CHANNEL = '/_hansetag/client/v1/login/backchannel-logout';

interface LoggedIn {
  readonly token: string;
  readonly refreshToken: string;
  readonly userId: string;
  readonly deviceId: string;
}

describe('Login: sessions follow any OpenID provider', () => {
  let home: TestHome;
  let people = 0;
  beforeEach(async () => {
    home = await startHome();
  });
  afterEach(() => home.close());

  const stranger = (): Person => ({
    sub: `person-${String(people++)}`,
    preferred_username: 'anna',
    name: 'Anna Petersen',
  });
  async function redeem(token: string): Promise<LoggedIn> {
    const body = { type: 'm.login.token', token, refresh_token: true };
    const { json } = await home.request('POST', `${V3}/login`, { body });
    return {
      token: String(json['access_token']),
      refreshToken: String(json['refresh_token']),
      userId: String(json['user_id']),
      deviceId: String(json['device_id']),
    };
  }
  const logIn = async (person: Person): Promise<LoggedIn> => redeem(await home.loginToken(person));
  const isIn = async ({ token }: LoggedIn): Promise<boolean> =>
    (await home.request('GET', `${V3}/account/whoami`, { token })).status === 200;
  /** Whether a session goes on whose access token may have expired. */
  const goesOn = async ({ refreshToken }: LoggedIn): Promise<boolean> =>
    (await home.request('POST', `${V3}/refresh`, { body: { refresh_token: refreshToken } })).status === 200;
  async function logOutThere(claims: Readonly<Record<string, unknown>>): Promise<number> {
    const logout_token = await home.provider.logoutToken(claims);
    const response = await fetch(home.url + BACK_CHANNEL, {
      method: 'POST',
      body: new URLSearchParams({ logout_token }),
    });
    return response.status;
  }
  async function sidOf({ deviceId }: LoggedIn): Promise<string> {
    const [row] = await home.db.query<{ sid: string }>('SELECT sid FROM upstream_sessions WHERE device_id = $1', [
      deviceId,
    ]);
    return row?.sid ?? '';
  }

  it('end by the id of their session there: that device and no other, and what goes on at it', async () => {
    const person = stranger();
    const [one, other] = [await logIn(person), await logIn(person)];
    const ended: string[] = [];
    home.sessions.onEnd((_userId, deviceId) => void ended.push(deviceId));
    expect(await logOutThere({ sid: await sidOf(one) })).toBe(200);
    expect([await isIn(one), await isIn(other)]).toEqual([false, true]);
    expect(ended).toEqual([one.deviceId]);
    const body = { refresh_token: one.refreshToken };
    expect((await home.request('POST', `${V3}/refresh`, { body })).status).toBe(401);
  });

  it('end on all devices by the subject, and nobody else’s', async () => {
    const person = stranger();
    const devices = [await logIn(person), await logIn(person)];
    const else_ = await logIn(stranger());
    expect(await logOutThere({ sub: person.sub })).toBe(200);
    expect(await Promise.all(devices.map(isIn))).toEqual([false, false]);
    expect(await isIn(else_)).toBeTrue();
  });

  it('do not begin when they have ended there between the log-in and its token', async () => {
    const person = stranger();
    const token = await home.loginToken(person);
    expect(await logOutThere({ sub: person.sub })).toBe(200);
    const body = { type: 'm.login.token', token, refresh_token: true };
    expect((await home.request('POST', `${V3}/login`, { body })).status).toBe(403);
    expect(await home.sessions.devices(`@anna:hamburg.example`)).toEqual([]);
    // The next log-in is another one.
    home.clock.advance(1_000);
    expect(await isIn(await logIn(person))).toBeTrue();
  });

  it('do not begin when they have ended there while we asked who it is', async () => {
    const person = stranger();
    const ask = globalThis.fetch;
    let ended: Promise<number> | undefined;
    spyOn(globalThis, 'fetch').and.callFake(async (address, options) => {
      if (address === `${home.provider.issuer}/me`) {
        home.clock.advance(5);
        ended ??= logOutThere({ sub: person.sub });
        expect(await ended).toBe(200);
        home.clock.advance(5);
      }
      return ask(address, options);
    });
    const body = { type: 'm.login.token', token: await home.loginToken(person) };
    expect(ended).toBeDefined();
    expect((await home.request('POST', `${V3}/login`, { body })).status).toBe(403);
  });

  it('do not begin by a device that is let in while they end there', async () => {
    const person = stranger();
    const one = await logIn(person);
    spyOn(home.uia, 'confirm').and.callFake(async () => {
      home.clock.advance(5);
      await logOutThere({ sub: person.sub });
      home.clock.advance(5);
    });
    const answer = await home.request('POST', '/_matrix/client/v1/login/get_token', { token: one.token, body: {} });
    const body = { type: 'm.login.token', token: answer.json['login_token'] };
    expect((await home.request('POST', `${V3}/login`, { body })).status).not.toBe(200);
    expect(await home.sessions.devices(one.userId)).toEqual([]);
  });

  it('end on a device as well that another one lets in while it is ended', async () => {
    const person = stranger();
    const [one, other] = [await logIn(person), await logIn(person)];
    const end = home.sessions.end.bind(home.sessions);
    let arrival: Promise<LoggedIn> | undefined;
    spyOn(home.sessions, 'end').and.callFake(async (userId, deviceId, within) => {
      const left = deviceId === one.deviceId ? other : one;
      arrival ??= letIn(left);
      await arrival;
      await end(userId, deviceId, within);
    });
    spyOn(home.uia, 'confirm').and.resolveTo();
    home.clock.advance(5);
    expect(await logOutThere({ sub: person.sub })).toBe(200);
    expect(await home.sessions.devices(one.userId)).toEqual([]);
  });

  /** Logs in a device by one that is in. */
  async function letIn({ token }: LoggedIn): Promise<LoggedIn> {
    home.clock.advance(5);
    const answer = await home.request('POST', '/_matrix/client/v1/login/get_token', { token, body: {} });
    return redeem(String(answer.json['login_token']));
  }

  it('are checked once per life of an access token, and end for who is disabled', async () => {
    const person = stranger();
    const user = await logIn(person);
    home.provider.disabled.add(person.sub);
    await home.upstream.check();
    expect(await isIn(user))
      .withContext('is not due yet')
      .toBeTrue();
    home.clock.advance(CHECK_MS * 0.98);
    await home.upstream.check();
    expect(await isIn(user)).toBeFalse();
  });

  /** What the provider answers to refreshes: undefined is what it answers itself. */
  function refreshes(answer: (form: string, own: () => Promise<Response>) => Promise<Response>): void {
    const ask = globalThis.fetch;
    spyOn(globalThis, 'fetch').and.callFake((address, options) => {
      const form = String(options?.body);
      const own = (): Promise<Response> => ask(address, options);
      const isRefresh = address === `${home.provider.issuer}/token` && form.includes('grant_type=refresh_token');
      return isRefresh ? answer(form, own) : own();
    });
  }
  const json = (status: number, body: unknown): Response => Response.json(body, { status });

  it('are checked although the provider fails at every attempt to check one that is due before them', async () => {
    const [bad, person] = [stranger(), stranger()];
    const first = await logIn(bad);
    home.clock.advance(1_000);
    const users = [await logIn(person), await logIn(person)];
    let failing: string | undefined;
    const asked: string[] = [];
    refreshes(async (form, own) => {
      failing ??= form;
      if (form === failing) asked.push(form);
      return form === failing ? json(500, { error: 'server_error' }) : own();
    });
    home.provider.disabled.add(person.sub);
    home.clock.advance(CHECK_MS);
    await home.upstream.check();
    expect(await Promise.all(users.map(goesOn))).toEqual([false, false]);
    expect(asked.length).toBe(1);
    // It is asked about again, less and less often; the provider itself is there, and nobody is logged out for it.
    for (let minutes = 0; minutes < 60; minutes += 1) {
      home.clock.advance(60_000);
      await home.upstream.check();
    }
    expect(asked.length).toBeGreaterThan(3);
    expect(asked.length).toBeLessThan(12);
    expect(await goesOn(first)).toBeTrue();
    expect(home.logged.some((line) => line.includes('does not answer'))).toBeFalse();
    expect((await home.request('GET', '/_hansetag/health')).json['identityProvider']).toBe('up');
  });

  it('are checked while the provider takes its time about one that is due before them', async () => {
    const [slow, person] = [stranger(), stranger()];
    await logIn(slow);
    home.clock.advance(1_000);
    const users = [];
    for (let count = 0; count < 6; count += 1) users.push(await logIn(person));
    let waiting: string | undefined;
    let answer = (): void => undefined;
    const late = new Promise<void>((resolve) => (answer = resolve));
    refreshes(async (form, own) => {
      waiting ??= form;
      if (form === waiting) await late;
      return own();
    });
    home.provider.disabled.add(person.sub);
    home.clock.advance(CHECK_MS);
    const round = home.upstream.check();
    for (const user of users) {
      await eventually(
        () => home.sessions.devices(user.userId),
        (devices) => devices.length === 0,
      );
    }
    answer();
    await round;
  });

  it('are checked although the end of one that is due before them fails, which is tried again', async () => {
    const [first, person] = [await logIn(stranger()), stranger()];
    home.clock.advance(1_000);
    const users = [];
    for (let count = 0; count < 6; count += 1) users.push(await logIn(person));
    refreshes(async () => json(400, { error: 'invalid_grant', error_description: 'User disabled' }));
    const end = home.sessions.end.bind(home.sessions);
    let failures = 0;
    spyOn(home.sessions, 'end').and.callFake(async (userId, deviceId, within) => {
      if (deviceId !== first.deviceId || failures > 0) return end(userId, deviceId, within);
      failures += 1;
      throw new Error('the database is away');
    });
    home.clock.advance(CHECK_MS);
    await home.upstream.check();
    expect(await Promise.all(users.map(goesOn))).not.toContain(true);
    expect(await goesOn(first)).toBeTrue();
    home.clock.advance(CHECK_MS);
    await home.upstream.check();
    expect(await goesOn(first)).toBeFalse();
  });

  it('stay when their device was logged in anew while the one before was found to have ended', async () => {
    const person = stranger();
    const { deviceId } = await logIn(person);
    let again: LoggedIn | undefined;
    refreshes(async () => {
      const body = { type: 'm.login.token', token: await home.loginToken(person), device_id: deviceId };
      const { json: answer } = await home.request('POST', `${V3}/login`, { body: { ...body, refresh_token: true } });
      again = { token: String(answer['access_token']), refreshToken: '', userId: '', deviceId };
      return json(400, { error: 'invalid_grant', error_description: 'User disabled' });
    });
    home.clock.advance(CHECK_MS);
    await home.upstream.check();
    if (!again) throw new Error('Nobody was asked about.');
    expect(await isIn(again)).toBeTrue();
    expect(await sidOf(again))
      .withContext('it is tied')
      .not.toBe('');
  });

  it('stay, and are said to be unchecked, when the provider fails at everybody’s', async () => {
    const users = [];
    for (let count = 0; count < 10; count += 1) users.push(await logIn(stranger()));
    refreshes(async () => json(503, {}));
    home.clock.advance(CHECK_MS);
    await home.upstream.check();
    expect(await Promise.all(users.map(goesOn))).not.toContain(false);
    expect(home.logged.filter((line) => line.includes('everybody stays logged in')).length).toBe(1);
    expect((await home.request('GET', '/_hansetag/health')).json['identityProvider']).toBe('down');
  });

  it('keep the next token of the provider also when it says nothing of the person with it', async () => {
    const person = stranger();
    const user = await logIn(person);
    const sent: string[] = [];
    refreshes(async (form) => {
      sent.push(new URLSearchParams(form).get('refresh_token') ?? '');
      return json(200, { access_token: 'a', token_type: 'Bearer', refresh_token: `next-${String(sent.length)}` });
    });
    for (let count = 0; count < 3; count += 1) {
      home.clock.advance(CHECK_MS);
      await home.upstream.check();
    }
    expect(sent.slice(1)).toEqual(['next-1', 'next-2']);
    expect(await goesOn(user)).toBeTrue();
  });

  it('end together with their tie to the provider, or not at all, and the logout token is then still good', async () => {
    const person = stranger();
    const user = await logIn(person);
    await home.db.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'not now'; END $$`);
    await home.db.query('CREATE TRIGGER refuse BEFORE DELETE ON devices EXECUTE FUNCTION refuse()');
    const body = new URLSearchParams({ logout_token: await home.provider.logoutToken({ sub: person.sub }) });
    const logOut = async (): Promise<number> => (await fetch(home.url + BACK_CHANNEL, { method: 'POST', body })).status;
    expect(await logOut()).toBe(500);
    const out = await home.request('POST', `${V3}/logout`, { token: user.token, body: {} });
    expect(out.status).toBe(500);
    expect(await isIn(user)).toBeTrue();
    expect(await sidOf(user)).not.toBe('');
    await home.db.query('DROP TRIGGER refuse ON devices');
    expect(await logOut()).toBe(200);
    expect(await isIn(user)).toBeFalse();
  });

  it('end at the provider for a device that was gone when we were ended before we could say so', async () => {
    const person = stranger();
    const user = await logIn(person);
    await home.db.query('DELETE FROM devices WHERE device_id = $1', [user.deviceId]);
    home.clock.advance(CHECK_MS);
    await home.upstream.check();
    await eventually(
      () => home.db.query('SELECT 1 FROM upstream_sessions'),
      ({ length }) => length === 0,
    );
  });

  it('take over a name that has changed there, and keep one that was chosen here', async () => {
    const person = stranger();
    const user = await logIn(person);
    const name = async (): Promise<unknown> => (await home.profiles.get(user.userId))?.['displayname'];
    await home.profiles.set(user.userId, 'displayname', 'Anna P.');
    const check = async (): Promise<void> => {
      home.clock.advance(CHECK_MS);
      await home.upstream.check();
    };
    await check();
    expect(await name()).toBe('Anna P.');
    person.name = 'Anna Weber';
    await check();
    expect(await name()).toBe('Anna Weber');
    expect(home.profileChanges).toContain(`${user.userId} displayname`);
  });

  it('stay when the provider is away, which the log says once, and are checked when it is back', async () => {
    const person = stranger();
    const user = await logIn(person);
    const { issuer } = home.provider;
    await home.provider.close();
    home.clock.advance(CHECK_MS * 0.98);
    await home.upstream.check();
    await home.upstream.check();
    expect(await isIn(user)).toBeTrue();
    const said = (words: string): number => home.logged.filter((line) => line.includes(words)).length;
    const providerState = async (): Promise<unknown> =>
      (await home.request('GET', '/_hansetag/health')).json['identityProvider'];
    expect(said('everybody stays logged in')).toBe(1);
    expect(await providerState()).toBe('down');
    // Another one at the same address, which knows nothing of the session: it may have lost it.
    const next = await startProvider(`${home.url}/_hansetag/client/v1/login/callback`, Number(new URL(issuer).port));
    await home.upstream.check();
    expect(said('answers again')).toBe(1);
    expect(await providerState()).toBe('up');
    expect(await isIn(user)).toBeTrue();
    expect(said('stays until that is said again')).toBe(1);
    await home.upstream.check();
    expect(await isIn(user))
      .withContext('is not due yet')
      .toBeTrue();
    home.clock.advance(CHECK_MS * 0.98);
    await home.upstream.check();
    expect(await isIn(user)).toBeFalse();
    await next.close();
  });

  it('end with all devices of the same session there at a log-out here', async () => {
    const person = stranger();
    const one = await logIn(person);
    // A device that the first one has let in.
    await home.request('POST', `${V3}/logout`, { token: one.token, body: {} });
    expect(await isIn(one)).toBeFalse();
    expect(await home.db.query('SELECT * FROM upstream_sessions')).toEqual([]);
  });

  it('keep the tokens of the provider encrypted, for their device alone', async () => {
    const user = await logIn(stranger());
    const [row] = await home.db.query<{ sealed_tokens: Buffer; text: string }>(
      'SELECT sealed_tokens, upstream_sessions::text AS text FROM upstream_sessions WHERE device_id = $1',
      [user.deviceId],
    );
    // Parts of an ID token are readable: it would be found.
    expect(row?.text).not.toContain('eyJ');
    expect(row?.sealed_tokens.toString('latin1')).not.toContain('eyJ');
  });

  it('end when the tokens of another device were put in the place of theirs', async () => {
    const person = stranger();
    const [one, other] = [await logIn(person), await logIn(person)];
    await home.db.query(
      `UPDATE upstream_sessions SET sealed_tokens =
         (SELECT sealed_tokens FROM upstream_sessions WHERE device_id = $2) WHERE device_id = $1`,
      [one.deviceId, other.deviceId],
    );
    home.clock.advance(CHECK_MS * 0.98);
    await home.upstream.check();
    expect([await isIn(one), await isIn(other)]).toEqual([false, true]);
  });

  it('end, and say why, when the key that they are encrypted with was lost', async () => {
    const user = await logIn(stranger());
    const other = new Seal(randomBytes(32)).close('{}', 'somebody else');
    await home.db.query('UPDATE upstream_sessions SET sealed_tokens = $1', [other]);
    home.clock.advance(CHECK_MS * 0.98);
    await home.upstream.check();
    expect(await isIn(user)).toBeFalse();
    expect(home.logged.some((line) => line.includes('the key of sessions is another one'))).toBeTrue();
  });
});

describe('What is encrypted at rest', () => {
  const seal = new Seal(randomBytes(32));

  it('is opened by the same key for the same owner, and differs each time', () => {
    const [one, two] = [seal.close('Grüße', 'anna'), seal.close('Grüße', 'anna')];
    expect(seal.open(one, 'anna')).toBe('Grüße');
    expect(one.equals(two)).toBeFalse();
  });

  it('is opened neither by another key, nor for another owner, nor changed or cut', () => {
    const sealed = seal.close('secret', 'anna');
    expect(() => new Seal(randomBytes(32)).open(sealed, 'anna')).toThrowMatching((error) => error.code === 'SEAL');
    expect(() => seal.open(sealed, 'bert')).toThrowMatching((error) => error.code === 'SEAL');
    for (const index of [0, 12, 28, sealed.length - 1]) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
      expect(() => seal.open(changed, 'anna')).toThrowMatching((error) => error.code === 'SEAL');
    }
    for (const length of [0, 5, 27]) {
      expect(() => seal.open(sealed.subarray(0, length), 'anna')).toThrowMatching((error) => error.code === 'SEAL');
    }
  });
});
