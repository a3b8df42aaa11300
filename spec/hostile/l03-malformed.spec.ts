/** What no identifier, event or text can be is the asker's fault: 400, and never an answer that asks for the log. */
import { CAMERA } from '../sfu/support.ts';
import { at } from '../support/homeservers.ts';
import { MeetingPlace } from './kit/meeting.ts';
import type { Member } from './kit/meeting.ts';
import type { Outcome } from './kit/session-client.ts';

/** Texts of JSON that JSON.stringify can not write. */
const LONE = '"\\ud800"';
const NUL = '"a\\u0000b"';

describe('L3: malformed input', () => {
  let place: MeetingPlace;
  let anna: Member;
  let roomId: string;

  beforeAll(async () => {
    place = await MeetingPlace.start();
    anna = await place.register('anna');
    roomId = await place.meeting(anna);
  });
  afterAll(() => place.close());

  /** @param body as text */
  async function ask(method: string, path: string, body: string): Promise<{ status: number; body: unknown }> {
    const response = await fetch(place.server.url + path, {
      method,
      headers: { authorization: `Bearer ${anna.user.token}` },
      body,
    });
    return { status: response.status, body: await response.json() };
  }
  const code = (outcome: Outcome): string | undefined => ('error' in outcome ? outcome.error.code : undefined);

  it('of HTTP gets 400', async () => {
    const room = encodeURIComponent(roomId);
    const own = encodeURIComponent(anna.user.userId);
    const client = '/_matrix/client/v3';
    const list = '{"length":{"valueOf":1,"toString":{}}}';
    const cases: [string, string, string][] = [];
    for (const text of [LONE, NUL]) {
      cases.push(
        ['POST', `${client}/rooms/${room}/read_markers`, `{"m.read":${text}}`],
        ['POST', `${client}/rooms/${room}/read_markers`, `{"m.fully_read":${text}}`],
        ['POST', `${client}/rooms/${room}/receipt/m.read/$x`, `{"thread_id":${text}}`],
        ['PUT', `${client}/directory/room/${encodeURIComponent('#a:localhost')}`, `{"room_id":${text}}`],
        ['POST', `${client}/rooms/${room}/invite`, `{"user_id":${text}}`],
        ['POST', `${client}/rooms/${room}/kick`, `{"user_id":${text}}`],
        ['POST', `${client}/rooms/${room}/report/$x`, `{"reason":${text}}`],
        ['POST', `${client}/keys/upload`, `{"one_time_keys":{"x:${text.slice(1, -1)}":"k"}}`],
        ['POST', `${client}/pushers/set`, `{"app_id":${text},"pushkey":"a","kind":null}`],
      );
    }
    for (const path of [
      `${client}/rooms/${room}/receipt/m.read/a%00b`,
      `${client}/rooms/${room}/receipt/m.read/%ED%A0%80`,
      `${client}/join/a%00b`,
    ]) {
      cases.push(['POST', path, '{}']);
    }
    cases.push(
      ['POST', `${client}/createRoom`, `{"invite":${list}}`],
      ['POST', `${client}/createRoom`, `{"initial_state":${list}}`],
      ['POST', `${client}/createRoom`, `{"name":${list}}`],
      ['POST', '/_hansetag/client/v1/meetings', `{"title":"x","invite":${list}}`],
      ['POST', '/_hansetag/client/v1/meetings', `{"title":${list}}`],
      ['POST', `/_hansetag/client/v1/meetings/${room}/invitations`, `{"userIds":${list}}`],
      ['PUT', `${client}/pushrules/global/override/x`, `{"actions":${list}}`],
      ['POST', `${client}/user/${own}/filter`, `{"room":{"rooms":${list}}}`],
    );
    for (const [method, path, body] of cases) {
      const { status, body: answer } = await ask(method, path, body);
      expect(status)
        .withContext(`${method} ${path} ${body}: ${JSON.stringify(answer)}`)
        .toBeGreaterThanOrEqual(400);
      expect(status)
        .withContext(`${method} ${path} ${body}: ${JSON.stringify(answer)}`)
        .toBeLessThan(500);
    }
  });

  it('of invitations has a result of its own and loses none of the others', async () => {
    await place.register('bert');
    const [, server = ''] = /^@anna(:.*)$/.exec(anna.user.userId) ?? [];
    const userIds = [
      '@a:not a server',
      '@a:b..c',
      '@:x',
      '@a',
      `@bert${server}`,
      '@a:evil.example.',
      '@\u0000:x.example',
    ];
    const answer = await ask(
      'POST',
      `/_hansetag/client/v1/meetings/${encodeURIComponent(roomId)}/invitations`,
      JSON.stringify({ userIds }),
    );
    expect(answer.status).toBe(200);
    const outcomes = (at(answer.body, 'results') as unknown[]).map((result) => at(result, 'outcome'));
    expect(outcomes).toEqual(userIds.map((id) => (id.startsWith('@bert') ? 'invited' : 'bad-id')));
  });

  it('of a session gets bad-request, and a deep frame no more than that', async () => {
    const session = await anna.session();
    await session.join(roomId);
    const raw = (text: string): void => session.socket.send(text);
    const answers: unknown[] = [];
    session.socket.on('message', (data) => answers.push(JSON.parse(String(data))));
    const send = (id: number, params: string, method = 'chat.send'): void =>
      raw(`{"id":${String(id)},"method":"${method}","params":${params}}`);
    send(9001, `{"roomId":"${roomId}","transactionId":${NUL},"body":"x"}`);
    send(9002, `{"roomId":"!a\\u0000b","transactionId":"1","body":"x"}`);
    send(9003, `{"roomId":"${roomId}","before":${NUL}}`, 'chat.history');
    send(9004, '{"rtpCapabilities":{},"watch":{"length":{"valueOf":1,"toString":{}}}}', 'media.watch');
    const codes = new Map<unknown, unknown>();
    const deadline = Date.now() + 8_000;
    while (codes.size < 4 && Date.now() < deadline) {
      for (const answer of answers) {
        const id = at(answer, 'id');
        if (typeof id === 'number' && id > 9000) codes.set(id, at(answer, 'error', 'code'));
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect([...codes.keys()].sort()).toEqual([9001, 9002, 9003, 9004]);
    for (const value of codes.values())
      expect(['bad-request', 'not-found', 'forbidden', undefined]).toContain(value as string);
    // What can not be read at all ends the connection, and nothing else.
    for (const frame of [`{"id":1,"method":"chat.send","params":${LONE}}`, '['.repeat(100_000)]) {
      const next = await anna.session();
      const closed = new Promise<number>((resolve) => next.socket.once('close', resolve));
      next.socket.send(frame);
      expect(await closed).toBe(4002);
    }
    expect(code(await session.ask('ping'))).toBeUndefined();
  });

  it('of media that two sources share an SSRC is a conflict', async () => {
    const session = await anna.session();
    await session.join(roomId);
    expect(code(await session.publish('camera'))).toBeUndefined();
    const same = { transportId: session.media?.send.id ?? '', source: 'screen', rtpParameters: CAMERA, paused: false };
    expect(code(await session.ask('media.publish', same))).toBe('conflict');
  });
});
