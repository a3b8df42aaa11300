/** Moderators mute and remove people of another organisation, between two homeservers with their media servers. */
import { MediaServer } from '../hostile/kit/media-server.ts';
import { SessionClient } from '../hostile/kit/session-client.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestUser } from '../support/homeservers.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';

describe('Moderation without trust: an order of a moderator', () => {
  const media: MediaServer[] = [];
  let federation: TestFederation;
  let roomId: string;
  let bertUser: TestUser;
  let annaUser: TestUser;
  /** Owns the meeting, at the first server. */
  let bert: SessionClient;
  /** Of the second server. */
  let anna: SessionClient;

  beforeAll(async () => {
    await workerBin();
    media.push(await MediaServer.start('127.0.0.2'), await MediaServer.start('127.0.0.3'));
    federation = await startHomeservers(2, (index) => media[index]?.settings ?? {});
    const [ours, theirs] = federation.servers;
    if (!ours || !theirs) throw new Error('Two servers are needed.');
    [bertUser, annaUser] = [await ours.register('bert'), await theirs.register('anna')];
  }, BUILD_TIMEOUT);
  beforeEach(async () => {
    const [ours, theirs] = federation.servers;
    if (!ours || !theirs) throw new Error('Two servers are needed.');
    const created = await bertUser.must('POST', 'client/v3/createRoom', {
      preset: 'private_chat',
      invite: [annaUser.userId],
      power_level_content_override: { events: { 'org.matrix.msc3401.call.member': 0 } },
    });
    roomId = String(at(created, 'room_id'));
    await eventually(
      () => annaUser.ask('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {}),
      ({ status }) => status === 200,
    );
    bert = await SessionClient.open(ours.url, bertUser.token);
    anna = await SessionClient.open(theirs.url, annaUser.token);
    await bert.join(roomId);
    await anna.join(roomId);
    await anna.publish('microphone');
    await seen(false);
  }, 60_000);
  afterEach(async () => {
    await Promise.all([bert.ask('conference.leave'), anna.ask('conference.leave')]);
    await Promise.all([bert.close(), anna.close()]);
  });
  afterAll(async () => {
    await federation.close();
    for (const each of media) await each.close();
  });

  const annaId = (): string => anna.snapshot?.me ?? '';
  /** Waits until bert is shown anna's microphone like this. */
  const seen = (paused: boolean): Promise<unknown> =>
    eventually(
      async () =>
        bert
          .heard('participant.changed')
          .filter((data) => at(data, 'participantId') === annaId())
          .map((data) => at(data, 'sources', 0, 'paused'))
          .at(-1),
      (state) => state === paused,
      20_000,
    );
  /** Whether bert's media server takes anna's microphone from the link; undefined when it has none. */
  const takenHere = (): boolean | undefined => {
    const found = media[0]
      ?.conference(roomId)
      ?.producers.find(({ participantId, source }) => participantId === annaId() && source === 'microphone');
    return found && !found.paused;
  };
  const listen = async (): Promise<void> => {
    await bert.watch([annaId()]);
    await eventually(
      async () => takenHere(),
      (taken) => taken === true,
      20_000,
    );
  };

  it('mutes somebody of another organisation, who is told by whom and may speak again', async () => {
    expect(await bert.must('moderation.mute', { participantIds: [annaId()] })).toEqual({ unreached: [] });
    const [told] = await eventually(
      async () => anna.heard('moderation.done'),
      (all) => all.length > 0,
    );
    expect(told).toEqual({ action: 'mute', by: 'bert', organisation: federation.servers[0]?.serverName });
    await seen(true);
    await anna.must('media.resume', { source: 'microphone' });
    await seen(false);
  }, 60_000);

  it('is carried out at the link when the organisation of the muted person does not comply', async () => {
    await listen();
    media[1]?.line.hold();
    try {
      await bert.must('moderation.mute', { participantIds: [annaId()] });
      await eventually(
        async () => takenHere(),
        (taken) => taken === false,
      );
      await seen(true);
      // It says nothing but that it goes on to send, now under another name: nothing of it is taken.
      expect(anna.heard('moderation.done')).toEqual([]);
    } finally {
      media[1]?.line.release();
    }
    await eventually(
      async () => anna.heard('moderation.done').length,
      (count) => count === 1,
    );
    await anna.must('media.resume', { source: 'microphone' });
    await eventually(
      async () => takenHere(),
      (taken) => taken === true,
    );
    await seen(false);
  }, 60_000);

  for (const [source, action] of [
    ['camera', 'camera-off'],
    ['screen', 'stop-share'],
  ] as const) {
    it(`ends the ${source} of somebody, also at the link while the organisation does not comply`, async () => {
      const taken = (): boolean =>
        media[0]
          ?.conference(roomId)
          ?.producers.some((one) => one.participantId === annaId() && one.source === source && !one.paused) === true;
      await anna.publish(source);
      await bert.watch([annaId()], source);
      await eventually(async () => taken(), Boolean, 20_000);
      media[1]?.line.hold();
      try {
        await bert.must(`moderation.${action}`, { participantIds: [annaId()] });
        await eventually(
          async () => taken(),
          (still) => !still,
        );
      } finally {
        media[1]?.line.release();
      }
      await eventually(
        async () => anna.heard('moderation.done').map((done) => at(done, 'action')),
        (actions) => actions.includes(action),
      );
    }, 60_000);
  }

  it('removes somebody of another organisation at once, who comes back when invited again and not before', async () => {
    await bert.must('moderation.remove', { participantIds: [annaId()] });
    const ended = await eventually(
      async () => anna.heard('conference.ended'),
      (all) => all.length > 0,
    );
    expect(ended).toEqual([{ reason: 'removed', by: 'bert', organisation: federation.servers[0]?.serverName }]);
    await eventually(
      async () => bert.heard('participant.left'),
      (all) => all.some((data) => at(data, 'participantId') === annaId() && at(data, 'reason') === 'removed'),
    );
    const back = await anna.ask('conference.join', { roomId });
    expect('error' in back ? back.error.code : back).toBe('forbidden');
    await bertUser.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/invite`, { user_id: annaUser.userId });
    await eventually(
      () => anna.ask('conference.join', { roomId }),
      (outcome) => 'result' in outcome,
    );
  }, 60_000);

  it('is refused to somebody without the right', async () => {
    await bert.publish('microphone');
    const bertId = bert.snapshot?.me ?? '';
    for (const [method, params] of [
      ['moderation.mute', { participantIds: [bertId] }],
      ['moderation.remove', { participantIds: [bertId] }],
    ] as const) {
      const outcome = await anna.ask(method, params);
      expect('error' in outcome ? outcome.error.code : outcome).toBe('forbidden');
    }
    expect(bert.heard('moderation.done')).toEqual([]);
  }, 60_000);
});
