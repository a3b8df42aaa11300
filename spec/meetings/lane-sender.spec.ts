/** One lane, without a network: what it says when, and how much it keeps for a server that does not answer. */
import type { JsonObject } from '../../federation/json.ts';
import type { Clock } from '../../homeserver/base/clock.ts';
import { createLog } from '../../homeserver/base/log.ts';
import type { Conference } from '../../homeserver/meetings/conference/conference.ts';
import { LiveLane } from '../../homeserver/meetings/conference/live-lane.ts';
import type { LocalParticipant } from '../../homeserver/meetings/conference/local-participant.ts';
import type { LiveAnswer } from '../../homeserver/meetings/conference/messages.ts';

/** Time that goes on when the spec says so. */
class HandClock implements Clock {
  #now = 1_000;
  #tasks = new Set<{ at: number; task: () => void }>();

  now = (): number => this.#now;
  monotonic = (): number => this.#now;

  after(ms: number, task: () => void): () => void {
    const one = { at: this.#now + ms, task };
    this.#tasks.add(one);
    return () => this.#tasks.delete(one);
  }

  async go(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settled();
      const [next] = [...this.#tasks].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#tasks.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.task();
    }
    this.#now = end;
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

describe('A live lane', () => {
  const SERVER = 'hamburg.example';
  let clock: HandClock;
  let locals: Map<string, LocalParticipant>;
  let servers: Set<string>;
  let lane: LiveLane;
  let said: Record<string, unknown>[];
  let answer: () => Promise<LiveAnswer>;
  let ended: number;

  const person = (name: string): LocalParticipant => {
    const local = { participantId: name, userId: name, deviceId: 'D', round: 0 } as unknown as LocalParticipant;
    locals.set(name, local);
    return local;
  };
  const named = (message: Record<string, unknown> | undefined): unknown[] =>
    (message?.['participants'] as JsonObject[] | undefined)?.map((one) => one['user_id']) ?? [];

  beforeEach(() => {
    clock = new HandClock();
    locals = new Map();
    servers = new Set([SERVER]);
    said = [];
    answer = () => Promise.resolve({});
    ended = 0;
    const conference = {
      roomId: '!room',
      locals,
      servers: () => servers,
      seats: () => [...locals.values()],
    } as unknown as Conference;
    lane = new LiveLane(conference, SERVER, {
      clock,
      log: createLog('silent'),
      describe: (local) => ({ user_id: local.userId }),
      say: (_server, _roomId, message) => {
        said.push(message);
        return answer();
      },
      ended: () => {
        ended += 1;
      },
    });
  });
  afterEach(() => lane.close());

  it('sends the first change at once, and those of the next moments together', async () => {
    const [anna, bert] = [person('anna'), person('bert')];
    lane.announce([anna]);
    expect(named(said[0])).toEqual(['anna', 'bert']);
    await clock.go(1);
    lane.announce([anna]);
    lane.announce([bert]);
    lane.announce([anna]);
    expect(said.length).toBe(1);
    await clock.go(60);
    expect(said.length).toBe(2);
    expect(named(said[1])).toEqual(['anna', 'bert']);
  });

  it('has one request under way, whatever happens meanwhile', async () => {
    const anna = person('anna');
    const held = Promise.withResolvers<LiveAnswer>();
    answer = () => held.promise;
    lane.announce([anna]);
    for (let change = 0; change < 1_000; change += 1) {
      lane.announce([anna]);
      lane.tell('reactions', { change });
      await clock.go(10);
    }
    expect(said.length).toBe(1);
    answer = () => Promise.resolve({});
    held.resolve({});
    await clock.go(60);
    expect(said.length).toBe(2);
    expect(named(said[1])).toEqual(['anna']);
    expect(JSON.stringify(said[1]?.['modules'])).toBe('{"reactions":{"change":999}}');
  });

  it('drops data of a module that could not go out in two seconds', async () => {
    const anna = person('anna');
    const held = Promise.withResolvers<LiveAnswer>();
    answer = () => held.promise;
    lane.announce([anna]);
    lane.tell('reactions', { clap: 3 });
    await clock.go(2_100);
    answer = () => Promise.resolve({});
    held.resolve({});
    await clock.go(6_000);
    expect(said.length).toBeGreaterThan(1);
    expect(said.some((message) => message['modules'] !== undefined)).toBeFalse();
  });

  it('tries again after a quarter of a second, and at least every five', async () => {
    const anna = person('anna');
    answer = () => Promise.reject(new Error('silence'));
    lane.announce([anna]);
    await clock.go(300);
    expect(said.length).toBe(2);
    await clock.go(60_000);
    const before = said.length;
    await clock.go(50_000);
    expect(said.length - before).toBe(10);
    expect(said.slice(1).every((message) => message['whole'] === true)).toBeTrue();
  });

  it('names hundreds of participants in several messages', async () => {
    const people = Array.from({ length: 250 }, (_, n) => person(`p${String(n)}`));
    lane.announce(people);
    await clock.go(500);
    expect(said.map((message) => named(message).length)).toEqual([100, 100, 50]);
    expect(said.map((message) => message['whole'] === true)).toEqual([true, false, false]);
    expect(said.map((message) => Number(message['number']))).toEqual([1, 2, 3]);
  });

  it('gives the whole state no more than once a second, however often it is asked for', async () => {
    const anna = person('anna');
    answer = () => Promise.resolve({ resend: true });
    lane.announce([anna]);
    await clock.go(10_500);
    expect(said.filter((message) => message['whole'] === true).length).toBeLessThanOrEqual(11);
    expect(said.filter((message) => message['whole'] === true).length).toBeGreaterThan(8);
  });

  it('gives a sign every five seconds, and ends with the conference', async () => {
    lane.announce([person('anna')]);
    await clock.go(21_000);
    expect(said.length).toBe(5);
    expect(said.slice(1).every((message) => Object.keys(message).length === 2)).toBeTrue();
    expect(Number(said.at(-1)?.['number'])).toBe(1);
    servers.clear();
    await clock.go(60_000);
    expect(said.length).toBe(6);
    expect(ended).toBe(1);
  });

  it('gives up an order after five seconds, and tries it before it tries states', async () => {
    const anna = person('anna');
    answer = () => Promise.reject(new Error('silence'));
    lane.announce([anna]);
    await clock.go(30_000);
    const before = said.length;
    const taken = lane.order({ number: 7 });
    await clock.go(300);
    expect(said.slice(before).filter((message) => message['orders'] !== undefined).length).toBeGreaterThan(0);
    await clock.go(5_000);
    expect(await taken).toBeFalse();
    const after = said.length;
    await clock.go(30_000);
    expect(said.slice(after).some((message) => message['orders'] !== undefined)).toBeFalse();
  });

  it('says of each order whether it was taken, and keeps a bounded number of them', async () => {
    person('anna');
    answer = () => Promise.resolve({ orders: { 1: 'taken', 2: 'refused', 3: 'repeated' } });
    const results = Promise.all([1, 2, 3, 4].map((number) => lane.order({ number })));
    await clock.go(1_000);
    expect(await results).toEqual([true, false, true, false]);

    answer = () => new Promise(() => undefined);
    const held = lane.order({ number: 5 });
    await clock.go(100);
    const many = Array.from({ length: 500 }, (_, n) => lane.order({ number: 10 + n }));
    expect(await Promise.race([held, Promise.resolve('waits')])).toBe('waits');
    expect(await Promise.race([many[499], Promise.resolve('waits')])).toBeFalse();
    expect(await Promise.race([many[50], Promise.resolve('waits')])).toBe('waits');
  });
});
