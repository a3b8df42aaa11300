import { z } from 'zod';
import { type Failure, type NotificationOf, RpcClient } from '../../protocol/rpc.ts';

const requests = {
  add: { params: z.object({ a: z.number(), b: z.number() }), result: z.object({ sum: z.number() }) },
  greet: { params: z.object({}), result: z.object({}) },
};
const notifications = { ticked: z.object({ count: z.number() }) };
const frame = z.union([
  z.object({ id: z.number(), result: z.unknown() }),
  z.object({ id: z.number(), error: z.string() }),
  z.object({ seq: z.number().optional(), notification: z.string(), data: z.unknown() }),
]);

class Failed extends Error {
  readonly failure: Failure<keyof typeof requests, string>;

  constructor(failure: Failure<keyof typeof requests, string>) {
    super(failure.kind);
    this.failure = failure;
  }
}

describe('The asking half of a protocol', () => {
  let sent: { id: number; method: string }[];
  let line: boolean;
  let ticks: NotificationOf<typeof notifications>[];
  let malformed: (string | undefined)[];
  let rpc: RpcClient<typeof requests, typeof notifications, string>;

  const make = (timeoutMs?: number): typeof rpc =>
    new RpcClient({
      requests,
      notifications,
      frame,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      send: (text) => {
        if (line) sent.push(JSON.parse(text) as (typeof sent)[0]);
        return line;
      },
      error: (failure) => new Failed(failure),
      onNotification: (notification) => ticks.push(notification),
      onMalformed: (notification) => malformed.push(notification),
    });
  const say = (message: unknown): void => rpc.receive(JSON.stringify(message));
  const failure = async (asked: Promise<unknown>): Promise<Failed['failure'] | undefined> => {
    try {
      await asked;
    } catch (error) {
      return error instanceof Failed ? error.failure : undefined;
    }
    return undefined;
  };

  beforeEach(() => {
    sent = [];
    line = true;
    ticks = [];
    malformed = [];
    rpc = make();
  });

  it('gives each answer to its request, in whatever order they come', async () => {
    const asked = [rpc.request('add', { a: 1, b: 2 }), rpc.request('add', { a: 3, b: 4 })];
    expect(sent).toEqual([
      jasmine.objectContaining({ id: 1, method: 'add', params: { a: 1, b: 2 } }),
      jasmine.objectContaining({ id: 2, method: 'add', params: { a: 3, b: 4 } }),
    ]);
    say({ id: 2, result: { sum: 7 } });
    say({ id: 1, result: { sum: 3 } });
    say({ id: 1, result: { sum: 99 } });
    say({ id: 77, result: {} });
    expect(await Promise.all(asked)).toEqual([{ sum: 3 }, { sum: 7 }]);
  });

  it('tells a refusal, an answer of another shape and silence apart', async () => {
    rpc = make(20);
    const [refused, odd, silent] = [1, 2, 3].map((a) => failure(rpc.request('add', { a, b: 0 })));
    say({ id: 1, error: 'no' });
    say({ id: 2, result: { sum: 'two' } });
    expect(await refused).toEqual({ kind: 'refused', method: 'add', error: 'no' });
    expect(await odd).toEqual(jasmine.objectContaining({ kind: 'malformed', method: 'add' }));
    expect(await silent).toEqual({ kind: 'timeout', method: 'add' });
  });

  it('keeps requests over a break of the line, and sends each once over the next one', async () => {
    const before = rpc.request('add', { a: 1, b: 1 });
    rpc.lineLost();
    line = false;
    const meanwhile = rpc.request('add', { a: 2, b: 2 });
    expect(sent.map(({ id }) => id)).toEqual([1]);
    line = true;
    const first = rpc.request('greet', {});
    rpc.flush();
    rpc.flush();
    expect(sent.map(({ id }) => id)).toEqual([1, 3, 1, 2]);
    for (const { id, method } of sent.slice(1)) say({ id, result: method === 'add' ? { sum: id } : {} });
    expect(await Promise.all([before, meanwhile, first])).toEqual([{ sum: 1 }, { sum: 2 }, {}]);
  });

  it('gives up the requests that have lost their meaning, and takes no late answer to them', async () => {
    const given = failure(rpc.request('add', { a: 1, b: 1 }));
    const kept = rpc.request('greet', {});
    rpc.fail((method) => method === 'add');
    say({ id: 1, result: { sum: 2 } });
    expect(await given).toEqual({ kind: 'lost', method: 'add' });
    say({ id: 2, result: {} });
    expect(await kept).toEqual({});
  });

  it('fails a request by what sending it throws', async () => {
    const error = new RangeError('too long');
    rpc = new RpcClient({
      requests,
      notifications,
      frame,
      send: () => {
        throw error;
      },
      error: (cause) => new Failed(cause),
      onNotification: () => undefined,
    });
    await expectAsync(rpc.request('greet', {})).toBeRejectedWith(error);
  });

  it('tells an answer to `call` before the next frame is looked at', () => {
    const order: string[] = [];
    rpc.call(
      'greet',
      {},
      () => order.push('answer'),
      () => order.push('failure'),
    );
    say({ id: 1, result: {} });
    order.push('next');
    expect(order).toEqual(['answer', 'next']);
  });

  it('takes each numbered notification once, until the numbers begin anew', () => {
    const tick = (seq: number | undefined, count: number): void =>
      say({ seq, notification: 'ticked', data: { count } });
    tick(1, 1);
    tick(2, 2);
    tick(2, 3);
    tick(1, 4);
    expect(rpc.lastSeq).toBe(2);
    rpc.restartNumbers();
    tick(1, 5);
    tick(undefined, 6);
    expect(ticks.map(({ data }) => data.count)).toEqual([1, 2, 5, 6]);
  });

  it('drops what is not of the protocol, and goes on', () => {
    for (const text of ['{', 'null', '[]', '{"id":1}', '{"id":"1","result":{}}']) rpc.receive(text);
    say({ seq: 1, notification: 'ticked', data: { count: 'many' } });
    for (const name of ['constructor', '__proto__', 'newer']) say({ seq: 2, notification: name, data: {} });
    expect(ticks).toEqual([]);
    expect(malformed).toEqual([undefined, undefined, undefined, undefined, undefined, 'ticked']);
    say({ seq: 3, notification: 'ticked', data: { count: 1 } });
    expect(ticks).toEqual([{ name: 'ticked', data: { count: 1 } }]);
  });
});
