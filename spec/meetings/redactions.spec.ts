import { at, eventually } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { hansetag, SessionClient, startMeetingServers } from '../support/meetings.ts';
import { Peer } from '../support/peer.ts';
import { BUILD_TIMEOUT } from '../sfu/support.ts';
import { eventId } from '../../federation/event.ts';

const SECRET_TEXT = 'Das Passwort ist Sommer2026';

describe('What was deleted', () => {
  let federation: TestFederation;
  let hamburg: TestHomeserver;
  let luebeck: TestHomeserver;
  let anna: TestUser;
  let bert: TestUser;
  let roomId: string;
  /** Of this very meeting: others are in the same lists. */
  let secretTitle: string;
  const clients: SessionClient[] = [];

  beforeAll(async () => {
    federation = await startMeetingServers(2);
    [hamburg, luebeck] = federation.servers as [TestHomeserver, TestHomeserver];
    anna = await hamburg.register('anna');
    bert = await luebeck.register('bert');
  }, BUILD_TIMEOUT);
  afterAll(() => federation.close());
  beforeEach(async () => {
    secretTitle = `Kündigung von Jens ${crypto.randomUUID()}`;
    const made = await hansetag(hamburg, anna.token, 'POST', 'meetings', {
      title: secretTitle,
      invite: [bert.userId],
    });
    roomId = String(at(made.body, 'roomId'));
    await eventually(
      () =>
        hansetag(luebeck, bert.token, 'POST', `meetings/${encodeURIComponent(roomId)}/answer`, { answer: 'accept' }),
      ({ status }) => status === 200,
    );
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  const room = (rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
  const redact = (user: TestUser, id: string): Promise<unknown> =>
    user.must('PUT', room(`redact/${encodeURIComponent(id)}/${crypto.randomUUID()}`), {});
  const send = async (user: TestUser, content: object): Promise<string> =>
    String(at(await user.must('PUT', room(`send/m.room.message/${crypto.randomUUID()}`), content), 'event_id'));
  const edit = (user: TestUser, id: string, body: string): Promise<string> =>
    send(user, {
      msgtype: 'm.text',
      body: `* ${body}`,
      'm.new_content': { msgtype: 'm.text', body },
      'm.relates_to': { rel_type: 'm.replace', event_id: id },
    });
  async function enter(server: TestHomeserver, user: TestUser): Promise<SessionClient> {
    const client = await SessionClient.open(server, user);
    clients.push(client);
    await client.ask('conference.join', { roomId });
    return client;
  }
  const bodies = async (client: SessionClient): Promise<string[]> =>
    (await client.ask('chat.history', { roomId })).messages.map(({ body }) => body);

  it('is gone from the chat of both organisations, live and in its history (U2)', async () => {
    const [hers, his] = [await enter(hamburg, anna), await enter(luebeck, bert)];
    const id = await send(anna, { msgtype: 'm.text', body: SECRET_TEXT });
    await his.hears('chat.message', (message) => message.eventId === id);
    await redact(anna, id);
    for (const client of [hers, his]) {
      await client.hears('chat.removed', (removed) => removed.eventId === id);
      expect(await bodies(client)).toEqual([]);
    }
  });

  it('is not in the title of a meeting any more, wherever one is shown (U2)', async () => {
    const his = await enter(luebeck, bert);
    const link = await hansetag(hamburg, anna.token, 'POST', `meetings/${encodeURIComponent(roomId)}/links`, {});
    const token = String(at(link.body, 'url')).split('/').at(-1) ?? '';
    const name = at(await anna.must('GET', room('state/m.room.name/?format=event')), 'event_id');
    await redact(anna, String(name));
    await his.hears('conference.changed', ({ title }) => title === '');
    const answers = [
      await hansetag(hamburg, anna.token, 'GET', 'meetings'),
      await hansetag(luebeck, bert.token, 'GET', 'meetings'),
      await hansetag(hamburg, anna.token, 'GET', `meetings/${encodeURIComponent(roomId)}`),
      await hansetag(hamburg, undefined, 'GET', `links/${token}`),
      await anna.ask('GET', room('state/m.room.name/')),
      await anna.ask('GET', room('state')),
      await anna.ask('GET', 'client/v3/sync'),
      await bert.ask('GET', 'client/v3/sync'),
      await anna.ask('GET', `client/v1/room_summary/${encodeURIComponent(roomId)}`),
    ];
    for (const { status, body } of answers) {
      expect(status).toBe(200);
      expect(JSON.stringify(body)).not.toContain(secretTitle);
    }
  });

  it('reaches no server that asks or that joins afterwards (U2)', async () => {
    const peer = await Peer.start(federation);
    try {
      await anna.must('PUT', room('state/m.room.join_rules/'), { join_rule: 'public' });
      const text = await send(anna, { msgtype: 'm.text', body: SECRET_TEXT });
      const name = String(at(await anna.must('GET', room('state/m.room.name/?format=event')), 'event_id'));
      await redact(anna, text);
      await redact(anna, name);
      const joined = await peer.join(hamburg.serverName, roomId, peer.userId('mallory'));
      const ask = (path: string): Promise<unknown> =>
        peer.client.request({ destination: hamburg.serverName, method: 'GET', path: `/_matrix/federation/v1/${path}` });
      const here = encodeURIComponent(roomId);
      const last = encodeURIComponent(joined.last);
      const answers = [
        joined.state,
        await ask(`event/${encodeURIComponent(text)}`),
        await ask(`event/${encodeURIComponent(name)}`),
        await ask(`state/${here}?event_id=${last}`),
        await ask(`backfill/${here}?v=${last}&limit=50`),
      ];
      for (const answer of answers) {
        expect(JSON.stringify(answer)).not.toContain(SECRET_TEXT);
        expect(JSON.stringify(answer)).not.toContain(secretTitle);
      }
      // What is left still is the event that was signed.
      expect(joined.state.map((pdu) => eventId(pdu, joined.version))).toContain(name);
    } finally {
      await peer.close();
    }
  });

  it('does not reach a server that was down when it was deleted (U2)', async () => {
    const peer = await Peer.start(federation);
    try {
      await anna.must('PUT', room('state/m.room.join_rules/'), { join_rule: 'public' });
      await peer.join(hamburg.serverName, roomId, peer.userId('mallory'));
      // It refuses everything until the message is deleted.
      const text = await send(anna, { msgtype: 'm.text', body: SECRET_TEXT });
      await eventually(
        () => Promise.resolve(peer.asked),
        (asked) => asked.some((path) => path.includes('/v1/send/')),
      );
      await redact(anna, text);
      const sent: string[] = [];
      peer.answer = (path, body) => {
        if (!path.includes('/v1/send/')) return undefined;
        sent.push(JSON.stringify(body));
        return { pdus: {} };
      };
      await eventually(
        () => Promise.resolve(sent.join()),
        (all) => all.includes('m.room.redaction'),
        30_000,
      );
      expect(sent.join()).toContain('m.room.message');
      expect(sent.join()).not.toContain(SECRET_TEXT);
    } finally {
      await peer.close();
    }
  }, 60_000);

  it('stays deleted when the deletion comes before the message (U2)', async () => {
    const peer = await Peer.start(federation);
    try {
      await anna.must('PUT', room('state/m.room.join_rules/'), { join_rule: 'public' });
      const mallory = peer.userId('mallory');
      const joined = await peer.join(hamburg.serverName, roomId, mallory);
      const message = peer.event(joined, {
        sender: mallory,
        type: 'm.room.message',
        content: { msgtype: 'm.text', body: SECRET_TEXT },
      });
      const id = eventId(message, joined.version);
      // The redaction is on a branch of its own, so that it needs nothing that has not come yet.
      const redaction = peer.event(joined, { sender: mallory, type: 'm.room.redaction', content: { redacts: id } });
      await peer.send(hamburg.serverName, [redaction]);
      await peer.send(hamburg.serverName, [message]);
      const event = await anna.must('GET', room(`event/${encodeURIComponent(id)}`));
      expect(at(event, 'content')).toEqual({});
      const hers = await enter(hamburg, anna);
      expect(await bodies(hers)).toEqual([]);
    } finally {
      await peer.close();
    }
  });

  it('an edit shows as the message itself, and its deletion brings back the first text', async () => {
    const [hers, his] = [await enter(hamburg, anna), await enter(luebeck, bert)];
    const id = await send(anna, { msgtype: 'm.text', body: 'Sitzung um 10 Uhr' });
    await his.hears('chat.message', (message) => message.eventId === id);
    const edited = await edit(anna, id, 'Sitzung um 11 Uhr');
    for (const client of [hers, his]) {
      const changed = await client.hears('chat.changed', (message) => message.eventId === id);
      expect(changed.body).toBe('Sitzung um 11 Uhr');
      expect(changed.editedAt).toBeGreaterThan(0);
      expect(client.told.filter(({ name }) => name === 'chat.message').length).toBe(1);
      const { messages } = await client.ask('chat.history', { roomId });
      expect(messages).toEqual([jasmine.objectContaining({ eventId: id, body: 'Sitzung um 11 Uhr' })]);
      expect(messages[0]?.editedAt).toBeDefined();
    }
    await redact(anna, edited);
    for (const client of [hers, his]) {
      const restored = await client.hears('chat.changed', ({ body }) => body === 'Sitzung um 10 Uhr');
      expect(restored.editedAt).toBeUndefined();
    }
  });

  it('an edit by somebody else, or of a deleted message, is nothing', async () => {
    const [hers, his] = [await enter(hamburg, anna), await enter(luebeck, bert)];
    const id = await send(anna, { msgtype: 'm.text', body: 'Ja' });
    await his.hears('chat.message', (message) => message.eventId === id);
    await edit(bert, id, 'Nein');
    const after = await send(bert, { msgtype: 'm.text', body: 'Gut' });
    await hers.hears('chat.message', (message) => message.eventId === after);
    expect(await bodies(hers)).toEqual(['Ja', 'Gut']);
    await redact(anna, id);
    await hers.hears('chat.removed', (removed) => removed.eventId === id);
    await edit(anna, id, 'Doch');
    const last = await send(anna, { msgtype: 'm.text', body: 'Ende' });
    await hers.hears('chat.message', (message) => message.eventId === last);
    expect(await bodies(hers)).toEqual(['Gut', 'Ende']);
    expect(hers.told.some(({ name }) => name === 'chat.changed')).toBeFalse();
  });
});
