/** What other servers may tell of devices, and lie about. They are played here; everything on our side is real. */
import type { FederationRequest } from '../../federation/client.ts';
import { FederationError } from '../../federation/client.ts';
import type { JsonObject } from '../../federation/json.ts';
import { Accounts } from '../../homeserver/accounts/accounts.ts';
import { Sessions } from '../../homeserver/accounts/sessions.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { Devices } from '../../homeserver/features/devices/devices.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { Notifier } from '../../homeserver/engine/stream/notifier.ts';
import { Positions } from '../../homeserver/engine/stream/positions.ts';
import { testDatabase } from '../support/database.ts';
import { eventually } from '../support/homeservers.ts';

const HERE = 'hamburg.example';
const THERE = 'luebeck.example';
const ANNA = `@anna:${HERE}`;
const BERT = `@bert:${THERE}`;

describe('A permanent attacker: devices, against other servers', () => {
  let database: { readonly url: string; close(): Promise<void> };
  let db: Database;
  let positions: Positions;
  let devices: Devices;
  let sessions: Sessions;
  let deviceId: string;
  /** What the other server was asked. */
  let asked: FederationRequest[];
  /** How the other server answers. */
  let answer: (request: FederationRequest) => JsonObject | Promise<JsonObject>;

  const keys = (device: string, mark = 'key'): JsonObject => ({
    user_id: BERT,
    device_id: device,
    algorithms: ['a'],
    keys: { [`ed25519:${device}`]: mark },
  });
  const list = (streamId: number, ...names: string[]): JsonObject => ({
    user_id: BERT,
    stream_id: streamId,
    devices: names.map((name) => ({ device_id: name, keys: keys(name) })),
  });
  const update = (streamId: number, previous: number[], device = 'B1', more: JsonObject = {}): JsonObject => ({
    user_id: BERT,
    device_id: device,
    stream_id: streamId,
    prev_id: previous,
    keys: keys(device),
    ...more,
  });
  const known = async (): Promise<Record<string, unknown>> => {
    const { device_keys: found } = await devices.queries.query(ANNA, { device_keys: { [BERT]: [] } });
    return (found as { [userId: string]: JsonObject })[BERT] ?? {};
  };
  const told = async (since: number): Promise<string[]> =>
    (await devices.changes.between(ANNA, since, positions.current)).changed;
  const enter = async (userId: string, position = 0): Promise<void> => {
    await db.query(
      `INSERT INTO room_members (room_id, user_id, server, membership, position, since)
       VALUES ('!room', $1, $2, 'join', $3, 0)`,
      [userId, userId.replace(/^[^:]*:/, ''), position],
    );
  };
  const messagesFor = async (): Promise<Record<string, unknown>[]> =>
    devices.toDevice.take(ANNA, deviceId, undefined, positions.current);

  const start = (): Devices =>
    new Devices({
      db,
      serverName: HERE,
      rooms: {
        events: () => Promise.resolve(new Map()),
        onEvent: () => () => undefined,
        onServers: () => () => undefined,
        joinedLocalUsers: () => Promise.resolve([]),
        joinedServers: () => Promise.resolve(new Set<string>()),
        movedAfter: () => true,
      },
      requireMayReach: () => Promise.resolve(),
      positions,
      notifier: new Notifier(),
      sender: {
        write: () => undefined,
        durableEdu: () => Promise.resolve(),
        flush: () => undefined,
        edu: () => undefined,
      },
      client: {
        request: (request) => {
          asked.push(request);
          return Promise.resolve().then(() => answer(request));
        },
      },
      sessions,
      log: createLog('silent'),
      isSuspended: () => Promise.resolve(false),
      retryMs: 20,
    });

  beforeAll(async () => {
    database = await testDatabase();
    db = await openDatabase(database.url);
    await migrate(db);
    positions = await Positions.open(db);
    const accounts = new Accounts(db, HERE);
    await accounts.logIn({ issuer: 'spec', subject: 'anna', preferredUsername: 'anna' });
    sessions = new Sessions(db, accounts);
    ({ deviceId } = await sessions.create(ANNA));
  });
  beforeEach(async () => {
    asked = [];
    answer = () => list(5, 'B1');
    await db.query('DELETE FROM room_members');
    await db.query('DELETE FROM remote_device_lists');
    await db.query('DELETE FROM cross_signing_keys');
    await db.query('DELETE FROM to_device');
    await enter(ANNA);
    await enter(BERT);
    devices = start();
  });
  afterEach(() => devices.close());
  afterAll(async () => {
    await db.close();
    await database.close();
  });

  it('a list is asked for once and then kept up to date by what the server tells', async () => {
    expect(Object.keys(await known())).toEqual(['B1']);
    await devices.remote.onDeviceListUpdate(THERE, update(6, [5], 'B2'));
    await devices.remote.onDeviceListUpdate(THERE, update(7, [6], 'B1', { deleted: true, keys: null }));
    expect(Object.keys(await known())).toEqual(['B2']);
    expect(asked).toHaveSize(1);
  });

  it('a message about users of another server, or with keys of another user, changes nothing', async () => {
    await known();
    const since = positions.current;
    await devices.remote.onDeviceListUpdate('evil.example', update(6, [5], 'B2'));
    await devices.remote.onDeviceListUpdate(THERE, update(6, [5], 'B2', { user_id: ANNA }));
    await devices.remote.onDeviceListUpdate(THERE, update(6, [5], 'B2', { keys: { ...keys('B2'), user_id: ANNA } }));
    await devices.remote.onSigningKeyUpdate('evil.example', { user_id: BERT, master_key: null });
    await devices.remote.onSigningKeyUpdate(THERE, { user_id: ANNA });
    expect(await told(since)).toEqual([]);
    expect(Object.keys(await known())).toEqual(['B1']);
  });

  it('malformed and oversize messages are passed over', async () => {
    const since = positions.current;
    for (const wrong of [
      {},
      { ...update(6, [5]), stream_id: 'six' },
      { ...update(6, [5]), prev_id: Array.from({ length: 2000 }, (_, index) => index) },
      { ...update(6, [5]), keys: { ...keys('B1'), algorithms: Array.from({ length: 100 }, () => 'a') } },
      { ...update(6, [5]), device_id: 'x'.repeat(300) },
    ]) {
      await devices.remote.onDeviceListUpdate(THERE, wrong);
      await devices.toDevice.onDirectToDevice(THERE, wrong);
    }
    expect(await told(since)).toEqual([]);
  });

  it('a user with whom no room is shared is neither told of nor remembered', async () => {
    await db.query('DELETE FROM room_members WHERE user_id = $1', [BERT]);
    const since = positions.current;
    await devices.remote.onDeviceListUpdate(THERE, update(6, []));
    expect(await told(since)).toEqual([]);
    answer = () => ({ device_keys: { [BERT]: { B1: keys('B1'), B2: { ...keys('B2'), device_id: 'B1' } } } });
    expect(Object.keys(await known()))
      .withContext('a device under another name is left out')
      .toEqual(['B1']);
    await known();
    expect(asked.map((request) => request.path)).toEqual(Array(2).fill('/_matrix/federation/v1/user/keys/query'));
  });

  it('a list from before the room was shared again does not count', async () => {
    await known();
    await db.query('DELETE FROM room_members WHERE user_id = $1', [BERT]);
    const position = positions.take();
    positions.settle(position);
    await enter(BERT, position);
    answer = () => list(9, 'B1', 'B9');
    expect(Object.keys(await known())).toEqual(['B1', 'B9']);
  });

  for (const [what, previous] of [
    ['an unknown one before it', [7]],
    ['none before it', []],
  ] as const) {
    it(`a message with ${what} makes us ask for the whole list`, async () => {
      await known();
      answer = () => list(9, 'B1', 'B8', 'B9');
      const since = positions.current;
      await devices.remote.onDeviceListUpdate(THERE, update(9, [...previous], 'B9'));
      expect(await told(since)).toEqual([BERT]);
      await eventually(
        () => Promise.resolve(asked.length),
        (count) => count === 2,
      );
      expect(Object.keys(await known())).toEqual(['B1', 'B8', 'B9']);
    });
  }

  it('a list that was overtaken by a message on its way is asked for once more', async () => {
    const old = list(5, 'B1');
    answer = () => {
      answer = () => list(6, 'B1', 'B2');
      return devices.remote.onDeviceListUpdate(THERE, update(6, [5], 'B2')).then(() => old);
    };
    const since = positions.current;
    await known();
    await eventually(known, (found) => Object.keys(found).length === 2);
    expect(await told(since)).toEqual([BERT]);
    expect(asked.length).toBeLessThan(4);
  });

  it('a list that can not be had is asked for until it can, and then told of once more', async () => {
    await known();
    answer = ({ destination }) => {
      throw new FederationError('UNREACHABLE', destination, 'down');
    };
    await devices.remote.onDeviceListUpdate(THERE, update(9, [8], 'B9'));
    await eventually(
      () => Promise.resolve(asked.length),
      (count) => count > 3,
    );
    expect(Object.keys(await known()))
      .withContext('what is old is not answered')
      .toEqual([]);
    const since = positions.current;
    answer = () => list(9, 'B1', 'B9');
    await eventually(
      () => told(since),
      (users) => users.includes(BERT),
    );
    const count = asked.length;
    expect(Object.keys(await known())).toEqual(['B1', 'B9']);
    expect(asked).toHaveSize(count);
  });

  it('a flood of gaps makes one question at a time', async () => {
    await known();
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        devices.remote.onDeviceListUpdate(THERE, update(1000 - index, [2000 + index])),
      ),
    );
    await eventually(known, (found) => Object.keys(found).length > 0);
    expect(asked.length).toBeLessThan(55);
  });

  it('a list with devices of somebody else, or too many, is not taken', async () => {
    const nothing: JsonObject = { device_keys: { [BERT]: {} } };
    answer = ({ path }) => (path.includes('/user/devices/') ? { ...list(5, 'B1'), user_id: ANNA } : nothing);
    expect(await known()).toEqual({});
    answer = ({ path }) =>
      path.includes('/user/devices/')
        ? list(5, ...Array.from({ length: 1001 }, (_, index) => `D${String(index)}`))
        : { device_keys: { [BERT]: 'nonsense' } };
    const { failures } = await devices.queries.query(ANNA, { device_keys: { [BERT]: [] } });
    expect(Object.keys(failures as JsonObject)).toEqual([THERE]);
  });

  it('what is left of a device that was deleted right before a crash goes with the next start', async () => {
    await db.query(`INSERT INTO device_keys (user_id, device_id, json) VALUES ($1, 'GONE', '{}'), ($1, $2, '{}')`, [
      ANNA,
      deviceId,
    ]);
    await devices.close();
    devices = start();
    const left = (): Promise<{ device_id: string }[]> =>
      db.query('SELECT device_id FROM device_keys WHERE user_id = $1', [ANNA]);
    const rows = await eventually(left, (found) => found.length < 2);
    expect(rows).toEqual([{ device_id: deviceId }]);
    await db.query('DELETE FROM device_keys');
  });

  it('only the last of many old changes is kept, and told', async () => {
    const since = positions.current;
    for (let count = 0; count < 3; count++) await devices.lists.change(BERT, (note) => db.transaction(note.changed));
    await db.query('UPDATE device_list_changes SET position = position - 200000');
    await devices.lists.cleanUp();
    const rows = await db.query('SELECT 1 FROM device_list_changes WHERE user_id = $1', [BERT]);
    expect(rows).toHaveSize(1);
    await db.query('UPDATE device_list_changes SET position = position + 200000');
    expect(await told(since)).toEqual([BERT]);
  });

  it('one-time keys of another server are taken only as they were asked for', async () => {
    answer = () => ({
      one_time_keys: {
        [BERT]: {
          B1: { 'signed_curve25519:a': { key: 'a' }, 'signed_curve25519:b': { key: 'b' } },
          B2: { 'x:y': 'z' },
        },
        '@carl:luebeck.example': { C1: { 'signed_curve25519:c': { key: 'c' } } },
      },
    });
    const claimed: unknown = await devices.queries.claim(ANNA, {
      one_time_keys: { [BERT]: { B1: 'signed_curve25519', B2: 'signed_curve25519' } },
    });
    expect(claimed).toEqual({
      one_time_keys: { [BERT]: { B1: { 'signed_curve25519:a': { key: 'a' } } } },
      failures: {},
    });
  });

  it('a message to a device is delivered once for each origin and id', async () => {
    const message = { sender: BERT, type: 't', message_id: 'm1', messages: { [ANNA]: { '*': { n: 1 } } } };
    await Promise.all([1, 2, 3].map(() => devices.toDevice.onDirectToDevice(THERE, message)));
    await devices.toDevice.onDirectToDevice('third.example', { ...message, sender: '@x:third.example' });
    expect((await messagesFor()).map((event) => event['sender']).sort()).toEqual([BERT, '@x:third.example'].sort());
  });

  it('a message to a device in the name of another server, or to one elsewhere, is passed over', async () => {
    const messages = { [ANNA]: { '*': { n: 1 } }, '@z:elsewhere.example': { '*': {} }, nonsense: { '*': {} } };
    await devices.toDevice.onDirectToDevice('evil.example', { sender: BERT, type: 't', message_id: 'm2', messages });
    expect(await messagesFor()).toEqual([]);
    await devices.toDevice.onDirectToDevice(THERE, { sender: BERT, type: 't', message_id: 'm2', messages });
    expect(await messagesFor()).toEqual([{ sender: BERT, type: 't', content: { n: 1 } }]);
  });

  it('messages to a device that never comes fill the database only so far', async () => {
    await db.query(
      `INSERT INTO to_device (user_id, device_id, position, sender, type, content)
       SELECT $1, $2, -n, $3, 't', '{}' FROM generate_series(1, 50001) AS n`,
      [ANNA, deviceId, BERT],
    );
    const messages = { [ANNA]: { [deviceId]: { n: 1 } } };
    await devices.toDevice.onDirectToDevice(THERE, { sender: BERT, type: 't', message_id: 'm3', messages });
    const [row] = await db.query<{ count: number }>('SELECT count(*)::integer AS count FROM to_device');
    expect(row?.count).toBe(50001);
  });
});
