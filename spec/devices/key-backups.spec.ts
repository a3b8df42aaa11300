import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { register } from './support.ts';
import type { Device } from './support.ts';

describe('Backups of room keys', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  beforeAll(async () => {
    federation = await startHomeservers(1);
    server = federation.servers[0] as TestHomeserver;
  });
  afterAll(() => federation.close());

  const algorithm = 'm.megolm_backup.v1.curve25519-aes-sha2';
  const version = async (user: Device): Promise<string> =>
    String(at(await user.must('POST', 'client/v3/room_keys/version', { algorithm, auth_data: { k: 1 } }), 'version'));
  const session = (first = 10, forwarded = 5, verified = false, data = 'a'): Record<string, unknown> => ({
    first_message_index: first,
    forwarded_count: forwarded,
    is_verified: verified,
    session_data: { data },
  });

  it('have versions: the newest counts, and a deleted one is gone', async () => {
    const anna = await register(server, 'anna1');
    const none = await anna.ask('GET', 'client/v3/room_keys/version');
    expect([none.status, at(none.body, 'errcode')]).toEqual([404, 'M_NOT_FOUND']);
    const [first, second] = [await version(anna), await version(anna)];
    expect(at(await anna.must('GET', 'client/v3/room_keys/version'), 'version')).toBe(second);
    await anna.must('PUT', `client/v3/room_keys/version/${first}`, { algorithm, auth_data: { k: 2 }, version: first });
    expect(await anna.must('GET', `client/v3/room_keys/version/${first}`)).toEqual({
      algorithm,
      auth_data: { k: 2 },
      count: 0,
      etag: '0',
      version: first,
    });
    for (const wrong of [
      { algorithm: 'other', auth_data: {} },
      { algorithm, auth_data: {}, version: second },
    ]) {
      expect((await anna.ask('PUT', `client/v3/room_keys/version/${first}`, wrong)).status).toBe(400);
    }
    await anna.must('DELETE', `client/v3/room_keys/version/${second}`);
    expect(at(await anna.must('GET', 'client/v3/room_keys/version'), 'version')).toBe(first);
    expect((await anna.ask('GET', `client/v3/room_keys/version/${second}`)).status).toBe(404);
    expect(await version(anna))
      .withContext('no number comes again')
      .toBe('3');
  });

  it('take only keys for the newest version', async () => {
    const anna = await register(server, 'anna2');
    const path = (of: string): string => `client/v3/room_keys/keys/!r:x/s?version=${of}`;
    expect((await anna.ask('PUT', path('1'), session())).status).toBe(404);
    const [first, second] = [await version(anna), await version(anna)];
    const { status, body } = await anna.ask('PUT', path(first), session());
    expect([status, at(body, 'errcode'), at(body, 'current_version')]).toEqual([
      403,
      'M_WRONG_ROOM_KEYS_VERSION',
      second,
    ]);
    expect((await anna.ask('PUT', 'client/v3/room_keys/keys/!r:x/s', session())).status).toBe(400);
  });

  it('keep the better of two keys', async () => {
    const anna = await register(server, 'anna3');
    const path = `client/v3/room_keys/keys/!r:x/s?version=${await version(anna)}`;
    await anna.must('PUT', path, session());
    for (const worse of [session(11), session(10, 6), session(), session(11, 1)]) {
      expect(at(await anna.must('PUT', path, worse), 'etag')).toBe('1');
      expect(await anna.must('GET', path)).toEqual(session());
    }
    for (const better of [session(10, 4), session(9, 9), session(20, 20, true, 'b')]) {
      await anna.must('PUT', path, better);
      expect(await anna.must('GET', path)).toEqual(better);
    }
    expect(at(await anna.must('PUT', path, session(0, 0)), 'etag'))
      .withContext('verified stays')
      .toBe('4');
  });

  it('are read, counted and deleted by key, by room and as a whole', async () => {
    const anna = await register(server, 'anna4');
    const query = `?version=${await version(anna)}`;
    const all = `client/v3/room_keys/keys${query}`;
    const rooms = { '!a:x': { sessions: { s: session(), t: session() } }, '!b:x': { sessions: { s: session() } } };
    expect(await anna.must('PUT', all, { rooms })).toEqual({ count: 3, etag: '1' });
    expect(await anna.must('GET', all)).toEqual({ rooms });
    const room = `client/v3/room_keys/keys/!a:x${query}`;
    expect(await anna.must('GET', room)).toEqual(rooms['!a:x']);
    expect(await anna.must('PUT', room, { sessions: { u: session() } })).toEqual({ count: 4, etag: '2' });
    expect(await anna.must('DELETE', `client/v3/room_keys/keys/!a:x/u${query}`)).toEqual({ count: 3, etag: '3' });
    expect((await anna.ask('GET', `client/v3/room_keys/keys/!a:x/u${query}`)).status).toBe(404);
    expect(await anna.must('DELETE', room)).toEqual({ count: 1, etag: '4' });
    expect(await anna.must('GET', room)).toEqual({ sessions: {} });
    expect(await anna.must('DELETE', all)).toEqual({ count: 0, etag: '5' });
    expect(await anna.must('GET', all)).toEqual({ rooms: {} });
    const other = await register(server, 'bert4');
    expect((await other.ask('GET', all)).status)
      .withContext('those of somebody else')
      .toBe(404);
  });
});
