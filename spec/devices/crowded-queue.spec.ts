import { OutboundQueue } from '../../federation/outbound-queue.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import { QueueSender, sqlQueueStore } from '../../homeserver/engine/federation/sender.ts';
import { testDatabase } from '../support/database.ts';

describe('Messages that wait for a server that is down', () => {
  it('are the newest few of many about the same, and all of any other', async () => {
    const database = await testDatabase();
    const db = await openDatabase(database.url);
    await migrate(db);
    const store = sqlQueueStore(db);
    const queue = new OutboundQueue({ store, send: () => Promise.reject(new Error('down')) });
    const sender = new QueueSender(db, queue);
    for (let n = 1; n <= 25; n++) {
      const [about, other] = [`devices of anna`, n % 2 === 0 ? undefined : `devices of ${String(n)}`];
      await db.transaction((tx) => sender.durableEdu(tx, ['down.example', 'up.example'], 'm.crowd', { n }, about));
      await db.transaction((tx) => sender.durableEdu(tx, ['down.example'], 'm.other', { n }, other));
      // This one takes what it gets.
      const gone = (await store.next('up.example', 10)).map((item) => item.position);
      await store.done('up.example', gone);
    }
    const waiting = await store.next('down.example', 100);
    const of = (type: string): unknown[] =>
      waiting.filter(({ json }) => json['edu_type'] === type).map(({ json }) => (json['content'] as { n: number }).n);
    expect(of('m.crowd').length).toBeLessThanOrEqual(10);
    expect(of('m.crowd').at(-1)).toBe(25);
    expect(of('m.other')).toEqual(Array.from({ length: 25 }, (_, index) => index + 1));
    await queue.close();
    await db.close();
    await database.close();
  });
});
