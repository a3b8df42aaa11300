import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { ruleIn } from '../../homeserver/features/account-data/invite-permissions.ts';

const TYPE = 'org.matrix.msc4155.invite_permission_config';

describe('What somebody wants of invitations, and what is kept about devices', () => {
  let federation: TestFederation;
  let home: TestHomeserver;
  let ada: TestUser;
  let bob: TestUser;
  let carl: TestUser;

  beforeAll(async () => {
    federation = await startHomeservers(2);
    const [first, second] = federation.servers;
    if (!first || !second) throw new Error('no servers');
    home = first;
    [ada, carl, bob] = await Promise.all([first.register('ada'), first.register('carl'), second.register('bob')]);
  });
  afterAll(() => federation.close());

  const own = (user: TestUser, type: string): string =>
    `user/${encodeURIComponent(user.userId)}/account_data/${encodeURIComponent(type)}`;
  const permit = (content: unknown): Promise<unknown> => ada.must('PUT', `client/v3/${own(ada, TYPE)}`, content);

  async function invite(inviter: TestUser): Promise<{ roomId: string; status: number }> {
    const roomId = String(at(await inviter.must('POST', 'client/v3/createRoom', {}), 'room_id'));
    const path = `client/v3/rooms/${encodeURIComponent(roomId)}/invite`;
    return { roomId, status: (await inviter.ask('POST', path, { user_id: ada.userId })).status };
  }
  const invitations = async (): Promise<unknown> => at(await ada.must('GET', 'client/v3/sync'), 'rooms', 'invite');

  it('refuses the invitations of users and servers that are blocked', async () => {
    await permit({ blocked_users: [bob.userId], blocked_servers: ['localhost*'], allowed_users: [] });
    const refused = [await invite(bob), await invite(carl)];
    expect(refused.map(({ status }) => status)).toEqual([403, 403]);
    for (const { roomId } of refused) expect(at(await invitations(), roomId)).toBeUndefined();
  });

  it('takes the invitations of those who are ignored and does not show them', async () => {
    await permit({ ignored_users: [bob.userId, carl.userId] });
    const ignored = [await invite(bob), await invite(carl)];
    expect(ignored.map(({ status }) => status)).toEqual([200, 200]);
    for (const { roomId } of ignored) expect(at(await invitations(), roomId)).toBeUndefined();
  });

  it('lets somebody in whose server is blocked', async () => {
    await permit({ allowed_users: [bob.userId], blocked_servers: ['*'], ignored_users: null });
    const { roomId, status } = await invite(bob);
    expect(status).toBe(200);
    await eventually(invitations, (rooms) => at(rooms, roomId) !== undefined);
    expect((await invite(carl)).status).toBe(403);
  });

  it('reads what a client wrote, whatever it is', () => {
    expect(ruleIn({ blocked_users: ['@?vil*:*', 7] }, '@evil.eve:example.org')).toBe('block');
    expect(ruleIn({ blocked_users: 'everybody', ignored_servers: [{}] }, '@eve:example.org')).toBe('allow');
    expect(ruleIn({ default_action: 'block', allowed_users: ['@eve:*'] }, '@eve:example.org')).toBe('allow');
    expect(ruleIn({ default_action: 'block' }, '@eve:example.org')).toBe('block');
    expect(ruleIn([], '@eve:example.org')).toBe('allow');
  });

  it('removes account data, of which clients hear once more', async () => {
    const path = own(ada, 'org.example.kept');
    for (const remove of [
      () => ada.must('DELETE', `client/unstable/org.matrix.msc3391/${path}`),
      () => ada.must('PUT', `client/v3/${path}`, {}),
    ]) {
      await ada.must('PUT', `client/v3/${path}`, { kept: true });
      const since = String(at(await ada.must('GET', 'client/v3/sync'), 'next_batch'));
      await remove();
      const told = at(await ada.must('GET', `client/v3/sync?since=${since}`), 'account_data', 'events');
      expect(told).toEqual([{ type: 'org.example.kept', content: {} }]);
      expect((await ada.ask('GET', `client/v3/${path}`)).status).toBe(404);
      expect(JSON.stringify(await ada.must('GET', 'client/v3/sync'))).not.toContain('org.example.kept');
    }
    const foreign = `client/unstable/org.matrix.msc3391/${own(carl, 'org.example.kept')}`;
    expect((await ada.ask('DELETE', foreign)).status).toBe(403);
  });

  it('forgets whether a device is silenced when it logs out', async () => {
    const login = await home.ask('POST', 'client/v3/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: ada.userId },
      password: 'a long enough password',
    });
    const path = own(ada, `org.matrix.msc3890.local_notification_settings.${String(at(login.body, 'device_id'))}`);
    await ada.must('PUT', `client/v3/${path}`, { is_silenced: true });
    await home.ask('POST', 'client/v3/logout', {}, String(at(login.body, 'access_token')));
    expect((await ada.ask('GET', `client/v3/${path}`)).status).toBe(404);
  });

  it('does not show what somebody wrote who is ignored, but what he did to the room', async () => {
    const room = await carl.must('POST', 'client/v3/createRoom', { preset: 'public_chat' });
    const roomId = encodeURIComponent(String(at(room, 'room_id')));
    await ada.must('POST', `client/v3/join/${roomId}`, {});
    await ada.must('PUT', `client/v3/rooms/${roomId}/send/m.room.message/1`, { body: 'heard' });
    await carl.must('PUT', `client/v3/rooms/${roomId}/send/m.room.message/1`, { body: 'unheard' });
    await carl.must('PUT', `client/v3/rooms/${roomId}/state/m.room.topic`, { topic: 'seen' });
    const shown = async (): Promise<unknown> => {
      const page = await ada.must('GET', `client/v3/rooms/${roomId}/messages?dir=b&limit=2`);
      return [0, 1].map((index) => at(page, 'chunk', index, 'content', 'body') ?? at(page, 'chunk', index, 'type'));
    };
    expect(await shown()).toEqual(['m.room.topic', 'unheard']);
    await ada.must('PUT', `client/v3/${own(ada, 'm.ignored_user_list')}`, { ignored_users: { [carl.userId]: {} } });
    expect(await shown()).toEqual(['m.room.topic', 'heard']);
    await ada.must('PUT', `client/v3/${own(ada, 'm.ignored_user_list')}`, { ignored_users: {} });
  });

  it('redacts without a transaction id, as clients of old do', async () => {
    const roomId = encodeURIComponent(String(at(await carl.must('POST', 'client/v3/createRoom', {}), 'room_id')));
    const said = await carl.must('POST', `client/r0/rooms/${roomId}/send/m.room.message`, { body: 'x' });
    const eventId = encodeURIComponent(String(at(said, 'event_id')));
    const redaction = await carl.must('POST', `client/v3/rooms/${roomId}/redact/${eventId}`, {});
    const shown = await carl.must('GET', `client/v3/rooms/${roomId}/event/${eventId}`);
    expect(at(shown, 'unsigned', 'redacted_by')).toBe(at(redaction, 'event_id'));
  });
});
