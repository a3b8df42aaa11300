import { SERVER_NAME, startHome } from './support.ts';
import type { TestHome } from './support.ts';
import { isUnstorable } from '../../homeserver/database/errors.ts';

const HOUR_MS = 60 * 60 * 1000;
const V3 = '/_matrix/client/v3';

describe('Sessions', () => {
  let home: TestHome;
  let userId: string;
  let person = 0;
  beforeAll(async () => {
    home = await startHome();
  });
  beforeEach(async () => {
    userId = await home.accounts.logIn({ issuer: 'https://id.example', subject: `s${String(person++)}` });
  });
  afterAll(() => home.close());

  async function whoami(token: string): Promise<{ status: number; softLogout: unknown }> {
    const { status, json } = await home.request('GET', `${V3}/account/whoami`, { token });
    return { status, softLogout: json['soft_logout'] };
  }

  async function refresh(refreshToken: string | undefined) {
    const { status, json } = await home.request('POST', `${V3}/refresh`, { body: { refresh_token: refreshToken } });
    return { status, accessToken: String(json['access_token']), refreshToken: String(json['refresh_token']) };
  }

  it('refuses a request without token, and with an invented one; takes one in the query', async () => {
    const without = await home.request('GET', `${V3}/account/whoami`);
    expect(without.status).toBe(401);
    expect(without.json['errcode']).toBe('M_MISSING_TOKEN');
    const { accessToken } = await home.sessions.create(userId);
    const asked = `${V3}/account/whoami?access_token=`;
    expect((await home.request('GET', asked + accessToken)).status).toBe(200);
    expect((await home.request('GET', asked)).json['errcode']).toBe('M_MISSING_TOKEN');
    expect((await home.request('GET', `${asked}${accessToken}&access_token=x`)).status).toBe(401);
    expect(await whoami(`hst_${'A'.repeat(43)}`)).toEqual({ status: 401, softLogout: false });
    expect(await whoami('A'.repeat(5000))).toEqual({ status: 401, softLogout: false });
  });

  it('stores no token, only hashes', async () => {
    const { accessToken, refreshToken } = await home.sessions.create(userId, { refreshable: true });
    const rows = await home.db.query<{ text: string }>('SELECT tokens::text AS text FROM tokens');
    const stored = rows.map((row) => row.text).join('\n');
    for (const token of [accessToken, refreshToken ?? '']) {
      expect(token.length).toBeGreaterThan(40);
      expect(stored).not.toContain(token);
      expect(stored).not.toContain(Buffer.from(token).toString('hex'));
    }
  });

  it('ends an access token after an hour when the client can refresh, and lets it refresh', async () => {
    const tokens = await home.sessions.create(userId, { refreshable: true });
    expect(tokens.expiresInMs).toBe(HOUR_MS);
    home.clock.advance(HOUR_MS + 1);
    expect(await whoami(tokens.accessToken)).toEqual({ status: 401, softLogout: true });
    const next = await refresh(tokens.refreshToken);
    expect(next.status).toBe(200);
    expect((await whoami(next.accessToken)).status).toBe(200);
  });

  it('does not end an access token of a client that can not refresh', async () => {
    const tokens = await home.sessions.create(userId);
    expect(tokens.refreshToken).toBeUndefined();
    home.clock.advance(100 * HOUR_MS);
    expect((await whoami(tokens.accessToken)).status).toBe(200);
  });

  it('keeps the old pair until the new one is used, and not longer', async () => {
    const old = await home.sessions.create(userId, { refreshable: true });
    const next = await refresh(old.refreshToken);
    expect((await whoami(old.accessToken)).status).toBe(200);
    expect((await whoami(next.accessToken)).status).toBe(200);
    expect(await whoami(old.accessToken)).toEqual({ status: 401, softLogout: false });
    expect((await refresh(old.refreshToken)).status).toBe(401);
    expect((await whoami(next.accessToken)).status).toBe(200);
  });

  it('gives a client whose answer was lost another pair, and ends the lost one', async () => {
    const old = await home.sessions.create(userId, { refreshable: true });
    const lost = await refresh(old.refreshToken);
    const next = await refresh(old.refreshToken);
    expect(next.status).toBe(200);
    expect((await whoami(lost.accessToken)).status).toBe(401);
    expect((await refresh(lost.refreshToken)).status).toBe(401);
    expect((await whoami(next.accessToken)).status).toBe(200);
  });

  it('makes one good pair of two refreshes at the same time', async () => {
    const old = await home.sessions.create(userId, { refreshable: true });
    const pairs = await Promise.all([refresh(old.refreshToken), refresh(old.refreshToken)]);
    const good = await Promise.all(pairs.map(async ({ accessToken }) => (await whoami(accessToken)).status));
    expect(good.filter((status) => status === 200).length).toBe(1);
  });

  it('does not take an access token for a refresh token or the other way round', async () => {
    const tokens = await home.sessions.create(userId, { refreshable: true });
    expect((await refresh(tokens.accessToken)).status).toBe(401);
    expect((await whoami(tokens.refreshToken ?? '')).status).toBe(401);
  });

  it('ends a device with both its tokens at log-out, and tells who listens', async () => {
    const tokens = await home.sessions.create(userId, { refreshable: true });
    const other = await home.sessions.create(userId, { refreshable: true });
    const ended: string[] = [];
    const stop = home.sessions.onEnd((user, device) => void ended.push(`${user} ${device}`));
    const answer = await home.request('POST', `${V3}/logout`, { token: tokens.accessToken, body: {} });
    stop();
    expect(answer.status).toBe(200);
    expect(ended).toEqual([`${userId} ${tokens.deviceId}`]);
    expect(await whoami(tokens.accessToken)).toEqual({ status: 401, softLogout: false });
    expect((await refresh(tokens.refreshToken)).status).toBe(401);
    expect((await whoami(other.accessToken)).status).toBe(200);
  });

  it('ends all devices of one person at the log-out from everywhere, and nobody else’s', async () => {
    const stranger = await home.accounts.logIn({ issuer: 'https://id.example', subject: 'stranger' });
    const kept = await home.sessions.create(stranger);
    const one = await home.sessions.create(userId);
    const two = await home.sessions.create(userId, { refreshable: true });
    const ended: string[] = [];
    const stop = home.sessions.onEnd((_user, device) => void ended.push(device));
    await home.request('POST', `${V3}/logout/all`, { token: one.accessToken });
    stop();
    expect(ended.sort()).toEqual([one.deviceId, two.deviceId].sort());
    expect((await whoami(one.accessToken)).status).toBe(401);
    expect((await whoami(two.accessToken)).status).toBe(401);
    expect((await whoami(kept.accessToken)).status).toBe(200);
  });

  it('ends the old tokens of a device that logs in again', async () => {
    const first = await home.sessions.create(userId, { deviceId: 'LAPTOP', displayName: 'Laptop' });
    const second = await home.sessions.create(userId, { deviceId: 'LAPTOP' });
    expect((await whoami(first.accessToken)).status).toBe(401);
    expect((await whoami(second.accessToken)).status).toBe(200);
    const { json } = await home.request('GET', `${V3}/devices`, { token: second.accessToken });
    expect(json['devices']).toEqual([
      jasmine.objectContaining({ device_id: 'LAPTOP', display_name: 'Laptop', last_seen_ts: jasmine.any(Number) }),
    ]);
  });

  it('gives a guest a day and nothing to refresh', async () => {
    const guest = await home.accounts.createGuest('Gast');
    expect(guest).toMatch(new RegExp(`^@guest-[a-z2-7]{10}:${SERVER_NAME.replace('.', '\\.')}$`));
    const tokens = await home.sessions.create(guest, { refreshable: true });
    expect(tokens.refreshToken).toBeUndefined();
    expect((await home.sessions.authenticate(tokens.accessToken)).guest).toBeTrue();
    home.clock.advance(24 * HOUR_MS + 1);
    expect(await whoami(tokens.accessToken)).toEqual({ status: 401, softLogout: false });
  });

  it('refuses a name of a device that can not be stored, at log-in and later', async () => {
    const userId = await home.accounts.createGuest('Name');
    const made = home.sessions.create(userId, { displayName: 'a\0b' });
    await expectAsync(
      made.catch((error: unknown) => Promise.reject(new Error(String(isUnstorable(error))))),
    ).toBeRejectedWithError('true');
    expect(await home.sessions.devices(userId)).toEqual([]);
    const { accessToken, deviceId } = await home.sessions.create(userId);
    const body = { display_name: 'a\0b' };
    const answer = await home.request('PUT', `/_matrix/client/v3/devices/${deviceId}`, { token: accessToken, body });
    expect([answer.status, answer.json['errcode']]).toEqual([400, 'M_BAD_JSON']);
    expect((await home.sessions.devices(userId)).map(({ displayName }) => displayName)).toEqual([undefined]);
  });

  it('ends at once for a token that was just in use, however it ends', async () => {
    const use = (token: string) => home.sessions.authenticate(token);
    const fresh = async () => {
      const session = await home.sessions.create(userId, { refreshable: true });
      await use(session.accessToken);
      await use(session.accessToken);
      return session;
    };
    const one = await fresh();
    await home.sessions.end(userId, one.deviceId);
    await expectAsync(use(one.accessToken)).toBeRejected();
    const two = await fresh();
    await home.sessions.create(userId, { deviceId: two.deviceId });
    await expectAsync(use(two.accessToken)).toBeRejected();
    const three = await fresh();
    const next = await home.sessions.refresh(three.refreshToken ?? '');
    await use(three.accessToken);
    await use(next.accessToken);
    await expectAsync(use(three.accessToken)).toBeRejected();
    const four = await fresh();
    await home.accounts.setDisplayName(userId, 'Neuer Name');
    expect((await use(four.accessToken)).displayName).toBe('Neuer Name');
    home.clock.advance(60 * 60 * 1000);
    await expectAsync(use(four.accessToken)).toBeRejectedWith(
      jasmine.objectContaining({ extra: { soft_logout: true } }),
    );
  });
});
