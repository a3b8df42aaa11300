import { createHash } from 'node:crypto';
import { at } from '../support/homeservers.ts';
import type { TestHomeserver, TestUser } from '../support/homeservers.ts';
import { create, DIRECTIONS, eventsIn, eventually, hears, join, room, say, sees, servers, Syncing } from './support.ts';

const NUMBERS = [1.5, 0.00002, -2.5e-7, 1e21, 1e300];

for (const [index, direction] of DIRECTIONS.entries()) {
  describe(`Real Matrix: between people in a room ${direction.name},`, () => {
    let home: TestHomeserver;
    let away: TestHomeserver;
    let bert: TestUser;
    let anna: TestUser;
    let roomId: string;

    beforeAll(async () => {
      const all = await servers();
      [home, away] = [all[direction.home], all[direction.away]];
      bert = await home.register(`berta${String(index)}`);
      anna = await away.register(`annika${String(index)}`);
      roomId = await create(bert, { preset: 'public_chat' });
      expect((await join(anna, roomId, home)).status).toBe(200);
      await sees(bert, roomId, anna, 'join');
    });

    /** Each once as the one who does something and once as the one who sees it. */
    const pairs = (): [TestUser, TestUser][] => [
      [bert, anna],
      [anna, bert],
    ];
    const ephemeral = (answer: unknown, type: string): unknown =>
      eventsIn(answer, 'rooms', 'join', roomId, 'ephemeral').find((event) => at(event, 'type') === type);

    it('it is seen who types, and who has read what', async () => {
      for (const [acts, sees] of pairs()) {
        const syncing = new Syncing(sees);
        await syncing.next();
        const typing = room(roomId, `typing/${encodeURIComponent(acts.userId)}`);
        await acts.must('PUT', typing, { typing: true, timeout: 20_000 });
        await syncing.until((answer) => {
          const users = at(ephemeral(answer, 'm.typing'), 'content', 'user_ids');
          return Array.isArray(users) && users.includes(acts.userId) ? true : undefined;
        });
        await acts.must('PUT', typing, { typing: false });
        const body = `read by ${acts.userId}`;
        const eventId = await say(sees, roomId, body);
        await hears(acts, roomId, [body]);
        await acts.must('POST', room(roomId, `receipt/m.read/${encodeURIComponent(eventId)}`), {});
        await syncing.until((answer) => at(ephemeral(answer, 'm.receipt'), 'content', eventId, 'm.read', acts.userId));
      }
    });

    it('it is seen who is there', async () => {
      for (const [acts, sees] of pairs()) {
        const syncing = new Syncing(sees);
        await syncing.next();
        const message = `back soon, ${acts.userId}`;
        await acts.must('PUT', `client/v3/presence/${encodeURIComponent(acts.userId)}/status`, {
          presence: 'unavailable',
          status_msg: message,
        });
        await syncing.until((answer) =>
          eventsIn(answer, 'presence').find(
            (event) => at(event, 'sender') === acts.userId && at(event, 'content', 'status_msg') === message,
          ),
        );
      }
    });

    it('messages go from device to device', async () => {
      for (const [acts, sees] of pairs()) {
        const syncing = new Syncing(sees);
        await syncing.next();
        const device = String(at(await sees.must('GET', 'client/v3/account/whoami'), 'device_id'));
        await acts.must('PUT', `client/v3/sendToDevice/org.example.secret/${acts.userId.slice(1, 4)}`, {
          // Numbers that canonical JSON has not are signed by both servers as Python writes them.
          messages: { [sees.userId]: { [device]: { text: 'for this device only', numbers: NUMBERS } } },
        });
        const got = await syncing.until((answer) =>
          eventsIn(answer, 'to_device').find((event) => at(event, 'type') === 'org.example.secret'),
        );
        expect(at(got, 'content')).toEqual({ text: 'for this device only', numbers: NUMBERS });
        expect(at(got, 'sender')).toBe(acts.userId);
      }
    });

    it('new devices are told of, their keys are asked for, and one-time keys are given out once', async () => {
      for (const [acts, sees] of pairs()) {
        const device = String(at(await acts.must('GET', 'client/v3/account/whoami'), 'device_id'));
        const syncing = new Syncing(sees);
        await syncing.next();
        const key = (name: string): string => createHash('sha256').update(name).digest('base64').replace(/=+$/, '');
        const signed = { [acts.userId]: { [`ed25519:${device}`]: 'A'.repeat(86) } };
        await acts.must('POST', 'client/v3/keys/upload', {
          device_keys: {
            user_id: acts.userId,
            device_id: device,
            algorithms: ['m.olm.v1.curve25519-aes-sha2'],
            keys: { [`ed25519:${device}`]: key(`e${device}`), [`curve25519:${device}`]: key(`c${device}`) },
            signatures: signed,
          },
          one_time_keys: { 'signed_curve25519:AAA1': { key: key(`one${device}`), signatures: signed } },
        });
        await syncing.until((answer) => {
          const changed = at(answer, 'device_lists', 'changed');
          return Array.isArray(changed) && changed.includes(acts.userId) ? true : undefined;
        });
        const query = { device_keys: { [acts.userId]: [] } };
        const found = await eventually(
          () => sees.must('POST', 'client/v3/keys/query', query),
          (answer) => at(answer, 'device_keys', acts.userId, device) !== undefined,
        );
        expect(at(found, 'device_keys', acts.userId, device, 'keys', `ed25519:${device}`)).toBe(key(`e${device}`));
        const claim = { one_time_keys: { [acts.userId]: { [device]: 'signed_curve25519' } } };
        const claimed = await Promise.all([1, 2, 3].map(() => sees.must('POST', 'client/v3/keys/claim', claim)));
        const keys = claimed.map((answer) => at(answer, 'one_time_keys', acts.userId, device)).filter(Boolean);
        expect(keys.filter((one) => Object.keys(one as object).length > 0).length).toBe(1);
      }
    });

    it('devices that are gone are told of', async () => {
      for (const [name, server, watcher] of [
        [`short${String(index)}`, away, bert],
        [`brief${String(index)}`, home, anna],
      ] as const) {
        const leaver = await server.register(name);
        expect((await join(leaver, roomId, home)).status).toBe(200);
        await sees(watcher, roomId, leaver, 'join');
        const query = { device_keys: { [leaver.userId]: [] } };
        await watcher.must('POST', 'client/v3/keys/query', query);
        const login = { type: 'm.login.password', identifier: { type: 'm.id.user', user: leaver.userId } };
        const password = 'a long enough password';
        const second = await server.ask('POST', 'client/v3/login', { ...login, password });
        const syncing = new Syncing(watcher);
        await syncing.next();
        await server.ask('POST', 'client/v3/logout', {}, String(at(second.body, 'access_token')));
        await syncing.until((answer) => {
          const changed = at(answer, 'device_lists', 'changed');
          return Array.isArray(changed) && changed.includes(leaver.userId) ? true : undefined;
        });
      }
    });

    it('names and pictures are found, and changed names are told of', async () => {
      for (const [acts, sees] of pairs()) {
        const name = `New name of ${acts.userId.slice(1, 6)}`;
        await acts.must('PUT', `client/v3/profile/${encodeURIComponent(acts.userId)}/displayname`, {
          displayname: name,
        });
        await eventually(
          () => sees.ask('GET', `client/v3/profile/${encodeURIComponent(acts.userId)}/displayname`),
          ({ body }) => at(body, 'displayname') === name,
        );
        await eventually(
          () => sees.ask('GET', room(roomId, `state/m.room.member/${encodeURIComponent(acts.userId)}`)),
          ({ body }) => at(body, 'displayname') === name,
        );
      }
    });

    it('files are fetched, whole and small', async () => {
      for (const [[acts, from], [sees, to]] of [
        [
          [bert, home],
          [anna, away],
        ],
        [
          [anna, away],
          [bert, home],
        ],
      ] as const) {
        const uploaded = await fetch(`${from.url}/_matrix/media/v3/upload?filename=dot.png`, {
          method: 'POST',
          headers: { authorization: `Bearer ${acts.token}`, 'content-type': 'image/png' },
          body: PICTURE,
        });
        const uri = String(at(await uploaded.json(), 'content_uri')).replace('mxc://', '');
        const ask = (path: string): Promise<Response> =>
          fetch(`${to.url}/_matrix/client/v1/media/${path}`, { headers: { authorization: `Bearer ${sees.token}` } });
        const whole = await ask(`download/${uri}`);
        expect(whole.status).toBe(200);
        expect(whole.headers.get('content-type')).toBe('image/png');
        expect(Buffer.from(await whole.arrayBuffer()).equals(PICTURE)).toBeTrue();
        const small = await ask(`thumbnail/${uri}?width=32&height=32&method=crop`);
        expect(small.status).toBe(200);
        expect(small.headers.get('content-type')).toMatch(/^image\//);
        await small.arrayBuffer();
        expect((await ask(`download/${uri}x`)).status).toBe(404);
      }
    });

    it('public rooms are listed, spaces are walked, and moments are found', async () => {
      const listed = await create(bert, {
        preset: 'public_chat',
        visibility: 'public',
        name: `Listed ${String(index)}`,
      });
      const listing = `client/v3/publicRooms?server=${encodeURIComponent(home.serverName)}`;
      const filter = { generic_search_term: `Listed ${String(index)}` };
      await eventually(
        () => anna.must('POST', listing, { filter }),
        (found) => at(found, 'chunk', 0, 'room_id') === listed,
      );
      const space = await create(bert, { preset: 'public_chat', creation_content: { type: 'm.space' } });
      await bert.must('PUT', room(space, `state/m.space.child/${encodeURIComponent(listed)}`), {
        via: [home.serverName],
      });
      expect((await join(anna, space, home)).status).toBe(200);
      const walked = await eventually(
        () => anna.must('GET', `client/v1/rooms/${encodeURIComponent(space)}/hierarchy`),
        (answer) => at(answer, 'rooms', 1) !== undefined,
      );
      expect([at(walked, 'rooms', 0, 'room_id'), at(walked, 'rooms', 1, 'room_id')]).toEqual([space, listed]);
      const moment = `client/v1/rooms/${encodeURIComponent(roomId)}/timestamp_to_event?dir=b&ts=${String(Date.now())}`;
      expect(at(await anna.must('GET', moment), 'event_id')).toMatch(/^\$/);
    });
  });
}

/** One pixel. */
const PICTURE = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
