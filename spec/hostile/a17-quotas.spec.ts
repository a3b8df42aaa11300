/** What one account, or a guest, may have this server keep and do. */
import { readFile } from 'node:fs/promises';
import { freeBasePort } from '../../deploy/quickstart/layout.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { MatrixError } from '../../homeserver/base/errors.ts';
import {
  ACCOUNT_DATA_BYTES,
  DEHYDRATED_DATA_BYTES,
  DEVICES,
  FILTERS_BYTES,
  GUEST_ACCOUNT_DATA_BYTES,
  GUEST_DEVICES,
  GUEST_FILES_BYTES,
  KEY_BACKUP_BYTES,
  KEY_BACKUPS,
  ONE_TIME_KEYS,
  PUSHERS,
  THREAD_RECEIPTS,
  THREAD_SUBSCRIPTIONS,
  TO_DEVICE_WAITING_BYTES,
  TO_DEVICE_WAITING_OF_SENDER,
  UPLOADED_BYTES_RATE,
} from '../../homeserver/base/limits.ts';
import { rateLimits } from '../../homeserver/base/rate-limits.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { at, startHomeservers } from '../support/homeservers.ts';
import type { Answer, TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';

const MIB = 1024 * 1024;

describe('A17: what is kept for one account', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let database: TestDatabase;
  let db: Database;
  /** Where the figures of the server are. */
  let metrics: string;
  let people = 0;

  beforeAll(async () => {
    database = await testDatabase();
    metrics = `127.0.0.1:${String(await freeBasePort())}`;
    federation = await startHomeservers(1, { DATABASE_URL: database.url, HANSETAG_METRICS_LISTEN: metrics });
    db = await openDatabase(database.url);
    const [first] = federation.servers;
    if (!first) throw new Error('There is no server.');
    server = first;
  });
  afterAll(async () => {
    await db.close();
    await federation.close();
    await database.close();
  });

  const somebody = (): Promise<TestUser> => server.register(`person-${String(people++)}`);
  const outcome = ({ status, body }: Answer): unknown[] => [status, at(body, 'errcode')];
  async function upload(user: TestUser, bytes: number): Promise<Answer> {
    const response = await fetch(`${server.url}/_matrix/media/v3/upload`, {
      method: 'POST',
      headers: { authorization: `Bearer ${user.token}` },
      body: Buffer.alloc(bytes),
    });
    return { status: response.status, body: await response.json() };
  }

  it('is bounded for account data of all kinds together, and what makes it less is taken', async () => {
    const { ask, must, userId } = await somebody();
    const base = `client/v3/user/${userId}`;
    const room = '!somewhere:localhost';
    const text = 'x'.repeat(MIB - 4096);
    const answers: number[] = [];
    for (let n = 0; n < 12; n += 1) {
      const path = n % 2 ? `${base}/account_data/n${String(n)}` : `${base}/rooms/${room}/account_data/n${String(n)}`;
      answers.push((await ask('PUT', path, { text })).status);
    }
    expect(answers.filter((status) => status === 200).length).toBe(Math.floor(ACCOUNT_DATA_BYTES / text.length));
    expect(answers.at(-1)).toBe(413);
    expect(outcome(await ask('PUT', `${base}/rooms/${room}/tags/u.big`, { text }))).toEqual([413, 'M_TOO_LARGE']);
    await must('PUT', `${base}/account_data/n1`, { text: 'short' });
    await must('PUT', `${base}/rooms/${room}/tags/u.small`, { order: 0.5 });
    await must('DELETE', `client/unstable/org.matrix.msc3391/user/${userId}/account_data/n3`);
    const sync = await must('GET', 'client/v3/sync');
    expect(JSON.stringify(sync).length).toBeLessThan(ACCOUNT_DATA_BYTES + MIB);
    // Small things side by side do not pass it either.
    const many = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        ask('PUT', `${base}/account_data/m${String(n)}`, { text: text.slice(0, MIB / 4) }),
      ),
    );
    expect(many.filter(({ status }) => status === 200).length).toBeLessThan(12);
  });

  it('is small for guests, in account data, files and devices, and pushers and backups are not for them', async () => {
    const visitor = await server.registerGuest();
    const { ask, userId } = visitor;
    const put = (n: number, bytes: number): Promise<Answer> =>
      ask('PUT', `client/v3/user/${userId}/account_data/n${String(n)}`, { text: 'x'.repeat(bytes) });
    expect((await put(1, GUEST_ACCOUNT_DATA_BYTES - 200)).status).toBe(200);
    expect(outcome(await put(2, 200))).toEqual([413, 'M_TOO_LARGE']);
    expect((await upload(visitor, GUEST_FILES_BYTES + 1)).status).toBe(413);
    expect((await upload(visitor, GUEST_FILES_BYTES - 10)).status).toBe(200);
    expect(outcome(await upload(visitor, 20))).toEqual([403, 'M_FORBIDDEN']);
    expect(GUEST_DEVICES).toBeLessThan(DEVICES);
  });

  it('is bounded for filters, pushers, backups of keys and one-time keys', async () => {
    const { ask, must, userId } = await somebody();
    const filter = (n: number): Promise<Answer> =>
      ask('POST', `client/v3/user/${userId}/filter`, { x: String(n).padStart(15_000, 'x') });
    let kept = 0;
    while ((await filter(kept)).status === 200) kept += 1;
    expect(kept).toBe(Math.floor(FILTERS_BYTES / 15_008));
    expect(outcome(await filter(-1))).toEqual([403, 'M_RESOURCE_LIMIT_EXCEEDED']);
    expect((await filter(0)).status)
      .withContext('one that is there')
      .toBe(200);

    const pusher = (n: number): Promise<Answer> =>
      ask('POST', 'client/v3/pushers/set', {
        app_id: 'app',
        pushkey: String(n),
        kind: 'http',
        app_display_name: 'App',
        device_display_name: 'Device',
        lang: 'en',
        data: { url: 'https://push.example/_matrix/push/v1/notify' },
      });
    for (let n = 0; n < PUSHERS; n += 1) expect((await pusher(n)).status).toBe(200);
    expect(outcome(await pusher(PUSHERS))).toEqual([403, 'M_RESOURCE_LIMIT_EXCEEDED']);
    expect((await pusher(0)).status)
      .withContext('one that is there')
      .toBe(200);

    const version = { algorithm: 'm.megolm_backup.v1', auth_data: {} };
    for (let n = 0; n < KEY_BACKUPS; n += 1) await must('POST', 'client/v3/room_keys/version', version);
    expect(outcome(await ask('POST', 'client/v3/room_keys/version', version))).toEqual([
      403,
      'M_RESOURCE_LIMIT_EXCEEDED',
    ]);
    const session = (text: string): object => ({
      first_message_index: 0,
      forwarded_count: 0,
      is_verified: true,
      session_data: { text },
    });
    const keys = (n: number): Promise<Answer> =>
      ask(
        'PUT',
        `client/v3/room_keys/keys/!room/${String(n)}?version=${String(KEY_BACKUPS)}`,
        session('x'.repeat(MIB - 4096)),
      );
    let stored = 0;
    while (stored < 100 && (await keys(stored)).status === 200) stored += 1;
    expect(stored).toBe(Math.floor(KEY_BACKUP_BYTES / (MIB - 4096)));
    expect(outcome(await keys(stored))).toEqual([413, 'M_TOO_LARGE']);
    await must('DELETE', `client/v3/room_keys/keys?version=${String(KEY_BACKUPS)}`);
    expect((await keys(0)).status).toBe(200);

    const oneTime = (from: number, count: number): Promise<Answer> =>
      ask('POST', 'client/v3/keys/upload', {
        one_time_keys: Object.fromEntries(
          Array.from({ length: count }, (_, n) => [`signed_curve25519:k${String(from + n)}`, { key: `k${String(n)}` }]),
        ),
      });
    expect((await oneTime(0, ONE_TIME_KEYS)).status).toBe(200);
    expect(outcome(await oneTime(ONE_TIME_KEYS, 1))).toEqual([403, 'M_RESOURCE_LIMIT_EXCEEDED']);
  });

  it('is bounded for dehydrated devices, for threads that are followed and for threads that were read', async () => {
    const { ask, must, userId } = await somebody();
    const large = await ask('PUT', 'client/unstable/org.matrix.msc3814.v1/dehydrated_device', {
      device_id: 'LEFT',
      device_data: { algorithm: 'a', device_pickle: 'x'.repeat(DEHYDRATED_DATA_BYTES) },
      device_keys: {
        user_id: userId,
        device_id: 'LEFT',
        algorithms: ['a'],
        keys: { 'ed25519:LEFT': 'key' },
        signatures: {},
      },
    });
    expect(outcome(large)).toEqual([413, 'M_TOO_LARGE']);

    const roomId = String(at(await must('POST', 'client/v3/createRoom', {}), 'room_id'));
    const say = async (): Promise<string> =>
      String(
        at(
          await must('POST', `client/v3/rooms/${roomId}/send/m.room.message`, { msgtype: 'm.text', body: 'x' }),
          'event_id',
        ),
      );
    const [first, second] = [await say(), await say()];
    const path = (eventId: string): string =>
      `client/unstable/io.element.msc4306/rooms/${roomId}/thread/${eventId}/subscription`;
    await must('PUT', path(first), {});
    await db.query(
      `INSERT INTO thread_subscriptions (user_id, room_id, root_id, subscribed, automatic, position)
       SELECT $1, $2, '$x' || n, true, false, 0 FROM generate_series(2, $3::int) AS n`,
      [userId, roomId, THREAD_SUBSCRIPTIONS],
    );
    expect(outcome(await ask('PUT', path(second), {}))).toEqual([403, 'M_RESOURCE_LIMIT_EXCEEDED']);
    await must('DELETE', path(first));

    await db.query(
      `INSERT INTO receipts (room_id, user_id, kind, thread_id, event_id, at, position)
       SELECT $1, $2, 'm.read', 't' || n, $3, 0, n - $4::int FROM generate_series(1, $4::int) AS n`,
      [roomId, userId, first, THREAD_RECEIPTS],
    );
    await must('POST', `client/v3/rooms/${roomId}/receipt/m.read/${second}`, {});
    for (const thread of ['main', first]) {
      await must('POST', `client/v3/rooms/${roomId}/receipt/m.read/${second}`, { thread_id: thread });
    }
    const rows = await db.query<{ thread_id: string }>(
      'SELECT thread_id FROM receipts WHERE user_id = $1 ORDER BY position',
      [userId],
    );
    const threads = rows.map(({ thread_id: id }) => id).filter((id) => id !== '');
    expect([threads.length, threads[0], threads.at(-1)]).toEqual([THREAD_RECEIPTS, 't3', first]);
    expect(rows.length)
      .withContext('that of the whole room stays')
      .toBe(THREAD_RECEIPTS + 1);
  });

  it('is bounded for messages that wait for a device, by size, by number and by sender', async () => {
    const [sender, other, target] = [await somebody(), await somebody(), await somebody()];
    const device = String(at(await target.must('GET', 'client/v3/account/whoami'), 'device_id'));
    let transaction = 0;
    const send = (from: TestUser, content: object): Promise<Answer> =>
      from.ask('PUT', `client/v3/sendToDevice/m.x/${String(transaction++)}`, {
        messages: { [target.userId]: { [device]: content } },
      });
    expect(outcome(await send(sender, { text: 'x'.repeat(65_536) }))).toEqual([413, 'M_TOO_LARGE']);
    const fill = (from: TestUser, count: number, content: string): Promise<unknown> =>
      db.query(
        `INSERT INTO to_device (user_id, device_id, position, sender, type, content)
         SELECT $1, $2, -n - (SELECT count(*) FROM to_device), $3, 'm.x', $4 FROM generate_series(1, $5::int) AS n`,
        [target.userId, device, from.userId, content, count],
      );
    const waiting = async (from: TestUser): Promise<number> => {
      const [row] = await db.query<{ count: number }>(
        'SELECT count(*) AS count FROM to_device WHERE user_id = $1 AND sender = $2',
        [target.userId, from.userId],
      );
      return row?.count ?? 0;
    };
    await fill(sender, TO_DEVICE_WAITING_OF_SENDER - 1, '{}');
    for (let n = 0; n < 3; n += 1) expect((await send(sender, { n })).status).toBe(200);
    expect(await waiting(sender)).toBe(TO_DEVICE_WAITING_OF_SENDER);
    expect((await send(other, { n: 1 })).status).toBe(200);
    expect(await waiting(other)).toBe(1);
    await fill(other, Math.floor(TO_DEVICE_WAITING_BYTES / 65_000), JSON.stringify('x'.repeat(64_998)));
    const before = await waiting(other);
    expect((await send(other, { text: 'x'.repeat(60_000) })).status).toBe(200);
    expect(await waiting(other)).toBe(before);
    expect(await (await fetch(`http://${metrics}/metrics`)).text()).toMatch(
      /^hansetag_to_device_messages_dropped_total 3$/m,
    );
    await db.query('DELETE FROM to_device WHERE user_id = $1', [target.userId]);
    expect((await send(sender, { n: 1 })).status).toBe(200);
    expect(await waiting(sender)).toBe(1);
  });
});

