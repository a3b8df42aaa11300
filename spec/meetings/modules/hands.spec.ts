import type { JsonObject } from '../../../federation/json.ts';
import type { Participant } from '../../../protocol/session.ts';
import { useMeetingWithPeer } from '../../hostile/kit/meeting-with-peer.ts';
import { BUILD_TIMEOUT } from '../../sfu/support.ts';
import { at, eventually } from '../../support/homeservers.ts';
import { type Present, sees, seen, TwoCities } from '../../support/two-cities.ts';

const isUp = (participant: Participant | undefined): boolean => participant?.signals.hand !== undefined;
const isDown = (participant: Participant | undefined): boolean => participant !== undefined && !isUp(participant);

describe('Raise hand / reactions: hands', () => {
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
  /** Everybody whose hand somebody sees, the first one first. */
  const queue = (who: Present, ids: readonly string[]): string[] =>
    ids
      .map((id) => seen(who, id))
      .filter((participant) => participant !== undefined)
      .filter(isUp)
      .sort((a, b) => (a.signals.hand?.raisedAt ?? 0) - (b.signals.hand?.raisedAt ?? 0))
      .map(({ participantId }) => participantId);
  const refusal = (code: string): jasmine.AsymmetricMatcher<unknown> => jasmine.objectContaining({ code });

  it('are seen in both organisations in the order in which they went up, and until their owners lower them', async () => {
    const [hers, his] = [await anna(), await bert()];
    await sees(hers, his.me, isDown);
    await his.client.ask('hands.raise', {});
    const first = await sees(hers, his.me, isUp);
    await hers.client.ask('hands.raise', {});
    // It is up already: the place in the queue stays.
    await his.client.ask('hands.raise', {});
    await sees(his, hers.me, isUp);
    for (const who of [hers, his]) expect(queue(who, [hers.me, his.me])).toEqual([his.me, hers.me]);
    expect(seen(hers, his.me)?.signals.hand).toEqual(first?.signals.hand);
    await his.client.ask('hands.lower', {});
    for (const who of [hers, his]) await sees(who, his.me, isDown);
    expect(queue(hers, [hers.me, his.me])).toEqual([hers.me]);
  });

  it('are seen by whoever comes late', async () => {
    const [hers, his] = [await anna(), await bert()];
    await his.client.ask('hands.raise', {});
    await hers.client.ask('hands.raise', {});
    await sees(hers, his.me, isUp);
    const late = await carla();
    expect(late.snapshot.modules.hands).toEqual({ enabled: true });
    expect(queue(late, [hers.me, his.me])).toEqual([his.me, hers.me]);
  });

  it('stay up over a restart of the homeserver, and end with the place', async () => {
    const [hers, his] = [await anna(), await bert()];
    await hers.client.ask('hands.raise', {});
    await his.client.ask('hands.raise', {});
    const raised = (await sees(his, hers.me, isUp))?.signals.hand;
    await cities.restart(cities.hamburg);
    const again = await anna();
    const own = await sees(again, hers.me, isUp);
    expect(own?.signals.hand).toEqual(raised);
    // What the other organisation has is asked for anew.
    await sees(again, his.me, isUp);
    expect(seen(his, hers.me)?.signals.hand).toEqual(raised);
    await again.client.ask('conference.leave', {});
    await sees(his, hers.me, (participant) => participant === undefined);
    const back = await anna();
    expect(isDown(seen(back, back.me))).toBeTrue();
    await sees(his, back.me, isDown);
    await cities.restart(cities.hamburg);
    const third = await anna();
    expect(isDown(seen(third, third.me))).toBeTrue();
  }, 60_000);

  it('are lowered by a moderator, in whichever organisation, and their owners are told by whom', async () => {
    const [hers, his] = [await anna(), await bert()];
    await his.client.ask('hands.raise', {});
    await sees(hers, his.me, isUp);
    await hers.client.ask('hands.lower', { participantId: his.me });
    expect(await his.client.hears('hands.lowered')).toEqual({ by: 'anna' });
    for (const who of [hers, his]) await sees(who, his.me, isDown);
    expect(hers.client.told.some(({ name }) => name === 'hands.lowered')).toBeFalse();
  });

  it('are lowered all at once', async () => {
    const [hers, theirs, his] = [await anna(), await carla(), await bert()];
    for (const who of [hers, theirs, his]) await who.client.ask('hands.raise', {});
    await sees(hers, his.me, isUp);
    await hers.client.ask('hands.lower-all', {});
    for (const who of [hers, theirs, his]) {
      for (const id of [hers.me, theirs.me, his.me]) await sees(who, id, isDown);
    }
    expect(await his.client.hears('hands.lowered')).toEqual({ by: 'anna' });
    expect(await theirs.client.hears('hands.lowered')).toEqual({ by: 'anna' });
    expect(hers.client.told.some(({ name }) => name === 'hands.lowered')).toBeFalse();
  });

  it('are switched off for everybody: lowered, absent for whoever comes, and refused, until switched on', async () => {
    const [hers, his] = [await anna(), await bert()];
    await his.client.ask('hands.raise', {});
    await hers.client.ask('hands.raise', {});
    await sees(hers, his.me, isUp);
    await sees(his, hers.me, isUp);
    await hers.client.ask('hands.switch', { enabled: false });
    for (const who of [hers, his]) {
      expect(await who.client.hears('hands.changed')).toEqual({ enabled: false });
      for (const id of [hers.me, his.me]) await sees(who, id, isDown);
      await expectAsync(who.client.ask('hands.raise', {})).toBeRejectedWith(refusal('forbidden'));
    }
    const late = await carla();
    expect(late.snapshot.modules.hands).toBeUndefined();
    await hers.client.ask('hands.switch', { enabled: true });
    await his.client.hears('hands.changed', ({ enabled }) => enabled);
    expect([seen(hers, hers.me), seen(his, his.me)].every(isDown)).toBeTrue();
    await his.client.ask('hands.raise', {});
    await sees(late, his.me, isUp);
  });

  it('are nobody else’s to lower or to switch off without the right', async () => {
    const [hers, theirs, his] = [await anna(), await carla(), await bert()];
    await hers.client.ask('hands.raise', {});
    await sees(his, hers.me, isUp);
    for (const who of [theirs, his]) {
      await expectAsync(who.client.ask('hands.lower', { participantId: hers.me })).toBeRejectedWith(
        refusal('forbidden'),
      );
      await expectAsync(who.client.ask('hands.lower-all', {})).toBeRejectedWith(refusal('forbidden'));
      await expectAsync(who.client.ask('hands.switch', { enabled: false })).toBeRejectedWith(refusal('forbidden'));
    }
    await theirs.client.ask('hands.raise', {});
    await sees(his, theirs.me, isUp);
    expect(isUp(seen(his, hers.me))).toBeTrue();
    expect(hers.client.told.some(({ name }) => name === 'hands.lowered' || name === 'hands.changed')).toBeFalse();
  });

  it('are not for who is in no conference, and bad requests change nothing', async () => {
    const hers = await anna();
    await hers.client.ask('hands.raise', {});
    const bad = [{ participantId: 7 }, { participantId: 'x' }, { participantId: 'y'.repeat(600) }];
    for (const params of bad) {
      await expectAsync(hers.client.ask('hands.lower', params as object)).toBeRejectedWith(refusal('bad-request'));
    }
    await expectAsync(hers.client.ask('hands.switch', {} as { enabled: boolean })).toBeRejectedWith(
      refusal('bad-request'),
    );
    await expectAsync(
      hers.client.ask('hands.lower', { participantId: '@nobody:nowhere.example|DEVICE' }),
    ).toBeRejectedWith(refusal('not-found'));
    expect(isUp(seen(hers, hers.me))).toBeTrue();
    await hers.client.ask('conference.leave', {});
    for (const ask of [hers.client.ask('hands.raise', {}), hers.client.ask('hands.lower', {})]) {
      await expectAsync(ask).toBeRejectedWith(refusal('not-in-conference'));
    }
  });
});

