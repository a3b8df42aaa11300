/** Links can be seen and ended by those who may make them, and let nobody in again whom the meeting has banned. */
import { LINK_ERRORS } from '../../protocol/guest-links.ts';
import { at, eventually } from '../support/homeservers.ts';
import { LINKS_OF_MEETING } from '../../homeserver/base/limits.ts';
import { CALL_MEMBER } from '../../homeserver/base/names.ts';
import { MeetingPlace } from './kit/meeting.ts';
import type { Member } from './kit/meeting.ts';
import { SessionClient } from './kit/session-client.ts';

interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly cookie: string | undefined;
}

describe('Guest link: L10: guest links', () => {
  let place: MeetingPlace;
  let host: Member;
  let bert: Member;
  let roomId: string;

  beforeAll(async () => {
    place = await MeetingPlace.start();
    host = await place.register('anna');
    bert = await place.register('bert');
  }, 60_000);
  beforeEach(async () => {
    roomId = await place.meeting(host, [], {
      power_level_content_override: { invite: 50, events: { [CALL_MEMBER]: 0 } },
    });
  });
  afterAll(() => place.close());

  async function ask(
    method: string,
    path: string,
    options: { token?: string; body?: object; cookie?: string } = {},
  ): Promise<Reply> {
    const { token, body, cookie } = options;
    const response = await fetch(`${place.server.url}/_hansetag/client/v1${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(cookie === undefined ? {} : { cookie }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const set = response.headers.getSetCookie().find((one) => one.startsWith('hansetag_guest='));
    return { status: response.status, body: await response.json(), cookie: set };
  }
  const links = (): string => `/meetings/${encodeURIComponent(roomId)}/links`;
  async function makeLink(): Promise<{ linkId: string; secret: string }> {
    const { body } = await ask('POST', links(), { token: host.user.token, body: {} });
    return { linkId: String(at(body, 'linkId')), secret: String(at(body, 'url')).split('/').at(-1) ?? '' };
  }
  const enter = (secret: string, cookie?: string): Promise<Reply> =>
    ask('POST', `/links/${secret}/join`, {
      body: { displayName: 'Gast' },
      ...(cookie === undefined ? {} : { cookie }),
    });

  const link = (body: object): Promise<Reply> => ask('POST', links(), { token: host.user.token, body });
  const secretOf = ({ body }: Reply): string => String(at(body, 'url')).split('/').at(-1) ?? '';
  const come = (secret: string, body: object = {}, token?: string): Promise<Reply> =>
    ask('POST', `/links/${secret}/join`, {
      body: { ...(token === undefined ? { displayName: 'Gast' } : {}), ...body },
      ...(token === undefined ? {} : { token }),
    });
  const outcome = ({ status, body }: Reply): unknown[] => [status, at(body, 'errcode')];
  const membership = async (userId: string): Promise<unknown> => {
    const path = `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(userId)}`;
    return at((await host.user.ask('GET', path)).body, 'membership');
  };

  it('are listed, to be copied again, to those who may make them only, and end by their ids', async () => {
    const [first, second] = [await makeLink(), await makeLink()];
    const entered = await enter(first.secret);
    expect(entered.status).toBe(200);
    const { body } = await ask('GET', links(), { token: host.user.token });
    expect(
      (at(body, 'links') as object[]).map((one) =>
        ['linkId', 'createdBy', 'guests', 'uses'].map((name) => at(one, name)),
      ),
    ).toEqual(
      jasmine.arrayWithExactContents([
        [first.linkId, host.user.userId, 1, 1],
        [second.linkId, host.user.userId, 0, 0],
      ]),
    );
    expect(JSON.stringify(body)).toContain(first.secret);
    const guest = String(at(entered.body, 'session', 'accessToken'));
    for (const token of [guest, bert.user.token]) {
      expect((await ask('GET', links(), { token })).status).toBe(403);
      expect((await ask('POST', `${links()}/${second.linkId}/replace`, { token, body: {} })).status).toBe(403);
      expect((await ask('DELETE', `${links()}/${first.linkId}`, { token })).status).toBe(403);
    }
    expect((await ask('DELETE', `${links()}/${first.linkId}`, { token: host.user.token })).status).toBe(200);
    const left = await ask('GET', links(), { token: host.user.token });
    expect((at(left.body, 'links') as object[]).map((one) => at(one, 'linkId'))).toEqual([second.linkId]);
    expect((await enter(first.secret)).status).toBe(404);
  });

  it('take their guests out of the meeting when they are ended, at once, or let them stay', async () => {
    const [kept, gone] = [await makeLink(), await makeLink()];
    const guests = [];
    for (const { secret } of [kept, gone]) {
      const { body } = await enter(secret);
      const token = String(at(body, 'session', 'accessToken'));
      const session = await SessionClient.open(place.server.url, token);
      await session.join(roomId);
      guests.push({ userId: String(at(body, 'session', 'userId')), session, token });
    }
    const [stays, goes] = guests;
    if (!stays || !goes) return fail('There are no guests.');
    for (const [one, what] of [
      [kept, 'keep'],
      [gone, 'remove'],
    ] as const) {
      const path = `${links()}/${one.linkId}?guests=${what}`;
      expect((await ask('DELETE', path, { token: host.user.token })).status).toBe(200);
      expect((await enter(one.secret)).status).toBe(404);
    }
    expect([await membership(stays.userId), await membership(goes.userId)]).toEqual(['join', 'leave']);
    await eventually(
      () => Promise.resolve(goes.session.heard('conference.ended')),
      (heard) => heard.length > 0,
    );
    expect(stays.session.heard('conference.ended')).toEqual([]);
    expect((await come(gone.secret, {}, goes.token)).status).toBe(404);
    const odd = `${links()}/${kept.linkId}?guests=perhaps`;
    expect((await ask('DELETE', odd, { token: host.user.token })).status).toBe(400);
    for (const { session } of guests) await session.close();
  });

  it('let in as many as they are for: of guests at the same time, one by the last use', async () => {
    const secret = secretOf(await link({ maxUses: 2 }));
    const replies = await Promise.all(Array.from({ length: 6 }, () => enter(secret)));
    expect(replies.filter(({ status }) => status === 200).length).toBe(2);
    for (const reply of replies.filter(({ status }) => status !== 200)) {
      expect(outcome(reply)).toEqual([404, LINK_ERRORS.usedUp]);
    }
    expect(outcome(await ask('GET', `/links/${secret}`))).toEqual([404, LINK_ERRORS.usedUp]);
    const inside = replies.find(({ status }) => status === 200)?.body;
    const again = await come(secret, {}, String(at(inside, 'session', 'accessToken')));
    expect(again.status).withContext('who came before').toBe(200);
  });

  it('ask for their password, before anybody gets an account, of colleagues too, and never say it again', async () => {
    const password = 'Elbphilharmonie';
    const made = await link({ password });
    const secret = secretOf(made);
    const seen = [made.body, (await ask('GET', links(), { token: host.user.token })).body];
    const preview = await ask('GET', `/links/${secret}`);
    expect([at(preview.body, 'password'), at(made.body, 'password')]).toEqual([true, true]);
    expect(JSON.stringify([...seen, preview.body])).not.toContain(password);
    for (const token of [undefined, bert.user.token]) {
      for (const body of [{}, { password: '' }, { password: 'elbphilharmonie' }]) {
        expect(outcome(await come(secret, body, token))).toEqual([403, LINK_ERRORS.password]);
      }
      expect((await come(secret, { password: 'x'.repeat(10_000) }, token)).status).toBe(400);
    }
    expect(await membership(bert.user.userId)).toBeUndefined();
    const [listed] = at((await ask('GET', links(), { token: host.user.token })).body, 'links') as object[];
    expect(at(listed, 'uses')).toBe(0);
    const guest = await come(secret, { password });
    expect(guest.status).toBe(200);
    expect((await come(secret, { password }, bert.user.token)).status).toBe(200);
    expect(await membership(bert.user.userId)).toBe('join');
    const token = String(at(guest.body, 'session', 'accessToken'));
    expect((await come(secret, {}, token)).status)
      .withContext('who is in needs it no more')
      .toBe(200);
    const rows = await host.user.must('GET', `client/v3/rooms/${encodeURIComponent(roomId)}/state`);
    expect(JSON.stringify(rows)).not.toContain(password);
  });

  it('with a new secret let nobody in by the old one', async () => {
    const made = await link({ purpose: 'Press', maxUses: 5 });
    await enter(secretOf(made));
    const path = `${links()}/${String(at(made.body, 'linkId'))}/replace`;
    const replaced = await ask('POST', path, { token: host.user.token, body: {} });
    expect(['linkId', 'purpose', 'maxUses', 'uses'].map((name) => at(replaced.body, name))).toEqual([
      at(made.body, 'linkId'),
      'Press',
      5,
      1,
    ]);
    expect((await enter(secretOf(made))).status).toBe(404);
    expect((await enter(secretOf(replaced))).status).toBe(200);
  });

  it('of what makes no sense are refused', async () => {
    const bodies = [
      { expiresAt: Date.now() - 1_000 },
      { expiresAt: 'tomorrow' },
      { maxUses: 0 },
      { maxUses: 1.5 },
      { maxUses: 1e9 },
      { mode: 'open' },
      { password: 'short' },
      { password: 'x'.repeat(129) },
      { purpose: '\u202e\u200b' },
      { purpose: 'x'.repeat(201) },
    ];
    for (const body of bodies) {
      expect((await link(body)).status)
        .withContext(JSON.stringify(body))
        .toBe(400);
    }
    expect(at((await ask('GET', links(), { token: host.user.token })).body, 'links')).toEqual([]);
  });

  it('of the waiting room let nobody into the room by themselves', async () => {
    const secret = secretOf(await link({ mode: 'waiting' }));
    expect(at((await ask('GET', `/links/${secret}`)).body, 'guests')).toBe('wait');
    const guest = await enter(secret);
    expect([guest.status, at(guest.body, 'waiting')]).toEqual([200, true]);
    expect(await membership(String(at(guest.body, 'session', 'userId')))).toBeUndefined();
    const token = String(at(guest.body, 'session', 'accessToken'));
    const state = `${place.server.url}/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state`;
    expect((await fetch(state, { headers: { authorization: `Bearer ${token}` } })).status).toBe(403);
  });

  it('let a banned guest not in again with the same browser, whatever the name and the link', async () => {
    const [one, other] = [await makeLink(), await makeLink()];
    const entered = await enter(one.secret);
    expect(entered.cookie).toMatch(/HttpOnly/i);
    expect(entered.cookie).toMatch(/SameSite=Strict/i);
    expect(entered.cookie).not.toMatch(/expires|max-age/i);
    const cookie = entered.cookie?.split(';')[0] ?? '';
    const user = String(at(entered.body, 'session', 'userId'));
    const token = String(at(entered.body, 'session', 'accessToken'));
    await host.user.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/ban`, { user_id: user });
    expect((await ask('POST', `/links/${one.secret}/join`, { token, body: {} })).status).toBe(403);
    expect((await enter(one.secret, cookie)).status).toBe(403);
    expect((await enter(other.secret, cookie)).status).toBe(403);
    // Somebody else with the link is somebody else.
    expect((await enter(one.secret)).status).toBe(200);
    await host.user.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/unban`, { user_id: user });
    expect((await enter(one.secret, cookie)).status).toBe(200);
  });

  it('of one meeting are so many at most', async () => {
    for (let n = 0; n < LINKS_OF_MEETING; n += 1) await makeLink();
    const more = await ask('POST', links(), { token: host.user.token, body: {} });
    expect([more.status, at(more.body, 'errcode')]).toEqual([403, 'M_RESOURCE_LIMIT_EXCEEDED']);
  });
});
