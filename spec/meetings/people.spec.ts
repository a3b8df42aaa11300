import { eventId } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import { displayName, displayTitle } from '../../protocol/display-text.ts';
import type { Meeting } from '../../protocol/client-api.ts';
import { meetingListSchema } from '../../protocol/client-api.ts';
import { compareChatPositions } from '../../protocol/modules/chat.ts';
import { BUILD_TIMEOUT } from '../sfu/support.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { hansetag, SessionClient, startMeetingServers } from '../support/meetings.ts';
import { Peer } from '../support/peer.ts';

const INVISIBLE = ['\u200b', '\u3164', '\u2800', '\u00ad', '\u2060', '\u{e0041}\u{e0042}', '\u202e', '\u0301'];
const FORGED = '\u202etdnarb treB (@bert) \u25a0 Hamburg';

describe('A name or title', () => {
  for (const name of INVISIBLE) {
    it(`of ${JSON.stringify(name)} alone is none (U18)`, () => {
      expect(displayName(name)).toBeUndefined();
      expect(displayTitle(`${name} ${name}`)).toBeUndefined();
    });
  }

  it('does not turn the text around it, nor imitate the mark of an organisation or an id (U18)', () => {
    expect(displayName(FORGED)).toBe('tdnarb treB (bert) Hamburg');
    expect(displayName('Bert\n\u200b  Brandt\u2066')).toBe('Bert Brandt');
  });

  it('keeps what letters and emoji need', () => {
    for (const name of [
      'می\u200cخواهم',
      '👩\u200d👩\u200d👧 Fam',
      '❤\ufe0f',
      '1\ufe0f\u20e3',
      'anna@work.de',
      "D'Arcy-Śmith",
    ]) {
      expect(displayName(name)).toBe(name);
    }
  });

  it('is cut between characters as people count them', () => {
    const cut = displayName('👩\u200d👩\u200d👧'.repeat(60)) ?? '';
    expect(cut.length).toBeLessThanOrEqual(256);
    expect(cut.endsWith('👧')).toBeTrue();
  });
});