describe('Raise hand / reactions: hands that another instance tells of', () => {
  const met = useMeetingWithPeer();
  let mallory: string;
  beforeEach(() => {
    mallory = met.peer.participantId('mallory');
  });

  const tell = (hand: unknown, paused = false): Promise<unknown> =>
    met.tell({
      participants: [
        {
          user_id: met.peer.peer.userId('mallory'),
          device_id: 'DEVICE',
          sources: [{ source: 'microphone', id: 'microphone-1', paused }],
          signals: { hand } as JsonObject,
        },
      ],
    });
  const shown = (): Promise<unknown> =>
    eventually(
      async () =>
        met.session
          .heard('participant.changed')
          .findLast((participant) => at(participant, 'participantId') === mallory),
      Boolean,
    );
  const raisedAt = async (): Promise<number> => Number(at(await shown(), 'signals', 'hand', 'raisedAt'));
  const joinedAt = (): number =>
    met.session.snapshot?.participants.find(({ participantId }) => participantId === mallory)?.joinedAt ?? NaN;

  it('do not come to the front of the queue by a time before their owner came', async () => {
    await tell({ raisedAt: 1 });
    expect(await raisedAt()).toBe(joinedAt());
  });

  it('have no time in the future, and keep their place when it is said again', async () => {
    await tell({ raisedAt: Date.now() + 3_600_000 });
    const first = await raisedAt();
    expect(first).toBeGreaterThanOrEqual(joinedAt());
    expect(first).toBeLessThanOrEqual(Date.now());
    const raised = Date.now() + 3_600_000;
    await tell({ raisedAt: raised });
    const second = await eventually(raisedAt, (time) => time !== first);
    await tell({ raisedAt: raised }, true);
    await eventually(shown, (participant) => at(participant, 'sources', 0, 'paused') === true);
    expect(await raisedAt()).toBe(second);
  });

  it('are left out when they are none, and what else is said of their owner counts', async () => {
    await tell({ raisedAt: Date.now() });
    await eventually(raisedAt, (time) => time > 0);
    for (const [index, bad] of [
      'up',
      { raisedAt: Number.MAX_SAFE_INTEGER },
      { raisedAt: '1' },
      [],
      { raisedAt: -1 },
    ].entries()) {
      const paused = index % 2 === 0;
      await tell(bad, paused);
      const participant = await eventually(shown, (one) => at(one, 'sources', 0, 'paused') === paused);
      expect(at(participant, 'signals')).toEqual({});
    }
  });
});
