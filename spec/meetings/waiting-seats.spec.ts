/** Places in the conference of who has to wait: two instances on fake parts, one of which may not keep to the rule. */
import { ADMISSION, CALL_MEMBER } from '../../homeserver/base/names.ts';
import { LOCK, WAITING } from '../../homeserver/meetings/conference/entry-rule.ts';
import { joinedContent, membershipKey } from '../../homeserver/meetings/conference/membership.ts';
import type { FakeClient } from '../support/fakes/city.ts';
import { ANNA, JENS, OLGA, OTTO, ROOM, TwoFakeCities } from '../support/fakes/two-fake-cities.ts';

const MUST_WAIT = jasmine.objectContaining({ code: 'must-wait' });

describe('Waiting room: a place in the conference', () => {
  let cities: TwoFakeCities;
  let anna: FakeClient;
  let jens: FakeClient;
  let otto: FakeClient;

  beforeEach(async () => {
    cities = new TwoFakeCities();
    ({ anna, jens, otto } = cities.clients());
    await happens(anna.join(ROOM));
  });
  afterEach(() => cities.close());

  const happens = <T>(work: PromiseLike<T>): Promise<T> => cities.clock.during(Promise.resolve(work), 2_000);
  const shown = (city = cities.home): string[] =>
    (city.conferences.get(ROOM)?.participants() ?? []).map(({ userId }) => userId).sort();
  const put = (type: string, key: string, content: Parameters<typeof cities.rooms.put>[4]): Promise<void> => {
    cities.rooms.put(ROOM, ANNA, type, key, content);
    return cities.clock.advance(500);
  };
  /** What an instance may write although its person has to wait. */
  const forge = (userId: string, joinedAt = cities.clock.now()): Promise<void> => {
    const content = joinedContent({
      deviceId: 'DESK',
      serverName: 'hamburg.example',
      joinedAt,
      guest: false,
      now: cities.clock.now(),
    });
    cities.rooms.put(ROOM, userId, CALL_MEMBER, membershipKey(userId, 'DESK'), content);
    return cities.clock.advance(500);
  };
  const join = (client: FakeClient, userId: string): Promise<unknown> => {
    const city = client === otto ? cities.away : cities.home;
    return city.conferences.join(ROOM, { userId, deviceId: 'DESK', guest: false, holder: client });
  };

  it('is taken by nobody who has to wait, here or elsewhere, and by moderators always', async () => {
    await put(WAITING, '', { for: 'everybody' });
    await happens(expectAsync(join(jens, JENS)).toBeRejectedWith(MUST_WAIT));
    await happens(expectAsync(join(otto, OTTO)).toBeRejectedWith(MUST_WAIT));
    expect(shown()).toEqual([ANNA]);
    await put(ADMISSION, `_${JENS}`, { admitted: true });
    await happens(join(jens, JENS));
    expect(shown()).toEqual([ANNA, JENS]);
    await put('m.room.power_levels', '', { users: { [OTTO]: 50 }, state_default: 50, events: { [CALL_MEMBER]: 0 } });
    await happens(join(otto, OTTO));
    expect(shown()).toEqual([ANNA, JENS, OTTO]);
  });

  it('is not taken from an instance that gives one without admission, however old it says that it is', async () => {
    await put(WAITING, '', { for: 'everybody' });
    await forge(OLGA);
    await forge(OTTO, cities.clock.now() - 60_000);
    expect(shown()).toEqual([ANNA]);
    // What a moderator says counts for what stands there already.
    await put(ADMISSION, `_${OLGA}`, { admitted: true });
    expect(shown()).toEqual([ANNA, OLGA]);
    // Admission that nobody may write who does not moderate is not in the room; one that cannot be read is none.
    await put(ADMISSION, `_${OTTO}`, { admitted: 'yes' });
    expect(shown()).toEqual([ANNA, OLGA]);
  });

  it('is kept by who has one when a rule begins, and ends when a moderator sends them back', async () => {
    await happens(join(jens, JENS));
    await forge(OLGA);
    await put(WAITING, '', { for: 'everybody' });
    await put(LOCK, '', { locked: true });
    await cities.clock.advance(130_000);
    expect(shown()).toEqual([ANNA, JENS, OLGA]);
    await put(ADMISSION, `_${JENS}`, { admitted: false });
    await put(ADMISSION, `_${OLGA}`, { admitted: false });
    expect(shown()).toEqual([ANNA]);
    expect(jens.heard('conference.ended')).toEqual([jasmine.objectContaining({ reason: 'waiting' })]);
    await happens(expectAsync(join(jens, JENS)).toBeRejectedWith(MUST_WAIT));
    await forge(OLGA);
    expect(shown()).toEqual([ANNA]);
  });

  it('is free in a locked meeting for whom a moderator admits in spite of that lock only', async () => {
    await put(ADMISSION, `_${JENS}`, { admitted: true });
    const { eventId } = cities.rooms.put(ROOM, ANNA, LOCK, '', { locked: true });
    await happens(expectAsync(join(jens, JENS)).toBeRejectedWith(MUST_WAIT));
    await put(ADMISSION, `_${JENS}`, { admitted: true, lock: eventId });
    await happens(join(jens, JENS));
    expect(shown()).toEqual([ANNA, JENS]);
    await happens(cities.home.conferences.seats.leaveAs(jens, 'left'));
    await put(LOCK, '', { locked: true });
    await happens(expectAsync(join(jens, JENS)).toBeRejectedWith(MUST_WAIT));
  });
});
