import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';

describe('What a homeserver says it can do', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let anna: TestUser;
  let roomId: string;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    [server] = federation.servers as [TestHomeserver];
    anna = await server.register('anna');
    roomId = String(at(await anna.must('POST', 'client/v3/createRoom', { preset: 'public_chat' }), 'room_id'));
  });
  afterAll(async () => {
    await federation.close();
  });

  /** For each proposal, whether what clients use by its unstable names is there. */
  const proofs: Readonly<Record<string, () => Promise<boolean>>> = {
    'org.matrix.msc3440.stable': () => answers('GET', `client/v1/rooms/${room()}/threads`),
    'org.matrix.msc3874': async () => {
      const filter = encodeURIComponent(JSON.stringify({ 'org.matrix.msc3874.rel_types': ['m.thread'] }));
      const path = `client/v3/rooms/${room()}/messages?dir=b&filter=${filter}`;
      return at(await anna.must('GET', path), 'chunk', 0) === undefined;
    },
    'im.nheko.summary': () => answers('GET', `client/unstable/im.nheko.summary/summary/${room()}`),
    'uk.half-shot.msc2666.query_mutual_rooms': async () => {
      const other = await server.register('bert');
      const path = 'client/unstable/uk.half-shot.msc2666/user/mutual_rooms';
      return answers('GET', `${path}?user_id=${encodeURIComponent(other.userId)}`);
    },
    'org.matrix.msc4354': async () => {
      const path = `client/v3/rooms/${room()}/send/org.example.sticky/1?org.matrix.msc4354.sticky_duration_ms=60000`;
      const id = at(await anna.must('PUT', path, {}), 'event_id');
      const event = await anna.must('GET', `client/v3/rooms/${room()}/event/${encodeURIComponent(String(id))}`);
      return at(event, 'msc4354_sticky', 'duration_ms') === 60_000;
    },
    'org.matrix.msc4155': async () => {
      const type = 'org.matrix.msc4155.invite_permission_config';
      const wary = await server.register('clara');
      await wary.must('PUT', `client/v3/user/${encodeURIComponent(wary.userId)}/account_data/${type}`, {
        enabled: true,
        blocked_users: [anna.userId],
      });
      const answer = await anna.ask('POST', `client/v3/rooms/${room()}/invite`, { user_id: wary.userId });
      return answer.status === 403;
    },
    'org.matrix.msc3391': async () => {
      const path = `user/${encodeURIComponent(anna.userId)}/account_data/org.example.note`;
      await anna.must('PUT', `client/v3/${path}`, { text: 'gone soon' });
      await anna.must('DELETE', `client/unstable/org.matrix.msc3391/${path}`);
      return (await anna.ask('GET', `client/v3/${path}`)).status === 404;
    },
    'com.beeper.msc4169': async () => {
      const send = (type: string, content: object) =>
        anna.must('PUT', `client/v3/rooms/${room()}/send/${type}/${type}`, content);
      const redacts = String(at(await send('m.room.message', { body: 'oops' }), 'event_id'));
      await send('m.room.redaction', { redacts });
      const gone = await anna.must('GET', `client/v3/rooms/${room()}/event/${encodeURIComponent(redacts)}`);
      return at(gone, 'content', 'body') === undefined;
    },
    'org.matrix.msc4140': () => answers('GET', 'client/unstable/org.matrix.msc4140/delayed_events'),
  };
  const room = (): string => encodeURIComponent(roomId);
  const answers = async (method: string, path: string): Promise<boolean> =>
    (await anna.ask(method, path)).status === 200;

  it('announces proposals only that are there under their names', async () => {
    const { body } = await server.ask('GET', 'client/versions');
    const features = at(body, 'unstable_features') as Record<string, boolean>;
    for (const [name, on] of Object.entries(features)) {
      if (!on) continue;
      const proof = proofs[name];
      expect(proof).withContext(`${name} has no proof here`).toBeDefined();
      expect(await proof?.())
        .withContext(name)
        .toBeTrue();
    }
  });

  it('announces no followed threads as long as push rules know none', async () => {
    const features = at((await server.ask('GET', 'client/versions')).body, 'unstable_features');
    const rules = at(await anna.must('GET', 'client/v3/pushrules/'), 'global', 'postcontent');
    expect(rules).toBeUndefined();
    expect(at(features, 'io.element.msc4306')).not.toBe(true);
  });

  it('says of an unknown kind of push rules that there is none', async () => {
    for (const [method, path, body] of [
      ['GET', 'postcontent/', undefined],
      ['GET', 'postcontent/one', undefined],
      ['PUT', 'postcontent/one', { actions: ['notify'] }],
      ['DELETE', 'postcontent/one', undefined],
      ['GET', 'postcontent/one/enabled', undefined],
      ['PUT', 'postcontent/one/enabled', { enabled: true }],
      ['GET', 'postcontent/one/actions', undefined],
      ['PUT', 'postcontent/one/actions', { actions: [] }],
    ] as const) {
      const answer = await anna.ask(method, `client/v3/pushrules/global/${path}`, body);
      expect([answer.status, at(answer.body, 'errcode')])
        .withContext(`${method} ${path}`)
        .toEqual([404, 'M_NOT_FOUND']);
    }
  });
});
