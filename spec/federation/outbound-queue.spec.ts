import type { JsonObject } from '../../federation/json.ts';
import { OutboundQueue } from '../../federation/outbound-queue.ts';
import type { QueueItem, TransactionContent } from '../../federation/outbound-queue.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const PEER = 'peer.example';

interface Attempt extends TransactionContent {
  readonly destination: string;
  readonly txnId: string;
  /** Answers the attempt; undefined is success. */
  readonly answer: (failure?: Error) => void;
}

/** As from a server that says 400. */
class Refusal extends Error {}

/** A queue with a store in memory and a network that a spec plays. */
class World {
  now = 1_800_000_000_000;
  readonly attempts: Attempt[] = [];
  readonly waiting = new Map<string, QueueItem[]>();
  readonly warnings: object[] = [];
  storeFails = false;
  /** We do not federate with the server. */
  held = false;
  /** What happens to transactions that nobody answers by hand. */
  network: 'by hand' | 'up' | 'down' | 'refuses' = 'by hand';
  /** What the server refuses when it is up. */
  readonly refused = new Set<unknown>();
  readonly dropped: string[] = [];
  queue: OutboundQueue;
  #position = 0;

  constructor() {
    this.queue = this.restart();
  }

  restart(): OutboundQueue {
    this.queue = new OutboundQueue({
      store: {
        destinations: () => Promise.resolve([...this.waiting.keys()]),
        next: (destination, limit) =>
          this.storeFails
            ? Promise.reject(new Error('the database is away'))
            : Promise.resolve((this.waiting.get(destination) ?? []).slice(0, limit)),
        done: (destination, positions) => {
          const left = (this.waiting.get(destination) ?? []).filter(({ position }) => !positions.includes(position));
          this.waiting.set(destination, left);
          return Promise.resolve();
        },
      },
      send: (destination, txnId, content) =>
        new Promise((resolve, reject) => {
          const answer = (failure?: Error): void => (failure === undefined ? resolve() : reject(failure));
          this.attempts.push({ destination, txnId, ...content, answer });
          const sent = names([...content.pdus, ...content.edus]);
          if (this.network === 'up') answer(sent.some((name) => this.refused.has(name)) ? new Refusal() : undefined);
          if (this.network === 'refuses') answer(new Refusal());
          if (this.network === 'down') answer(new Error('down'));
        }),
      now: () => this.now,
      isRefusal: (error) => error instanceof Refusal,
      isHeld: () => this.held,
      onDropped: (destination, kind) => this.dropped.push(`${kind} for ${destination}`),
      log: { info: () => undefined, warn: (details) => this.warnings.push(details) },
    });
    return this.queue;
  }

