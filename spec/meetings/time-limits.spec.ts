/** The time limit of a meeting: announced, and acted by each instance for its own people. */
import { FakeCity, FakeClient, type FakeLand } from '../support/fakes/city.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import { FakeNetwork } from '../support/fakes/link-peers.ts';
import { FakeRooms } from '../support/fakes/rooms.ts';

const ROOM = '!limited:luebeck.example';
const ANNA = '@anna:luebeck.example';
const JENS = '@jens:luebeck.example';
const OTTO = '@otto:hamburg.example';
const MINUTE = 60_000;
const ENDED = [{ reason: 'time-limit' }];

describe('The time limit of a meeting', () => {
  let clock: FakeClock;
  let rooms: FakeRooms;
  let cities: FakeCity[];
  let [anna, jens, otto]: FakeClient[] = [];

  beforeEach(async () => {
    clock = new FakeClock();
    rooms = new FakeRooms(clock);
    rooms.create(ROOM, ANNA);
    for (const userId of [JENS, OTTO]) rooms.setMember(ROOM, userId, 'join');
    const land: FakeLand = { clock, rooms, network: new FakeNetwork(clock), cities: new Map() };
    const home = new FakeCity('luebeck.example', '198.51.100.1', land);
    const away = new FakeCity('hamburg.example', '198.51.100.2', land);
    cities = [home, away];
    anna = new FakeClient(home, ANNA, 'A');
    jens = new FakeClient(home, JENS, 'J');
    otto = new FakeClient(away, OTTO, 'O');
    for (const client of everybody()) await happens(client.join(ROOM));
  });
  afterEach(() => {
    for (const city of cities) city.conferences.close();
  });

  const everybody = (): FakeClient[] => [anna, jens, otto].filter((client) => client !== undefined);
  async function happens(work: Promise<unknown>): Promise<void> {
    const done = work.catch((error: unknown) => error);
    await clock.advance(2_000);
    const failure = await done;
    if (failure instanceof Error) throw failure;
  }
  const limit = (endsAt: number | undefined): unknown =>
    rooms.put(ROOM, ANNA, 'org.hansetag.setting.limit', '', endsAt === undefined ? {} : { ends_at: endsAt });
  const announced = (client: FakeClient | undefined): unknown[] | undefined => client?.heard('moderation.time-limit');
  const ended = (): unknown[][] => everybody().map((client) => client.heard('conference.ended'));

  it('is announced ten minutes, five minutes and one minute before, to people of every organisation, and then acted', async () => {
    limit(clock.now() + 12 * MINUTE);
    await clock.advance(3 * MINUTE);
    expect(announced(otto)).toEqual([{ minutes: 10 }]);
    await clock.advance(8 * MINUTE + 30_000);
    for (const client of everybody()) {
      expect(announced(client))
        .withContext(client.userId)
        .toEqual([{ minutes: 10 }, { minutes: 5 }, { minutes: 1 }]);
    }
    expect(ended()).toEqual([[], [], []]);
    await clock.advance(MINUTE);
    expect(ended()).toEqual([ENDED, ENDED, ENDED]);
    expect(cities.map((city) => city.sfu.snapshot().conferences)).toEqual([[], []]);
  });

  it('is extended and lifted, and counts as it stands last', async () => {
    limit(clock.now() + 6 * MINUTE);
    await clock.advance(2 * MINUTE);
    expect(announced(jens)).toEqual([{ minutes: 5 }]);
    limit(clock.now() + 60 * MINUTE);
    await clock.advance(30 * MINUTE);
    limit(undefined);
    await clock.advance(60 * MINUTE);
    expect(ended()).toEqual([[], [], []]);
    expect(announced(jens)).toEqual([{ minutes: 5 }]);
  });

  it('lets in afterwards who can extend it, and nobody else before they have', async () => {
    limit(clock.now() + MINUTE / 2);
    await clock.advance(MINUTE);
    expect(ended()).toEqual([ENDED, ENDED, ENDED]);
    const again = jens?.join(ROOM) ?? Promise.resolve();
    await expectAsync(happens(again)).toBeRejectedWith(
      jasmine.objectContaining({ errcode: 'ORG.HANSETAG.TIME_LIMIT' }),
    );
    await happens(anna?.join(ROOM) ?? Promise.resolve());
    await clock.advance(2 * MINUTE);
    expect(anna?.heard('conference.ended')).toEqual(ENDED);
    limit(clock.now() + 30 * MINUTE);
    await happens(jens?.join(ROOM) ?? Promise.resolve());
    expect(jens?.heard('conference.ended')).toEqual(ENDED);
  });

  it('that cannot be read limits nothing', async () => {
    for (const endsAt of [-1, Number.MAX_VALUE, 'soon', null, {}]) {
      rooms.put(ROOM, ANNA, 'org.hansetag.setting.limit', '', { ends_at: endsAt as never });
      await clock.advance(MINUTE);
    }
    expect(ended()).toEqual([[], [], []]);
  });
});
