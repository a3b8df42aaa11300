/** One spec for each place where people of one tenant could see those of another: the table in docs/tenants.md. */
import { at, eventually } from '../support/homeservers.ts';
import type { Answer, TestUser } from '../support/homeservers.ts';
import { startTwoTenants } from './two-tenants.ts';
import type { TestPerson, TwoTenants } from './two-tenants.ts';

const V3 = 'client/v3';
const id = encodeURIComponent;

/** An answer without the id that was asked for, so that answers about two people can be compared. */
function about({ status, body }: Answer, userId: string): unknown {
  return JSON.parse(JSON.stringify({ status, body }).replaceAll(userId, '@who')) as unknown;
}

async function makeRoom(by: TestUser, content: object = {}): Promise<string> {
  return String(at(await by.must('POST', `${V3}/createRoom`, content), 'room_id'));
}

/** Lets somebody into a room by its id, for which it has to be public. */
async function enter(who: TestUser, roomId: string): Promise<void> {
  await who.must('POST', `${V3}/join/${id(roomId)}`, {});
}

async function found(by: TestUser, term: string): Promise<unknown[]> {
  const body = await by.must('POST', `${V3}/user_directory/search`, { search_term: term });
  return (at(body, 'results') as object[]).map((result) => at(result, 'user_id')).toSorted();
}

const deviceKeys = ({ userId, deviceId }: TestPerson): object => ({
  user_id: userId,
  device_id: deviceId,
  algorithms: ['m.olm.v1.curve25519-aes-sha2'],
  keys: { [`curve25519:${deviceId}`]: 'a'.repeat(43), [`ed25519:${deviceId}`]: 'b'.repeat(43) },
  signatures: { [userId]: { [`ed25519:${deviceId}`]: 'c'.repeat(86) } },
});

