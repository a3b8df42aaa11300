/** What was ordered to be paused and is not taken: over restarts, and when nobody hears that it was paused. */
import { openDatabase } from '../../homeserver/database/database.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import type { Silenced } from '../../homeserver/meetings/conference/silences.ts';
import { Silences } from '../../homeserver/meetings/conference/silences.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { type FakeCity, FakeClient } from '../support/fakes/city.ts';
import { JENS, ROOM, TwoFakeCities } from '../support/fakes/two-fake-cities.ts';

describe('Moderation without trust: a microphone that was ordered to be paused', () => {
  let both: TwoFakeCities;
  let jens: FakeClient;
  let otto: FakeClient;
  /** Whether what Hamburg says arrives in Lübeck. */
  let arrives: boolean;

  /** Otto speaks, and Jens of the other organisation hears him. */
  beforeEach(async () => {
    both = new TwoFakeCities();
    arrives = true;
    both.network.delay = () => 1;
    both.network.isHeard = (from) => from !== both.away.serverName || arrives;
    ({ jens, otto } = both.clients());
    await joins(otto);
    otto.do(() => otto.publish('microphone'));
    await hears(jens);
    expect(heard()).toEqual(['speaks', false]);
  });
  afterEach(() => both.close());

  const joins = async (client: FakeClient): Promise<void> => {
    client.do(() => client.join(ROOM));
    await both.clock.advance(2_000);
  };
  const hears = async (client: FakeClient): Promise<void> => {
    client.watch = [{ participantId: otto.participantId, source: 'microphone' }];
    await joins(client);
    await both.clock.advance(5_000);
  };
  /** How Otto's microphone is shown in Lübeck, and whether its media server has it paused. */
  const heard = (): unknown[] => {
    const shown = both.home.conferences
      .get(ROOM)
      ?.participants()
      .find(({ participantId }) => participantId === otto.participantId)
      ?.sources.find(({ source }) => source === 'microphone');
    const media = [...(both.home.sfu.conferences.get(ROOM)?.producers.values() ?? [])];
    const received = media.find(({ participantId }) => participantId === otto.participantId);
    return [shown && (shown.paused ? 'is paused' : 'speaks'), received?.paused];
  };
  /** The order comes to Lübeck. Whether Hamburg obeys is another matter. */
  const order = async (): Promise<void> => {
    both.home.conferences.get(ROOM)?.silence(otto.participantId, 'microphone');
    await both.clock.advance(1_000);
  };
  const says = async (paused: boolean, ms = 1_000): Promise<void> => {
    otto.do(() => otto.mute('microphone', paused));
    await both.clock.advance(ms);
  };
  /** Whoever is in the conference there comes back. */
  const restarts = async (city: FakeCity): Promise<void> => {
    city.restart();
    await both.clock.advance(100);
    if (city === both.home) await hears(new FakeClient(city, JENS, 'DESK'));
    else await joins(new FakeClient(city, otto.userId, otto.deviceId));
  };

  it('is not taken until its organisation has paused it, and then whenever it is resumed', async () => {
    await order();
    expect(heard()).toEqual(['is paused', true]);
    await both.clock.advance(60_000);
    expect(heard()).toEqual(['is paused', true]);
    await says(true);
    await says(false);
    expect(heard()).toEqual(['speaks', false]);
  });

  it('is taken again when its organisation has paused and resumed it so quickly that only the end is heard of', async () => {
    await order();
    await says(true, 5);
    await says(false);
    expect(heard()).toEqual(['speaks', false]);
  });

  it('is taken again when it was paused and resumed while nothing came through', async () => {
    arrives = false;
    await order();
    await says(true);
    await says(false);
    arrives = true;
    await both.clock.advance(10_000);
    expect(heard()).toEqual(['speaks', false]);
  });

  it('is not taken after a restart of our homeserver either, until it was paused', async () => {
    await order();
    await restarts(both.home);
    expect(heard()).toEqual(['is paused', true]);
    await says(true);
    await says(false);
    expect(heard()).toEqual(['speaks', false]);
  });

  it('is not taken after a restart of its own homeserver, which does not know of the order', async () => {
    await order();
    both.away.restart();
    await both.clock.advance(15_000);
    expect(heard()).toEqual(['is paused', true]);
  });

  it('is taken after a restart of our homeserver when it was paused and resumed meanwhile', async () => {
    await order();
    arrives = false;
    await says(true);
    await says(false);
    arrives = true;
    await restarts(both.home);
    expect(heard()).toEqual(['speaks', false]);
  });

  it('is not taken when all of ours have left and come back', async () => {
    await order();
    jens.do(() => jens.leave());
    await both.clock.advance(5_000);
    expect(both.home.conferences.get(ROOM)).toBeUndefined();
    await hears(new FakeClient(both.home, JENS, 'PHONE'));
    expect(heard()).toEqual(['is paused', true]);
  });

  it('is of nobody any more who has left: whoever comes back is heard', async () => {
    await order();
    otto.do(() => otto.leave());
    await both.clock.advance(5_000);
    expect(await both.home.silences.of(ROOM)).toEqual([]);
    await joins(otto);
    otto.do(() => otto.publish('microphone'));
    await both.clock.advance(5_000);
    expect(heard()).toEqual(['speaks', false]);
  });

  it('by its own people is heard once it is resumed, also when our homeserver was away then', async () => {
    await says(true);
    expect(heard()).toEqual(['is paused', true]);
    arrives = false;
    await says(false);
    arrives = true;
    await restarts(both.home);
    expect(heard()).toEqual(['speaks', false]);
  });
});

describe('What is not taken of others, in the database', () => {
  const OTHER = '!other:luebeck.example';
  const OTTO = '@otto:hamburg.example|DESK';
  let database: TestDatabase;
  let db: Database;

  beforeAll(async () => {
    database = await testDatabase();
    db = await openDatabase(database.url);
    await migrate(db);
  });
  afterAll(async () => {
    await db.close();
    await database.close();
  });

  it('is known to the next run, by room, as it was told last', async () => {
    const silences = new Silences(db);
    const sources: Silenced = new Map([['microphone', 1_789_999_400_000]]);
    await Promise.all([
      silences.put(ROOM, OTTO, new Map()),
      silences.put(ROOM, OTTO, new Map([['camera', 1]])),
      silences.put(ROOM, OTTO, sources),
      silences.put(OTHER, OTTO, sources),
      silences.put(OTHER, OTTO, new Map()),
    ]);
    expect(await new Silences(db).of(ROOM)).toEqual([{ participantId: OTTO, sources }]);
    expect(await new Silences(db).of(OTHER)).toEqual([]);
  });

  it('is forgotten after a day', async () => {
    const silences = new Silences(db);
    await silences.put(ROOM, OTTO, new Map([['microphone', 1]]));
    const later = Date.now() + 25 * 60 * 60 * 1000;
    spyOn(Date, 'now').and.returnValue(later);
    expect(await silences.of(ROOM)).toEqual([]);
    await silences.put(OTHER, OTTO, new Map([['microphone', 1]]));
    expect(await db.query('SELECT room_id FROM conference_silences')).toEqual([{ room_id: OTHER }]);
  });
});
