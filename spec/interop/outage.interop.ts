import { at } from '../support/homeservers.ts';
import type { TestUser } from '../support/homeservers.ts';
import {
  create,
  DIRECTIONS,
  eventsIn,
  hears,
  join,
  sameState,
  say,
  sees,
  servers,
  setState,
  Syncing,
} from './support.ts';

const MANY = 60;

for (const [index, direction] of DIRECTIONS.entries()) {
  describe(`Real Matrix: while one server was away, in a room ${direction.name},`, () => {
    let bert: TestUser;
    let anna: TestUser;
    let roomId: string;

    beforeAll(async () => {
      const all = await servers();
      bert = await all[direction.home].register(`outage${String(index)}`);
      anna = await all[direction.away].register(`outing${String(index)}`);
      roomId = await create(bert, { preset: 'public_chat' });
      expect((await join(anna, roomId, all[direction.home])).status).toBe(200);
      await sees(bert, roomId, anna, 'join');
    });

    for (const dies of ['away', 'home'] as const) {
      it(`nothing was lost of what the other did: the one ${dies === 'home' ? 'that made it' : 'that entered'}`, async () => {
        const all = await servers();
        const [stays, absent] = dies === 'away' ? [bert, anna] : [anna, bert];
        const syncing = new Syncing(absent);
        await syncing.next();
        const device = String(at(await absent.must('GET', 'client/v3/account/whoami'), 'device_id'));
        await all[direction[dies]].stop();
        const said = Array.from({ length: MANY }, (_, count) => `${dies} ${String(count)}`);
        for (const body of said) await say(stays, roomId, body);
        await setState(
          stays,
          roomId,
          'm.room.member',
          { membership: 'join', displayname: `with ${dies}` },
          stays.userId,
        );
        for (let count = 0; count < 5; count += 1) {
          await stays.must('PUT', `client/v3/sendToDevice/org.example.count/${dies}${String(count)}`, {
            messages: { [absent.userId]: { [device]: { count } } },
          });
        }
        await all[direction[dies]].start();
        // A server that hears of the other again tries at once.
        await say(absent, roomId, `${dies} is back`);
        await hears(stays, roomId, [`${dies} is back`]);
        const counts: unknown[] = [];
        await syncing.until((answer) => {
          for (const event of eventsIn(answer, 'to_device')) counts.push(at(event, 'content', 'count'));
          return counts.length >= 5 ? true : undefined;
        });
        expect(counts).toEqual([0, 1, 2, 3, 4]);
        const seen = (await hears(absent, roomId, said)).filter((body) => said.includes(body));
        expect(seen).toEqual(said);
        await sameState(bert, anna, roomId);
      });
    }
  });
}
