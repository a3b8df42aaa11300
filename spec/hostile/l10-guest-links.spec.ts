/** Links can be seen and ended by those who may make them, and let nobody in again whom the meeting has banned. */
import { at } from '../support/homeservers.ts';
import { LINKS_OF_MEETING } from '../../homeserver/base/limits.ts';
import { MeetingPlace } from './kit/meeting.ts';
import type { Member } from './kit/meeting.ts';

interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly cookie: string | undefined;
}

describe('Guest link: L10: guest links', () => {
  let place: MeetingPlace;
  let host: Member;
  let roomId: string;

  beforeEach(async () => {
    place = await MeetingPlace.start();
    host = await place.register('anna');
    roomId = await place.meeting(host, [], { power_level_content_override: { invite: 50 } });
  });
  afterEach(() => place.close());

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

  it('are listed, without their secrets, to those who may make them, and end by their ids', async () => {
    const [first, second] = [await makeLink(), await makeLink()];
    const entered = await enter(first.secret);
    expect(entered.status).toBe(200);
    const { body } = await ask('GET', links(), { token: host.user.token });
    expect(JSON.stringify(body)).not.toContain(first.secret);
    expect(
      (at(body, 'links') as object[]).map((link) => [at(link, 'linkId'), at(link, 'createdBy'), at(link, 'guests')]),
    ).toEqual(
      jasmine.arrayWithExactContents([
        [first.linkId, host.user.userId, 1],
        [second.linkId, host.user.userId, 0],
      ]),
    );
    const guest = String(at(entered.body, 'session', 'accessToken'));
    expect((await ask('GET', links(), { token: guest })).status).toBe(403);
    const stranger = await place.register('bert');
    expect((await ask('GET', links(), { token: stranger.user.token })).status).toBe(403);
    expect((await ask('DELETE', `${links()}/${first.linkId}`, { token: stranger.user.token })).status).toBe(403);
    expect((await ask('DELETE', `${links()}/${first.linkId}`, { token: host.user.token })).status).toBe(200);
    const left = await ask('GET', links(), { token: host.user.token });
    expect((at(left.body, 'links') as object[]).map((link) => at(link, 'linkId'))).toEqual([second.linkId]);
    expect((await enter(first.secret)).status).toBe(404);
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