describe('Tenants: people of one, for those of another,', () => {
  let place: TwoTenants;
  let anna: TestPerson;
  let arne: TestPerson;
  let bert: TestPerson;
  /** A user id of nobody. */
  let nobody: string;

  beforeAll(async () => {
    place = await startTwoTenants();
    anna = await place.person('Anna Meyer', 'altona');
    arne = await place.person('Arne Meyer', 'altona');
    bert = await place.person('Bert Meyer', 'bergedorf');
    nobody = `@nobody:${place.server.serverName}`;
    // Findable by everybody, were it not for the tenants: each is in a room that is open to all.
    for (const each of [anna, arne, bert]) await makeRoom(each, { preset: 'public_chat' });
  });
  afterAll(() => place.close());

  /** The answers about somebody of the other tenant and about nobody are the same. */
  async function sameAsNobody(ask: (userId: string) => Promise<Answer>): Promise<Answer> {
    const [of, ofNobody] = [await ask(bert.userId), await ask(nobody)];
    expect(about(of, bert.userId)).toEqual(about(ofNobody, nobody));
    expect(JSON.stringify(of.body)).not.toContain('Bert');
    return of;
  }

  it('are not found by searching', async () => {
    expect(await found(anna, 'meyer')).toEqual([anna.userId, arne.userId]);
    expect(await found(anna, 'bert')).toEqual([]);
    expect(await found(bert, 'meyer')).toEqual([bert.userId]);
    expect(await found(anna, 'arne@altona.example')).toEqual([arne.userId]);
    expect(await found(anna, 'bert@bergedorf.example')).toEqual([]);
  });

  it('have no rooms in the list of public rooms', async () => {
    const [ours, theirs] = [
      await makeRoom(anna, { preset: 'public_chat', visibility: 'public', name: 'Rathaus Altona' }),
      await makeRoom(bert, { preset: 'public_chat', visibility: 'public', name: 'Rathaus Bergedorf' }),
    ];
    const listed = async (by: TestUser, filter?: object): Promise<unknown[]> => {
      const body = await by.must('POST', `${V3}/publicRooms`, filter ?? {});
      const rooms = (at(body, 'chunk') as object[]).map((room) => at(room, 'room_id'));
      expect(at(body, 'total_room_count_estimate')).toBe(rooms.length);
      return [ours, theirs].filter((roomId) => rooms.includes(roomId));
    };
    expect(await listed(arne)).toEqual([ours]);
    expect(await listed(bert)).toEqual([theirs]);
    expect(await listed(bert, { filter: { generic_search_term: 'Rathaus' } })).toEqual([theirs]);
    // The server under another form of its name is another server.
    const shouted = place.server.serverName.toUpperCase();
    expect((await bert.ask('GET', `${V3}/publicRooms?server=${id(shouted)}`)).status).not.toBe(200);
    // The room that replaces one is listed for the same people.
    const upgraded = await anna.must('POST', `${V3}/rooms/${id(ours)}/upgrade`, { new_version: '12' });
    const newer = String(at(upgraded, 'replacement_room'));
    const [here, there] = [await arne.must('GET', `${V3}/publicRooms`), await bert.must('GET', `${V3}/publicRooms`)];
    expect(JSON.stringify(here)).toContain(newer);
    expect(JSON.stringify(there)).not.toContain(newer);
  });

  it('have no aliases: to resolve, to join, to knock at, to look at, to remove', async () => {
    const localpart = 'rathaus';
    await makeRoom(bert, { preset: 'public_chat', room_alias_name: localpart });
    const alias = `#${localpart}:${place.server.serverName}`;
    const unknown = `#unknown:${place.server.serverName}`;
    const asks: ((by: TestUser, of: string) => Promise<Answer>)[] = [
      (by, of) => by.ask('GET', `${V3}/directory/room/${id(of)}`),
      (by, of) => by.ask('POST', `${V3}/join/${id(of)}`, {}),
      (by, of) => by.ask('POST', `${V3}/knock/${id(of)}`, {}),
      (by, of) => by.ask('GET', `client/v1/room_summary/${id(of)}`),
      (by, of) => by.ask('DELETE', `${V3}/directory/room/${id(of)}`),
    ];
    for (const ask of asks)
      expect(about(await ask(anna, alias), alias)).toEqual(about(await ask(anna, unknown), unknown));
    const brit = await place.person('Brit', 'bergedorf');
    expect((await brit.ask('GET', `${V3}/directory/room/${id(alias)}`)).status).toBe(200);
    // Nobody says whose it is without being known.
    expect((await place.server.ask('GET', `${V3}/directory/room/${id(alias)}`)).status).toBe(401);
    expect((await brit.ask('POST', `${V3}/join/${id(alias)}`, {})).status).toBe(200);
  });

  it('have no profile', async () => {
    await sameAsNobody((of) => anna.ask('GET', `${V3}/profile/${id(of)}`));
    await sameAsNobody((of) => anna.ask('GET', `${V3}/profile/${id(of)}/displayname`));
    expect((await sameAsNobody((of) => place.server.ask('GET', `${V3}/profile/${id(of)}`))).status).toBe(401);
    expect(at(await anna.must('GET', `${V3}/profile/${id(arne.userId)}`), 'displayname')).toBe('Arne Meyer');
  });

  it('have no presence', async () => {
    await bert.must('PUT', `${V3}/presence/${id(bert.userId)}/status`, { presence: 'online', status_msg: 'here' });
    await sameAsNobody((of) => anna.ask('GET', `${V3}/presence/${id(of)}/status`));
  });

  it('have no devices and no keys', async () => {
    const one_time_keys = { 'signed_curve25519:AAAA': { key: 'd'.repeat(43), signatures: {} } };
    await bert.must('POST', `${V3}/keys/upload`, { device_keys: deviceKeys(bert), one_time_keys });
    await sameAsNobody((of) => anna.ask('POST', `${V3}/keys/query`, { device_keys: { [of]: [] } }));
    const claimed = (of: string): object => ({ one_time_keys: { [of]: { [bert.deviceId]: 'signed_curve25519' } } });
    await sameAsNobody((of) => anna.ask('POST', `${V3}/keys/claim`, claimed(of)));
    const own = await bert.must('POST', `${V3}/keys/query`, { device_keys: { [bert.userId]: [] } });
    expect(at(own, 'device_keys', bert.userId, bert.deviceId)).toBeDefined();
    // The key is still there for those who may have it.
    const brit = await place.person('Brit', 'bergedorf');
    const got = await brit.must('POST', `${V3}/keys/claim`, claimed(bert.userId));
    expect(at(got, 'one_time_keys', bert.userId, bert.deviceId)).toBeDefined();
  });

  it('are not reached by messages to devices', async () => {
    const since = String(at(await bert.must('GET', `${V3}/sync`), 'next_batch'));
    const messages = (of: string): object => ({ messages: { [of]: { '*': { hello: 'there' } } } });
    await sameAsNobody((of) => anna.ask('PUT', `${V3}/sendToDevice/m.test/${id(of)}`, messages(of)));
    const brit = await place.person('Brit', 'bergedorf');
    await brit.must('PUT', `${V3}/sendToDevice/m.test/1`, messages(bert.userId));
    const synced = await bert.must('GET', `${V3}/sync?since=${since}&timeout=3000`);
    expect((at(synced, 'to_device', 'events') as object[]).map((event) => at(event, 'sender'))).toEqual([brit.userId]);
  });

  it('cannot be invited, in whatever way, and hear nothing of it', async () => {
    const roomId = await makeRoom(anna);
    const invites: ((of: string) => Promise<Answer>)[] = [
      (of) => anna.ask('POST', `${V3}/rooms/${id(roomId)}/invite`, { user_id: of }),
      (of) => anna.ask('PUT', `${V3}/rooms/${id(roomId)}/state/m.room.member/${id(of)}`, { membership: 'invite' }),
      (of) => anna.ask('POST', `${V3}/createRoom`, { invite: [of] }),
      (of) =>
        anna.ask('POST', `${V3}/createRoom`, {
          initial_state: [{ type: 'm.room.member', state_key: of, content: { membership: 'invite' } }],
        }),
    ];
    for (const invite of invites) expect((await sameAsNobody(invite)).status).toBe(404);
    // Later, by a delayed event.
    const later = `${V3}/rooms/${id(roomId)}/state/m.room.member/${id(bert.userId)}?org.matrix.msc4140.delay=1`;
    await anna.ask('PUT', later, { membership: 'invite' });
    await eventually(
      () => anna.must('GET', 'client/unstable/org.matrix.msc4140/delayed_events'),
      (body) => (at(body, 'delayed_events') as unknown[]).length === 0,
    );
    expect((await anna.ask('GET', `${V3}/rooms/${id(roomId)}/state/m.room.member/${id(bert.userId)}`)).status).toBe(
      404,
    );
    const rooms = at(await bert.must('GET', `${V3}/sync`), 'rooms');
    expect(at(rooms, 'invite') ?? {}).toEqual({});
    // Within the tenant it works.
    await anna.must('POST', `${V3}/rooms/${id(roomId)}/invite`, { user_id: arne.userId });
  });

  it('cannot be invited to meetings', async () => {
    const made = await anna.own('POST', 'meetings', { title: 'Sprechstunde', transactionId: 'one' });
    const roomId = String(at(made.body, 'roomId'));
    const outcome = await sameAsNobody((of) =>
      anna.own('POST', `meetings/${id(roomId)}/invitations`, { userIds: [of] }),
    );
    expect(at(outcome.body, 'results', 0, 'outcome')).toBe('no-such-person');
    const inTime = await anna.own('POST', 'meetings', { title: 'Neu', transactionId: 'two', invite: [bert.userId] });
    expect(at(inTime.body, 'invitations', 0, 'outcome')).toBe('no-such-person');
    const his = at((await bert.own('GET', 'meetings')).body, 'meetings') as { roomId: string }[];
    const hers = [roomId, at(inTime.body, 'roomId')];
    expect(his.filter((meeting) => hers.includes(meeting.roomId))).toEqual([]);
    expect((await bert.own('GET', `meetings/${id(roomId)}`)).status).toBe(404);
    const known = await anna.own('POST', `meetings/${id(roomId)}/invitations`, { userIds: [arne.userId] });
    expect(at(known.body, 'results', 0, 'outcome')).toBe('invited');
  });

  it('cannot be reported, and nobody learns of it', async () => {
    await sameAsNobody((of) => anna.ask('POST', `${V3}/users/${id(of)}/report`, { reason: 'spam' }));
  });

  it('have no rooms in common, and nothing is said of them to people without rights', async () => {
    const mutual = 'client/v1/mutual_rooms?user_id=';
    await sameAsNobody((of) => anna.ask('GET', mutual + id(of)));
    await sameAsNobody((of) => anna.ask('GET', `${V3}/admin/whois/${id(of)}`));
    await sameAsNobody((of) => anna.ask('GET', `client/v1/admin/lock/${id(of)}`));
    await sameAsNobody((of) => anna.ask('GET', `${V3}/user/${id(of)}/filter/0`));
    await sameAsNobody((of) => anna.ask('GET', `${V3}/user/${id(of)}/account_data/m.direct`));
  });

  it('have no rooms into which one may look without being in them', async () => {
    const initial_state = [{ type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }];
    const roomId = await makeRoom(bert, { preset: 'public_chat', name: 'Offen', initial_state });
    const space = await makeRoom(anna, { creation_content: { type: 'm.space' } });
    await anna.must('PUT', `${V3}/rooms/${id(space)}/state/m.space.child/${id(roomId)}`, {
      via: [place.server.serverName],
    });
    const paths = [
      `${V3}/rooms/${id(roomId)}/state`,
      `${V3}/rooms/${id(roomId)}/members`,
      `${V3}/rooms/${id(roomId)}/joined_members`,
      `${V3}/rooms/${id(roomId)}/messages?dir=b`,
      `${V3}/rooms/${id(roomId)}/initialSync`,
      `${V3}/rooms/${id(roomId)}/aliases`,
      `${V3}/events?room_id=${id(roomId)}&timeout=0`,
      `client/v1/room_summary/${id(roomId)}`,
      `client/v1/rooms/${id(roomId)}/hierarchy`,
    ];
    for (const path of paths) {
      const answer = await anna.ask('GET', path);
      expect([403, 404]).withContext(path).toContain(answer.status);
      expect(JSON.stringify(answer.body)).not.toContain('Bert');
    }
    const below = await anna.must('GET', `client/v1/rooms/${id(space)}/hierarchy`);
    expect((at(below, 'rooms') as object[]).map((room) => at(room, 'room_id'))).toEqual([space]);
    const brit = await place.person('Brit', 'bergedorf');
    expect((await brit.ask('GET', `${V3}/rooms/${id(roomId)}/state`)).status).toBe(200);
  });

  it('do not appear in what one syncs', async () => {
    const since = String(at(await anna.must('GET', `${V3}/sync`), 'next_batch'));
    await bert.must('PUT', `${V3}/profile/${id(bert.userId)}/displayname`, { displayname: 'Bert M.' });
    await bert.must('POST', `${V3}/keys/upload`, { device_keys: deviceKeys(bert) });
    await makeRoom(bert, { preset: 'public_chat', visibility: 'public', name: 'Bergedorfer Runde' });
    const synced = JSON.stringify(await anna.must('GET', `${V3}/sync?since=${since}`));
    expect(synced).not.toContain('bert');
    expect(synced).not.toContain('Bergedorf');
    const changes = await anna.must('GET', `${V3}/keys/changes?from=${since}&to=${since}`);
    expect(JSON.stringify(changes)).not.toContain('bert');
    await bert.must('PUT', `${V3}/profile/${id(bert.userId)}/displayname`, { displayname: 'Bert Meyer' });
  });

  it('are seen by other servers as federation lets them, and so is the list of public rooms', async () => {
    const clara = await place.other.register('clara');
    expect(at(await clara.must('GET', `${V3}/profile/${id(bert.userId)}`), 'displayname')).toBe('Bert Meyer');
    const roomId = await makeRoom(clara, { preset: 'public_chat', invite: [anna.userId, bert.userId] });
    await anna.must('POST', `${V3}/join/${id(roomId)}`, {});
    await bert.must('POST', `${V3}/join/${id(roomId)}`, {});
    // The room makes its members known to each other.
    expect((await anna.ask('GET', `${V3}/profile/${id(bert.userId)}`)).status).toBe(200);
    await anna.must('POST', `${V3}/rooms/${id(roomId)}/leave`, {});
    await sameAsNobody((of) => anna.ask('GET', `${V3}/profile/${id(of)}`));
    await bert.must('POST', `${V3}/rooms/${id(roomId)}/leave`, {});
  });

  it('have guests of their own: those who come by their links', async () => {
    const made = await bert.own('POST', 'meetings', { title: 'Gäste', transactionId: 'guests' });
    const roomId = String(at(made.body, 'roomId'));
    const link = await bert.own('POST', `meetings/${id(roomId)}/links`, {});
    const secret = String(at(link.body, 'url')).split('/').at(-1) ?? '';
    const preview = await place.own('GET', `links/${secret}`);
    expect(at(preview.body, 'organisation', 'displayName')).toBe('Bezirk Bergedorf');
    expect(at(preview.body, 'legal')).toEqual({ privacy: 'https://bergedorf.example/datenschutz' });
    const entered = await place.own('POST', `links/${secret}/join`, { displayName: 'Gast' });
    const [guestId, token] = [
      String(at(entered.body, 'session', 'userId')),
      String(at(entered.body, 'session', 'accessToken')),
    ];
    const ask = (path: string): Promise<Answer> => place.server.ask('GET', path, undefined, token);
    expect((await ask(`${V3}/profile/${id(bert.userId)}`)).status).toBe(200);
    const [of, none] = [await ask(`${V3}/profile/${id(anna.userId)}`), await ask(`${V3}/profile/${id(nobody)}`)];
    expect(about(of, anna.userId)).toEqual(about(none, nobody));
    expect((await anna.ask('GET', `${V3}/profile/${id(guestId)}`)).status).toBe(404);
    const organisation = await place.own('GET', 'organisation', undefined, token);
    expect(at(organisation.body, 'organisation', 'displayName')).toBe('Bezirk Bergedorf');
  });

  it('have files whose addresses nobody can guess, and that whoever has the address may open', async () => {
    const upload = await fetch(`${place.server.url}/_matrix/media/v3/upload?filename=bert.txt`, {
      method: 'POST',
      headers: { authorization: `Bearer ${bert.token}`, 'content-type': 'text/plain' },
      body: 'Bergedorf',
    });
    const uri = String(at(await upload.json(), 'content_uri'));
    const mediaId = uri.split('/').at(-1) ?? '';
    expect(mediaId).toMatch(/^[A-Za-z0-9_-]{24}$/);
    const path = `client/v1/media/download/${place.server.serverName}/`;
    expect((await anna.ask('GET', path + mediaId)).status).toBe(200);
    expect((await anna.ask('GET', path + mediaId.replace(/.$/, '_'))).status).toBe(404);
  });
});

