import type { Counts } from '../../../protocol/modules/reactions.ts';
import type { NotificationData } from '../../../protocol/session.ts';
import { reactionSchema } from '../../../protocol/modules/reactions.ts';
import { useMeetingWithPeer } from '../../hostile/kit/meeting-with-peer.ts';
import type { SessionClient } from '../../hostile/kit/session-client.ts';
import { BUILD_TIMEOUT } from '../../sfu/support.ts';
import { at, eventually } from '../../support/homeservers.ts';
import { type Present, TwoCities } from '../../support/two-cities.ts';

type Shown = NotificationData<'reactions.shown'>;

/** How often each reaction was shown in all. */
function total(sums: readonly Counts[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const { reaction, count } of sums.flat()) all[reaction] = (all[reaction] ?? 0) + count;
  return all;
}

describe('Raise hand / reactions: reactions', () => {
  let cities: TwoCities;

  beforeAll(async () => {
    cities = await TwoCities.start();
  }, BUILD_TIMEOUT);
  afterAll(() => cities.close());
  beforeEach(() => cities.meet());
  afterEach(() => cities.leave());

  const anna = (): Promise<Present> => cities.enter('anna');
  const carla = (): Promise<Present> => cities.enter('carla');
  const bert = (): Promise<Present> => cities.enter('bert');
  const refusal = (code: string): jasmine.AsymmetricMatcher<unknown> => jasmine.objectContaining({ code });
  const shownTo = ({ client }: Present, organisation: string): Counts[] =>
    client.told
      .filter(({ name }) => name === 'reactions.shown')
      .map(({ data }) => data as Shown)
      .filter((shown) => shown.organisation === organisation)
      .map(({ counts }) => counts);

  it('are shown in both organisations, by the organisation of whoever sent them', async () => {
    const [hers, theirs, his] = [await anna(), await carla(), await bert()];
    expect(his.snapshot.modules.reactions).toEqual({ enabled: true });
    await hers.client.ask('reactions.send', { reaction: 'heart' });
    await theirs.client.ask('reactions.send', { reaction: 'heart' });
    await his.client.ask('reactions.send', { reaction: 'clap' });
    for (const who of [hers, theirs, his]) {
      await eventually(
        async () => total(shownTo(who, cities.hamburg.serverName)),
        ({ heart }) => heart === 2,
      );
      await eventually(
        async () => total(shownTo(who, cities.luebeck.serverName)),
        ({ clap }) => clap === 1,
      );
    }
  });

  it('are eight, and no others', async () => {
    const hers = await anna();
    expect(reactionSchema.options.length).toBe(8);
    for (const reaction of ['🖕', 'CLAP', '', 7, undefined, ['clap'], 'constructor']) {
      await expectAsync(hers.client.ask('reactions.send', { reaction } as { reaction: 'clap' })).toBeRejectedWith(
        refusal('bad-request'),
      );
    }
    for (const reaction of reactionSchema.options) await hers.client.ask('reactions.send', { reaction });
    await eventually(
      async () => total(shownTo(hers, cities.hamburg.serverName)),
      (shown) => reactionSchema.options.every((reaction) => shown[reaction] === 1),
    );
  });

  it('are switched off for everybody: absent for whoever comes, also after a restart, and refused, until switched on', async () => {
    const [hers, his] = [await anna(), await bert()];
    await hers.client.ask('reactions.switch', { enabled: false });
    for (const who of [hers, his]) {
      expect(await who.client.hears('reactions.changed')).toEqual({ enabled: false });
      await expectAsync(who.client.ask('reactions.send', { reaction: 'clap' })).toBeRejectedWith(refusal('forbidden'));
    }
    await cities.restart(cities.hamburg);
    const late = await carla();
    expect(late.snapshot.modules.reactions).toBeUndefined();
    const again = await anna();
    await again.client.ask('reactions.switch', { enabled: true });
    await his.client.hears('reactions.changed', ({ enabled }) => enabled);
    await his.client.ask('reactions.send', { reaction: 'clap' });
    await eventually(
      async () => total(shownTo(late, cities.luebeck.serverName)),
      ({ clap }) => clap === 1,
    );
  }, 60_000);

  it('are nobody’s to switch off without the right, nor for who is in no conference', async () => {
    const [hers, theirs, his] = [await anna(), await carla(), await bert()];
    for (const who of [theirs, his]) {
      await expectAsync(who.client.ask('reactions.switch', { enabled: false })).toBeRejectedWith(refusal('forbidden'));
    }
    await hers.client.ask('reactions.send', { reaction: 'clap' });
    await hers.client.ask('conference.leave', {});
    await expectAsync(hers.client.ask('reactions.send', { reaction: 'clap' })).toBeRejectedWith(
      refusal('not-in-conference'),
    );
    await expectAsync(hers.client.ask('reactions.switch', { enabled: false })).toBeRejectedWith(
      refusal('not-in-conference'),
    );
    expect(his.client.told.some(({ name }) => name === 'reactions.changed')).toBeFalse();
  });
});

