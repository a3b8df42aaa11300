import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { logIn, register, sendTo } from './support.ts';
import type { Device } from './support.ts';

describe('Messages to devices', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let anna: Device;
  let bert: Device;
  beforeAll(async () => {
    federation = await startHomeservers(1);
    server = federation.servers[0] as TestHomeserver;
    anna = await register(server, 'anna');
    bert = await register(server, 'bert');
  });
  // Nothing is left over from the spec before.
  beforeEach(async () => {
    await bert.sync(await bert.now());
  });
  afterAll(() => federation.close());

  const contents = (answer: unknown): unknown[] =>
    ((at(answer, 'to_device', 'events') ?? []) as unknown[]).map((event) => at(event, 'content', 'n'));
  const to = (device: Device, n: number): Record<string, Record<string, { n: number }>> => ({
    [device.userId]: { [device.deviceId]: { n } },
  });

  it('are told again until the next token shows that they arrived, also after a restart', async () => {
    const since = await bert.now();
    await sendTo(anna, to(bert, 1));
    const first = await bert.sync(since);
    expect(at(first, 'to_device', 'events')).toEqual([{ sender: anna.userId, type: 'm.test', content: { n: 1 } }]);
    await server.stop();
    await server.start();
    expect(contents(await bert.sync(since)))
      .withContext('the answer was lost')
      .toEqual([1]);
    const next = String(at(first, 'next_batch'));
    expect(contents(await bert.sync(next))).toEqual([]);
    expect(contents(await bert.sync(since)))
      .withContext('forgotten for good')
      .toEqual([]);
  });

  it('are sent once for one transaction id of one device', async () => {
    const second = await logIn(server, anna);
    await Promise.all([1, 2, 3].map(() => sendTo(anna, to(bert, 1), { txn: 'same' })));
    await sendTo(second, to(bert, 2), { txn: 'same' });
    expect(contents(await bert.sync()).sort()).toEqual([1, 2]);
  });

  it('go to all devices of a user by *, and to none that does not exist', async () => {
    const second = await logIn(server, bert);
    await sendTo(anna, { [bert.userId]: { '*': { n: 1 }, [second.deviceId]: { n: 2 }, GONE: { n: 3 } } });
    expect(contents(await bert.sync())).toEqual([1]);
    expect(contents(await second.sync())).toEqual([2]);
    const later = await logIn(server, bert, 'GONE');
    expect(contents(await later.sync())).toEqual([]);
  });

  it('wake a sync that waits', async () => {
    const waiting = bert.sync(await bert.now(), 20_000);
    await sendTo(anna, to(bert, 1));
    expect(contents(await waiting)).toEqual([1]);
  });

  it('come in portions of a hundred, none lost and none twice', async () => {
    let since = await bert.now();
    await Promise.all(Array.from({ length: 205 }, (_, n) => sendTo(anna, to(bert, n))));
    const got: unknown[] = [];
    for (let turn = 0; turn < 4; turn++) {
      const lost = await bert.sync(since);
      const answer = await bert.sync(since);
      expect(contents(answer)).withContext('the same question').toEqual(contents(lost));
      expect(contents(answer).length).toBeLessThanOrEqual(100);
      got.push(...contents(answer));
      since = String(at(answer, 'next_batch'));
    }
    expect(got.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 205 }, (_, n) => n));
  });

  it('are refused when they are malformed or too large for other servers', async () => {
    const path = 'client/v3/sendToDevice/m.test/t';
    expect((await anna.ask('PUT', path, {})).status).toBe(400);
    expect((await anna.ask('PUT', path, { messages: { [anna.userId]: { '*': 'text' } } })).status).toBe(400);
    const large = { '@x:elsewhere.example': { A: { text: 'x'.repeat(70_000) } } };
    const { status, body } = await anna.ask('PUT', path, { messages: large });
    expect([status, at(body, 'errcode')]).toEqual([413, 'M_TOO_LARGE']);
  });
});
