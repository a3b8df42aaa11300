/** A meeting is made once for each transaction id of a user, in a real database. */
import { createLog } from '../../homeserver/base/log.ts';
import { type Database, openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import { MeetingTransactions } from '../../homeserver/meetings/meeting-transactions.ts';
import { testDatabase } from '../support/database.ts';

const ANNA = '@anna:luebeck.example';
const DAY = 24 * 60 * 60 * 1000;

describe('The transaction of a new meeting', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let transactions: MeetingTransactions;
  let made: string[];

  beforeAll(async () => {
    database = await testDatabase();
    db = await openDatabase(database.url);
    await migrate(db, createLog('silent'));
  }, 60_000);
  afterAll(async () => {
    await db.close();
    await database.close();
  });
  beforeEach(async () => {
    await db.query('DELETE FROM meeting_transactions');
    transactions = new MeetingTransactions(db);
    made = [];
  });

  const create = (): Promise<string> => {
    made.push(`!room${String(made.length)}`);
    return Promise.resolve(made.at(-1) ?? '');
  };

  it('makes one meeting, however often the request comes, and answers each with it', async () => {
    expect(await transactions.once(ANNA, 't1', create)).toBe('!room0');
    expect(await transactions.once(ANNA, 't1', create)).toBe('!room0');
    expect(made.length).toBe(1);
  });

  it('makes one meeting also for requests that come at the same time', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => transactions.once(ANNA, 't1', create)));
    expect(new Set(all)).toEqual(new Set(['!room0']));
    expect(made.length).toBe(1);
  });

  it('is known after a restart', async () => {
    await transactions.once(ANNA, 't1', create);
    expect(await new MeetingTransactions(db).once(ANNA, 't1', create)).toBe('!room0');
  });

  it('is another one with another id, and that of another person, whatever their ids contain', async () => {
    await transactions.once(ANNA, 't1', create);
    await transactions.once(ANNA, 't1 2', create);
    await transactions.once('@jens:luebeck.example', 't1', create);
    await transactions.once(`${ANNA} t1`, '2', create);
    expect(made.length).toBe(4);
  });

  it('is none without an id: each request makes a meeting', async () => {
    await Promise.all([transactions.once(ANNA, undefined, create), transactions.once(ANNA, undefined, create)]);
    expect(made.length).toBe(2);
    expect(await db.query('SELECT * FROM meeting_transactions')).toEqual([]);
  });

  it('can be tried again after a failure, which those that wait do not share', async () => {
    let fails = true;
    const failing = async (): Promise<string> => {
      if (!fails) return create();
      fails = false;
      throw new Error('the room was not made');
    };
    const [first, second] = await Promise.allSettled([
      transactions.once(ANNA, 't1', failing),
      transactions.once(ANNA, 't1', failing),
    ]);
    expect([first.status, second.status]).toEqual(['rejected', 'fulfilled']);
    expect(await transactions.once(ANNA, 't1', failing)).toBe('!room0');
    expect(made.length).toBe(1);
  });

  it('is forgotten a day later, when another one is made', async () => {
    await transactions.once(ANNA, 't1', create);
    const now = Date.now();
    const clock = spyOn(Date, 'now').and.returnValue(now + DAY - 60_000);
    await transactions.once(ANNA, 't2', create);
    expect(await transactions.once(ANNA, 't1', create))
      .withContext('a minute less')
      .toBe('!room0');
    clock.and.returnValue(now + DAY + 60_000);
    await transactions.once(ANNA, 't3', create);
    expect(await transactions.once(ANNA, 't1', create)).toBe('!room3');
  });
});
