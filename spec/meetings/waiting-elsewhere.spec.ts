/** What other instances tell of who waits: bounds, whom they may name, and how long it counts. On fake rooms and a fake clock. */
import { MatrixError } from '../../homeserver/base/errors.ts';
import { ADMISSION } from '../../homeserver/base/names.ts';
import { EntryRule, WAITING } from '../../homeserver/meetings/conference/entry-rule.ts';
import { type WaitingMessage, waitingMessageSchema } from '../../homeserver/meetings/waiting/messages.ts';
import { WaitingElsewhere } from '../../homeserver/meetings/waiting/waiting-elsewhere.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import { FakeRooms } from '../support/fakes/rooms.ts';

const ROOM = '!room:luebeck.example';
const ANNA = '@anna:luebeck.example';
const BERT = '@bert:hamburg.example';
const KAI = '@guest-kai:hamburg.example';

const person = (userId: string, guest = false, name = 'Name') => ({
  user_id: userId,
  display_name: name,
  guest,
  since_ts: 1_790_000_000_000,
});
const list = (...people: ReturnType<typeof person>[]): WaitingMessage => ({ waiting: people, count: people.length });

describe('Waiting room, as other instances tell of it', () => {
  let clock: FakeClock;
  let rooms: FakeRooms;
  let elsewhere: WaitingElsewhere;
  let told: boolean;

  beforeEach(() => {
    clock = new FakeClock();
    rooms = new FakeRooms(clock);
    rooms.create(ROOM, ANNA);
    rooms.put(ROOM, ANNA, WAITING, '', { for: 'everybody' });
    told = false;
    elsewhere = new WaitingElsewhere({
      rooms,
      entry: new EntryRule({ serverName: 'luebeck.example', rooms, cameBy: () => Promise.resolve(undefined) }),
      clock,
      isTold: () => told,
      conferring: () => Promise.resolve(['luebeck.example']),
      changed: () => undefined,
    });
  });

  const take = async (message: WaitingMessage, origin = 'hamburg.example') => {
    const taken = elsewhere.take(origin, ROOM, message).catch((error: unknown) => {
      if (!(error instanceof MatrixError)) throw error;
      return error.status;
    });
    await clock.settle();
    return taken;
  };
  const named = (): string[] => elsewhere.of(ROOM).flatMap(({ people }) => people.map(({ userId }) => userId));

  it('refuses a server of which nobody may wait, and tells it nothing', async () => {
    expect(await take(list(person(BERT)))).toBe(403);
    expect(await take(list(person(KAI, true)))).toBe(403);
    expect(await take(list())).toBe(403);
    rooms.setMember(ROOM, BERT, 'leave', ANNA);
    expect(await take(list(person(BERT)))).toBe(403);
    expect(named()).toEqual([]);
  });

  it('takes the word of an instance for its own people only', async () => {
    rooms.setMember(ROOM, BERT, 'invite', ANNA);
    rooms.setMember(ROOM, '@otto:bremen.example', 'invite', ANNA);
    await take(list(person(BERT), person('@otto:bremen.example'), person(ANNA)));
    expect(named()).toEqual([BERT]);
  });

  it('believes in guests of an instance that is in the room, and of no other', async () => {
    rooms.setMember(ROOM, BERT, 'invite', ANNA);
    await take(list(person(BERT), person(KAI, true)));
    expect(named()).toEqual([BERT]);
    rooms.setMember(ROOM, BERT, 'join');
    await take(list(person(BERT), person(KAI, true, 'Kai\u202e')));
    expect(named()).toEqual([BERT, KAI]);
    expect(elsewhere.of(ROOM)[0]?.people[1]?.displayName).toBe('Kai');
    // Nobody outside of the room who is no guest.
    await take(list(person('@carla:hamburg.example')));
    expect(named()).toEqual([]);
  });

  it('names nobody who is banned or was refused, and says so to an instance outside of the room', async () => {
    rooms.setMember(ROOM, BERT, 'invite', ANNA);
    const emil = '@emil:hamburg.example';
    rooms.setMember(ROOM, emil, 'ban', ANNA);
    told = true;
    expect(await take(list(person(BERT), person(emil)))).toEqual({
      told: true,
      servers: ['luebeck.example'],
      admitted: [],
      refused: [emil],
    });
    expect(named()).toEqual([BERT]);
    rooms.put(ROOM, ANNA, ADMISSION, `_${BERT}`, { admitted: true });
    expect(await take(list(person(BERT)))).toEqual(jasmine.objectContaining({ admitted: [BERT], refused: [] }));
  });

  it('keeps the newest list of each, forgets it after 75 s, and ends it by an empty one', async () => {
    rooms.setMember(ROOM, BERT, 'invite', ANNA);
    rooms.setMember(ROOM, '@carla:hamburg.example', 'knock');
    await take({ waiting: [person(BERT)], count: 1_000 });
    expect(elsewhere.of(ROOM)[0]?.count).toBe(1_000);
    await take(list(person('@carla:hamburg.example')));
    expect(named()).toEqual(['@carla:hamburg.example']);
    await clock.advance(74_000);
    expect(named()).toEqual(['@carla:hamburg.example']);
    await take(list(person(BERT)));
    await clock.advance(74_000);
    expect(named()).toEqual([BERT]);
    await clock.advance(2_000);
    expect(named()).toEqual([]);
    await take(list(person(BERT)));
    await take(list());
    expect(named()).toEqual([]);
  });

  it('takes no more than 50 people and 100 lists in 10 s', async () => {
    const many = Array.from({ length: 51 }, (_, index) => person(`@guest-${String(index)}:hamburg.example`, true));
    expect(waitingMessageSchema.safeParse({ waiting: many, count: 51 }).success).toBeFalse();
    expect(waitingMessageSchema.safeParse({ waiting: many.slice(1), count: 1_000 }).success).toBeTrue();
    for (const count of [-1, 0.5, Number.MAX_SAFE_INTEGER, '3']) {
      expect(waitingMessageSchema.safeParse({ waiting: [], count }).success).toBeFalse();
    }
    rooms.setMember(ROOM, BERT, 'invite', ANNA);
    const answers = [];
    for (let index = 0; index < 101; index += 1) answers.push(await take(list(person(BERT))));
    expect(answers.filter((answer) => answer === 429).length).toBe(1);
    expect(await take(list(person('@otto:bremen.example')), 'bremen.example')).toBe(403);
  });

  it('admits those who had no place in the list when everybody was admitted, and nobody who came later', async () => {
    rooms.setMember(ROOM, BERT, 'join');
    await take({ waiting: [person(KAI, true)], count: 3 });
    const admitted: string[] = [];
    elsewhere.admitLater(ROOM, (userIds) => admitted.push(...userIds));
    const late = { ...person('@guest-late:hamburg.example', true), since_ts: clock.now() + 5_000 };
    await take({ waiting: [person('@guest-a:hamburg.example', true), late], count: 2 });
    expect(admitted).toEqual(['@guest-a:hamburg.example']);
    await clock.advance(61_000);
    await take({ waiting: [person('@guest-b:hamburg.example', true)], count: 1 });
    expect(admitted).toEqual(['@guest-a:hamburg.example']);
  });
});