  put(kind: 'pdu' | 'edu', names: string[], destination = PEER): void {
    const items = names.map((name) => ({ position: ++this.#position, kind, json: { name } }));
    this.waiting.set(destination, [...(this.waiting.get(destination) ?? []), ...items]);
  }

  async pass(ms: number): Promise<void> {
    this.now += ms;
    jasmine.clock().tick(ms);
    await settle();
  }

  attempt(index: number): Attempt {
    const attempt = this.attempts.at(index);
    if (attempt === undefined) throw new Error(`no attempt ${index}`);
    return attempt;
  }
}

const immediate = setImmediate;

async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => immediate(resolve));
}

function names(list: JsonObject[]): unknown[] {
  return list.map(({ name }) => name);
}

describe('the outbound queue', () => {
  let world: World;

  beforeEach(() => {
    jasmine.clock().install();
    world = new World();
  });

  afterEach(async () => {
    world.attempts.forEach(({ answer }) => answer());
    await world.queue.close();
    jasmine.clock().uninstall();
  });

  it('drops the one item that a server refuses, and delivers all others in order', async () => {
    world.network = 'up';
    world.refused.add('bad');
    world.put('pdu', ['a', 'bad', 'b']);
    world.put('edu', ['c']);
    world.queue.wake(PEER);
    await settle();
    await settle();
    const delivered = world.attempts.filter(({ pdus, edus }) => !names([...pdus, ...edus]).includes('bad'));
    expect(delivered.flatMap(({ pdus, edus }) => names([...pdus, ...edus]))).toEqual(['a', 'b', 'c']);
    expect(world.waiting.get(PEER)).toEqual([]);
    expect(world.dropped).toEqual([`pdu for ${PEER}`]);
    expect(world.warnings.length).toBe(1);
  });

  it('sends nothing to a server that it is held back from, and goes on in order when it is not any more', async () => {
    world.held = true;
    world.put('pdu', ['a', 'b']);
    await world.queue.wakeAll();
    world.queue.edu(PEER, { name: 'typing' });
    await world.queue.flush(PEER);
    await world.pass(2 * HOUR);
    expect(world.attempts).toEqual([]);
    world.held = false;
    world.network = 'up';
    world.queue.wake(PEER);
    await settle();
    expect(world.attempts.flatMap(({ pdus, edus }) => names([...pdus, ...edus]))).toEqual(['a', 'b']);
    expect(world.waiting.get(PEER)).toEqual([]);
    expect(world.warnings).toEqual([]);
  });

  it('neither retries nor warns when it is held back during an attempt, or during back-off', async () => {
    world.put('pdu', ['a']);
    world.queue.wake(PEER);
    await settle();
    world.held = true;
    world.attempt(0).answer(new Error('We do not federate with it.'));
    await world.pass(2 * HOUR);
    expect(world.attempts.length).toBe(1);
    expect(world.warnings).toEqual([]);
    world.held = false;
    world.queue.wake(PEER);
    await settle();
    world.attempt(1).answer(new Error('down'));
    await settle();
    world.held = true;
    await world.pass(2 * HOUR);
    expect(world.attempts.length).toBe(2);
    expect(world.waiting.get(PEER)?.length).toBe(1);
  });

  it('drops nothing for a server that refuses everything', async () => {
    world.network = 'refuses';
    world.put('pdu', ['a', 'b']);
    world.queue.wake(PEER);
    await settle();
    await settle();
    expect(world.dropped).toEqual([]);
    expect(world.waiting.get(PEER)?.length).toBe(2);
    world.network = 'up';
    await world.pass(2 * SECOND);
    expect(world.waiting.get(PEER)).toEqual([]);
    expect(world.dropped).toEqual([]);
  });

  it('sends what waits in order, one transaction at a time', async () => {
    world.put('pdu', ['a', 'b']);
    world.queue.wake(PEER);
    await settle();
    world.put('pdu', ['c']);
    world.queue.wake(PEER);
    await settle();
    expect(world.attempts.length).toBe(1);
    expect(names(world.attempt(0).pdus)).toEqual(['a', 'b']);
    world.attempt(0).answer();
    await settle();
    expect(names(world.attempt(1).pdus)).toEqual(['c']);
    world.attempt(1).answer();
    await settle();
    expect(world.attempts.length).toBe(2);
    expect(world.waiting.get(PEER)).toEqual([]);
    expect(world.attempt(0).txnId).not.toBe(world.attempt(1).txnId);
  });

  it('does not lose what was committed late, at a position before what is on its way', async () => {
    world.put('pdu', ['late', 'early']);
    const [late, early] = world.waiting.get(PEER) ?? [];
    if (!late || !early) throw new Error('nothing waits');
    world.waiting.set(PEER, [early]);
    world.queue.wake(PEER);
    await settle();
    world.waiting.set(PEER, [late, early]);
    world.attempt(0).answer();
    await settle();
    expect(world.attempts.map(({ pdus }) => names(pdus))).toEqual([['early'], ['late']]);
  });

  it('lets one server wait without another', async () => {
    world.put('pdu', ['a']);
    world.put('pdu', ['b'], 'other.example');
    await world.queue.wakeAll();
    await settle();
    expect(world.attempts.map(({ destination }) => destination).sort()).toEqual(['other.example', PEER]);
    world.attempts.find(({ destination }) => destination === PEER)?.answer(new Error('down'));
    world.attempts.find(({ destination }) => destination !== PEER)?.answer();
    await settle();
    expect(world.waiting.get('other.example')).toEqual([]);
    expect(world.waiting.get(PEER)?.length).toBe(1);
  });

  it('puts no more than 50 events and 100 messages into a transaction, and keeps their order', async () => {
    world.network = 'up';
    const pdus = Array.from({ length: 120 }, (_, i) => `p${i}`);
    const edus = Array.from({ length: 130 }, (_, i) => `e${i}`);
    world.put('pdu', pdus);
    world.put('edu', edus);
    world.queue.wake(PEER);
    await settle();
    for (const { pdus: p, edus: e } of world.attempts) {
      expect(p.length).toBeLessThanOrEqual(50);
      expect(e.length).toBeLessThanOrEqual(100);
    }
    expect(world.attempts.flatMap((attempt) => names(attempt.pdus))).toEqual(pdus);
    expect(world.attempts.flatMap((attempt) => names(attempt.edus))).toEqual(edus);
  });

  it('repeats a batch under the same transaction id and with the same content until it is taken', async () => {
    world.put('pdu', ['a']);
    world.queue.wake(PEER);
    await settle();
    world.attempt(0).answer(new Error('down'));
    await settle();
    world.put('pdu', ['b']);
    await world.pass(2 * SECOND);
    expect(world.attempts.length).toBe(2);
    expect(world.attempt(1).txnId).toBe(world.attempt(0).txnId);
    expect(names(world.attempt(1).pdus)).toEqual(['a']);
    world.attempt(1).answer();
    await settle();
    expect(names(world.attempt(2).pdus)).toEqual(['b']);
  });

  it('holds back longer and longer after failures, up to an hour, whatever comes in', async () => {
    world.network = 'down';
    world.put('pdu', ['a']);
    world.queue.wake(PEER);
    await settle();
    const times: number[] = [world.now];
    for (let i = 0; i < 20; i++) {
      const before = world.attempts.length;
      while (world.attempts.length === before) {
        world.queue.wake(PEER);
        await world.pass(SECOND / 2 + (world.now - (times.at(-1) ?? 0)) / 4);
      }
      times.push(world.now);
    }
    const pauses = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    expect(pauses[0]).toBeGreaterThanOrEqual(SECOND);
    expect(pauses[0]).toBeLessThan(3 * SECOND);
    expect(pauses[5]).toBeGreaterThanOrEqual(32 * SECOND);
    expect(pauses.at(-1)).toBeGreaterThanOrEqual(HOUR);
    expect(pauses.at(-1)).toBeLessThan(1.5 * HOUR);
    expect(Object.keys(world.warnings[0] ?? {})).toEqual(['destination', 'failures', 'retryInMs', 'reason']);
  });

  it('tries at once when the server shows that it is up, but not for each of its requests', async () => {
    world.network = 'down';
    world.put('pdu', ['a']);
    world.queue.wake(PEER);
    await settle();
    await world.pass(30 * SECOND);
    const before = world.attempts.length;
    for (let i = 0; i < 100; i++) {
      world.queue.destinationIsUp(PEER);
      await world.pass(10);
    }
    expect(world.attempts.length - before).toBeGreaterThanOrEqual(1);
    expect(world.attempts.length - before).toBeLessThanOrEqual(2);
    world.network = 'up';
    await world.pass(2 * SECOND);
    expect(world.waiting.get(PEER)).toEqual([]);
    world.queue.destinationIsUp('unknown.example');
  });

  it('sends at once before a question, whatever it holds back, and waits for that but not for long', async () => {
    world.network = 'down';
    world.put('pdu', ['a', 'b']);
    world.queue.wake(PEER);
    await settle();
    await world.pass(30 * SECOND);
    const before = world.attempts.length;
    await world.queue.flush(PEER);
    expect(world.attempts.length).toBe(before + 1);
    world.network = 'up';
    await world.queue.flush(PEER);
    expect(world.waiting.get(PEER)).toEqual([]);
    world.network = 'by hand';
    world.put('pdu', ['c']);
    const flushed = world.queue.flush(PEER);
    await settle();
    await world.pass(MINUTE);
    await flushed;
    expect(names(world.attempt(-1).pdus)).toEqual(['c']);
    await world.queue.flush('unknown.example');
  });

  it('sends messages of the moment along, without the store', async () => {
    world.put('pdu', ['a']);
    world.queue.edu(PEER, { name: 'typing' });
    await settle();
    expect(names(world.attempt(0).pdus)).toEqual(['a']);
    expect(names(world.attempt(0).edus)).toEqual(['typing']);
    world.attempt(0).answer();
    await settle();
    world.queue.edu(PEER, { name: 'typing' });
    await settle();
    expect(names(world.attempt(1).edus)).toEqual(['typing']);
    expect(world.attempt(1).txnId).not.toBe(world.attempt(0).txnId);
  });

  it('drops messages of the moment that are old or too many, and never an event', async () => {
    world.network = 'down';
    world.put('pdu', ['a']);
    world.queue.wake(PEER);
    await settle();
    world.queue.edu(PEER, { name: 'old' });
    await world.pass(2 * MINUTE);
    for (let i = 0; i < 150; i++) world.queue.edu(PEER, { name: `e${i}` });
    world.network = 'up';
    world.queue.destinationIsUp(PEER);
    await world.pass(SECOND);
    expect(names(world.attempt(-2).pdus)).toEqual(['a']);
    expect(names(world.attempt(-1).edus)).toEqual(Array.from({ length: 100 }, (_, i) => `e${i + 50}`));
  });

  it('sends after a restart what was not taken before', async () => {
    world.put('pdu', ['a']);
    world.queue.wake(PEER);
    await settle();
    world.attempt(0).answer(new Error('down'));
    await settle();
    await world.queue.close();
    world.restart();
    world.network = 'up';
    await world.queue.wakeAll();
    await settle();
    expect(names(world.attempt(1).pdus)).toEqual(['a']);
    expect(world.waiting.get(PEER)).toEqual([]);
  });

  it('tries again when the store fails', async () => {
    world.network = 'up';
    world.storeFails = true;
    world.put('pdu', ['a']);
    world.queue.wake(PEER);
    await settle();
    world.storeFails = false;
    await world.pass(2 * SECOND);
    expect(world.waiting.get(PEER)).toEqual([]);
  });

  it('does nothing more once it is closed', async () => {
    world.put('pdu', ['a']);
    world.queue.wake(PEER);
    await settle();
    const closed = world.queue.close();
    world.attempt(0).answer(new Error('down'));
    await closed;
    world.queue.wake(PEER);
    world.queue.edu(PEER, {});
    world.queue.destinationIsUp(PEER);
    await world.pass(HOUR);
    expect(world.attempts.length).toBe(1);
    expect(world.warnings).toEqual([]);
  });

  it('does not wait long for a server that does not answer when it closes', async () => {
    world.put('pdu', ['a']);
    world.queue.wake(PEER);
    await settle();
    let closed = false;
    const closing = world.queue.close().then(() => (closed = true));
    await world.pass(3 * SECOND);
    expect(closed).toBeTrue();
    await closing;
    world.attempt(0).answer();
    await settle();
    expect(world.waiting.get(PEER)?.length).toBe(1);
  });
});
