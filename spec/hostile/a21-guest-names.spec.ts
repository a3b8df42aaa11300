/** The name of a guest is the one that was said at the door, by whatever way the guest tries another. */
import { at } from '../support/homeservers.ts';
import { MeetingPlace } from './kit/meeting.ts';
import type { Member } from './kit/meeting.ts';

const GUEST = 'org.hansetag.guest';

describe('A21a: a guest who wants to be called like somebody else', () => {
  let place: MeetingPlace;
  let host: Member;
  let guest: Member;
  let roomId: string;

  beforeAll(async () => {
    place = await MeetingPlace.start();
    host = await place.register('bert');
    roomId = await place.meeting(host, [], {
      power_level_content_override: { events: { 'org.matrix.msc3401.call.member': 0 }, state_default: 0, invite: 0 },
    });
    const url = `${place.server.url}/_hansetag/client/v1`;
    const link: unknown = await (
      await fetch(`${url}/meetings/${encodeURIComponent(roomId)}/links`, {
        method: 'POST',
        headers: { authorization: `Bearer ${host.user.token}` },
        body: '{}',
      })
    ).json();
    const token = String(at(link, 'url')).split('/').at(-1) ?? '';
    const joined: unknown = await (
      await fetch(`${url}/links/${token}/join`, { method: 'POST', body: JSON.stringify({ displayName: 'Greta Gast' }) })
    ).json();
    const accessToken = String(at(joined, 'session', 'accessToken'));
    const ask: Member['user']['ask'] = (method, path, body) => place.server.ask(method, path, body, accessToken);
    guest = await place.member({
      userId: String(at(joined, 'session', 'userId')),
      token: accessToken,
      ask,
      must: async (method, path, body) => {
        const { status, body: answer } = await ask(method, path, body);
        if (status !== 200) throw new Error(`${path}: ${JSON.stringify(answer)}`);
        return answer;
      },
    });
  });
  afterAll(() => place.close());

  const room = (): string => `client/v3/rooms/${encodeURIComponent(roomId)}`;
  const own = (): string => `${room()}/state/m.room.member/${encodeURIComponent(guest.user.userId)}`;
  const LIE = { displayname: 'Bert Brandt', avatar_url: 'mxc://localhost/bert', [GUEST]: false };
  async function expectName(how: string): Promise<void> {
    const content = (await host.user.must('GET', own())) as object;
    expect(content)
      .withContext(how)
      .toEqual(jasmine.objectContaining({ displayname: 'Greta Gast', [GUEST]: true }));
    expect(JSON.stringify(content))
      .withContext(how)
      .not.toMatch(/Brandt|mxc:/);
  }

  it('keeps the own name in the state, whether inside, entering or invited', async () => {
    await expectName('at first');
    await guest.user.must('PUT', own(), { membership: 'join', ...LIE });
    await expectName('own membership');
    await guest.user.must('POST', `${room()}/leave`, {});
    await host.user.must('POST', `${room()}/invite`, { user_id: guest.user.userId });
    await expectName('invited');
    await guest.user.must('POST', `${room()}/join`, LIE);
    await expectName('content of a join');
    await guest.user.must('POST', `${room()}/leave`, {});
    await host.user.must('POST', `${room()}/invite`, { user_id: guest.user.userId });
    await guest.user.must('PUT', own(), { membership: 'join', ...LIE });
    await expectName('a join as state');
    await host.user.must('PUT', own(), { membership: 'leave', ...LIE });
    await host.user.must('PUT', own(), { membership: 'invite', ...LIE });
    await expectName('written by somebody else');
    await guest.user.must('POST', `${room()}/join`, {});
    await expectName('and back');
  });

  it('keeps it in the conference and in the chat, and stays a guest there', async () => {
    const key = `_${guest.user.userId}_${guest.deviceId}_m.call`;
    const path = `${room()}/state/org.matrix.msc3401.call.member/${encodeURIComponent(key)}`;
    await guest.user.must('PUT', path, {
      application: 'm.call',
      device_id: guest.deviceId,
      created_ts: Date.now(),
      [GUEST]: false,
    });
    expect(at(await host.user.must('GET', path), GUEST)).toBeTrue();
    const hostKey = encodeURIComponent(`_${host.user.userId}_${host.deviceId}_m.call`);
    await host.user.must('PUT', `${room()}/state/org.matrix.msc3401.call.member/${hostKey}`, {
      application: 'm.call',
      [GUEST]: true,
    });
    expect(
      at(await host.user.must('GET', `${room()}/state/org.matrix.msc3401.call.member/${hostKey}`), GUEST),
    ).toBeUndefined();
    await guest.user.ask('PUT', own(), { membership: 'join', ...LIE });
    const session = await guest.session();
    const { participants } = await session.join(roomId);
    expect(participants.find(({ userId }) => userId === guest.user.userId)).toEqual(
      jasmine.objectContaining({ displayName: 'Greta Gast', guest: true }),
    );
    await session.must('chat.send', { roomId, transactionId: '1', body: 'Hello' });
    const { messages } = (await session.must('chat.history', { roomId })) as { messages: unknown[] };
    expect(messages.map((message) => at(message, 'displayName'))).toContain('Greta Gast');
    await session.close();
  });
});
