/** Seats on fake parts: what each refusal, loss and delay leaves behind. */
import type { ConferenceSnapshot } from '../../protocol/session.ts';
import { CALL_MEMBER } from '../../homeserver/base/names.ts';
import { joinedContent, membershipKey, readMembership } from '../../homeserver/meetings/conference/membership.ts';
import { type FakeCity, FakeClient } from '../support/fakes/city.ts';
import type { FakeClock } from '../support/fakes/clock.ts';
import type { FakeNetwork } from '../support/fakes/link-peers.ts';
import type { FakeRooms } from '../support/fakes/rooms.ts';
import { ANNA, JENS, OTHER_ROOM, OTTO, ROOM, TwoFakeCities } from '../support/fakes/two-fake-cities.ts';

describe('Seats in conferences', () => {
  let cities: TwoFakeCities;
  let clock: FakeClock;
  let rooms: FakeRooms;
  let network: FakeNetwork;
  let home: FakeCity;
  let away: FakeCity;
  let anna: FakeClient;
  let jens: FakeClient;
  let otto: FakeClient;

  beforeEach(async () => {
    cities = new TwoFakeCities();
    ({ clock, rooms, network, home, away } = cities);
    ({ anna, jens, otto } = cities.clients());
    await clock.settle();
  });
  afterEach(() => cities.close());

  /** Lets something happen, with all that follows at once. */
  const happens = <T>(work: Promise<T>, ms = 2_000): Promise<T> => clock.during(work, ms);
  const refused = async (work: Promise<unknown>, what: object, ms?: number): Promise<void> => {
    const check = expectAsync(work).toBeRejectedWith(jasmine.objectContaining(what));
    await clock.advance(ms ?? 2_000);
    await check;
  };
  const standing = async (client: FakeClient, roomId = ROOM): Promise<boolean> => {
    const reading = rooms.stateEvent(roomId, CALL_MEMBER, membershipKey(client.userId, client.deviceId));
    await clock.settle();
    const event = await reading;
    return event !== undefined && readMembership(event.pdu, clock.now()) !== undefined;
  };
  const seatOf = (client: FakeClient, roomId = ROOM) => client.city.conferences.get(roomId)?.seat(client.participantId);
  const peopleOf = (city: FakeCity) =>
    (city.conferences.get(ROOM)?.participants() ?? []).map(({ participantId }) => participantId).sort();
  const producersOf = ({ sfu }: FakeCity) => [...(sfu.conferences.get(ROOM)?.producers.values() ?? [])];

  describe('are taken', () => {
    it('with transports, a membership in the room and a place in the database', async () => {
      await happens(anna.join(ROOM));
      expect(seatOf(anna)?.state.kind).toBe('here');
      expect(home.sfu.labels(ROOM)).toEqual([anna.participantId, anna.participantId]);
      expect(await standing(anna)).toBeTrue();
      expect((await home.places.all()).map(({ userId }) => userId)).toEqual([ANNA]);
    });

    it('and others are told, here and in the other organisation', async () => {
      await happens(anna.join(ROOM));
      await happens(otto.join(ROOM));
      await happens(jens.join(ROOM));
      const joined = (client: FakeClient) =>
        client.heard('participant.joined').map((data) => (data as { participantId: string }).participantId);
      expect(joined(anna)).toEqual([otto.participantId, jens.participantId]);
      expect(joined(otto)).toEqual([jens.participantId]);
      expect(peopleOf(home)).toEqual(peopleOf(away));
    });

    it('as somebody who reconnects when the client drops meanwhile', async () => {
      rooms.writeDelay = () => 200;
      const joining = anna.join(ROOM);
      await clock.advance(100);
      anna.drop();
      await happens(joining);
      expect(seatOf(anna)?.state.kind).toBe('reconnecting');
      anna.resume();
      expect(seatOf(anna)?.state.kind).toBe('here');
    });

    it('not by whom a ban keeps out that is stored, but has not been told yet', async () => {
      await happens(anna.join(ROOM));
      rooms.writeDelay = () => 200;
      const joining = jens.join(ROOM);
      await clock.advance(100);
      rooms.tellDelay = () => 5_000;
      rooms.setMember(ROOM, JENS, 'ban', ANNA);
      await refused(joining, { status: 403 });
      expect(anna.heard('participant.joined')).toEqual([]);
      expect(home.sfu.labels(ROOM)).not.toContain(jens.participantId);
      await clock.advance(10_000);
      expect(peopleOf(home)).toEqual([anna.participantId]);
    });

    it('not when the membership can not be written, and nothing is left then', async () => {
      rooms.failure = () => new Error('the database is away');
      await refused(anna.join(ROOM), { message: 'the database is away' });
      rooms.failure = () => undefined;
      await clock.advance(5_000);
      expect(home.conferences.get(ROOM)).toBeUndefined();
      expect(home.sfu.snapshot().conferences).toEqual([]);
      expect(await home.places.all()).toEqual([]);
    });

    it('not where there is no SFU, and can be once it is there again', async () => {
      home.sfu.breakLine();
      await refused(anna.join(ROOM), { code: 'worker-lost' });
      await clock.advance(5_000);
      expect(await standing(anna)).toBeFalse();
      home.sfu.mendLine();
      await happens(anna.join(ROOM));
      expect(seatOf(anna)?.state.kind).toBe('here');
    });

    it('in one conference at a time by one session', async () => {
      await happens(anna.join(ROOM));
      await happens(anna.join(OTHER_ROOM));
      expect(home.conferences.get(ROOM)).toBeUndefined();
      expect(seatOf(anna, OTHER_ROOM)?.state.kind).toBe('here');
      expect([await standing(anna), await standing(anna, OTHER_ROOM)]).toEqual([false, true]);
    });

    it('over by another session of the device, and the first is told', async () => {
      await happens(anna.join(ROOM));
      const second = new FakeClient(home, ANNA, 'PHONE');
      await happens(second.join(ROOM));
      expect(anna.heard('conference.ended')).toEqual([{ reason: 'joined-elsewhere' }]);
      expect(seatOf(anna)?.notifier).toBe(second);
      expect(home.sfu.labels(ROOM).length).toBe(2);
      await refused(anna.publish('microphone'), { code: 'not-in-conference' });
      await happens(anna.expire());
      expect(seatOf(second)?.state.kind).withContext('the end of the first changes nothing').toBe('here');
    });

    it('by nobody who was taken out before the answer', async () => {
      await happens(anna.join(ROOM));
      let answer: ConferenceSnapshot | undefined;
      rooms.writeDelay = () => 100;
      const { userId, deviceId } = jens;
      const joining = home.conferences
        .join(ROOM, { userId, deviceId, guest: false, holder: jens })
        .then((snapshot) => (answer = snapshot));
      rooms.readDelay = () => 40;
      await clock.advance(360);
      const leaving = jens.leave();
      await refused(joining, { code: 'not-in-conference' });
      await happens(leaving);
      expect(answer).toBeUndefined();
    });
  });

  describe('are given up', () => {
    it('at once, and the conference ends with the last', async () => {
      await happens(anna.join(ROOM));
      const leaving = anna.leave();
      expect(home.conferences.get(ROOM)).toBeUndefined();
      await happens(leaving);
      expect(home.sfu.snapshot().conferences).toEqual([]);
      expect(await standing(anna)).toBeFalse();
      expect(await home.places.all()).toEqual([]);
    });

    for (const [what, membership, reason] of [
      ['a removal', 'leave', 'removed'],
      ['a ban', 'ban', 'banned'],
    ] as const) {
      it(`with ${what}, which the client and the others are told`, async () => {
        await happens(anna.join(ROOM));
        await happens(jens.join(ROOM));
        rooms.setMember(ROOM, JENS, membership, ANNA);
        await clock.advance(1_000);
        expect(jens.heard('conference.ended')).toEqual([{ reason, by: 'anna', organisation: 'luebeck.example' }]);
        expect(anna.heard('participant.left')).toEqual([{ participantId: jens.participantId, reason: 'removed' }]);
        expect(home.sfu.labels(ROOM)).toEqual([anna.participantId, anna.participantId]);
      });
    }

    it('and written when the database is there again', async () => {
      await happens(anna.join(ROOM));
      rooms.failure = () => new Error('the database is away');
      const leaving = anna.leave();
      await clock.advance(3_000);
      await leaving;
      expect(await standing(anna)).toBeTrue();
      rooms.failure = () => undefined;
      await clock.advance(3_000);
      expect(await standing(anna)).toBeFalse();
      expect(await home.places.all()).toEqual([]);
    });

    it('and what was owed of that is not written over who has come back', async () => {
      await happens(anna.join(ROOM));
      rooms.failure = ({ content }) =>
        Object.keys(content).length === 0 ? new Error('the database is away') : undefined;
      await happens(anna.leave(), 100);
      const again = new FakeClient(home, ANNA, 'PHONE');
      await happens(again.join(ROOM), 500);
      rooms.failure = () => undefined;
      await clock.advance(10_000);
      expect(await standing(again)).toBeTrue();
    });

    it('by no ghost who is let in again after a ban', async () => {
      await happens(anna.join(ROOM));
      await happens(jens.join(ROOM));
      rooms.setMember(ROOM, JENS, 'ban', ANNA);
      await clock.advance(1_000);
      rooms.setMember(ROOM, JENS, 'join');
      await clock.advance(1_000);
      expect(await standing(jens)).toBeFalse();
      expect(peopleOf(home)).toEqual([anna.participantId]);
    });
  });

  describe('are defended', () => {
    const overwrite = (client: FakeClient): void => {
      rooms.put(ROOM, client.userId, CALL_MEMBER, membershipKey(client.userId, client.deviceId), {});
    };

    it('by writing the membership again', async () => {
      await happens(anna.join(ROOM));
      overwrite(anna);
      await clock.advance(1_500);
      expect(await standing(anna)).toBeTrue();
    });

    it('also when that fails at first', async () => {
      await happens(anna.join(ROOM));
      rooms.failure = () => new Error('the database is away');
      overwrite(anna);
      await clock.advance(5_000);
      expect(await standing(anna)).toBeFalse();
      rooms.failure = () => undefined;
      await clock.advance(2_000);
      expect(await standing(anna)).toBeTrue();
    });

    it('once in a second at most, however often somebody writes over it', async () => {
      await happens(anna.join(ROOM));
      let written = 0;
      rooms.onEvent(({ pdu }) => {
        if (pdu.type === CALL_MEMBER && Object.keys(pdu.content).length > 0) {
          written += 1;
          overwrite(anna);
        }
      });
      overwrite(anna);
      await clock.advance(5_500);
      expect(written).toBeGreaterThan(2);
      expect(written).toBeLessThan(8);
    });
  });

  describe('and their media', () => {
    it('are opened anew when a worker is lost', async () => {
      anna.sources.add('microphone');
      await happens(anna.join(ROOM));
      const before = anna.media?.send.id;
      home.sfu.loseWorker();
      await clock.advance(1_000);
      expect(anna.heard('media.restart')).toEqual([{ reason: 'worker-died' }]);
      expect(anna.media?.send.id).not.toBe(before);
      expect(producersOf(home).map(({ source }) => source)).toEqual(['microphone']);
    });

    it('go on when the line to the SFU breaks', async () => {
      anna.sources.add('microphone');
      await happens(anna.join(ROOM));
      const before = anna.media?.send.id;
      home.sfu.breakLine();
      await clock.advance(100);
      home.sfu.mendLine();
      await clock.advance(1_000);
      expect(anna.heard('media.service')).toEqual([{ available: false }, { available: true }]);
      expect(anna.heard('media.restart')).toEqual([]);
      expect(anna.media?.send.id).toBe(before);
      expect(producersOf(home).length).toBe(1);
    });

    it('have no source of which nobody knows, when the line broke before it was answered', async () => {
      await happens(anna.join(ROOM));
      home.sfu.workerDelay = () => 100;
      const publishing = anna.publish('microphone');
      await clock.advance(50);
      // It is made, and the answer is lost.
      const line = expectAsync(publishing).toBeRejectedWith(jasmine.objectContaining({ code: 'worker-lost' }));
      home.sfu.breakLine();
      await clock.advance(500);
      await line;
      expect(producersOf(home).length).toBe(1);
      home.sfu.mendLine();
      await clock.advance(1_000);
      expect(producersOf(home)).toEqual([]);
    });

    it('are known to be muted, when the line broke before that was answered', async () => {
      await happens(anna.join(ROOM));
      await happens(jens.join(ROOM));
      await happens(anna.publish('microphone'));
      home.sfu.workerDelay = () => 100;
      const muting = anna.mute('microphone', true).catch(() => undefined);
      await clock.advance(50);
      home.sfu.breakLine();
      await clock.advance(500);
      home.sfu.mendLine();
      await clock.advance(1_000);
      await muting;
      expect(seatOf(anna)?.sources.get('microphone')?.paused).toBeTrue();
      const [last] = jens.heard('participant.changed').slice(-1);
      expect((last as { sources: object[] }).sources).toEqual([{ source: 'microphone', paused: true }]);
    });

    it('bring what is watched, and end with who sent it', async () => {
      await happens(anna.join(ROOM));
      await happens(jens.join(ROOM));
      await happens(anna.see([{ participantId: jens.participantId, source: 'microphone' }]));
      await happens(jens.publish('microphone'));
      const [added] = anna.heard('consumer.added') as { consumerId: string }[];
      const consumers = () => [...(home.sfu.conferences.get(ROOM)?.consumers.values() ?? [])];
      expect(consumers().map(({ consumerId, paused }) => [consumerId, paused])).toEqual([
        [added?.consumerId ?? '', false],
      ]);
      await happens(jens.leave());
      expect(anna.heard('consumer.removed')).toEqual([{ consumerId: added?.consumerId }]);
      expect(consumers()).toEqual([]);
    });

    it('cross the link once for all who watch, and only while somebody does', async () => {
      const watch = [{ participantId: otto.participantId, source: 'microphone' as const }];
      for (const client of [anna, jens, otto]) await happens(client.join(ROOM));
      await happens(otto.publish('microphone'));
      const received = () => producersOf(home).filter(({ linkId }) => linkId !== undefined).length;
      expect(received()).toBe(0);
      await happens(anna.see(watch));
      await happens(jens.see(watch));
      expect(received()).toBe(1);
      await happens(anna.see([]));
      expect(received()).toBe(1);
      await happens(jens.see([]));
      expect(received()).toBe(0);
    });

    it('have no conference on the SFU that a link opens after the last has left', async () => {
      await happens(anna.join(ROOM));
      // The peer opens the link; its document takes long to come.
      network.delay = (from) => (from === 'luebeck.example' ? 300 : 0);
      const joining = otto.join(ROOM);
      await clock.advance(200);
      await happens(anna.leave(), 50);
      await happens(joining, 5_000);
      expect(home.sfu.snapshot().conferences).toEqual([]);
    });
  });

  describe('after a restart of the homeserver', () => {
    it('are kept for who comes back, with what is sent', async () => {
      anna.sources.add('microphone');
      await happens(anna.join(ROOM));
      home.restart();
      await clock.advance(1_000);
      expect(seatOf(anna)?.state.kind).toBe('reconnecting');
      expect([...(seatOf(anna)?.sources.keys() ?? [])]).toEqual(['microphone']);
      const back = new FakeClient(home, ANNA, 'PHONE');
      await happens(back.join(ROOM));
      await clock.advance(30_000);
      expect(seatOf(back)?.state.kind).toBe('here');
    });

    it('are given up when nobody comes back in time', async () => {
      await happens(anna.join(ROOM));
      home.restart();
      await clock.advance(19_000);
      expect(await standing(anna)).toBeTrue();
      await clock.advance(3_000);
      expect(await standing(anna)).toBeFalse();
      expect(home.sfu.snapshot().conferences).toEqual([]);
    });

    it('are kept although another one can not be read', async () => {
      await happens(jens.join(OTHER_ROOM));
      await happens(anna.join(ROOM));
      const authority = rooms.authority.bind(rooms);
      spyOn(rooms, 'authority').and.callFake((roomId, userId) =>
        roomId === OTHER_ROOM ? Promise.reject(new Error('the database is away')) : authority(roomId, userId),
      );
      home.restart();
      await clock.advance(1_000);
      expect(seatOf(anna)?.state.kind).toBe('reconnecting');
      expect(home.conferences.get(OTHER_ROOM)).toBeUndefined();
    });

    it('are not kept for who was removed meanwhile', async () => {
      await happens(anna.join(ROOM));
      await happens(jens.join(ROOM));
      home.conferences.close();
      rooms.setMember(ROOM, JENS, 'leave', ANNA);
      home.restart();
      await clock.advance(1_000);
      expect(peopleOf(home)).toEqual([anna.participantId]);
      expect(home.sfu.labels(ROOM)).toEqual([anna.participantId, anna.participantId]);
    });
  });

  describe('are counted', () => {
    const count = async (): Promise<number> => {
      const reading = rooms.state(ROOM);
      await clock.settle();
      return home.conferences.liveCount(await reading);
    };

    it('of members who are joined in the room and whose server is allowed', async () => {
      for (const client of [anna, jens, otto]) await happens(client.join(ROOM));
      expect(await count()).toBe(3);
      // His instance has not said that he is out.
      const content = joinedContent({
        deviceId: 'DESK',
        serverName: 'hamburg.example',
        joinedAt: clock.now(),
        guest: false,
        now: clock.now(),
      });
      rooms.setMember(ROOM, OTTO, 'ban', ANNA);
      await clock.advance(2_000);
      rooms.put(ROOM, OTTO, CALL_MEMBER, membershipKey(OTTO, 'DESK'), content);
      expect(await count()).toBe(2);
      rooms.setMember(ROOM, OTTO, 'join');
      expect(await count()).toBe(3);
      rooms.put(ROOM, ANNA, 'm.room.server_acl', '', { allow: ['*'], deny: ['hamburg.example'] });
      expect(await count()).toBe(2);
    });
  });

  it('are refused to who asks too much at once', async () => {
    await happens(anna.join(ROOM));
    const asked = Array.from({ length: 100 }, () => anna.mute('camera', true));
    const outcomes = await happens(Promise.allSettled(asked));
    const codes = outcomes.map((outcome) =>
      outcome.status === 'rejected' && outcome.reason instanceof Error && 'code' in outcome.reason
        ? outcome.reason.code
        : 'none',
    );
    expect(codes.filter((code) => code === 'too-many-requests').length).toBe(60);
    expect(codes.filter((code) => code === 'not-found').length).toBe(40);
  });

  it('are refused to who is not in the room', async () => {
    await refused(new FakeClient(home, '@nobody:luebeck.example', 'DESK').join(ROOM), { status: 403 });
    await refused(anna.join('!nowhere:luebeck.example'), { status: 403 });
    expect(home.conferences.get(ROOM)).toBeUndefined();
  });
});
