/** What the log of a meeting cannot know, and says: times in which this homeserver did not hear of orders. */
import pino from 'pino';
import { openDatabase } from '../../homeserver/database/database.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import type { WatchedConference } from '../../homeserver/meetings/conference/ports.ts';
import { LOST_AFTER_MS } from '../../homeserver/meetings/conference/reachability.ts';
import { LogGaps } from '../../homeserver/meetings/log/log-gaps.ts';
import type { Noted } from '../../homeserver/meetings/log/meeting-log.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { FakeClock } from '../support/fakes/clock.ts';

const ROOM = '!room';
const MINUTE = 60_000;
const logger = pino({ level: 'silent' });

describe('The log of a meeting: gaps', () => {
  let test: TestDatabase;
  let db: Database;
  let clock: FakeClock;
  let gaps: LogGaps;
  let notes: Noted[];
  /** Of other organisations, when they entered. */
  let others: number[];
  let firstEntry: number;

  beforeAll(async () => {
    test = await testDatabase();
    db = await openDatabase(test.url);
    await migrate(db, logger);
  });
  afterAll(async () => {
    await db.close();
    await test.close();
  });
  beforeEach(async () => {
    await db.query('DELETE FROM meeting_log_watch', []);
    clock = new FakeClock();
    notes = [];
    others = [];
    firstEntry = Infinity;
    gaps = open();
  });
  afterEach(() => gaps.close());

  const open = (): LogGaps =>
    new LogGaps({
      db,
      clock,
      logger,
      log: { note: (noted) => void notes.push(noted), firstEntry: () => Promise.resolve(firstEntry) },
    });
  const conference: WatchedConference = {
    roomId: ROOM,
    participants: () => others.map((joinedAt) => ({ joinedAt })),
    servers: () => new Set(others.length > 0 ? ['hamburg.example'] : []),
  };
  /** What was noted, in minutes from the beginning. */
  const told = (start: number): unknown[] =>
    notes.map(({ kind, at, until, detail, organisation }) => [
      kind,
      ((at ?? NaN) - start) / MINUTE,
      until === undefined ? undefined : (until - start) / MINUTE,
      detail ?? organisation,
    ]);
  /** Waits until all that was begun stands in the database. */
  const settled = async (): Promise<void> => {
    await gaps.settled();
  };

  it('are none where nobody else was there', async () => {
    gaps.opened(conference);
    await settled();
    await clock.advance(5 * MINUTE);
    gaps.closed(conference);
    await settled();
    await clock.advance(5 * MINUTE);
    gaps.opened(conference);
    await settled();

    expect(notes).toEqual([]);
  });

  it('are the time in which only others were in the conference', async () => {
    const start = clock.now();
    gaps.opened(conference);
    await settled();
    others = [start];
    await clock.advance(5 * MINUTE);
    gaps.closed(conference);
    await settled();
    await clock.advance(3 * MINUTE);
    gaps.opened(conference);
    await settled();

    expect(told(start)).toEqual([['gap', 5, 8, 'absent']]);
  });

  it('begin with the first who enters where ours are not, also when everybody has gone again', async () => {
    const start = clock.now();
    gaps.opened(conference);
    gaps.closed(conference);
    await settled();
    firstEntry = start + 2 * MINUTE;
    await clock.advance(9 * MINUTE);
    gaps.opened(conference);
    await settled();

    expect(told(start)).toEqual([['gap', 2, 9, 'absent']]);
  });

  it('are the time in which the homeserver was down while a conference went on', async () => {
    const start = clock.now();
    others = [start];
    gaps.opened(conference);
    await settled();
    notes = [];
    await clock.advance(5 * MINUTE);
    await gaps.close();
    await clock.advance(2 * MINUTE);

    gaps = open();
    gaps.opened(conference);
    await settled();

    expect(told(start)).toEqual([['gap', 5, 7, 'down']]);
  });

  it('are told of conferences that do not go on after a start, too', async () => {
    const start = clock.now();
    gaps.opened(conference);
    await settled();
    await gaps.close();
    await clock.advance(2 * MINUTE);

    gaps = open();
    await settled();
    await clock.advance(2 * MINUTE);
    await settled();

    expect(told(start)).toEqual([['gap', 0, 2, 'down']]);
  });

  it('name an organisation that does not answer, and since when', async () => {
    const start = clock.now();
    await clock.advance(10 * MINUTE);
    gaps.lost('hamburg.example', true, new Set([ROOM]));
    await clock.advance(5 * MINUTE);
    gaps.lost('hamburg.example', false, new Set([ROOM]));

    const since = 10 - LOST_AFTER_MS / MINUTE;
    expect(told(start)).toEqual([
      ['gap', since, undefined, 'hamburg.example'],
      ['gap', since, 15, 'hamburg.example'],
    ]);
  });
});
