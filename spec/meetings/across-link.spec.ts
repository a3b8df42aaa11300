/** Two homeservers with their media servers: what is published here can be watched there, and ends there. */
import { MediaServer } from '../hostile/kit/media-server.ts';
import { SessionClient } from '../hostile/kit/session-client.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestUser } from '../support/homeservers.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';

describe('A source of another organisation', () => {
  const media: MediaServer[] = [];
  let federation: TestFederation;
  let roomId: string;
  let users: [TestUser, TestUser];
  let bert: SessionClient;
  let anna: SessionClient;

  beforeAll(async () => {
    await workerBin();
    media.push(await MediaServer.start('127.0.0.2'), await MediaServer.start('127.0.0.3'));
    federation = await startHomeservers(2, (index) => media[index]?.settings ?? {});
    const [ours, theirs] = federation.servers;
    if (!ours || !theirs) throw new Error('Two servers are needed.');
    users = [await ours.register('bert'), await theirs.register('anna')];
    const created = await users[0].must('POST', 'client/v3/createRoom', {
      preset: 'public_chat',
      power_level_content_override: { events: { 'org.matrix.msc3401.call.member': 0 } },
    });
    roomId = String(at(created, 'room_id'));
    const via = `?server_name=${encodeURIComponent(ours.serverName)}`;
    await users[1].must('POST', `client/v3/join/${encodeURIComponent(roomId)}${via}`, {});
    bert = await SessionClient.open(ours.url, users[0].token);
    anna = await SessionClient.open(theirs.url, users[1].token);
    await bert.join(roomId);
    await anna.join(roomId);
  }, BUILD_TIMEOUT);
  afterAll(async () => {
    await bert.close();
    await anna.close();
    await federation.close();
    for (const each of media) await each.close();
  });

  const added = (client: SessionClient, source: string): unknown[] =>
    client.heard('consumer.added').filter((data) => at(data, 'source') === source);
  const linksOf = (index: number): number => media[index]?.conference(roomId)?.links.length ?? 0;

  it('is received when it is watched, is seen paused, and ends for the watcher when it ends', async () => {
    const bertId = bert.snapshot?.me ?? '';
    const annaId = anna.snapshot?.me ?? '';
    const [atAnna, atBert] = [added(anna, 'microphone').length, added(bert, 'microphone').length];
    expect('result' in (await bert.publish('microphone'))).toBeTrue();
    await anna.watch([bertId]);
    await eventually(
      async () => added(anna, 'microphone').length,
      (count) => count > atAnna,
      20_000,
    );
    expect('result' in (await anna.publish('microphone'))).toBeTrue();
    await bert.watch([annaId]);
    await eventually(
      async () => added(bert, 'microphone').length,
      (count) => count > atBert,
      20_000,
    );

    await bert.must('media.pause', { source: 'microphone' });
    const paused = (data: unknown): unknown =>
      at(data, 'participantId') === bertId ? at(data, 'sources', 0, 'paused') : undefined;
    await eventually(
      async () => anna.heard('participant.changed').map(paused).at(-1),
      (state) => state === true,
    );
    const removed = anna.heard('consumer.removed').length;
    await bert.must('media.unpublish', { source: 'microphone' });
    await eventually(
      async () => anna.heard('consumer.removed').length,
      (count) => count > removed,
    );
    const before = added(anna, 'microphone').length;
    await bert.publish('microphone');
    await eventually(
      async () => added(anna, 'microphone').length,
      (count) => count === before + 1,
    );
  }, 60_000);

  it('comes again when its own homeserver was away, and the link goes with the last participant', async () => {
    await bert.publish('microphone');
    await anna.watch([bert.snapshot?.me ?? '']);
    await eventually(
      async () => linksOf(0),
      (count) => count === 1,
      20_000,
    );
    media[1]?.line.cut();
    await eventually(
      async () => linksOf(0),
      (count) => count === 1,
      20_000,
    );
    await anna.ask('conference.leave');
    await eventually(
      async () => [linksOf(0), linksOf(1)],
      ([here, there]) => here === 0 && there === 0,
    );
    // Where its line was cut just then, it is closed when the line is there again.
    await eventually(
      async () => media[1]?.conference(roomId),
      (conference) => conference === undefined,
    );
    const before = added(anna, 'microphone').length;
    await anna.join(roomId);
    await anna.watch([bert.snapshot?.me ?? '']);
    await eventually(
      async () => added(anna, 'microphone').length,
      (count) => count === before + 1,
      20_000,
    );
  }, 60_000);
});