describe('What people see of a meeting', () => {
  let federation: TestFederation;
  let hamburg: TestHomeserver;
  let luebeck: TestHomeserver;
  let anna: TestUser;
  let bert: TestUser;
  let roomId: string;
  const clients: SessionClient[] = [];

  beforeAll(async () => {
    federation = await startMeetingServers(2);
    [hamburg, luebeck] = federation.servers as [TestHomeserver, TestHomeserver];
    anna = await hamburg.register('anna');
    bert = await luebeck.register('bert');
  }, BUILD_TIMEOUT);
  afterAll(() => federation.close());
  beforeEach(async () => {
    const made = await hansetag(hamburg, anna.token, 'POST', 'meetings', { title: 'Deich', invite: [bert.userId] });
    roomId = String(at(made.body, 'roomId'));
    await eventually(
      () => hansetag(luebeck, bert.token, 'POST', meeting('answer'), { answer: 'accept' }),
      ({ status }) => status === 200,
    );
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  const room = (rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
  const meeting = (rest: string): string => `meetings/${encodeURIComponent(roomId)}/${rest}`;
  const say = async (user: TestUser, body: string): Promise<string> =>
    String(
      at(
        await user.must('PUT', room(`send/m.room.message/${crypto.randomUUID()}`), { msgtype: 'm.text', body }),
        'event_id',
      ),
    );
  async function open(server: TestHomeserver, user: Pick<TestUser, 'token'>): Promise<SessionClient> {
    const client = await SessionClient.open(server, user);
    clients.push(client);
    return client;
  }
  async function enter(server: TestHomeserver, user: Pick<TestUser, 'token'>): Promise<SessionClient> {
    const client = await open(server, user);
    await client.ask('conference.join', { roomId });
    return client;
  }
  async function guest(displayName: string): Promise<{ userId: string; token: string }> {
    const link = await hansetag(hamburg, anna.token, 'POST', meeting('links'), {});
    const token = String(at(link.body, 'url')).split('/').at(-1) ?? '';
    const { body } = await hansetag(hamburg, undefined, 'POST', `links/${token}/join`, { displayName });
    return { userId: String(at(body, 'session', 'userId')), token: String(at(body, 'session', 'accessToken')) };
  }

  it('tells guests apart in both organisations, whatever they say of themselves (U8)', async () => {
    const his = await enter(luebeck, bert);
    const stranger = await guest('Bert Brandt');
    const own = `${hamburg.url}/_matrix/${room(`state/m.room.member/${encodeURIComponent(stranger.userId)}`)}`;
    await fetch(own, {
      method: 'PUT',
      headers: { authorization: `Bearer ${stranger.token}` },
      body: JSON.stringify({ membership: 'join', displayname: 'Bert Brandt ', 'org.hansetag.guest': false }),
    });
    const theirs = await enter(hamburg, stranger);
    const joined = await his.hears('participant.joined', ({ userId }) => userId === stranger.userId);
    expect(joined).toEqual(jasmine.objectContaining({ displayName: 'Bert Brandt', guest: true, role: 'guest' }));
    await theirs.ask('chat.send', { roomId, transactionId: crypto.randomUUID(), body: 'Moin' });
    const message = await his.hears('chat.message', ({ sender }) => sender === stranger.userId);
    expect(message.guest).toBeTrue();
    const { messages } = await his.ask('chat.history', { roomId });
    expect(messages.map((each) => each.guest)).toEqual([true]);
    const { body } = await hansetag(luebeck, bert.token, 'GET', meeting(''));
    const members = at(body, 'members') as { userId: string; guest: boolean }[];
    expect(members.filter((each) => each.guest).map(({ userId }) => userId)).toEqual([stranger.userId]);
    expect((await his.ask('conference.join', { roomId })).participants.filter((each) => each.guest).length).toBe(1);
  });

  it('has no name that nobody can see: it is refused where it is written (U18)', async () => {
    for (const name of INVISIBLE) {
      const member = room(`state/m.room.member/${encodeURIComponent(anna.userId)}`);
      const content = { membership: 'join', displayname: name };
      expect((await anna.ask('PUT', member, content)).status).toBe(400);
      expect((await anna.ask('PUT', room('state/m.room.name/'), { name })).status).toBe(400);
      const profile = `client/v3/profile/${encodeURIComponent(anna.userId)}/displayname`;
      expect((await anna.ask('PUT', profile, { displayname: name })).status).toBe(400);
      expect((await hansetag(hamburg, anna.token, 'POST', 'meetings', { title: name })).status).toBe(400);
    }
  });

  it('shows names and titles of other servers made safe, wherever they stand (U18)', async () => {
    const peer = await Peer.start(federation);
    try {
      const mallory = peer.userId('mallory');
      await anna.must('PUT', room('state/m.room.join_rules/'), { join_rule: 'public' });
      const levels = (await anna.must('GET', room('state/m.room.power_levels/'))) as { users?: object };
      await anna.must('PUT', room('state/m.room.power_levels/'), {
        ...levels,
        users: { ...levels.users, [mallory]: 50 },
      });
      const joined = await peer.join(hamburg.serverName, roomId, mallory);
      const add = async (event: { type: string; state_key?: string; content: JsonObject }): Promise<void> => {
        const pdu = peer.event(joined, { sender: mallory, ...event });
        expect(JSON.stringify(Object.values(await peer.send(hamburg.serverName, [pdu])))).toBe('[{}]');
        Object.assign(joined, { last: eventId(pdu, joined.version), depth: pdu.depth });
        if (pdu.state_key !== undefined) joined.state.push(pdu);
      };
      const hers = await enter(hamburg, anna);
      await add({ type: 'm.room.member', state_key: mallory, content: { membership: 'join', displayname: FORGED } });
      await add({ type: 'm.room.name', state_key: '', content: { name: '\u202eDamm\u200b' } });
      await add({ type: 'm.room.message', content: { msgtype: 'm.text', body: 'Moin' } });
      await hers.hears('conference.changed', ({ title }) => title === 'Damm');
      const message = await hers.hears('chat.message', ({ sender }) => sender === mallory);
      expect(message.displayName).toBe('tdnarb treB (bert) Hamburg');
      const { body } = await hansetag(hamburg, anna.token, 'GET', meeting(''));
      expect(at(body, 'title')).toBe('Damm');
      expect(JSON.stringify(body)).not.toMatch(/\u202e|\u200b|\u25a0/);
      await add({ type: 'm.room.member', state_key: mallory, content: { membership: 'join', displayname: '\u3164' } });
      await add({ type: 'm.room.message', content: { msgtype: 'm.text', body: 'Noch mal' } });
      const next = await hers.hears('chat.message', ({ body: text }) => text === 'Noch mal');
      expect(next.displayName).toBe('mallory');
    } finally {
      await peer.close();
    }
  });

  it('keeps the name of who has left, and has no whole id for a name (U19)', async () => {
    await bert.must('PUT', `client/v3/profile/${encodeURIComponent(bert.userId)}/displayname`, {
      displayname: 'Bert Brandt',
    });
    const hers = await open(hamburg, anna);
    const history = async (): Promise<string[]> =>
      (await hers.ask('chat.history', { roomId })).messages.map((message) => message.displayName);
    await eventually(
      () => anna.must('GET', room(`state/m.room.member/${encodeURIComponent(bert.userId)}`)),
      (content) => at(content, 'displayname') === 'Bert Brandt',
    );
    await say(bert, 'Ich muss los');
    await eventually(history, (names) => names.length === 1);
    await bert.must('POST', room('leave'), {});
    await eventually(
      () => anna.must('GET', room('joined_members')),
      (members) => !JSON.stringify(members).includes(bert.userId),
    );
    expect(await history()).toEqual(['Bert Brandt']);
  });

  it('follows title, name, role and rights while the meeting runs (U20)', async () => {
    const [hers, his] = [await enter(hamburg, anna), await enter(luebeck, bert)];
    await anna.must('PUT', room('state/m.room.name/'), { name: 'Deich und Damm' });
    for (const client of [hers, his])
      await client.hears('conference.changed', ({ title }) => title === 'Deich und Damm');
    await anna.must('PUT', room(`state/m.room.member/${encodeURIComponent(anna.userId)}`), {
      membership: 'join',
      displayname: 'Anna Petersen',
    });
    for (const client of [hers, his]) {
      await client.hears('participant.changed', (each) => each.displayName === 'Anna Petersen');
    }
    const levels = (await anna.must('GET', room('state/m.room.power_levels/'))) as { users?: object };
    await anna.must('PUT', room('state/m.room.power_levels/'), {
      ...levels,
      users: { ...levels.users, [bert.userId]: 50 },
    });
    for (const client of [hers, his]) {
      await client.hears('participant.changed', ({ userId, role }) => userId === bert.userId && role === 'moderator');
    }
    expect((await his.hears('conference.changed', ({ rights }) => rights.includes('invite'))).title).toBe(
      'Deich und Damm',
    );
    expect((await his.ask('conference.join', { roomId })).title).toBe('Deich und Damm');
  });

  it('orders the chat as its own server does, whatever foreign clocks say (U9)', async () => {
    const peer = await Peer.start(federation);
    try {
      await anna.must('PUT', room('state/m.room.join_rules/'), { join_rule: 'public' });
      const mallory = peer.userId('mallory');
      const hers = await enter(hamburg, anna);
      const question = await say(anna, '1 Darf ich den Vertrag unterschreiben?');
      const joined = await peer.join(hamburg.serverName, roomId, mallory);
      const behind = peer.event(joined, {
        sender: mallory,
        type: 'm.room.message',
        content: { msgtype: 'm.text', body: '2 Nein' },
      });
      const answer = peer.sign({ ...behind, origin_server_ts: 1_000 }, joined.version);
      expect(JSON.stringify(Object.values(await peer.send(hamburg.serverName, [answer])))).toBe('[{}]');
      await hers.hears('chat.message', ({ body }) => body === '2 Nein');
      const last = await say(anna, '3 Gut');
      await hers.hears('chat.message', ({ eventId: id }) => id === last);
      const live = hers.told
        .filter(({ name }) => name === 'chat.message')
        .map(({ data }) => data as { position: [number, number]; body: string });
      const { messages } = await hers.ask('chat.history', { roomId });
      for (const list of [messages, live]) {
        const sorted = [...list].sort((a, b) => compareChatPositions(a.position, b.position));
        expect(sorted.map(({ body }) => body[0])).toEqual(['1', '2', '3']);
      }
      expect(messages[0]?.eventId).toBe(question);
      expect(messages[1]?.sentAt).toBe(1_000);
    } finally {
      await peer.close();
    }
  });

  it('is not broken by times of other servers that no calendar has (U3)', async () => {
    const times = { starts_at: 9e15, ends_at: -1, time_zone: 'Mars/Olympus' };
    await anna.must('PUT', room('state/org.hansetag.meeting/'), times);
    const clara = await luebeck.register(`clara${String(Date.now())}`);
    await hansetag(luebeck, clara.token, 'POST', 'meetings', { title: 'Eigenes' });
    await hansetag(hamburg, anna.token, 'POST', meeting('invitations'), { userIds: [clara.userId] });
    const { body } = await eventually(
      () => hansetag(luebeck, clara.token, 'GET', 'meetings'),
      (answer) => (at(answer.body, 'meetings') as unknown[]).length === 2,
    );
    const listed = at(body, 'meetings') as Meeting[];
    // The answer itself holds, not only what the client makes of it.
    expect(meetingListSchema.parse(body).meetings).toEqual(listed);
    const invitation = listed.find(({ membership }) => membership === 'invite');
    expect(invitation).toEqual(jasmine.objectContaining({ roomId, title: 'Deich' }));
    expect(invitation?.startsAt).toBeUndefined();
    expect(invitation?.endsAt).toBeUndefined();
    expect(invitation?.timeZone).toBeUndefined();
    expect(invitation?.host.userId).toBe(anna.userId);
    for (const startsAt of [9e15, -1, 253_402_300_800_000]) {
      const made = await hansetag(luebeck, clara.token, 'POST', 'meetings', { title: 'Später', startsAt });
      expect(made.status).toBe(400);
    }
    const turned = { title: 'Verkehrt', startsAt: 2_000, endsAt: 1_000 };
    expect((await hansetag(luebeck, clara.token, 'POST', 'meetings', turned)).status).toBe(400);
  });
});
