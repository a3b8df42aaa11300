import { at, startHomeservers } from '../support/homeservers.ts';
import type { Answer, TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';

/** Room versions that say what a redaction redacts beside the content, and in it. */
const VERSIONS = ['1', '6', '10', '11', '12'];

describe('Redactions that are sent like any other event', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let anna: TestUser;
  let bert: TestUser;
  let counter = 0;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    [server] = federation.servers as [TestHomeserver];
    [anna, bert] = await Promise.all([server.register('anna'), server.register('bert')]);
  });
  afterAll(async () => {
    await federation.close();
  });

  const path = (roomId: string, rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
  const transaction = (): string => `t${String((counter += 1))}`;
  /** A room of Anna's in which Bert is as well. */
  async function room(version?: string): Promise<string> {
    const options = { preset: 'public_chat', ...(version === undefined ? {} : { room_version: version }) };
    const roomId = String(at(await anna.must('POST', 'client/v3/createRoom', options), 'room_id'));
    await bert.must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
    return roomId;
  }
  async function say(person: TestUser, roomId: string): Promise<string> {
    const said = await person.must('PUT', path(roomId, `send/m.room.message/${transaction()}`), { body: 'oops' });
    return String(at(said, 'event_id'));
  }
  const redact = (person: TestUser, roomId: string, content: object, id = transaction()): Promise<Answer> =>
    person.ask('PUT', path(roomId, `send/m.room.redaction/${id}`), content);
  const event = (roomId: string, id: string): Promise<unknown> =>
    anna.must('GET', path(roomId, `event/${encodeURIComponent(id)}`));
  const refusal = ({ status, body }: Answer): unknown[] => [status, at(body, 'errcode')];

  it('take back a message, in rooms of every version', async () => {
    for (const version of VERSIONS) {
      const roomId = await room(version);
      const message = await say(bert, roomId);
      const { status, body } = await redact(bert, roomId, { redacts: message, reason: 'typo' });
      expect(status).withContext(version).toBe(200);
      const gone = await event(roomId, message);
      expect(at(gone, 'content')).withContext(version).toEqual({});
      expect(at(gone, 'unsigned', 'redacted_because', 'event_id')).toBe(at(body, 'event_id'));
      const redaction = await event(roomId, String(at(body, 'event_id')));
      expect(at(redaction, 'redacts')).withContext(version).toBe(message);
      expect(at(redaction, 'content', 'reason'))
        .withContext(version)
        .toBe('typo');
    }
  });

  it('may be of what others wrote with the level for it only, by whatever way they come', async () => {
    const delayed = 'org.matrix.msc4140';
    for (const version of ['10', '12']) {
      const roomId = await room(version);
      const message = await say(anna, roomId);
      const content = { redacts: message };
      const later = await bert.must(
        'PUT',
        path(roomId, `send/m.room.redaction/${transaction()}?${delayed}.delay=60000`),
        content,
      );
      const tries: [string, string, object][] = [
        ['PUT', path(roomId, `send/m.room.redaction/${transaction()}`), content],
        ['POST', path(roomId, 'send/m.room.redaction'), content],
        ['PUT', path(roomId, `redact/${encodeURIComponent(message)}/${transaction()}`), {}],
        ['POST', `client/unstable/${delayed}/delayed_events/${String(at(later, 'delay_id'))}/send`, {}],
      ];
      for (const [method, address, body] of tries) {
        expect(refusal(await bert.ask(method, address, body)))
          .withContext(`${version} ${address}`)
          .toEqual([403, 'M_FORBIDDEN']);
      }
      expect(at(await event(roomId, message), 'content', 'body'))
        .withContext(version)
        .toBe('oops');

      const berts = await say(bert, roomId);
      expect((await redact(anna, roomId, { redacts: berts })).status).toBe(200);
      expect(at(await event(roomId, berts), 'content')).toEqual({});
    }
  });

  it('can not be state by which others lose what they wrote', async () => {
    const roomId = await room();
    await anna.must('PUT', path(roomId, 'state/m.room.power_levels'), {
      ...((await anna.must('GET', path(roomId, 'state/m.room.power_levels'))) as object),
      state_default: 0,
    });
    const message = await say(anna, roomId);
    const refused = await bert.ask('PUT', path(roomId, 'state/m.room.redaction/x'), { redacts: message });
    expect(refusal(refused)).toEqual([403, 'M_FORBIDDEN']);
    expect(at(await event(roomId, message), 'content', 'body')).toBe('oops');
  });

  it('name an event of their room', async () => {
    const [roomId, other] = [await room(), await room('10')];
    const message = await say(bert, other);
    for (const content of [
      {},
      { redacts: 7 },
      { redacts: 'x' },
      { redacts: `$${'x'.repeat(255)}` },
      { redacts: null },
    ]) {
      for (const id of [roomId, other]) {
        expect(refusal(await redact(bert, id, content)))
          .withContext(JSON.stringify(content).slice(0, 40))
          .toEqual([400, 'M_BAD_JSON']);
      }
    }
    expect(refusal(await redact(bert, roomId, { redacts: message }))).toEqual([400, 'M_INVALID_PARAM']);
    expect(refusal(await redact(bert, other, { redacts: message, reason: 'x'.repeat(1001) }))).toEqual([
      400,
      'M_BAD_JSON',
    ]);
    expect(at(await event(other, message), 'content', 'body')).toBe('oops');
  });

  it('are sent once for a transaction', async () => {
    const roomId = await room();
    const content = { redacts: await say(bert, roomId) };
    const [first, again] = [await redact(bert, roomId, content, 'same'), await redact(bert, roomId, content, 'same')];
    expect(at(again.body, 'event_id')).toBe(at(first.body, 'event_id'));
  });
});
