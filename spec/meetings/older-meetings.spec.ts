/** Meetings from the time when whoever made one was the creator of its room. */
import type { NotificationData } from '../../protocol/session.ts';
import { rightSchema } from '../../protocol/rights.ts';
import { CALL_MEMBER, MEETING } from '../../homeserver/base/names.ts';
import { BUILD_TIMEOUT } from '../sfu/support.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { Answer, TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { hansetag, SessionClient, startMeetingServers } from '../support/meetings.ts';

/** By the power levels of any room only its owner appoints, and shuts servers out. */
const OF_MODERATORS = rightSchema.options.filter((right) => right !== 'appoint' && right !== 'shut-out');

describe('Roles: in a meeting that a person has made', () => {
  let federation: TestFederation;
  let hamburg: TestHomeserver;
  let luebeck: TestHomeserver;
  let anna: TestUser;
  let bert: TestUser;
  let emil: TestUser;
  let roomId: string;
  const clients: SessionClient[] = [];

  beforeAll(async () => {
    federation = await startMeetingServers(2, { HANSETAG_PASSWORD_COST: '10' });
    [hamburg, luebeck] = federation.servers as [TestHomeserver, TestHomeserver];
    anna = await hamburg.register('anna');
    emil = await hamburg.register('emil');
    bert = await luebeck.register('bert');
  }, BUILD_TIMEOUT);
  afterAll(() => federation.close());
  beforeEach(async () => {
    // As the web client's requests made them.
    const made = await anna.must('POST', 'client/v3/createRoom', {
      name: 'Deich',
      preset: 'private_chat',
      initial_state: [{ type: MEETING, state_key: '', content: { time_zone: 'Europe/Berlin' } }],
      power_level_content_override: { invite: 50, events: { [CALL_MEMBER]: 0 } },
    });
    roomId = String(at(made, 'room_id'));
    const invited = await hansetag(hamburg, anna.token, 'POST', meeting('invitations'), { userIds: [bert.userId] });
    expect(at(invited.body, 'results', 0, 'outcome')).toBe('invited');
    await eventually(
      () => hansetag(luebeck, bert.token, 'POST', meeting('answer'), { answer: 'accept' }),
      ({ status }) => status === 200,
    );
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  const room = (rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
  const meeting = (rest: string): string => `meetings/${encodeURIComponent(roomId)}/${rest}`;
  const details = async (server: TestHomeserver, user: TestUser): Promise<unknown> =>
    (await hansetag(server, user.token, 'GET', meeting(''))).body;
  const roles = (found: unknown): Record<string, string> =>
    Object.fromEntries(
      (at(found, 'members') as { userId: string; role: string }[]).map(({ userId, role }) => [userId, role]),
    );
  async function enter(
    server: TestHomeserver,
    user: TestUser,
  ): Promise<{ client: SessionClient; rights: readonly string[]; me: string }> {
    const client = await SessionClient.open(server, user);
    clients.push(client);
    const { rights, me } = await client.ask('conference.join', { roomId });
    return { client, rights, me };
  }
  async function appoint(user: TestUser): Promise<void> {
    const levels = (await anna.must('GET', room('state/m.room.power_levels/'))) as { users?: object };
    const users = { ...levels.users, [user.userId]: 50 };
    await anna.must('PUT', room('state/m.room.power_levels/'), { ...levels, users });
  }

  it('the creator owns it, in both organisations, and others are what they are appointed', async () => {
    for (const [server, user] of [
      [hamburg, anna],
      [luebeck, bert],
    ] as const) {
      const found = await eventually(
        () => details(server, user),
        (body) => Object.keys(roles(body)).length === 2,
      );
      expect(roles(found)).toEqual({ [anna.userId]: 'owner', [bert.userId]: 'participant' });
      expect(at(found, 'host', 'userId')).toBe(anna.userId);
    }
    expect(at(await details(hamburg, anna), 'rights')).toEqual(rightSchema.options);
    expect(at(await details(luebeck, bert), 'rights')).toEqual([]);
    await appoint(bert);
    const appointed = await eventually(
      () => details(luebeck, bert),
      (body) => at(body, 'role') === 'moderator',
    );
    expect(at(appointed, 'rights')).toEqual(OF_MODERATORS);
  });

  it('rights come with the conference, and whoever is appointed in it mutes others at once', async () => {
    const hers = await enter(hamburg, anna);
    const his = await enter(luebeck, bert);
    expect(hers.rights).toEqual(rightSchema.options);
    expect(his.rights).toEqual([]);
    await expectAsync(his.client.ask('moderation.mute', { participantIds: [hers.me] })).toBeRejectedWith(
      jasmine.objectContaining({ code: 'forbidden' }),
    );
    await appoint(bert);
    const changed = (data: NotificationData<'conference.changed'>): boolean => data.rights.length > 0;
    expect((await his.client.hears('conference.changed', changed)).rights).toEqual(OF_MODERATORS);
    await hers.client.hears('participant.changed', ({ role }) => role === 'moderator');
    expect(await his.client.ask('moderation.mute', { participantIds: [hers.me] })).toEqual({ unreached: [] });
  });

  it('invitations are for those who may make them', async () => {
    const refused = await hansetag(luebeck, bert.token, 'POST', meeting('invitations'), { userIds: [emil.userId] });
    expect([refused.status, at(refused.body, 'errcode')]).toEqual([403, 'M_FORBIDDEN']);
    await appoint(bert);
    await eventually(
      () => hansetag(luebeck, bert.token, 'POST', meeting('invitations'), { userIds: [emil.userId] }),
      ({ body }) => at(body, 'results', 0, 'outcome') === 'invited',
    );
    // It comes to his server with the next events of the room.
    await eventually(
      () => hansetag(hamburg, emil.token, 'POST', meeting('answer'), { answer: 'accept' }),
      ({ status }) => status === 200,
    );
    const left = await hansetag(hamburg, emil.token, 'POST', meeting('links'), {});
    expect([left.status, at(left.body, 'errcode')]).toEqual([403, 'M_FORBIDDEN']);
  });

  it('guest links let people in by the right of their maker, and end with it', async () => {
    await anna.must('POST', room('invite'), { user_id: emil.userId });
    await emil.must('POST', room('join'), {});
    await appoint(emil);
    const linkOf = async (user: TestUser): Promise<() => Promise<Answer>> => {
      const { body } = await hansetag(hamburg, user.token, 'POST', meeting('links'), {});
      const token = String(at(body, 'url')).split('/').at(-1) ?? '';
      return () => hansetag(hamburg, undefined, 'POST', `links/${token}/join`, { displayName: 'Gast' });
    };
    const [hers, his] = [await linkOf(anna), await linkOf(emil)];
    for (const enterBy of [hers, his]) expect((await enterBy()).status).toBe(200);
    const guests = Object.values(roles(await details(hamburg, anna))).filter((role) => role === 'guest');
    expect(guests.length).toBe(2);
    await emil.must('POST', room('leave'), {});
    expect((await his()).status).toBe(404);
    expect((await hers()).status).toBe(200);
  });
});
