/** The rules of a meeting, between two homeservers with their media servers. */
import { MediaServer } from '../../hostile/kit/media-server.ts';
import { type Outcome, SessionClient } from '../../hostile/kit/session-client.ts';
import type { Source } from '../../../protocol/media.ts';
import type { RestrictionName } from '../../../protocol/modules/rules.ts';
import { at, eventually, startHomeservers } from '../../support/homeservers.ts';
import type { TestFederation, TestUser } from '../../support/homeservers.ts';
import { hansetag } from '../../support/meetings.ts';
import { BUILD_TIMEOUT, workerBin } from '../../sfu/support.ts';

const codeOf = (outcome: Outcome): unknown => ('error' in outcome ? outcome.error.code : outcome.result);

describe('Mute / mic restriction, screen share + permission: the rules of a meeting', () => {
  const media: MediaServer[] = [];
  let federation: TestFederation;
  let roomId: string;
  let bertUser: TestUser;
  let carlUser: TestUser;
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
    bertUser = await ours.register('bert');
    [annaUser, carlUser] = [await theirs.register('anna'), await theirs.register('carl')];
  }, BUILD_TIMEOUT);
  beforeEach(async () => {
    const [ours, theirs] = federation.servers;
    if (!ours || !theirs) throw new Error('Two servers are needed.');
    const invite = [annaUser.userId, carlUser.userId];
    const made = await hansetag(ours, bertUser.token, 'POST', 'meetings', { title: 'Deich', invite });
    roomId = String(at(made.body, 'roomId'));
    for (const { ask } of [annaUser, carlUser]) {
      await eventually(
        () => ask('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {}),
        ({ status }) => status === 200,
      );
    }
    bert = await SessionClient.open(ours.url, bertUser.token);
    anna = await SessionClient.open(theirs.url, annaUser.token);
    await bert.join(roomId);
    await anna.join(roomId);
  }, 60_000);
  afterEach(async () => {
    await Promise.all([bert.ask('conference.leave'), anna.ask('conference.leave')]);
    await Promise.all([bert.close(), anna.close()]);
  });
  afterAll(async () => {
    await federation.close();
    for (const each of media) await each.close();
  });

  /** Sets a restriction, and waits until somebody has been told. */
  async function restrict(rule: RestrictionName, restricted: boolean, allow: readonly string[] = []): Promise<void> {
    await bert.must('rules.set', { rule, value: { restricted, allow } });
    for (const who of [anna, bert]) {
      await eventually(
        async () => at(who.heard('rules.changed').at(-1), rule),
        (now) => at(now, 'restricted') === restricted && JSON.stringify(at(now, 'allow')) === JSON.stringify(allow),
      );
    }
  }
  /** What Anna's own media server has of a source of hers. */
  const held = (source: Source): 'flows' | 'paused' | 'none' => {
    const found = media[1]
      ?.conference(roomId)
      ?.producers.find((one) => one.participantId === anna.snapshot?.me && one.source === source);
    return found ? (found.paused ? 'paused' : 'flows') : 'none';
  };
  const until = (source: Source, wanted: 'flows' | 'paused' | 'none'): Promise<unknown> =>
    eventually(
      async () => held(source),
      (now) => now === wanted,
    );
  /** A screen beside the camera: with a stream of its own. */
  const share = (): object => {
    const { rtpParameters, ...rest } = anna.publication('screen');
    const encodings = (rtpParameters.encodings ?? []).map((_one, index) => ({ ssrc: 7_000 + index }));
    return { ...rest, rtpParameters: { ...rtpParameters, encodings } };
  };
  /** How Anna's source is shown to Bert. */
  const shown = (source: Source): unknown => {
    const last = bert
      .heard('participant.changed')
      .filter((data) => at(data, 'participantId') === anna.snapshot?.me)
      .at(-1);
    return (at(last, 'sources') as { source: Source; paused: boolean }[]).find((one) => one.source === source)?.paused;
  };

  it('pause microphone and camera, end a shared screen, and let no client go on, until they are lifted', async () => {
    for (const source of ['microphone', 'camera'] as const) await anna.publish(source);
    await anna.must('media.publish', share());
    for (const source of ['microphone', 'camera', 'screen'] as const) await until(source, 'flows');
    await restrict('microphone', true);
    await restrict('camera', true);
    await restrict('screen', true);
    await until('microphone', 'paused');
    await until('camera', 'paused');
    await until('screen', 'none');
    const told = await eventually(
      async () => anna.heard('rules.stopped'),
      (all) => all.length === 3,
    );
    const by = { by: 'bert', organisation: federation.servers[0]?.serverName };
    expect(told).toEqual(
      jasmine.arrayWithExactContents(
        ['microphone', 'camera', 'screen'].map((source) => jasmine.objectContaining({ source, ...by })),
      ),
    );
    await eventually(
      async () => [shown('microphone'), shown('camera'), shown('screen')],
      (now) => JSON.stringify(now) === JSON.stringify([true, true, undefined]),
    );
    // A client that pays no heed to any of this.
    for (let turn = 0; turn < 3; turn += 1) {
      for (const source of ['microphone', 'camera'] as const) {
        expect(codeOf(await anna.ask('media.resume', { source }))).toBe('forbidden');
        expect(codeOf(await anna.publish(source))).toBe('forbidden');
      }
      for (const source of ['screen', 'screen-audio'] as const) {
        expect(codeOf(await anna.publish(source))).toBe('forbidden');
      }
    }
    expect([held('microphone'), held('camera'), held('screen')]).toEqual(['paused', 'paused', 'none']);
    // Owners and moderators are under no rule.
    expect('result' in (await bert.publish('microphone'))).toBeTrue();
    for (const rule of ['microphone', 'camera', 'screen'] as const) await restrict(rule, false);
    await anna.must('media.resume', { source: 'microphone' });
    await until('microphone', 'flows');
    expect('result' in (await anna.ask('media.publish', share()))).toBeTrue();
  }, 90_000);

  it('let those named in a list go on, and stop them when they are not named any more', async () => {
    await anna.publish('microphone');
    await restrict('microphone', true, [annaUser.userId]);
    await until('microphone', 'flows');
    expect(anna.heard('rules.stopped')).toEqual([]);
    await restrict('microphone', true);
    await until('microphone', 'paused');
  }, 60_000);

  it('stop a moderator who is one no longer', async () => {
    const level = async (users: Record<string, number>): Promise<void> => {
      const path = `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.power_levels`;
      const levels = await bertUser.must('GET', path);
      await bertUser.must('PUT', path, { ...(levels as object), users });
    };
    await level({ [bertUser.userId]: 100, [annaUser.userId]: 50 });
    await eventually(
      async () => anna.heard('conference.changed').length,
      (count) => count > 0,
    );
    await restrict('microphone', true);
    await anna.publish('microphone');
    await until('microphone', 'flows');
    await level({ [bertUser.userId]: 100 });
    await until('microphone', 'paused');
  }, 60_000);

  it('come to every source that is published or resumed in the very moment in which they begin', async () => {
    await anna.publish('microphone');
    for (let turn = 0; turn < 4; turn += 1) {
      await Promise.all([
        bert.must('rules.set', { rule: 'microphone', value: { restricted: true, allow: [] } }),
        ...[1, 2, 3, 4].map((index) =>
          index % 2 === 0 ? anna.publish('microphone') : anna.ask('media.resume', { source: 'microphone' }),
        ),
      ]);
      await eventually(
        async () => held('microphone'),
        (now) => now !== 'flows',
      );
      expect(codeOf(await anna.ask('media.resume', { source: 'microphone' }))).not.toEqual({});
      expect(held('microphone')).not.toBe('flows');
      await restrict('microphone', false);
      await anna.publish('microphone');
    }
  }, 90_000);

  it('refuse chat, hands and reactions, also of a Matrix client, and lower hands that are up', async () => {
    await anna.must('hands.raise');
    const hand = async (): Promise<unknown> => {
      const changes = bert.heard('participant.changed').filter((one) => at(one, 'participantId') === anna.snapshot?.me);
      return at(changes.at(-1), 'signals', 'hand') !== undefined;
    };
    await eventually(hand, (up) => up === true);
    for (const rule of ['chat', 'hands', 'reactions'] as const) await restrict(rule, true);
    await eventually(hand, (up) => up === false);
    expect(codeOf(await anna.ask('hands.raise'))).toBe('forbidden');
    expect(codeOf(await anna.ask('reactions.send', { reaction: 'clap' }))).toBe('forbidden');
    const message = { roomId, transactionId: 'a', body: 'hallo' };
    expect(codeOf(await anna.ask('chat.send', message))).toBe('forbidden');
    const path = `client/v3/rooms/${encodeURIComponent(roomId)}/send`;
    for (const type of ['m.room.message', 'm.sticker', 'm.reaction', 'm.room.encrypted']) {
      const sent = await annaUser.ask('PUT', `${path}/${type}/1`, { msgtype: 'm.text', body: 'hallo' });
      expect([sent.status, at(sent.body, 'errcode')])
        .withContext(type)
        .toEqual([403, 'M_FORBIDDEN']);
    }
    expect('result' in (await bert.ask('chat.send', message))).toBeTrue();
    await restrict('chat', true, [annaUser.userId]);
    expect('result' in (await anna.ask('chat.send', message))).toBeTrue();
  }, 60_000);

  it('are what the room resolves to when two moderators set them at once, and both are shown that', async () => {
    const levels = await bertUser.must(
      'GET',
      `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.power_levels`,
    );
    await bertUser.must('PUT', `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.power_levels`, {
      ...(levels as object),
      users: { [bertUser.userId]: 100, [annaUser.userId]: 50 },
    });
    await eventually(
      async () => anna.heard('conference.changed').length,
      (count) => count > 0,
    );
    for (let turn = 0; turn < 5; turn += 1) {
      await Promise.all([
        bert.ask('rules.set', { rule: 'camera', value: { restricted: true, allow: [`@b${String(turn)}:x.example`] } }),
        anna.ask('rules.set', { rule: 'camera', value: { restricted: turn % 2 === 0, allow: [] } }),
      ]);
    }
    const path = `client/v3/rooms/${encodeURIComponent(roomId)}/state/org.hansetag.setting.camera`;
    await eventually(
      async () =>
        [
          await bertUser.must('GET', path),
          await annaUser.must('GET', path),
          at(bert.heard('rules.changed').at(-1), 'camera'),
          at(anna.heard('rules.changed').at(-1), 'camera'),
        ].map((rule) => JSON.stringify([at(rule, 'restricted'), at(rule, 'allow')])),
      (all) => new Set(all).size === 1,
    );
  }, 60_000);

  it('with ten thousand people in a list are refused, and the session goes on', async () => {
    const allow = Array.from({ length: 10_000 }, (_, index) => `@p${String(index)}:a.de`);
    const refused = await bert.ask('rules.set', { rule: 'chat', value: { restricted: true, allow } });
    expect(at(refused, 'error', 'code')).toBe('bad-request');
    expect(at(refused, 'error', 'message')).toContain('names more than 500 people');
    const [ours] = federation.servers;
    if (!ours) throw new Error('A server is needed.');
    const path = `meetings/${encodeURIComponent(roomId)}/rules`;
    const byHttp = await hansetag(ours, bertUser.token, 'PUT', `${path}/chat`, { restricted: true, allow });
    expect([byHttp.status, at(byHttp.body, 'error')]).toEqual([400, 'allow: names more than 500 people']);
    expect((await hansetag(ours, bertUser.token, 'PUT', `${path}/doors`, {})).status).toBe(404);
    expect((await hansetag(ours, bertUser.token, 'PUT', `${path}/lock`, { locked: true })).status).toBe(200);
    const details = await hansetag(ours, bertUser.token, 'GET', `meetings/${encodeURIComponent(roomId)}`);
    expect(at(details.body, 'rules', 'lock')).toEqual({ locked: true });
    expect(at(details.body, 'rules', 'chat')).toEqual({ restricted: false, allow: [] });
  }, 60_000);

  it('hold over a restart of the homeserver of those under them', async () => {
    await anna.publish('microphone');
    const [, theirs] = federation.servers;
    if (!theirs) throw new Error('Two servers are needed.');
    await until('microphone', 'flows');
    await theirs.stop();
    await bert.must('rules.set', { rule: 'microphone', value: { restricted: true, allow: [] } });
    await theirs.start();
    await until('microphone', 'paused');
  }, 90_000);
});