describe('Tenants: a room in common', () => {
  let place: TwoTenants;
  let anna: TestPerson;
  let bert: TestPerson;

  beforeAll(async () => {
    place = await startTwoTenants();
    anna = await place.person('Anna Meyer', 'altona');
    bert = await place.person('Bert Meyer', 'bergedorf');
  });
  afterAll(() => place.close());

  it('makes its members known to each other there, as long as they are in it, and lets nobody search for them', async () => {
    const made = await anna.own('POST', 'meetings', { title: 'Gemeinsam', transactionId: 'common' });
    const roomId = String(at(made.body, 'roomId'));
    const link = await anna.own('POST', `meetings/${id(roomId)}/links`, {});
    const secret = String(at(link.body, 'url')).split('/').at(-1) ?? '';
    expect((await bert.own('POST', `links/${secret}/join`, {})).status).toBe(200);

    const details = await anna.own('GET', `meetings/${id(roomId)}`);
    const members = (at(details.body, 'members') as object[]).map((member) => at(member, 'displayName'));
    expect(members.toSorted()).toEqual(['Anna Meyer', 'Bert Meyer']);
    expect(at(await anna.must('GET', `${V3}/profile/${id(bert.userId)}`), 'displayname')).toBe('Bert Meyer');
    await bert.must('POST', `${V3}/keys/upload`, { device_keys: deviceKeys(bert) });
    const keys = await anna.must('POST', `${V3}/keys/query`, { device_keys: { [bert.userId]: [] } });
    expect(at(keys, 'device_keys', bert.userId, bert.deviceId)).toBeDefined();
    await bert.must('PUT', `${V3}/presence/${id(bert.userId)}/status`, { presence: 'online' });
    expect(at(await anna.must('GET', `${V3}/presence/${id(bert.userId)}/status`), 'presence')).toBe('online');
    expect(await found(anna, 'bert')).toEqual([]);
    // Who knows somebody may invite them.
    const next = await makeRoom(anna);
    await anna.must('POST', `${V3}/rooms/${id(next)}/invite`, { user_id: bert.userId });
    await bert.must('POST', `${V3}/rooms/${id(next)}/leave`, {});

    // Others of the tenant see nothing of it.
    const arne = await place.person('Arne Meyer', 'altona');
    expect((await arne.ask('GET', `${V3}/profile/${id(bert.userId)}`)).status).toBe(404);
    await bert.must('POST', `${V3}/rooms/${id(roomId)}/leave`, {});
    expect((await anna.ask('GET', `${V3}/profile/${id(bert.userId)}`)).status).toBe(404);
    const after = await anna.must('POST', `${V3}/keys/query`, { device_keys: { [bert.userId]: [] } });
    expect(at(after, 'device_keys', bert.userId)).toEqual({});
  });

  it('comes about as well when somebody enters a public room by its id, and who was banned is not known by that', async () => {
    const roomId = await makeRoom(anna, { preset: 'public_chat' });
    await enter(bert, roomId);
    expect((await bert.ask('GET', `${V3}/profile/${id(anna.userId)}`)).status).toBe(200);
    await anna.must('POST', `${V3}/rooms/${id(roomId)}/ban`, { user_id: bert.userId });
    expect((await bert.ask('GET', `${V3}/profile/${id(anna.userId)}`)).status).toBe(404);
    expect((await anna.ask('GET', `${V3}/profile/${id(bert.userId)}`)).status).toBe(404);
  });
});
