/** What the media server reports, and what comes of it for who is in the conference: one instance on fake parts. */
import { CALL_MEMBER } from '../../homeserver/base/names.ts';
import { membershipKey } from '../../homeserver/meetings/conference/membership.ts';
import type { Watch } from '../../protocol/session.ts';
import { type FakeCity, FakeClient } from '../support/fakes/city.ts';
import type { FakeClock } from '../support/fakes/clock.ts';
import { FakeRooms } from '../support/fakes/rooms.ts';
import { ANNA, JENS, OTHER_ROOM, ROOM, TwoFakeCities } from '../support/fakes/two-fake-cities.ts';

describe('What the media server reports', () => {
  let cities: TwoFakeCities;
  let clock: FakeClock;
  let rooms: FakeRooms;
  let city: FakeCity;
  let anna: FakeClient;
  let jens: FakeClient;

  beforeEach(async () => {
    cities = new TwoFakeCities();
    ({ clock, rooms, home: city } = cities);
    ({ anna, jens } = cities.clients());
    await clock.settle();
  });
  afterEach(() => cities.close());

  const happens = <T>(work: Promise<T>, ms = 2_000): Promise<T> => clock.during(work, ms);
  const localOf = (client: FakeClient, roomId = ROOM) => city.conferences.get(roomId)?.seat(client.participantId);
  const forget = (): void => {
    anna.told.length = 0;
    jens.told.length = 0;
  };
  const names = (client: FakeClient): string[] => client.told.map(({ name }) => name);

  describe('while it is there', () => {
    beforeEach(async () => {
      await happens(anna.join(ROOM));
      await happens(jens.join(ROOM));
      forget();
    });

    it('who is speaking reaches everybody in that conference, and nobody in another', async () => {
      await happens(jens.join(OTHER_ROOM));
      forget();
      city.sfu.tell('speaking', { conferenceId: ROOM, participantIds: [anna.participantId] });
      city.sfu.tell('speaking', { conferenceId: '!nowhere', participantIds: [] });
      await clock.settle();
      expect(anna.told).toEqual([{ name: 'speaking', data: { participantIds: [anna.participantId] } }]);
      expect(jens.told).toEqual([]);
    });

    it('the layers of a consumer reach the one who receives it', async () => {
      const transportId = anna.media?.receive.id ?? '';
      const layers = { spatialLayer: 1, temporalLayer: 0 };
      city.sfu.tell('consumer.layers', { consumerId: 'c1', transportId, layers });
      city.sfu.tell('consumer.layers', { consumerId: 'c2', transportId: 'of nobody', layers: null });
      await clock.settle();
      expect(anna.told).toEqual([{ name: 'consumer.layers', data: { consumerId: 'c1', layers } }]);
      expect(jens.told).toEqual([]);
    });

    it('the end of a producer by itself ends the source for everybody', async () => {
      await happens(anna.publish('camera'));
      forget();
      const producerId = localOf(anna)?.sources.get('camera')?.producerId ?? '';
      city.sfu.conference(ROOM).closeProducer(producerId);
      city.sfu.tell('producer.closed', { conferenceId: ROOM, producerId });
      city.sfu.tell('producer.closed', { conferenceId: ROOM, producerId: 'of nobody' });
      await clock.settle();
      expect(localOf(anna)?.sources.size).toBe(0);
      expect(names(jens)).toEqual(['participant.changed']);
      expect(jens.told[0]?.data).toEqual(jasmine.objectContaining({ sources: [] }));
    });

    it('the end of a consumer by itself reaches who received it', async () => {
      await happens(jens.publish('camera'));
      await happens(anna.see([{ participantId: jens.participantId, source: 'camera' }]));
      forget();
      const [held] = localOf(anna)?.consumers.values() ?? [];
      if (!held) throw new Error('There is no consumer.');
      city.sfu.conference(ROOM).consumers.delete(held.consumerId);
      city.sfu.tell('consumer.closed', { consumerId: held.consumerId, transportId: anna.media?.receive.id ?? '' });
      await clock.advance(1_000);
      expect(names(anna)).toEqual(['consumer.removed', 'consumer.added']);
      expect(names(jens)).toEqual([]);
    });

    it('the end of a worker ends the media of its conferences only', async () => {
      await happens(jens.join(OTHER_ROOM));
      await happens(jens.publish('camera'));
      forget();
      const before = localOf(jens, OTHER_ROOM)?.sources.get('camera')?.producerId;
      city.sfu.conferences.delete(ROOM);
      city.sfu.tell('conference.lost', { conferenceIds: [ROOM, '!nowhere'] });
      await clock.advance(2_000);
      expect(anna.heard('media.restart')).toEqual([{ reason: 'worker-died' }]);
      expect(names(jens)).toEqual([]);
      expect(localOf(jens, OTHER_ROOM)?.sources.get('camera')?.producerId).toBe(before);
      expect(city.sfu.labels(ROOM)).withContext('opened anew').toEqual([anna.participantId, anna.participantId]);
    });
  });

  describe('when the line to it breaks and is there again', () => {
    beforeEach(async () => {
      await happens(anna.join(ROOM));
      await happens(anna.publish('camera'));
      forget();
    });

    it('tells everybody, and changes nothing where nothing is gone', async () => {
      const before = localOf(anna)?.media;
      city.sfu.breakLine();
      expect(anna.told).toEqual([{ name: 'media.service', data: { available: false } }]);
      city.sfu.mendLine();
      await clock.advance(1_000);
      expect(anna.heard('media.service')).toEqual([{ available: false }, { available: true }]);
      expect(anna.heard('media.restart')).toEqual([]);
      expect(localOf(anna)?.media).toBe(before);
    });

    it('has everybody open media anew after another SFU has come in its place', async () => {
      city.sfu.restart();
      city.sfu.mendLine();
      await clock.advance(2_000);
      expect(anna.heard('media.restart')).toEqual([{ reason: 'sfu-lost' }]);
      expect(names(anna).indexOf('media.service')).toBeLessThan(names(anna).indexOf('media.restart'));
      expect(localOf(anna)?.sources.has('camera')).withContext('published again').toBeTrue();
      expect(city.sfu.conference(ROOM).producers.size).toBe(1);
    });

    it('has who was in a conference open media anew that the same SFU has lost meanwhile', async () => {
      city.sfu.breakLine();
      city.sfu.loseWorker();
      city.sfu.mendLine();
      await clock.advance(2_000);
      expect(anna.heard('media.restart')).toEqual([{ reason: 'worker-died' }]);
    });

    it('ends the media of who left meanwhile', async () => {
      await happens(jens.join(ROOM));
      city.sfu.breakLine();
      await happens(jens.leave());
      expect(city.sfu.labels(ROOM)).toContain(jens.participantId);
      city.sfu.mendLine();
      await clock.advance(1_000);
      expect(city.sfu.labels(ROOM)).not.toContain(jens.participantId);
      expect(city.sfu.labels(ROOM)).toContain(anna.participantId);
    });

    it('pauses what a moderator had paused meanwhile, and not what its owner could not pause', async () => {
      await happens(anna.publish('microphone'));
      await happens(jens.join(ROOM));
      await happens(jens.publish('microphone'));
      const [conference, muted, other] = [city.conferences.get(ROOM), localOf(anna), localOf(jens)];
      if (!conference || !muted || !other) throw new Error('They are not in the conference.');
      const { media } = city.conferences;
      const still = (): undefined => undefined;
      city.sfu.breakLine();
      await expectAsync(media.pauseByOrder({ conference, local: muted }, 'microphone', still)).toBeRejected();
      await expectAsync(media.setPaused({ conference, local: other }, 'microphone', true, still)).toBeRejected();
      forget();
      city.sfu.mendLine();
      await clock.advance(1_000);
      const paused = (local: typeof muted) => {
        const source = local.sources.get('microphone');
        return [source?.paused, city.sfu.conference(ROOM).producers.get(source?.producerId ?? '')?.paused];
      };
      expect(paused(muted)).toEqual([true, true]);
      expect(paused(other)).toEqual([false, false]);
      expect(names(jens)).withContext('told').toContain('participant.changed');
      // It was an order of that moment: its owner may speak again, whatever the line does.
      await happens(media.setPaused({ conference, local: muted }, 'microphone', false, still));
      city.sfu.breakLine();
      city.sfu.mendLine();
      await clock.advance(1_000);
      expect(paused(muted)).toEqual([false, false]);
    });

    it('ends a conference that everybody left meanwhile', async () => {
      city.sfu.breakLine();
      await happens(anna.leave());
      city.sfu.mendLine();
      await clock.advance(1_000);
      expect(city.sfu.conferences.size).toBe(0);
    });
  });

  describe('after a restart of the homeserver', () => {
    beforeEach(async () => {
      await happens(anna.join(ROOM));
      await happens(anna.publish('camera'));
    });

    it('tells that places are known only once all of them are taken over', async () => {
      rooms.readDelay = () => 500;
      const joined = jasmine.createSpy('joined');
      city.restart();
      const again = new FakeClient(city, ANNA, 'PHONE');
      again.do(() => again.join(ROOM).then(joined));
      await clock.advance(400);
      expect(localOf(anna)).toBeUndefined();
      await clock.advance(20_000);
      expect(joined).toHaveBeenCalledTimes(1);
      expect(localOf(anna)?.notifier).toBe(again);
    });

    it('does not have anybody open media anew who still has it', async () => {
      const before = localOf(anna)?.sources.get('camera')?.producerId;
      city.restart();
      await clock.advance(1_000);
      expect(localOf(anna)?.presence).toBe('reconnecting');
      expect(localOf(anna)?.sources.get('camera')?.producerId).toBe(before);
      expect(city.sfu.conference(ROOM).producers.size).toBe(1);
    });

    it('forgets the place of who is no longer in the room, and closes what was left of it', async () => {
      await happens(jens.join(ROOM));
      city.conferences.close();
      rooms.setMember(ROOM, JENS, 'ban', ANNA);
      city.restart();
      await clock.advance(2_000);
      expect(localOf(jens)).toBeUndefined();
      expect((await city.places.all()).map(({ userId }) => userId)).toEqual([ANNA]);
      expect(city.sfu.labels(ROOM)).not.toContain(jens.participantId);
    });

    it('takes over the other places when one of them can not be', async () => {
      await happens(jens.join(OTHER_ROOM));
      spyOn(rooms, 'stateEvent').and.callFake((roomId, type, key) =>
        roomId === ROOM
          ? Promise.reject(new Error('the database is away'))
          : FakeRooms.prototype.stateEvent.call(rooms, roomId, type, key),
      );
      city.restart();
      await clock.advance(1_000);
      expect(localOf(anna)).toBeUndefined();
      expect(localOf(jens, OTHER_ROOM)?.presence).toBe('reconnecting');
    });
  });

  it('is waited for five seconds by who joins, and no longer: without an SFU joining is refused', async () => {
    city.restart();
    city.sfu.breakLine();
    let refusal: unknown;
    const joining = anna.join(ROOM).catch((error: unknown) => {
      refusal = error;
    });
    await clock.advance(4_900);
    expect(refusal).toBeUndefined();
    await clock.advance(200);
    await joining;
    expect(refusal).toEqual(jasmine.objectContaining({ code: 'worker-lost' }));
  });

  describe('when its line breaks with answers on the way, about what crosses a link', () => {
    let otto: FakeClient;
    beforeEach(async () => {
      ({ otto } = cities.clients());
      await happens(otto.join(ROOM));
      await happens(otto.publish('microphone'));
      await happens(anna.join(ROOM), 10_000);
    });

    const received = () =>
      [...city.sfu.conference(ROOM).producers.values()].filter(({ linkId }) => linkId !== undefined);
    const sent = (): number =>
      [...city.sfu.conference(ROOM).links.values()].reduce((sum, { sending }) => sum + sending.size, 0);
    const ofOtto = (): Watch[] => [{ participantId: otto.participantId, source: 'microphone' }];
    /** The line breaks as soon as the media server has done something, before the answer is here. */
    const breakOnce = async (done: () => boolean): Promise<void> => {
      city.sfu.line.delay = () => 5;
      for (let ms = 0; !done() && ms < 5_000; ms += 1) await clock.advance(1);
      expect(done()).toBeTrue();
      city.sfu.breakLine();
      city.sfu.line.delay = () => 0;
    };
    const mend = async (): Promise<void> => {
      await clock.advance(1_000);
      city.sfu.mendLine();
      await clock.advance(20_000);
    };

    it('nothing is received that nobody here knows of', async () => {
      anna.do(() => anna.see(ofOtto()));
      await breakOnce(() => received().length > 0);
      await mend();
      expect(received().length).toBe(1);
      expect([...(localOf(anna)?.consumers.values() ?? [])].map(({ producerId }) => producerId)).toEqual(
        received().map(({ producerId }) => producerId),
      );
    });

    it('nothing is sent on that nobody wants any more', async () => {
      await happens(anna.publish('microphone'));
      otto.do(() => otto.see([{ participantId: anna.participantId, source: 'microphone' }]));
      await breakOnce(() => sent() > 0);
      otto.do(() => otto.see([]));
      await mend();
      expect(sent()).toBe(0);
    });

    it('what the other organisation has paused or resumed meanwhile is so here', async () => {
      await happens(anna.see(ofOtto()), 10_000);
      for (const paused of [true, false]) {
        city.sfu.breakLine();
        otto.do(() => otto.mute('microphone', paused));
        await mend();
        expect(received().map((each) => each.paused)).toEqual([paused]);
      }
    });
  });

  describe('when the homeserver starts again: a membership', () => {
    const standing = async (): Promise<boolean> => {
      const event = await rooms.stateEvent(ROOM, CALL_MEMBER, membershipKey(JENS, 'DESK'));
      return event !== undefined && Object.keys(event.pdu.content).length > 0;
    };

    it('that was written over while nobody here looked stands again', async () => {
      await happens(jens.join(ROOM));
      rooms.put(ROOM, JENS, CALL_MEMBER, membershipKey(JENS, 'DESK'), {});
      // It is told before the seat is found again.
      rooms.readDelay = () => 20;
      city.restart();
      await clock.advance(5_000);
      rooms.readDelay = () => 0;
      expect(await standing()).toBeTrue();
    });

    it('that was never written, as the database was away, stands then', async () => {
      rooms.failure = () => new Error('the database is away');
      jens.do(() => jens.join(ROOM));
      await clock.advance(100);
      // The place was written before.
      await city.places.put({ roomId: ROOM, userId: JENS, deviceId: 'DESK', joinedAt: clock.now(), signals: {} });
      city.restart();
      await clock.advance(100);
      rooms.failure = () => undefined;
      await clock.advance(5_000);
      expect(await standing()).toBeTrue();
    });
  });
});
