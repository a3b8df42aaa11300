/** What happens in the room of a live conference, and what people in it see of that: two instances on fake parts. */
import { CALL_MEMBER, GUEST_FIELD } from '../../homeserver/base/names.ts';
import { joinedContent, membershipKey } from '../../homeserver/meetings/conference/membership.ts';
import { type FakeCity, FakeClient } from '../support/fakes/city.ts';
import type { FakeClock } from '../support/fakes/clock.ts';
import type { FakeRooms } from '../support/fakes/rooms.ts';
import { ANNA, JENS, OLGA, OTTO, ROOM, TwoFakeCities } from '../support/fakes/two-fake-cities.ts';

/** Who has done it, as clients are told. */
const BY_ANNA = { by: 'anna', organisation: 'luebeck.example' };

describe('A conference that follows its room', () => {
  let cities: TwoFakeCities;
  let clock: FakeClock;
  let rooms: FakeRooms;
  let home: FakeCity;
  let away: FakeCity;
  let anna: FakeClient;
  let jens: FakeClient;
  let otto: FakeClient;

  beforeEach(async () => {
    cities = new TwoFakeCities();
    ({ clock, rooms, home, away } = cities);
    ({ anna, jens, otto } = cities.clients());
    await clock.settle();
  });
  afterEach(() => cities.close());

  const happens = <T>(work: Promise<T>, ms = 2_000): Promise<T> => clock.during(work, ms);
  const shown = (city = home): string[] =>
    (city.conferences.get(ROOM)?.participants() ?? []).map(({ userId }) => userId).sort();
  const forget = (): void => {
    for (const { told } of [anna, jens, otto]) told.length = 0;
  };
  const names = (client: FakeClient): string[] => client.told.map(({ name }) => name);
  /** Somebody of the other organisation writes that a device of theirs is in the conference. */
  const write = (userId: string, changes: object = {}, sender = userId, guest = false) =>
    rooms.put(ROOM, sender, CALL_MEMBER, membershipKey(userId, 'DESK'), {
      ...joinedContent({
        deviceId: 'DESK',
        serverName: 'hamburg.example',
        joinedAt: clock.now(),
        guest,
        now: clock.now(),
      }),
      ...changes,
    });

  it('shows who is let in again while their membership in the conference still stands', async () => {
    const ben = '@ben:bremen.example';
    await happens(anna.join(ROOM));
    rooms.setMember(ROOM, ben, 'ban', ANNA);
    write(ben);
    await clock.settle();
    expect(shown()).toEqual([ANNA]);
    rooms.setMember(ROOM, ben, 'join');
    await clock.settle();
    expect(shown()).toEqual([ANNA, ben]);
  });

  describe('shows the meeting', () => {
    beforeEach(async () => {
      await happens(anna.join(ROOM));
      await happens(jens.join(ROOM));
      forget();
    });

    it('with its title, from the room of the moment in which somebody comes in', async () => {
      rooms.put(ROOM, ANNA, 'm.room.name', '', { name: 'Council' });
      await clock.settle();
      const snapshot = home.conferences.join(ROOM, { userId: JENS, deviceId: 'DESK', guest: false, holder: jens });
      expect((await happens(snapshot)).title).toBe('Council');
    });

    it('with a new title to everybody, once', async () => {
      rooms.put(ROOM, ANNA, 'm.room.name', '', { name: 'Council' });
      await clock.settle();
      for (const client of [anna, jens]) {
        expect(client.heard('conference.changed')).toEqual([
          jasmine.objectContaining({ roomId: ROOM, title: 'Council' }),
        ]);
      }
      forget();
      rooms.put(ROOM, ANNA, 'm.room.name', '', { name: 'Council' });
      await clock.settle();
      expect([anna.told, jens.told]).toEqual([[], []]);
    });

    it('with an empty title where the name is no text, and not as anything else', async () => {
      rooms.put(ROOM, ANNA, 'm.room.name', '', { name: 'Council' });
      rooms.put(ROOM, ANNA, 'm.room.name', '', { name: { first: 'Council' } });
      await clock.settle();
      expect(home.conferences.get(ROOM)?.title).toBe('');
    });

    it('with new names of people, to everybody', async () => {
      rooms.put(ROOM, JENS, 'm.room.member', JENS, { membership: 'join', displayname: 'Jens Jensen' });
      await clock.settle();
      expect(anna.heard('participant.changed')).toEqual([jasmine.objectContaining({ displayName: 'Jens Jensen' })]);
      expect(names(anna)).toEqual(['participant.changed']);
    });

    it('with new rights to who has them, and new roles to everybody', async () => {
      const levels = { state_default: 50, events_default: 0, events: { [CALL_MEMBER]: 0 }, users: { [JENS]: 50 } };
      rooms.put(ROOM, ANNA, 'm.room.power_levels', '', levels);
      await clock.settle();
      const [told] = jens.heard('conference.changed') as { rights: string[] }[];
      expect(told?.rights).toContain('mute');
      expect(anna.heard('conference.changed')).withContext('nothing is new to her').toEqual([]);
      expect(anna.heard('participant.changed')).toEqual([
        jasmine.objectContaining({ userId: JENS, role: 'moderator' }),
      ]);
    });

    it('from its state, whatever order events are told in', async () => {
      let delay = 1_000;
      rooms.tellDelay = () => delay;
      rooms.put(ROOM, ANNA, 'm.room.name', '', { name: 'first' });
      delay = 0;
      rooms.put(ROOM, ANNA, 'm.room.name', '', { name: 'second' });
      await clock.advance(5_000);
      expect(anna.heard('conference.changed')).toEqual([jasmine.objectContaining({ title: 'second' })]);
    });

    it('also after an event that could not be applied', async () => {
      const reading = spyOn(rooms, 'stateEvent').and.rejectWith(new Error('the database is away'));
      rooms.put(ROOM, ANNA, 'm.room.name', '', { name: 'Council' });
      await clock.settle();
      expect(anna.told).toEqual([]);
      reading.and.callThrough();
      rooms.put(ROOM, JENS, 'm.room.member', JENS, { membership: 'join', displayname: 'Jens' });
      await clock.settle();
      expect(home.conferences.get(ROOM)?.title)
        .withContext('what was missed is read with the next event')
        .toBe('Council');
    });
  });

  describe('brings people of other organisations in', () => {
    it('who were there before the first of ours', async () => {
      await happens(otto.join(ROOM));
      await happens(anna.join(ROOM));
      expect(shown()).toEqual([ANNA, OTTO]);
    });

    it('with their names, and as guests where their own server says so', async () => {
      await happens(anna.join(ROOM));
      rooms.put(ROOM, OLGA, 'm.room.member', OLGA, { membership: 'join', displayname: 'Olga', [GUEST_FIELD]: true });
      write(OLGA);
      await clock.settle();
      expect(anna.heard('participant.joined')).toEqual([
        jasmine.objectContaining({ userId: OLGA, displayName: 'Olga', guest: true, role: 'guest' }),
      ]);
    });

    it('not whom somebody else has written for', async () => {
      await happens(anna.join(ROOM));
      write(OLGA, {}, OTTO);
      await clock.settle();
      expect(shown()).toEqual([ANNA]);
    });

    it('and keeps them when a stranger writes over their membership', async () => {
      await happens(anna.join(ROOM));
      write(OLGA);
      await clock.settle();
      rooms.put(ROOM, OTTO, CALL_MEMBER, membershipKey(OLGA, 'DESK'), {});
      await clock.settle();
      expect(shown()).toContain(OLGA);
    });

    it('not who is not in the room', async () => {
      await happens(anna.join(ROOM));
      rooms.setMember(ROOM, OLGA, 'leave');
      write(OLGA);
      await clock.settle();
      expect(shown()).toEqual([ANNA]);
    });

    it('not of a server that is shut out', async () => {
      await happens(anna.join(ROOM));
      rooms.put(ROOM, ANNA, 'm.room.server_acl', '', { allow: ['*'], deny: ['hamburg.example'] });
      write(OTTO);
      await clock.settle();
      expect(shown()).toEqual([ANNA]);
    });

    it('not with a membership that is malformed, has expired, or stands under another key', async () => {
      await happens(anna.join(ROOM));
      write(OLGA, { device_id: 'PHONE' });
      write(OTTO, { created_ts: clock.now() - 3_600_000, expires: 1_000 });
      rooms.put(
        ROOM,
        OLGA,
        CALL_MEMBER,
        'a key',
        joinedContent({
          deviceId: 'DESK',
          serverName: 'hamburg.example',
          joinedAt: clock.now(),
          guest: false,
          now: clock.now(),
        }),
      );
      await clock.settle();
      expect(shown()).toEqual([ANNA]);
    });

    it('and out again with the end that they write', async () => {
      await happens(anna.join(ROOM));
      write(OLGA);
      await clock.settle();
      rooms.put(ROOM, OLGA, CALL_MEMBER, membershipKey(OLGA, 'DESK'), {});
      await clock.settle();
      expect(anna.heard('participant.left')).toEqual([{ participantId: `${OLGA}|DESK`, reason: 'left' }]);
    });

    it('as the room says in the end, when they come and go faster than it is told', async () => {
      await happens(anna.join(ROOM));
      rooms.readDelay = () => 20;
      for (let round = 0; round < 5; round += 1) {
        write(OLGA);
        rooms.put(ROOM, OLGA, CALL_MEMBER, membershipKey(OLGA, 'DESK'), {});
      }
      write(OLGA);
      await clock.advance(10_000);
      expect(shown()).toEqual([ANNA, OLGA]);
    });
  });

  describe('takes people out', () => {
    beforeEach(async () => {
      await happens(anna.join(ROOM));
      await happens(jens.join(ROOM));
      await happens(otto.join(ROOM));
      forget();
    });

    it('of ours who leave the room or are removed from it: they are told, and the others, too', async () => {
      rooms.setMember(ROOM, JENS, 'leave', ANNA);
      await clock.advance(2_000);
      expect(jens.heard('conference.ended')).toEqual([{ reason: 'removed', ...BY_ANNA }]);
      for (const client of [anna, otto]) {
        expect(client.heard('participant.left').length).withContext(client.userId).toBe(1);
      }
      expect([shown(home), shown(away)]).toEqual([
        [ANNA, OTTO],
        [ANNA, OTTO],
      ]);
    });

    it('on all their devices', async () => {
      const tablet = new FakeClient(home, JENS, 'TABLET');
      await happens(tablet.join(ROOM));
      rooms.setMember(ROOM, JENS, 'ban', ANNA);
      await clock.advance(2_000);
      expect([jens, tablet].map((client) => client.heard('conference.ended'))).toEqual([
        [{ reason: 'banned', ...BY_ANNA }],
        [{ reason: 'banned', ...BY_ANNA }],
      ]);
      expect(shown()).toEqual([ANNA, OTTO]);
    });

    it('not who was let in again before the end was read', async () => {
      let delay = 500;
      rooms.tellDelay = () => delay;
      rooms.setMember(ROOM, JENS, 'leave', ANNA);
      delay = 0;
      rooms.setMember(ROOM, JENS, 'join');
      await clock.advance(2_000);
      expect(jens.heard('conference.ended')).toEqual([]);
      expect(shown()).toContain(JENS);
    });

    it('of other organisations who are not in the room any more, whatever their own instance says', async () => {
      away.conferences.close();
      rooms.setMember(ROOM, OTTO, 'ban', ANNA);
      await clock.advance(2_000);
      expect(anna.heard('participant.left')).toEqual([{ participantId: otto.participantId, reason: 'removed' }]);
      expect(home.conferences.get(ROOM)?.links.size).toBe(0);
    });

    it('of a server that the room shuts out, and nobody of another one', async () => {
      rooms.put(ROOM, ANNA, 'm.room.server_acl', '', { allow: ['*'], deny: ['hamburg.example'] });
      await clock.advance(2_000);
      expect(shown(home)).toEqual([ANNA, JENS]);
      expect(otto.heard('conference.ended')).toEqual([{ reason: 'removed' }]);
      expect(jens.heard('conference.ended')).toEqual([]);
      expect(home.conferences.get(ROOM)?.links.size).toBe(0);
    });

    it('of a server that the room shuts out, whatever that server says', async () => {
      away.conferences.close();
      rooms.put(ROOM, ANNA, 'm.room.server_acl', '', { allow: ['*'], deny: ['hamburg.example'] });
      await clock.advance(2_000);
      expect(anna.heard('participant.left')).toEqual([{ participantId: otto.participantId, reason: 'removed' }]);
      expect(home.conferences.get(ROOM)?.links.size).toBe(0);
    });

    it('all of them when the meeting ends, with that as the reason', async () => {
      rooms.put(ROOM, ANNA, 'm.room.tombstone', '', { body: 'ended', replacement_room: '!next' });
      await clock.advance(2_000);
      for (const client of [anna, jens, otto]) {
        expect(client.heard('conference.ended'))
          .withContext(client.userId)
          .toEqual([{ reason: 'ended', ...(client === anna ? {} : BY_ANNA) }]);
      }
      expect([home, away].map((city) => city.conferences.get(ROOM))).toEqual([undefined, undefined]);
    });

    it('nobody when a rule can not be read; the next look makes that good', async () => {
      const allowed = spyOn(rooms, 'serverAllowed').and.rejectWith(new Error('the database is away'));
      rooms.put(ROOM, ANNA, 'm.room.server_acl', '', { allow: ['*'], deny: ['hamburg.example'] });
      await clock.advance(2_000);
      expect(shown(home)).toEqual([ANNA, JENS, OTTO]);
      allowed.and.callThrough();
      await clock.advance(60_000);
      expect(shown(home)).toEqual([ANNA, JENS]);
    });
  });

  it('takes guests out when the room lets none in any more, and nobody else', async () => {
    const guest = '@guest-7:luebeck.example';
    rooms.setMember(ROOM, guest, 'join');
    rooms.put(ROOM, ANNA, 'm.room.guest_access', '', { guest_access: 'can_join' });
    const visitor = new FakeClient(home, guest, 'BROWSER');
    await happens(anna.join(ROOM));
    const joining = home.conferences.join(ROOM, { userId: guest, deviceId: 'BROWSER', guest: true, holder: visitor });
    await happens(joining);
    rooms.put(ROOM, ANNA, 'm.room.guest_access', '', { guest_access: 'forbidden' });
    await clock.advance(2_000);
    expect(visitor.heard('conference.ended')).toEqual([{ reason: 'ended', for: 'guests', ...BY_ANNA }]);
    expect(shown()).toEqual([ANNA]);
  });

  it('does nothing where there is no conference', async () => {
    const before = home.sfu.requests.length;
    rooms.put(ROOM, ANNA, 'm.room.name', '', { name: 'Council' });
    write(OLGA);
    await clock.settle();
    expect(home.conferences.get(ROOM)).toBeUndefined();
    expect(home.sfu.requests.length).toBe(before);
  });
});
