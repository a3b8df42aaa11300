/** The account of the server itself that makes meetings: nobody is it, and nobody sees it where people are shown. */
import { createHmac } from 'node:crypto';
import { MeetingTransactions } from '../../homeserver/meetings/meeting-transactions.ts';
import type { Meetings } from '../../homeserver/meetings/meetings.ts';
import { isHostOnly, isServiceUser } from '../../homeserver/meetings/service-user.ts';
import { startHome } from '../accounts/support.ts';
import type { TestHome } from '../accounts/support.ts';
import { ADMIN_SECRET, MeetingPlace } from '../hostile/kit/meeting.ts';
import type { Member } from '../hostile/kit/meeting.ts';
import type { Person, TestServer } from '../messages/support.ts';
import { BUILD_TIMEOUT } from '../sfu/support.ts';
import { holdWrites } from '../support/database.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { Answer, TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { hansetag, startMeetingServers } from '../support/meetings.ts';
import { startMeetings } from './support.ts';

const NAME = '_meetings';
const PASSWORD = 'a long enough password';

const outcome = ({ status, body }: Answer): unknown[] => [status, at(body, 'errcode')];

describe('The service user of meetings', () => {
  let place: MeetingPlace;
  let admin: string;
  let anna: Member;
  let service: string;
  let roomId: string;

  beforeAll(async () => {
    place = await MeetingPlace.start();
    admin = await place.registerAdmin();
    anna = await place.register('anna');
    service = `@${NAME}:${place.server.serverName}`;
    const { body } = await hansetag(place.server, anna.user.token, 'POST', 'meetings', { title: 'Deich' });
    roomId = String(at(body, 'roomId'));
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());

  const room = (rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
  const asAdmin = (method: string, path: string, body?: unknown): Promise<Answer> =>
    place.server.ask(method, path, body, admin);

  it('is not registered by anybody, in no spelling', async () => {
    for (const username of [NAME, NAME.toUpperCase(), '_Meetings', '_anything']) {
      const body = { username, password: PASSWORD, auth: { type: 'm.login.dummy' } };
      const made = await place.server.ask('POST', 'client/v3/register', body);
      expect(outcome(made)).withContext(username).toEqual([400, 'M_INVALID_USERNAME']);
      const asked = await place.server.ask('GET', `client/v3/register/available?username=${username}`);
      expect(outcome(asked)).withContext(username).toEqual([400, 'M_INVALID_USERNAME']);
      expect(await registerBySecret(username))
        .withContext(username)
        .toEqual([400, 'M_INVALID_USERNAME']);
    }
    const guest = await place.server.registerGuest();
    const promoted = await place.server.ask('POST', 'client/v3/register', {
      username: NAME,
      password: PASSWORD,
      guest_access_token: guest.token,
      auth: { type: 'm.login.dummy' },
    });
    expect(outcome(promoted)).toEqual([403, 'M_FORBIDDEN']);
  });

  async function registerBySecret(username: string): Promise<unknown[]> {
    const url = `${place.server.url}/_synapse/admin/v1/register`;
    const { nonce } = (await (await fetch(url)).json()) as { nonce: string };
    const mac = createHmac('sha1', ADMIN_SECRET)
      .update([nonce, username, PASSWORD, 'notadmin'].join('\0'))
      .digest('hex');
    const body = JSON.stringify({ nonce, username, password: PASSWORD, mac });
    const response = await fetch(url, { method: 'POST', body });
    return outcome({ status: response.status, body: await response.json() });
  }

  it('does not log in by a password or a token', async () => {
    for (const user of [NAME, service]) {
      for (const password of ['', PASSWORD]) {
        const identifier = { type: 'm.id.user', user };
        const body = { type: 'm.login.password', identifier, password };
        expect((await place.server.ask('POST', 'client/v3/login', body)).status)
          .withContext(user)
          .toBe(403);
      }
    }
    const body = { type: 'm.login.token', token: service };
    expect((await place.server.ask('POST', 'client/v3/login', body)).status).toBe(403);
    const devices = await asAdmin('GET', `client/v3/admin/whois/${encodeURIComponent(service)}`);
    expect(at(devices.body, 'devices', '', 'sessions', 0, 'connections')).toEqual([]);
  });

  it('is not locked or suspended, and is told nothing', async () => {
    const id = encodeURIComponent(service);
    const refused = [403, 'M_FORBIDDEN'];
    expect(outcome(await asAdmin('PUT', `client/v1/admin/lock/${id}`, { locked: true }))).toEqual(refused);
    expect(outcome(await asAdmin('PUT', `client/v1/admin/suspend/${id}`, { suspended: true }))).toEqual(refused);
    const response = await fetch(`${place.server.url}/_synapse/admin/v1/send_server_notice`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin}` },
      body: JSON.stringify({ user_id: service, content: { msgtype: 'm.text', body: 'x' } }),
    });
    expect(response.status).toBe(404);
  });

  it('is not invited, removed, written for or found', async () => {
    const { user } = anna;
    const theirs = String(at(await user.must('POST', 'client/v3/createRoom', {}), 'room_id'));
    const invite = `client/v3/rooms/${encodeURIComponent(theirs)}/invite`;
    expect((await user.ask('POST', invite, { user_id: service })).status).toBe(403);
    const path = `meetings/${encodeURIComponent(roomId)}/invitations`;
    const invited = await hansetag(place.server, user.token, 'POST', path, { userIds: [service] });
    expect(at(invited.body, 'results', 0, 'outcome')).toBe('no-such-person');
    expect((await user.ask('POST', room('kick'), { user_id: service })).status).toBe(403);
    expect((await user.ask('POST', room('ban'), { user_id: service })).status).toBe(403);
    const key = encodeURIComponent(`_${service}_x_m.call`);
    expect((await user.ask('PUT', room(`state/org.matrix.msc3401.call.member/${key}`), { x: 1 })).status).toBe(403);
    for (const term of [NAME, service, 'localhost']) {
      const found = await user.must('POST', 'client/v3/user_directory/search', { search_term: term, limit: 50 });
      const ids = (at(found, 'results') as { user_id: string }[]).map((each) => each.user_id);
      expect(ids).withContext(term).not.toContain(service);
    }
  });

  it('alone is the creator, and whoever makes a meeting owns it', async () => {
    const state = (await anna.user.must('GET', room('state'))) as { type: string; sender: string; content: object }[];
    const content = (type: string): unknown => state.find((event) => event.type === type)?.content;
    const create = state.find(({ type }) => type === 'm.room.create');
    expect(create?.sender).toBe(service);
    expect(Object.keys(create?.content ?? {})).toEqual(['room_version']);
    expect(at(content('m.room.power_levels'), 'users') as object).toEqual({ [anna.user.userId]: 100 });
    const { body } = await hansetag(place.server, anna.user.token, 'GET', `meetings/${encodeURIComponent(roomId)}`);
    expect(at(body, 'role')).toBe('owner');
    expect(at(body, 'host', 'userId')).toBe(anna.user.userId);
    const members = at(body, 'members') as { userId: string }[];
    expect(members.map(({ userId }) => userId)).toEqual([anna.user.userId]);
  });

  it('lets a maker in who takes no invitations, and tells of none', async () => {
    const clara = await place.register('clara');
    const type = 'org.matrix.msc4155.invite_permission_config';
    const path = `client/v3/user/${encodeURIComponent(clara.user.userId)}/account_data/${type}`;
    await clara.user.must('PUT', path, { blocked_users: ['*'] });
    const made = await hansetag(place.server, clara.user.token, 'POST', 'meetings', { title: 'Ohne Einladung' });
    expect([made.status, at(made.body, 'membership'), at(made.body, 'role')]).toEqual([200, 'join', 'owner']);
    const notices = await clara.user.must('GET', 'client/v3/notifications');
    expect(at(notices, 'notifications')).toEqual([]);
  });
});

describe('The service user of meetings, at the identity provider', () => {
  let home: TestHome;

  beforeAll(async () => {
    home = await startHome();
    await home.accounts.makeOwn(NAME, 'Hamburg');
  });
  afterAll(() => home.close());

  it('is nobody who logs in there, whatever name the person has', async () => {
    for (const preferred of [NAME, '@_meetings:hamburg.example', '_MEETINGS']) {
      const token = await home.loginToken({ sub: `sub of ${preferred}`, preferred_username: preferred });
      const { json } = await home.request('POST', '/_matrix/client/v3/login', {
        body: { type: 'm.login.token', token },
      });
      expect(String(json['user_id'])).withContext(preferred).not.toContain('@_');
    }
  });

  it('gets no session and no device, whoever asks for one, and does not end', async () => {
    const userId = home.accounts.userId(NAME);
    const refused = jasmine.objectContaining({ status: 403 });
    await expectAsync(home.sessions.create(userId)).toBeRejectedWith(refused);
    await expectAsync(home.sessions.attach(userId, 'DEVICE', undefined)).toBeRejectedWith(refused);
    expect(await home.sessions.devices(userId)).toEqual([]);
    expect(() => home.accounts.requirePerson(userId)).toThrow(refused);
    for (const change of [
      home.accounts.deactivate(userId),
      home.accounts.restrict(userId, 'locked', true),
      home.accounts.setPassword(userId, 'x'),
      home.accounts.setAdmin(userId, true),
    ]) {
      await expectAsync(change).toBeRejectedWith(refused);
    }
    expect(await home.accounts.find(userId)).toEqual(
      jasmine.objectContaining({ deactivated: false, locked: false, admin: false, passwordHash: undefined }),
    );
  });
});

describe('The service user of meetings, as a member', () => {
  let server: TestServer;
  let meetings: Meetings;
  let transactions: MeetingTransactions;
  let anna: Person;
  let bert: Person;

  beforeAll(async () => {
    ({ server, meetings } = await startMeetings());
    transactions = new MeetingTransactions(server.db);
    [anna, bert] = [await server.person('anna'), await server.person('bert')];
  });
  afterAll(() => server.close());

  it('makes one meeting when the server dies between making it and letting its maker in', async () => {
    const { userId } = await server.person('clara');
    const create = (): Promise<string> =>
      transactions.once(userId, 'one', () => meetings.create(userId, { title: 'Deich' }));
    const first = await create();
    expect((await meetings.list(userId)).map(({ roomId }) => roomId)).toEqual([]);
    // Here it died. The client tries again.
    const second = await create();
    await meetings.enter(userId, second);
    expect(second).toBe(first);
    expect((await meetings.list(userId)).map(({ roomId }) => roomId)).toEqual([first]);
    // Who has left is not taken in again by an answer that came too late.
    await server.rooms.leave(first, userId);
    await meetings.enter(userId, await create());
    expect(await server.rooms.membership(first, userId)).toBe('leave');
  });

  it('lets its maker in once, however many tries run at the same time', async () => {
    const roomId = await meetings.create(anna.userId, { title: 'Deich' });
    await Promise.all(Array.from({ length: 5 }, () => meetings.enter(anna.userId, roomId)));
    const told = await server.rooms.range(roomId, { newestFirst: false, limit: 100 });
    const memberships = told.filter(({ pdu }) => pdu.type === 'm.room.member' && pdu.state_key === anna.userId);
    expect(memberships.map(({ pdu }) => String(pdu.content['membership']))).toEqual(['invite', 'join']);
  });

  const membership = (roomId: string): Promise<string | undefined> => server.rooms.membership(roomId, anna.userId);

  it('and whoever else lets somebody in notify nobody of the invite, however late that is looked at', async () => {
    const older = await bert.createRoom({ preset: 'private_chat' });
    const common = await bert.createRoom({ preset: 'public_chat' });
    await anna.join(common);
    const release = await holdWrites(server.db, 'push_actions');
    let roomId: string;
    try {
      await bert.say(common, 'of which the notification waits');
      roomId = await meetings.create(anna.userId, { title: 'Deich' });
      await meetings.enter(anna.userId, roomId);
      await server.rooms.memberships.admit(older, bert.userId, anna.userId);
    } finally {
      await release();
    }
    const last = await bert.say(common, 'the last of all');
    const { body } = await eventually(
      () => anna.ask('GET', '/v3/notifications'),
      (found) => at(found.body, 'notifications', 0, 'event', 'event_id') === last,
    );
    const rooms = (body['notifications'] as { room_id: string }[]).map((notice) => notice.room_id);
    expect(rooms).toEqual([common, common]);
    expect([await membership(roomId), await membership(older)]).toEqual(['join', 'join']);
  });

  it('is noted no messages as unread', async () => {
    const roomId = await meetings.create(anna.userId, { title: 'Deich' });
    await meetings.enter(anna.userId, roomId);
    await server.rooms.invite(roomId, anna.userId, bert.userId);
    await bert.join(roomId);
    await anna.say(roomId, 'Moin');
    const noted = async (): Promise<string[]> =>
      (
        await server.db.query<{ user_id: string }>(
          `SELECT DISTINCT user_id FROM push_actions a JOIN events e USING (event_id)
           WHERE a.room_id = $1 AND e.type = 'm.room.message'`,
          [roomId],
        )
      ).map((row) => row.user_id);
    expect(await eventually(noted, (found) => found.length > 0)).toEqual([bert.userId]);
  });

  it('is a member like any other where it has not made the room', () => {
    expect(isServiceUser('@_meetings:a.example', '@_meetings:a.example')).toBeTrue();
    expect(isServiceUser('@_meetings:b.example', '@_meetings:a.example')).toBeFalse();
    expect(isServiceUser('@anna:a.example', '@anna:a.example')).toBeFalse();
    expect(isHostOnly('a.example', '@_meetings:a.example', ['@_meetings:a.example', '@b:b.example'])).toBeTrue();
    expect(isHostOnly('a.example', '@_meetings:a.example', ['@_meetings:a.example', '@a:a.example'])).toBeFalse();
    expect(isHostOnly('b.example', '@_meetings:a.example', [])).toBeFalse();
    expect(isHostOnly('a.example', '@anna:a.example', [])).toBeFalse();
  });
});

describe('Guest link: of a meeting that the service user has made', () => {
  let federation: TestFederation;
  let hamburg: TestHomeserver;
  let luebeck: TestHomeserver;
  let bert: TestUser;
  let count = 0;

  beforeAll(async () => {
    federation = await startMeetingServers(2, { HANSETAG_PASSWORD_COST: '10' });
    [hamburg, luebeck] = federation.servers as [TestHomeserver, TestHomeserver];
    bert = await luebeck.register('bert');
  }, BUILD_TIMEOUT);
  afterAll(() => federation.close());

  interface Made {
    readonly maker: TestUser;
    readonly roomId: string;
    /** As somebody without account. */
    enter(): Promise<Answer>;
    list(): Promise<unknown>;
  }

  /** A meeting with somebody of the other organisation and a link. */
  async function made(): Promise<Made> {
    const maker = await hamburg.register(`anna-${String((count += 1))}`);
    const { body } = await hansetag(hamburg, maker.token, 'POST', 'meetings', {
      title: 'Deich',
      invite: [bert.userId],
    });
    const roomId = String(at(body, 'roomId'));
    const path = `meetings/${encodeURIComponent(roomId)}`;
    await eventually(
      () => hansetag(luebeck, bert.token, 'POST', `${path}/answer`, { answer: 'accept' }),
      ({ status }) => status === 200,
    );
    const link = await hansetag(hamburg, maker.token, 'POST', `${path}/links`, {});
    const token = String(at(link.body, 'url')).split('/').at(-1) ?? '';
    return {
      maker,
      roomId,
      enter: () => hansetag(hamburg, undefined, 'POST', `links/${token}/join`, { displayName: 'Gast' }),
      list: async () => (await hansetag(luebeck, bert.token, 'GET', path)).body,
    };
  }
  const room = (roomId: string, rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
  const organisations = (list: unknown): string[] =>
    (at(list, 'organisations') as { serverName: string }[]).map(({ serverName }) => serverName).sort();
  const members = (list: unknown): string[] =>
    (at(list, 'members') as { userId: string }[]).map(({ userId }) => userId);

  it('goes on letting people in when its maker has left, and the account has ended', async () => {
    const { maker, roomId, enter } = await made();
    expect((await enter()).status).toBe(200);
    await maker.must('POST', room(roomId, 'leave'), {});
    expect((await enter()).status).toBe(200);
    await maker.must('POST', 'client/v3/account/deactivate', {
      auth: {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: maker.userId },
        password: PASSWORD,
      },
    });
    expect((await enter()).status).toBe(200);
  });

  it('lets nobody in once its maker was removed, or may not invite any more', async () => {
    const { maker, roomId, enter } = await made();
    const levels = (await maker.must('GET', room(roomId, 'state/m.room.power_levels/'))) as { users: object };
    const set = (users: object): Promise<unknown> =>
      maker.must('PUT', room(roomId, 'state/m.room.power_levels/'), { ...levels, users });
    await set({ ...levels.users, [bert.userId]: 100 });
    await set({ [bert.userId]: 100 });
    expect(outcome(await enter())).toEqual([404, 'M_NOT_FOUND']);

    const other = await made();
    await other.maker.must('PUT', room(other.roomId, 'state/m.room.power_levels/'), {
      ...levels,
      users: { [other.maker.userId]: 50, [bert.userId]: 100 },
    });
    expect((await other.enter()).status).toBe(200);
    await eventually(
      () => bert.ask('POST', room(other.roomId, 'kick'), { user_id: other.maker.userId }),
      ({ status }) => status === 200,
    );
    const last = await eventually(other.enter, ({ status }) => status !== 200);
    expect(outcome(last)).toEqual([404, 'M_NOT_FOUND']);
  });

  it('and the meeting show its people only, and its organisations as long as they are there', async () => {
    const { maker, roomId, list } = await made();
    expect(organisations(await list())).toEqual([hamburg.serverName, luebeck.serverName].sort());
    expect(members(await list())).toEqual(jasmine.arrayWithExactContents([maker.userId, bert.userId]));
    expect(at(await list(), 'host', 'userId')).toBe(maker.userId);
    await maker.must('POST', room(roomId, 'leave'), {});
    const left = await eventually(list, (found) => organisations(found).length === 1);
    expect(organisations(left)).toEqual([luebeck.serverName]);
    expect(members(left)).toEqual([bert.userId]);
  });
});
