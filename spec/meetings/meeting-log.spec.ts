/** The log of a meeting: what is noted, in which order, under which names, and for how long. */
import pino from 'pino';
import { openDatabase } from '../../homeserver/database/database.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import { MeetingLog, type MeetingLogDeps } from '../../homeserver/meetings/log/meeting-log.ts';
import { LOG_NAMED, LOG_PAGE } from '../../protocol/meeting-log.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import { FakeRooms } from '../support/fakes/rooms.ts';

const ROOM = '!room';
const JENS = '@jens:luebeck.example';
const OTTO = '@otto:hamburg.example';
const DAY = 24 * 60 * 60 * 1000;
const log = pino({ level: 'silent' });

describe('The log of a meeting', () => {
  let test: TestDatabase;
  let db: Database;
  let clock: FakeClock;
  let rooms: FakeRooms;
  let kept: MeetingLog;

  beforeAll(async () => {
    test = await testDatabase();
    db = await openDatabase(test.url);
    await migrate(db, log);
  });
  afterAll(async () => {
    await db.close();
    await test.close();
  });
  beforeEach(async () => {
    await db.query('DELETE FROM meeting_log', []);
    clock = new FakeClock();
    rooms = new FakeRooms(clock);
    rooms.create(ROOM, JENS);
    isCalled('Otto Hansen');
    kept = open();
  });

  const open = (changes: Partial<MeetingLogDeps> = {}): MeetingLog =>
    new MeetingLog({ serverName: 'luebeck.example', db, rooms, keptDays: 90, clock, log, ...changes });

  const isCalled = (displayname: string): void => {
    rooms.put(ROOM, OTTO, 'm.room.member', OTTO, { membership: 'join', displayname });
  };

  it('shows the newest first, with the names and organisations of that time', async () => {
    kept.note({ roomId: ROOM, kind: 'entered', whom: OTTO });
    await kept.close();
    isCalled('Somebody else');
    kept.note({ roomId: ROOM, kind: 'mute', by: JENS, whom: [OTTO, OTTO] });
    await kept.close();

    const { entries, next } = await kept.page(ROOM);

    expect(entries.map(({ kind, by, whom, count }) => [kind, by?.displayName, whom[0]?.displayName, count])).toEqual([
      ['mute', 'jens', 'Somebody else', 1],
      ['entered', undefined, 'Otto Hansen', 1],
    ]);
    expect(entries[0]?.whom[0]?.organisation).toBe('hamburg.example');
    expect(next).toBeUndefined();
  });

  it('calls whoever has left by the last name that it knows', async () => {
    kept.note({ roomId: ROOM, kind: 'entered', whom: OTTO });
    await kept.close();
    rooms.setMember(ROOM, OTTO, 'leave');
    kept.note({ roomId: ROOM, kind: 'removed', by: JENS, whom: OTTO });
    await kept.close();

    expect((await kept.page(ROOM)).entries[0]?.whom[0]?.displayName).toBe('Otto Hansen');
  });

  it('notes the same thing once, whoever tells it again', async () => {
    for (const key of ['$a', '$a', '$b']) kept.note({ roomId: ROOM, kind: 'removed', whom: OTTO, key });
    await kept.close();

    expect((await kept.page(ROOM)).entries.length).toBe(2);
  });

  it('gives pages without missing or repeating entries of one moment', async () => {
    const many = LOG_PAGE + 20;
    for (let index = 0; index < many; index += 1) {
      kept.note({ roomId: ROOM, at: clock.now(), kind: 'rename', detail: String(index) });
    }
    await kept.close();

    const first = await kept.page(ROOM);
    const second = await kept.page(ROOM, first.next);

    expect(first.entries.length).toBe(LOG_PAGE);
    expect([...first.entries, ...second.entries].map(({ detail }) => Number(detail))).toEqual(
      Array.from({ length: many }, (_one, index) => many - 1 - index),
    );
    expect(second.next).toBeUndefined();
    expect((await kept.page(ROOM, 'what')).entries.length).toBe(LOG_PAGE);
  });

  it('names some of many and counts the others', async () => {
    const whom = Array.from({ length: 500 }, (_one, index) => `@p${String(index)}:hamburg.example`);
    kept.note({ roomId: ROOM, kind: 'mute', by: JENS, whom });
    await kept.close();

    const [entry] = (await kept.page(ROOM)).entries;

    expect(entry?.whom.length).toBe(LOG_NAMED);
    expect(entry?.count).toBe(500);
  });

  it('keeps what stands in it for so many days', async () => {
    kept.note({ roomId: ROOM, at: clock.now() - 91 * DAY, kind: 'entered', whom: OTTO });
    kept.note({ roomId: ROOM, at: clock.now() - 89 * DAY, kind: 'left', whom: OTTO });
    await kept.close();

    expect((await kept.page(ROOM)).entries.map(({ kind }) => kind)).toEqual(['left']);
    expect((await db.query('SELECT id FROM meeting_log', [])).length).toBe(1);
  });

  it('keeps nothing where the organisation wants none', async () => {
    const none = open({ keptDays: 0 });
    none.note({ roomId: ROOM, kind: 'entered', whom: OTTO });
    await none.close();

    expect((await kept.page(ROOM)).entries).toEqual([]);
  });
});
