import { MAX_LOCALPART_BYTES, toLocalpart } from '../../homeserver/accounts/localpart.ts';
import { isNewUserId } from '../../federation/identifiers.ts';
import { SERVER_NAME, startHome } from './support.ts';
import type { TestHome } from './support.ts';

const V3 = '/_matrix/client/v3';

describe('Accounts', () => {
  let home: TestHome;
  let userId: string;
  let token: string;
  let guestId: string;
  let guestToken: string;
  beforeAll(async () => {
    home = await startHome();
    userId = await home.accounts.logIn({
      issuer: 'https://id.example',
      subject: '1',
      preferredUsername: 'bert',
      name: 'Bert Brandt',
    });
    token = (await home.sessions.create(userId)).accessToken;
    guestId = await home.accounts.createGuest('Gustav Gast');
    guestToken = (await home.sessions.create(guestId)).accessToken;
  });
  afterAll(() => home.close());

  const profile = (id: string): string => `${V3}/profile/${encodeURIComponent(id)}`;

  it('keeps a person apart from one with the same subject at another provider', async () => {
    const other = await home.accounts.logIn({
      issuer: 'https://evil.example',
      subject: '1',
      preferredUsername: 'bert',
    });
    expect(other).not.toBe(userId);
  });

  it('makes one account of two first log-ins at the same time', async () => {
    const identity = { issuer: 'https://id.example', subject: 'raced', preferredUsername: 'bert' };
    const ids = await Promise.all([1, 2, 3].map(() => home.accounts.logIn(identity)));
    expect(new Set(ids).size).toBe(1);
  });

  it('shows names to people who are logged in, and to nobody else', async () => {
    expect((await home.request('GET', profile(userId))).status).toBe(401);
    expect((await home.request('GET', profile(userId), { token })).json).toEqual({ displayname: 'Bert Brandt' });
    expect((await home.request('GET', `${profile(userId)}/displayname`, { token })).json).toEqual({
      displayname: 'Bert Brandt',
    });
    const picture = await home.request('GET', `${profile(userId)}/avatar_url`, { token });
    expect([picture.status, picture.json]).toEqual([200, {}]);
    const nobody = await home.request('GET', profile(`@nobody:${SERVER_NAME}`), { token });
    expect(nobody.json['errcode']).toBe('M_NOT_FOUND');
    expect((await home.request('GET', profile('bert'), { token })).status).toBe(400);
  });

  it('lets a person change their own name only', async () => {
    const renamed = await home.accounts.logIn({ issuer: 'https://id.example', subject: '2' });
    const { accessToken } = await home.sessions.create(renamed);
    const path = `${profile(renamed)}/displayname`;
    const rename = (displayname: unknown) => home.request('PUT', path, { token: accessToken, body: { displayname } });
    expect((await rename(' Bert\u202e B.\n ')).status).toBe(200);
    expect(await home.accounts.displayName(renamed)).toBe('Bert B.');
    expect(home.profileChanges).toEqual([`${renamed} displayname`]);
    const stolen = await home.request('PUT', `${profile(guestId)}/displayname`, { token, body: { displayname: 'X' } });
    expect(stolen.status).toBe(403);
    for (const displayname of ['  ', '\u0000', 'x'.repeat(257), 1, null]) {
      const answer = await rename(displayname);
      expect(answer.status).withContext(JSON.stringify(displayname)).toBe(400);
    }
    expect(await home.accounts.displayName(renamed)).toBe('Bert B.');
  });

  it('does not let a guest change the name that was given at the door', async () => {
    const body = { displayname: 'Bert Brandt' };
    const answer = await home.request('PUT', `${profile(guestId)}/displayname`, { token: guestToken, body });
    expect(answer.json['errcode']).toBe('M_GUEST_ACCESS_FORBIDDEN');
    expect(await home.accounts.displayName(guestId)).toBe('Gustav Gast');
  });

  it('tells a guest that it is one', async () => {
    const { json } = await home.request('GET', `${V3}/account/whoami`, { token: guestToken });
    expect(json['is_guest']).toBeTrue();
  });

  it('refuses filters that are none', async () => {
    const path = `${V3}/user/${encodeURIComponent(userId)}/filter`;
    for (const body of [
      [],
      { presence: 'x' },
      { room: 'x' },
      { room: { timeline: 'x' } },
      { room: { timeline: { rooms: 'x' } } },
      { room: { timeline: { types: [1] } } },
      { room: { timeline: { rooms: ['not_a_room_id'] } } },
      { room: { state: { not_senders: ['not_a_sender_id'] } } },
      { room: { rooms: ['not_a_room_id'] } },
    ]) {
      const answer = await home.request('POST', path, { token, body });
      expect(answer.status).withContext(JSON.stringify(body)).toBe(400);
    }
  });

  it('stores a filter and gives it to its owner only', async () => {
    const path = `${V3}/user/${encodeURIComponent(userId)}/filter`;
    const body = { room: { timeline: { limit: 5 } } };
    const { json } = await home.request('POST', path, { token, body });
    const id = String(json['filter_id']);
    expect((await home.request('GET', `${path}/${id}`, { token })).json).toEqual(body);
    expect((await home.request('GET', `${path}/${id}`, { token: guestToken })).status).toBe(403);
    const own = `${V3}/user/${encodeURIComponent(guestId)}/filter/${id}`;
    expect((await home.request('GET', own, { token: guestToken })).status).toBe(404);
    expect((await home.request('GET', `${path}/1%20OR%201=1`, { token })).status).toBe(404);
    const long = { room: { name: 'x'.repeat(20_000) } };
    expect((await home.request('POST', path, { token, body: long })).status).toBe(413);
  });

  it('makes legal local parts of all kinds of names', () => {
    const cases: [name: string, localpart: string][] = [
      ['anna', 'anna'],
      ['Anna.Müller@hamburg.example', 'anna.muller'],
      ['Jörg Groß', 'jorg=20gross'],
      ['@mail', '=40mail'],
      ['guest-abc', 'user-guest-abc'],
      ['Guest-abc', 'user-guest-abc'],
      ['_bridge', 'user-_bridge'],
      ['', 'user'],
      ['Юлия', '=d1=8e=d0=bb=d0=b8=d1=8f'],
      ['a:b', 'a=3ab'],
      ['\ud800', '=ef=bf=bd'],
    ];
    for (const [name, localpart] of cases) {
      expect(toLocalpart(name)).withContext(name).toBe(localpart);
      expect(isNewUserId(`@${localpart}:${SERVER_NAME}`)).toBeTrue();
    }
    expect(toLocalpart('ü'.repeat(300)).length).toBeLessThanOrEqual(MAX_LOCALPART_BYTES);
    expect(toLocalpart('Ж'.repeat(300))).toMatch(/^(=d0=b6)+$/);
  });
});
