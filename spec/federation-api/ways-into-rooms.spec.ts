import { at, startHomeservers, eventually } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';

describe('Rooms across servers', () => {
  let federation: TestFederation;
  let luebeck: TestHomeserver;
  let hamburg: TestHomeserver;
  let bert: TestUser;
  let anna: TestUser;

  beforeAll(async () => {
    federation = await startHomeservers(2, {}, ['127.0.0.1', 'localhost']);
    const [first, second] = federation.servers;
    if (!first || !second) throw new Error('There are not two servers.');
    [luebeck, hamburg] = [first, second];
    [bert, anna] = await Promise.all([luebeck.register('bert'), hamburg.register('anna')]);
  });
  afterAll(() => federation.close());

  const create = async (user: TestUser, options: object): Promise<string> =>
    String(at(await user.must('POST', 'client/v3/createRoom', options), 'room_id'));
  const path = (roomId: string, rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
  const via = (server: TestHomeserver): string => `?server_name=${encodeURIComponent(server.serverName)}`;
  const membership = async (asked: TestUser, roomId: string, of: TestUser): Promise<unknown> =>
    at(
      await asked.ask('GET', path(roomId, `state/m.room.member/${encodeURIComponent(of.userId)}`)),
      'body',
      'membership',
    );
  const bodies = async (user: TestUser, roomId: string): Promise<string[]> => {
    const chunk = at(await user.ask('GET', path(roomId, 'messages?dir=b&limit=50')), 'body', 'chunk');
    const events = Array.isArray(chunk) ? (chunk as unknown[]) : [];
    return events.map((event) => at(event, 'content', 'body')).filter((body) => typeof body === 'string');
  };
  let counter = 0;
  const say = (user: TestUser, roomId: string, body: string) =>
    user.must('PUT', path(roomId, `send/m.room.message/t${String(counter++)}`), { msgtype: 'm.text', body });

  for (const version of ['6', '7', '8', '9', '10', '11', '12']) {
    it(`of version ${version} are joined by alias, talked in from both sides, and left`, async () => {
      const alias = `harbour-${version}`;
      const roomId = await create(bert, { preset: 'public_chat', room_version: version, room_alias_name: alias });
      await say(bert, roomId, 'before');
      await anna.must('POST', `client/v3/join/${encodeURIComponent(`#${alias}:${luebeck.serverName}`)}`, {});
      await say(anna, roomId, 'from Hamburg');
      await say(bert, roomId, 'from Lübeck');
      const all = (said: string[]): boolean => said.includes('from Hamburg') && said.includes('from Lübeck');
      await eventually(() => bodies(bert, roomId), all);
      const seen = await eventually(() => bodies(anna, roomId), all);
      expect(seen).toContain('before');
      await anna.must('POST', path(roomId, 'leave'), {});
      await eventually(
        () => membership(bert, roomId, anna),
        (now) => now === 'leave',
      );
    });
  }

  it('are entered by invitation, which can be declined and taken back', async () => {
    const roomId = await create(bert, { preset: 'private_chat', name: 'Closed' });
    const refused = await anna.ask('POST', `client/v3/join/${encodeURIComponent(roomId)}${via(luebeck)}`, {});
    expect(refused.status).toBe(403);
    await bert.must('POST', path(roomId, 'invite'), { user_id: anna.userId });
    await anna.must('POST', path(roomId, 'leave'), {});
    expect(await membership(bert, roomId, anna)).toBe('leave');
    await bert.must('POST', path(roomId, 'invite'), { user_id: anna.userId });
    await bert.must('POST', path(roomId, 'kick'), { user_id: anna.userId });
    await eventually(
      () => anna.ask('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {}),
      (answer) => answer.status !== 200,
    );
    await bert.must('POST', path(roomId, 'invite'), { user_id: anna.userId });
    await anna.must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
    expect(await membership(bert, roomId, anna)).toBe('join');
  });

  it('take a knock from elsewhere', async () => {
    const roomId = await create(bert, {
      initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }],
      name: 'Waiting room',
    });
    await anna.must('POST', `client/v3/knock/${encodeURIComponent(roomId)}${via(luebeck)}`, { reason: 'Please' });
    expect(await membership(bert, roomId, anna)).toBe('knock');
    const sync = await anna.must('GET', 'client/v3/sync');
    const told = JSON.stringify(at(sync, 'rooms', 'knock', roomId) ?? {});
    expect(told).toContain('Waiting room');
    await bert.must('POST', path(roomId, 'invite'), { user_id: anna.userId });
    await anna.must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
    expect(await membership(bert, roomId, anna)).toBe('join');
  });

  it('let the members of another room in, with the signature of a server that can tell', async () => {
    const space = await create(bert, { preset: 'public_chat' });
    const roomId = await create(bert, {
      initial_state: [
        {
          type: 'm.room.join_rules',
          state_key: '',
          content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] },
        },
      ],
    });
    const join = () => anna.ask('POST', `client/v3/join/${encodeURIComponent(roomId)}${via(luebeck)}`, {});
    expect((await join()).status).toBe(403);
    await anna.must('POST', `client/v3/join/${encodeURIComponent(space)}${via(luebeck)}`, {});
    expect((await join()).status).toBe(200);
    const member = await anna.must('GET', path(roomId, `state/m.room.member/${encodeURIComponent(anna.userId)}`));
    expect(at(member, 'join_authorised_via_users_server')).toBe(bert.userId);
  });

  it('catch up after an outage of either side, with nothing missing', async () => {
    const roomId = await create(bert, { preset: 'public_chat' });
    await anna.must('POST', `client/v3/join/${encodeURIComponent(roomId)}${via(luebeck)}`, {});
    await hamburg.stop();
    const said = Array.from({ length: 40 }, (_, index) => `while away ${String(index)}`);
    for (const body of said) await say(bert, roomId, body);
    await hamburg.start();
    await say(anna, roomId, 'back');
    const seen = await eventually(
      () => bodies(anna, roomId),
      (all) => said.every((body) => all.includes(body)),
    );
    expect(seen.filter((body) => body.startsWith('while away'))).toEqual([...said].reverse());
    await eventually(
      () => bodies(bert, roomId),
      (all) => all.includes('back'),
    );
  });

  it('keep out a server that their access list bans, which can not be the own one', async () => {
    const roomId = await create(bert, { preset: 'public_chat' });
    const acl = 'state/m.room.server_acl/';
    expect((await bert.ask('PUT', path(roomId, acl), { allow: ['*'], allow_ip_literals: false })).status).toBe(400);
    await bert.must('PUT', path(roomId, acl), { allow: ['*'], deny: ['localhost'] });
    const refused = await anna.ask('POST', `client/v3/join/${encodeURIComponent(roomId)}${via(luebeck)}`, {});
    expect(refused.status).toBe(403);
  });
});