describe('A17: how often one account may change something', () => {
  it('is counted for files by their bytes', async () => {
    const limits = rateLimits(1);
    await limits.takeUploaded('@anna:x', UPLOADED_BYTES_RATE.points);
    const refused = await limits.takeUploaded('@anna:x', 1).catch((error: unknown) => error);
    if (!(refused instanceof MatrixError)) throw new Error('It was not refused.');
    expect([refused.status, refused.errcode]).toEqual([429, 'M_LIMIT_EXCEEDED']);
    expect(refused.extra['retry_after_ms']).toBeGreaterThan(0);
    await limits.takeUploaded('@bert:x', 1);
  });

  it('is counted for every endpoint there is, and for those that are still to come', async () => {
    const federation = await startHomeservers(1, { HANSETAG_RATE_LIMITS: 'on', HANSETAG_RATE_LIMIT_FACTOR: '0.01' });
    try {
      const [server] = federation.servers;
      if (!server) throw new Error('There is no server.');
      const { token } = await server.register('anna');
      const text = await readFile(new URL('../../docs/federation.md', import.meta.url), 'utf8');
      const endpoints = [
        ...text.matchAll(/^\| `(PUT|POST|DELETE) (\/_matrix\/(?:client|media)\/\S+)` *\| *done/gm),
      ].map(([, method = '', path = '']) => ({ method, path: path.replaceAll(/\{\w+\}/g, 'x') }));
      expect(endpoints.length).toBeGreaterThan(80);
      endpoints.push(
        { method: 'POST', path: '/_matrix/client/v3/something/new' },
        { method: 'POST', path: '/_hansetag/client/v1/something/new' },
        { method: 'PUT', path: '/_synapse/admin/v1/something/new' },
      );
      for (const [who, authorization] of [
        ['somebody', `Bearer ${token}`],
        ['nobody', undefined],
      ] as const) {
        for (const { method, path } of endpoints) {
          if (path.endsWith('/logout') || path.endsWith('/logout/all') || path.endsWith('/deactivate')) continue;
          let response: Response | undefined;
          for (let tries = 0; tries < 20 && response?.status !== 429; tries += 1) {
            response = await fetch(server.url + path, {
              method,
              ...(authorization ? { headers: { authorization } } : {}),
            });
          }
          const body: unknown = await response?.json();
          expect([response?.status, at(body, 'errcode')])
            .withContext(`${who}: ${method} ${path}`)
            .toEqual([429, 'M_LIMIT_EXCEEDED']);
          expect(at(body, 'retry_after_ms')).toBeGreaterThan(0);
          expect(Number(response?.headers.get('retry-after'))).toBeGreaterThan(0);
        }
      }
      expect((await server.ask('GET', 'client/v3/account/whoami', undefined, token)).status).toBe(200);
    } finally {
      await federation.close();
    }
  });
});
