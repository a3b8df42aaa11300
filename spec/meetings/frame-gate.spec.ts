/** How fast a client may ask: frames by hand, a socket that writes down what is done to it, time that the spec moves. */
import type { RawData, WebSocket } from 'ws';
import { Allowance, FrameGate, TOO_FAST } from '../../homeserver/meetings/session/frame-gate.ts';

/** What the gate does to a socket. */
class FakeSocket {
  isPaused = false;
  readonly closed: [number, string][] = [];
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  close(code: number, reason: string): void {
    this.closed.push([code, reason]);
  }
}

describe('The gate for the frames of a session', () => {
  let now: number;
  let socket: FakeSocket;
  let gate: FrameGate;
  let handled: string[];
  /** Requests that are under way, where they take their time. */
  let underWay: PromiseWithResolvers<void>[];
  let slow: boolean;

  beforeEach(() => {
    jasmine.clock().install();
    now = 0;
    spyOn(performance, 'now').and.callFake(() => now);
    socket = new FakeSocket();
    handled = [];
    underWay = [];
    slow = false;
    gate = gateOf(socket, new Allowance());
  });
  afterEach(() => {
    gate.close();
    jasmine.clock().uninstall();
  });

  function gateOf(of: FakeSocket, allowance: Allowance): FrameGate {
    return new FrameGate(of as unknown as WebSocket, allowance, (data) => {
      handled.push((data as Buffer).toString());
      if (!slow) return Promise.resolve();
      const held = Promise.withResolvers<void>();
      underWay.push(held);
      return held.promise;
    });
  }
  const frame = (text: string): RawData => Buffer.from(text);
  const push = (count: number, from = 0): void => {
    for (let n = from; n < from + count; n += 1) gate.push(frame(String(n)), false);
  };
  /** Lets handlers come to their end. */
  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 400; turn += 1) await Promise.resolve();
  };
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 25) {
      now += Math.min(25, left);
      jasmine.clock().tick(Math.min(25, left));
      await settled();
    }
  };

  it('hands frames over in their order', async () => {
    push(100);
    await settled();
    expect(handled).toEqual(Array.from({ length: 100 }, (_, n) => String(n)));
    expect(socket.isPaused).toBeFalse();
  });

  it('takes a hundred and fifty at once, then forty a second; what is too fast waits, and nothing more is read', async () => {
    push(200);
    await settled();
    expect(handled.length).toBe(150);
    expect(socket.isPaused).toBeTrue();
    await pass(1_000);
    expect(handled.length).toBe(190);
    await pass(250);
    expect(handled).toEqual(Array.from({ length: 200 }, (_, n) => String(n)));
    expect(socket.isPaused).withContext('the client is read again').toBeFalse();
  });

  it('has no more than thirty-two requests of a client under way', async () => {
    slow = true;
    push(40);
    await settled();
    expect(handled.length).toBe(32);
    expect(socket.isPaused).toBeTrue();
    underWay[5]?.resolve();
    await settled();
    expect(handled.at(-1)).toBe('32');
    expect(handled.length).toBe(33);
    for (const one of underWay) one.resolve();
    await settled();
    expect(handled.length).toBe(40);
    expect(socket.isPaused).toBeFalse();
  });

  it('gives the place of a request that failed to the next one', async () => {
    slow = true;
    push(33);
    await settled();
    underWay[0]?.reject(new Error('a fault in a handler'));
    await settled();
    expect(handled.length).toBe(33);
  });

  it('cuts off who owes three hundred frames, once, and drops what waits', async () => {
    // All of one packet: nothing that is under way ends meanwhile.
    push(32 + 300);
    expect(socket.closed).toEqual([]);
    push(1, 332);
    expect(socket.closed).toEqual([[TOO_FAST, 'too fast']]);
    push(500, 333);
    await pass(20_000);
    expect(handled.length).withContext('nothing that waited is handled any more').toBe(32);
    expect(socket.closed.length).toBe(1);
  });

  it('cuts off who has more than a mebibyte wait, in however few frames', async () => {
    slow = true;
    push(32);
    gate.push(Buffer.alloc(1024 * 1024), true);
    expect(socket.closed).toEqual([]);
    gate.push([Buffer.alloc(1), Buffer.alloc(0)], true);
    expect(socket.closed).toEqual([[TOO_FAST, 'too fast']]);
  });

  it('does not count bytes any more that were handed over', async () => {
    for (let n = 0; n < 50; n += 1) {
      gate.push(Buffer.alloc(256 * 1024), true);
      await settled();
    }
    expect(handled.length).toBe(50);
    expect(socket.closed).toEqual([]);
  });

  it('has one allowance for all connections of a device, so that a new one buys nothing', async () => {
    const allowance = new Allowance();
    gate = gateOf(socket, allowance);
    push(150);
    await settled();
    gate.close();
    const second = new FakeSocket();
    gate = gateOf(second, allowance);
    push(1, 150);
    await settled();
    expect(handled.length).toBe(150);
    await pass(25);
    expect(handled.length).toBe(151);
  });

  it('hands nothing over after its end, also not what waited for its time', async () => {
    push(160);
    await settled();
    gate.close();
    await pass(10_000);
    expect(handled.length).toBe(150);
    expect(socket.closed).withContext('who closes it says why').toEqual([]);
  });
});

describe('The allowance of a device', () => {
  let now: number;
  beforeEach(() => {
    now = 0;
    spyOn(performance, 'now').and.callFake(() => now);
  });

  it('says how long the next request has to wait, and that time is enough', () => {
    const allowance = new Allowance();
    for (let n = 0; n < 150; n += 1) expect(allowance.take()).toBe(0);
    const waitMs = allowance.take();
    expect(waitMs).toBe(25);
    expect(allowance.take()).withContext('to ask costs nothing').toBe(25);
    now += waitMs;
    expect(allowance.take()).toBe(0);
    expect(allowance.take()).toBe(25);
  });

  it('saves up no more than may come at once', () => {
    const allowance = new Allowance();
    now += 60 * 60 * 1000;
    let taken = 0;
    while (allowance.take() === 0) taken += 1;
    expect(taken).toBe(150);
  });
});
