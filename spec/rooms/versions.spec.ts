import { pino } from 'pino';
import { SUPPORTED_ROOM_VERSIONS } from '../../federation/room-versions.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { Rooms } from '../../homeserver/engine/rooms/rooms.ts';
import { Notifier } from '../../homeserver/engine/stream/notifier.ts';
import { Positions } from '../../homeserver/engine/stream/positions.ts';
import { testDatabase } from '../support/database.ts';
import { EVERYTHING } from '../support/rights.ts';

const BERT = '@bert:luebeck.example';
const CLARA = '@clara:luebeck.example';
const DORA = '@dora:luebeck.example';

describe('Room versions and ways into a room', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let rooms: Rooms;

  beforeAll(async () => {
    database = await testDatabase();
    db = await openDatabase(database.url);
    await migrate(db);
    rooms = await Rooms.open({
      db,
      serverName: 'luebeck.example',
      key: createSigningKey(generateSeed(), 'a'),
      // Nobody else is in these rooms, so nothing is ever sent.
      sender: {
        write: () => undefined,
        durableEdu: () => Promise.resolve(),
        flush: () => undefined,
        edu: () => undefined,
      },
      positions: await Positions.open(db),
      notifier: new Notifier(),
      profile: (userId) => Promise.resolve({ displayname: userId.slice(1, userId.indexOf(':')) }),
      rights: EVERYTHING,
      log: pino({ level: 'silent' }),
    });
  });

  afterAll(async () => {
    await db.close();
    await database.close();
  });

  const content = async (roomId: string, type: string, key = ''): Promise<object> =>
    (await rooms.stateEvent(roomId, type, key))?.pdu.content ?? {};
  const restricted = (roomId: string, rule = 'restricted') => ({
    type: 'm.room.join_rules',
    stateKey: '',
    content: { join_rule: rule, allow: [{ type: 'm.room_membership', room_id: roomId }] },
  });

  for (const id of SUPPORTED_ROOM_VERSIONS) {
    it(`create a room of version ${id} in which people meet, talk and are removed`, async () => {
      const roomId = await rooms.create(BERT, { roomVersion: id, preset: 'public_chat' });
      expect((await rooms.version(roomId))?.id).toBe(id);
      await rooms.join(CLARA, roomId);
      await rooms.send(roomId, CLARA, { type: 'm.room.message', content: { body: 'Moin' } });
      await rooms.memberships.change('ban', { roomId, sender: BERT, target: CLARA });
      await expectAsync(rooms.join(CLARA, roomId)).toBeRejectedWithError(/banned/);
      await rooms.memberships.change('unban', { roomId, sender: BERT, target: CLARA });
      await rooms.join(CLARA, roomId);
      expect(await rooms.membership(roomId, CLARA)).toBe('join');
    });
  }

  it('do not take an event with the id of one in another room, where servers give the ids', async () => {
    const [here, there] = [
      await rooms.create(BERT, { roomVersion: '1' }),
      await rooms.create(BERT, { roomVersion: '1' }),
    ];
    const { pdu } = await rooms.send(here, BERT, { type: 'm.room.message', content: { body: 'Moin' } });
    const taken = { ...pdu, room_id: there };
    await expectAsync(rooms.receive(there, taken, 'luebeck.example')).toBeRejectedWithError(/another room/);
    expect((await rooms.event(String(pdu.event_id)))?.roomId).toBe(here);
  });

  it('let the members of another room into a restricted room, vouched for by somebody who may invite', async () => {
    const space = await rooms.create(BERT, {});
    await rooms.invite(space, BERT, CLARA);
    await rooms.join(CLARA, space);
    const roomId = await rooms.create(BERT, { initialState: [restricted(space)] });
    await rooms.join(CLARA, roomId);
    const join: object = await content(roomId, 'm.room.member', CLARA);
    expect(join).toEqual(jasmine.objectContaining({ join_authorised_via_users_server: BERT }));
    await expectAsync(rooms.join(DORA, roomId)).toBeRejectedWith(
      jasmine.objectContaining({ status: 403, errcode: 'M_FORBIDDEN' }),
    );
  });

  it('say so when nobody is left who could vouch for a join', async () => {
    const space = await rooms.create(CLARA, { preset: 'public_chat' });
    const roomId = await rooms.create(BERT, {
      roomVersion: '11',
      powerLevelContentOverride: { invite: 100 },
      initialState: [restricted(space)],
    });
    await rooms.join(BERT, space);
    await rooms.invite(roomId, BERT, DORA);
    await rooms.join(DORA, roomId);
    await rooms.leave(roomId, BERT);
    await expectAsync(rooms.join(CLARA, roomId)).toBeRejectedWith(
      jasmine.objectContaining({ status: 400, errcode: 'M_UNABLE_TO_GRANT_JOIN' }),
    );
  });

  it('say so when the condition is a room that this server is not in', async () => {
    const roomId = await rooms.create(BERT, { initialState: [restricted('!elsewhere:hamburg.example')] });
    await expectAsync(rooms.join(CLARA, roomId)).toBeRejectedWith(
      jasmine.objectContaining({ status: 400, errcode: 'M_UNABLE_TO_AUTHORISE_JOIN' }),
    );
  });

  it('take a knock, which an invitation answers, only where the room asks for it', async () => {
    const knock = { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'knock' } };
    const roomId = await rooms.create(BERT, { initialState: [knock] });
    await rooms.memberships.knock(CLARA, roomId, { reason: 'I have the papers.' });
    expect(await rooms.membership(roomId, CLARA)).toBe('knock');
    await rooms.invite(roomId, BERT, CLARA);
    await rooms.join(CLARA, roomId);
    await rooms.memberships.knock(DORA, roomId, {});
    await rooms.leave(roomId, DORA);
    expect(await rooms.membership(roomId, DORA)).toBe('leave');
    const closed = await rooms.create(BERT, {});
    await expectAsync(rooms.memberships.knock(DORA, closed, {})).toBeRejectedWith(
      jasmine.objectContaining({ status: 403 }),
    );
  });

  it('are replaced by a room of another version with the same settings', async () => {
    const old = await rooms.create(BERT, { roomVersion: '10', preset: 'public_chat', name: 'Council' });
    await rooms.join(CLARA, old);
    await rooms.memberships.change('ban', { roomId: old, sender: BERT, target: DORA });
    await expectAsync(rooms.upgrade(CLARA, old, { version: '12' })).toBeRejectedWith(
      jasmine.objectContaining({ status: 403 }),
    );
    const fresh = await rooms.upgrade(BERT, old, { version: '12', additionalCreators: [CLARA] });
    expect((await rooms.version(fresh))?.id).toBe('12');
    expect(await content(old, 'm.room.tombstone')).toEqual(jasmine.objectContaining({ replacement_room: fresh }));
    const create = await content(fresh, 'm.room.create');
    expect(create).toEqual(
      jasmine.objectContaining({ predecessor: { room_id: old }, additional_creators: [CLARA], room_version: '12' }),
    );
    expect(await content(fresh, 'm.room.name')).toEqual({ name: 'Council' });
    expect(await rooms.membership(fresh, DORA)).toBe('ban');
    expect(await content(fresh, 'm.room.power_levels')).toEqual(jasmine.objectContaining({ users: {} }));
    await expectAsync(
      rooms.send(old, CLARA, { type: 'm.room.message', content: { body: 'Still here' } }),
    ).toBeRejectedWith(jasmine.objectContaining({ status: 403 }));
  });

  it('refuse power levels that nobody could have, as a mistake and not as a lack of power', async () => {
    const roomId = await rooms.create(BERT, {});
    const levels = { type: 'm.room.power_levels', stateKey: '', content: { users: { [BERT]: 100 } } };
    await expectAsync(rooms.send(roomId, BERT, levels)).toBeRejectedWith(
      jasmine.objectContaining({ status: 400, errcode: 'M_BAD_JSON' }),
    );
  });

  it('are shown as they were to somebody who left', async () => {
    const roomId = await rooms.create(BERT, { preset: 'public_chat', name: 'Before' });
    await rooms.join(CLARA, roomId);
    await rooms.leave(roomId, CLARA);
    await rooms.send(roomId, BERT, { type: 'm.room.name', stateKey: '', content: { name: 'After' } });
    const seen = await rooms.stateFor(roomId, CLARA);
    const name: object | undefined = seen.get('m.room.name\0')?.pdu.content;
    expect(name).toEqual({ name: 'Before' });
    await expectAsync(rooms.stateFor(roomId, DORA)).toBeRejectedWith(jasmine.objectContaining({ status: 403 }));
  });
});