describe('Raise hand / reactions: many reactions', () => {
  const met = useMeetingWithPeer();

  /** One more participant, with a rate of its own. */
  async function newDevice(): Promise<SessionClient> {
    const device = await (await met.place.logIn('anna')).session();
    await device.join(met.roomId);
    return device;
  }
  /** The sums that came to the other instance. */
  const toldPeer = (): Counts[] =>
    met.peer.live.map((message) => at(message, 'modules', 'reactions', 'counts') as Counts).filter(Boolean);
  const shownTo = (who: SessionClient): Counts[] => who.heard('reactions.shown').map((data) => (data as Shown).counts);

  it('of 20 devices, 200 at once, cost one message to another instance and one notification each in a second', async () => {
    const devices = await Promise.all(Array.from({ length: 20 }, newDevice));
    const started = performance.now();
    await Promise.all(
      devices.flatMap((device) =>
        Array.from({ length: 10 }, () => device.must('reactions.send', { reaction: 'clap' })),
      ),
    );
    const tookMs = performance.now() - started;
    await eventually(
      async () => total(toldPeer()),
      ({ clap }) => clap === 200,
    );
    // The first after the gathering, and then one a second for as long as they came in.
    const most = 2 + Math.floor(tookMs / 1_000);
    expect(toldPeer().length).toBeLessThanOrEqual(most);
    for (const device of devices) {
      await eventually(
        async () => total(shownTo(device)),
        ({ clap }) => clap === 200,
      );
      expect(shownTo(device).length).toBeLessThanOrEqual(most);
    }
    await Promise.all(devices.map((device) => device.close()));
  }, 60_000);

  it('of one participant are refused beyond ten in five seconds', async () => {
    const device = await newDevice();
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, () => device.ask('reactions.send', { reaction: 'laugh' })),
    );
    const refused = outcomes.filter((outcome) => 'error' in outcome);
    expect(outcomes.length - refused.length).toBe(10);
    for (const outcome of refused) {
      expect(at(outcome, 'error', 'code')).toBe('too-many-requests');
      expect(Number(at(outcome, 'error', 'retryAfterMs'))).toBeGreaterThan(0);
    }
    await eventually(
      async () => total(shownTo(device)),
      ({ laugh }) => laugh === 10,
    );
  });

  it('of another instance are shown once a second however often it tells them, and no more than its people can send', async () => {
    const started = performance.now();
    for (let n = 0; n < 30; n += 1) {
      const counts = [{ reaction: 'heart', count: 1_000_000 }];
      expect(await met.tell({ modules: { reactions: { counts } } })).toEqual({ body: {} });
    }
    const tookMs = performance.now() - started;
    await eventually(async () => shownTo(met.session).length, Boolean);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(shownTo(met.session).length).toBeLessThanOrEqual(2 + Math.floor(tookMs / 1_000));
    for (const { count } of shownTo(met.session).flat()) expect(count).toBeLessThanOrEqual(10);
    expect(met.session.heard('reactions.shown').map((data) => (data as Shown).organisation)).toEqual(
      met.session.heard('reactions.shown').map(() => met.peer.serverName),
    );
  });

  it('of another instance that are none are left out, and what it tells with them counts', async () => {
    const bad = [
      null,
      'clap',
      { counts: 'clap' },
      { counts: [{ reaction: 'vote', count: 1 }] },
      { counts: [{ reaction: 'clap', count: -1 }] },
      { counts: [{ reaction: 'clap', count: '1' }] },
      { counts: Array.from({ length: 9 }, () => ({ reaction: 'clap', count: 1 })) },
    ];
    for (const [index, reactions] of bad.entries()) {
      const paused = index % 2 === 0;
      const states = met.peer.state(met.roomId, 'mallory', [{ source: 'microphone', id: 'microphone-1', paused }]);
      const { participants } = states;
      await met.tell({
        participants: participants ?? [],
        modules: { reactions, nothing: { of: 'ours' } },
      });
      await eventually(
        async () => at(met.session.heard('participant.changed').at(-1), 'sources', 0, 'paused'),
        (shown) => shown === paused,
      );
    }
    await met.tell({
      modules: { reactions: { counts: [{ reaction: 'clap', count: 1 }] } },
    });
    await eventually(
      async () => shownTo(met.session),
      (shown) => shown.length > 0,
    );
    expect(shownTo(met.session)).toEqual([[{ reaction: 'clap', count: 1 }]]);
  });
});
