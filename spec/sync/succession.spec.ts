import { eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { at, list } from './support.ts';

describe('A room that replaces another', () => {
  let federation: TestFederation;
  let bert: TestUser;
  let clara: TestUser;
  let emil: TestUser;

  beforeAll(async () => {
    federation = await startHomeservers(2);
    const [here, there] = federation.servers as [TestHomeserver, TestHomeserver];
    [bert, clara, emil] = [await here.register('bert'), await here.register('clara'), await there.register('emil')];
  });
  afterAll(() => federation.close());

  const part = encodeURIComponent;
  const create = async (body: object): Promise<string> =>
    String(at(await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat', ...body }), 'room_id'));
  const join = (who: TestUser, roomId: string): Promise<unknown> =>
    who.must('POST', `client/v3/join/${part(roomId)}?server_name=${bert.userId.replace(/^[^:]*:/, '')}`, {});
  const upgrade = async (roomId: string): Promise<string> => {
    const answer = await bert.must('POST', `client/v3/rooms/${part(roomId)}/upgrade`, { new_version: '11' });
    return String(at(answer, 'replacement_room'));
  };
  const own = (who: TestUser): string => `client/v3/user/${part(who.userId)}`;
  const keep = async (who: TestUser, roomId: string): Promise<void> => {
    await who.must('PUT', `client/v3/pushrules/global/room/${part(roomId)}`, { actions: ['dont_notify'] });
    const conditions = [{ kind: 'event_match', key: 'room_id', pattern: roomId }];
    await who.must('PUT', `client/v3/pushrules/global/override/${part(roomId)}`, { actions: [], conditions });
    await who.must('PUT', `${own(who)}/rooms/${part(roomId)}/tags/m.favourite`, { order: 0.5 });
    await who.must('PUT', `${own(who)}/account_data/m.direct`, { '@gesa:elsewhere.example': [roomId] });
  };
  /** What somebody keeps about a room. */
  const kept = async (who: TestUser, roomId: string): Promise<unknown> => {
    const rules = await who.must('GET', 'client/v3/pushrules/global/');
    const rule = (kind: string): unknown => list(rules, kind).find((one) => one['rule_id'] === roomId);
    const direct = await who.ask('GET', `${own(who)}/account_data/m.direct`);
    return {
      room: at(rule('room'), 'actions'),
      override: at(rule('override'), 'conditions', 0, 'pattern'),
      tags: at(await who.must('GET', `${own(who)}/rooms/${part(roomId)}/tags`), 'tags'),
      direct: (at(direct.body, '@gesa:elsewhere.example') as string[] | undefined)?.includes(roomId) ?? false,
    };
  };
  const all = (roomId: string): unknown => ({
    room: ['dont_notify'],
    override: roomId,
    tags: { 'm.favourite': { order: 0.5 } },
    direct: true,
  });
  const same = (wanted: unknown) => (value: unknown) => JSON.stringify(value) === JSON.stringify(wanted);

  it('keeps rules, tags and its place in the list of direct chats, on every server', async () => {
    const old = await create({ room_version: '10' });
    for (const who of [clara, emil]) await join(who, old);
    for (const who of [bert, clara, emil]) await keep(who, old);
    const fresh = await upgrade(old);
    // Those who are where it happens need not even follow.
    for (const who of [bert, clara]) await eventually(() => kept(who, fresh), same(all(fresh)));
    expect(at(await kept(emil, fresh), 'room')).toBeUndefined();
    await join(emil, fresh);
    await eventually(() => kept(emil, fresh), same(all(fresh)));
    expect(await kept(emil, old)).toEqual(all(old));
  });

  it('leaves alone what people changed of the new one afterwards', async () => {
    const old = await create({ room_version: '10' });
    await keep(bert, old);
    const fresh = await upgrade(old);
    await eventually(() => kept(bert, fresh), same(all(fresh)));
    await bert.must('DELETE', `${own(bert)}/rooms/${part(fresh)}/tags/m.favourite`);
    await bert.must('DELETE', `client/v3/pushrules/global/room/${part(fresh)}`);
    await bert.must('PUT', `client/v3/profile/${part(bert.userId)}/displayname`, { displayname: 'Bert B.' });
    // A copy would come in order with that of another upgrade.
    const other = await create({ room_version: '10' });
    await keep(bert, other);
    const last = await upgrade(other);
    await eventually(() => kept(bert, last), same(all(last)));
    expect(at(await kept(bert, fresh), 'tags')).toEqual({});
    expect(at(await kept(bert, fresh), 'room')).toBeUndefined();
  });

  it('gets nothing when the old room does not say that it was replaced by it', async () => {
    const old = await create({ room_version: '10' });
    await join(clara, old);
    await keep(clara, old);
    const impostor = await create({ creation_content: { predecessor: { room_id: old } } });
    await join(clara, impostor);
    const fresh = await upgrade(old);
    await eventually(() => kept(clara, fresh), same(all(fresh)));
    expect(at(await kept(clara, impostor), 'tags')).toEqual({});
  });
});
