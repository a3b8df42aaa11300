/** The chat of a meeting, between two organisations: what is sent, read back, and kept from whom. */
import { BUILD_TIMEOUT } from '../../sfu/support.ts';
import { at, eventually } from '../../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../../support/homeservers.ts';
import { hansetag, SessionClient, startMeetingServers } from '../../support/meetings.ts';

describe('Chat', () => {
  let federation: TestFederation;
  let hamburg: TestHomeserver;
  let luebeck: TestHomeserver;
  let anna: TestUser;
  let bert: TestUser;
  let roomId: string;
  let hers: SessionClient;
  let his: SessionClient;
  const clients: SessionClient[] = [];

  beforeAll(async () => {
    federation = await startMeetingServers(2);
    [hamburg, luebeck] = federation.servers as [TestHomeserver, TestHomeserver];
    [anna, bert] = [await hamburg.register('anna'), await luebeck.register('bert')];
  }, BUILD_TIMEOUT);
  afterAll(() => federation.close());
  beforeEach(async () => {
    const invite = [bert.userId];
    const { body } = await hansetag(hamburg, anna.token, 'POST', 'meetings', { title: 'Deich', invite });
    roomId = String(at(body, 'roomId'));
    const path = `meetings/${encodeURIComponent(roomId)}/answer`;
    await eventually(
      () => hansetag(luebeck, bert.token, 'POST', path, { answer: 'accept' }),
      ({ status }) => status === 200,
    );
    [hers, his] = [await enter(hamburg, anna), await enter(luebeck, bert)];
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  async function enter(server: TestHomeserver, user: TestUser): Promise<SessionClient> {
    const client = await SessionClient.open(server, user);
    clients.push(client);
    await client.ask('conference.join', { roomId });
    return client;
  }
  const send = async (from: SessionClient, body: string, transactionId: string = crypto.randomUUID()) =>
    (await from.ask('chat.send', { roomId, transactionId, body })).eventId;
  const heard = (client: SessionClient, eventId: string) =>
    client.hears('chat.message', (message) => message.eventId === eventId);
  const bodies = async (client: SessionClient): Promise<string[]> =>
    (await client.ask('chat.history', { roomId })).messages.map(({ body }) => body);
  const toldOf = (client: SessionClient, eventId: string): number =>
    client.told.filter(({ name, data }) => name === 'chat.message' && at(data, 'eventId') === eventId).length;

  it('has a message once, however often it is sent, and only its sender learns which of his it is', async () => {
    const transactionId = crypto.randomUUID();
    const sent = await Promise.all([1, 2, 3].map(() => send(hers, 'Moin', transactionId)));
    const [eventId = ''] = sent;
    expect(new Set(sent).size).toBe(1);
    expect((await heard(hers, eventId)).transactionId).toBe(transactionId);
    const received = await heard(his, eventId);
    expect(received).toEqual(
      jasmine.objectContaining({
        sender: anna.userId,
        displayName: 'anna',
        organisation: hamburg.serverName,
        guest: false,
        body: 'Moin',
      }),
    );
    expect(received.transactionId).toBeUndefined();
    const last = await send(hers, 'Ende');
    await heard(his, last);
    expect([toldOf(hers, eventId), toldOf(his, eventId)]).toEqual([1, 1]);
    expect(await bodies(his)).toEqual(['Moin', 'Ende']);
  });

  it('is read from its end backwards, each message once and in the order in which it was said', async () => {
    const said = ['eins', 'zwei', 'drei', 'vier', 'fünf'];
    let last = '';
    for (const body of said) last = await send(hers, body);
    await heard(his, last);
    const pages: string[][] = [];
    let before: string | undefined;
    do {
      const page = await his.ask('chat.history', { roomId, limit: 2, ...(before === undefined ? {} : { before }) });
      pages.unshift(page.messages.map(({ body }) => body));
      before = page.next;
    } while (before !== undefined && pages.length < 20);
    expect(pages.flat()).toEqual(said);
    expect(pages.at(-1)).toEqual(['vier', 'fünf']);
  });

  it('shows nothing of whom one does not want to hear, live or later, and others do hear them', async () => {
    const path = `client/v3/user/${encodeURIComponent(bert.userId)}/account_data/m.ignored_user_list`;
    const ignore = (ignored: object): Promise<unknown> => bert.must('PUT', path, { ignored_users: ignored });
    await ignore({ [anna.userId]: {} });
    try {
      const unwanted = await send(hers, 'Unerwünscht');
      await heard(hers, unwanted);
      const own = await send(his, 'Eigenes');
      await heard(hers, own);
      await heard(his, own);
      expect(toldOf(his, unwanted)).toBe(0);
      expect(await bodies(his)).toEqual(['Eigenes']);
      // Neither was written in answer to the other: either may come first.
      expect((await bodies(hers)).sort()).toEqual(['Eigenes', 'Unerwünscht']);
    } finally {
      await ignore({});
    }
    expect((await bodies(his)).sort()).toEqual(['Eigenes', 'Unerwünscht']);
  });

  it('is not for people outside: they read nothing and say nothing', async () => {
    await send(hers, 'Vertraulich');
    const jens = await hamburg.register(`jens-${crypto.randomUUID()}`);
    const outside = await SessionClient.open(hamburg, jens);
    clients.push(outside);
    await expectAsync(outside.ask('chat.history', { roomId })).toBeRejected();
    await expectAsync(send(outside, 'Hallo')).toBeRejected();
    expect(await bodies(hers)).toEqual(['Vertraulich']);
  });

  it('keeps the name of who has left since', async () => {
    const eventId = await send(his, 'Ich gehe');
    await heard(hers, eventId);
    await bert.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/leave`, {});
    await hers.hears('participant.left', ({ participantId }) => participantId.startsWith(bert.userId));
    const { messages } = await hers.ask('chat.history', { roomId });
    expect(messages.map(({ displayName, body }) => [displayName, body])).toEqual([['bert', 'Ich gehe']]);
  });
});
