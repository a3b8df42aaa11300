/** B2: whatever a server serves as the statement of its organisation, it holds up nobody but itself. */
import type { ServerResponse } from 'node:http';
import { at, eventually } from '../support/homeservers.ts';
import type { TestUser } from '../support/homeservers.ts';
import { startTowns } from '../trust/towns.ts';
import type { Town, Towns } from '../trust/towns.ts';

const LONG_MS = 90_000;
/** A statement is given up after 10 s; the machine may be busy. */
const GIVEN_UP_MS = 25_000;
/** More than an answer takes on a busy machine, and less than a server has that is asked for its statement. */
const SOON_MS = 7_000;

describe('Trust by certificate: B2: a server with a hostile statement', () => {
  let all: Towns;
  let hamburg: Town;
  let luebeck: Town;
  let hostile: Town;
  let anna: TestUser;
  let bert: TestUser;
  let mallory: TestUser;
  let room: string;
  const timers = new Set<NodeJS.Timeout>();

  beforeAll(async () => {
    all = await startTowns(['Hamburg', 'Lübeck', 'Mallory'], { trust: (index) => (index === 2 ? 'open' : 'pki') });
    [hamburg, luebeck, hostile] = all.towns as [Town, Town, Town];
    await hamburg.certify();
    await luebeck.certify();
    [anna, bert, mallory] = await Promise.all([
      hamburg.server.register('anna'),
      luebeck.server.register('bert'),
      hostile.server.register('mallory'),
    ]);
    room = String(at(await anna.must('POST', 'client/v3/createRoom', { preset: 'public_chat' }), 'room_id'));
    await enter(bert);
  }, LONG_MS);
  afterAll(() => all.close());
  afterEach(() => {
    for (const timer of timers) clearInterval(timer);
    timers.clear();
  });

  const enter = (who: TestUser): Promise<unknown> =>
    who.must('POST', `client/v3/join/${encodeURIComponent(room)}?via=${encodeURIComponent(hamburg.serverName)}`, {});
  let messages = 0;
  async function bertIsHeard(): Promise<void> {
    messages += 1;
    const body = `bert ${String(messages)}`;
    const rooms = `client/v3/rooms/${encodeURIComponent(room)}`;
    await bert.must('PUT', `${rooms}/send/m.room.message/${String(messages)}`, { msgtype: 'm.text', body });
    await eventually(
      () => anna.must('GET', `${rooms}/messages?dir=b&limit=5`),
      (page) => JSON.stringify(page).includes(`"${body}"`),
      SOON_MS,
    );
  }
  /** Sends without end, and as much as the reader takes. */
  const endless = (part: string) => (response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/jose' });
    const more = (): void => {
      while (!response.destroyed && response.write(part));
    };
    response.on('drain', more).on('error', () => undefined);
    more();
  };
  const slow = (response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'application/jose' });
    response.on('error', () => undefined);
    timers.add(setInterval(() => response.destroyed || response.write('a'), 200));
  };
  const nested = Buffer.from(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`).toString('base64url');
  const many = Buffer.from(
    JSON.stringify({ alg: 'ES256', typ: 'hansetag-statement+jwt', x5c: Array.from({ length: 1_000 }, () => 'MIIB') }),
  ).toString('base64url');

  const malformed = /statement of your server or a certificate in it is malformed/;
  const unreachable = /statement of your server could not be fetched/;
  const cases: readonly (readonly [title: string, served: Town['front']['statement'], told: RegExp])[] = [
    ['that never ends', endless('a'.repeat(64 * 1024)), malformed],
    ['that comes byte by byte', slow, unreachable],
    ['that never begins', () => undefined, unreachable],
    [
      'that breaks off',
      (response) => response.writeHead(200, { 'content-length': 1000 }).write('a', () => response.destroy()),
      unreachable,
    ],
    ['of deeply nested JSON', `${nested}.${nested}.AAAA`, malformed],
    ['with 1,000 certificates', `${many}.e30.AAAA`, malformed],
    ['of bytes that are no text', (response) => void response.writeHead(200).end(Buffer.alloc(1_000, 0xff)), malformed],
    [
      'that is somewhere else',
      (response) => void response.writeHead(302, { location: `https://${hostile.serverName}/` }).end(),
      unreachable,
    ],
    ['that is empty', '', malformed],
  ];
  for (const [title, served, told] of cases) {
    it(
      `is refused, and nobody waits for it, with one ${title}`,
      async () => {
        hostile.front.statement = served;
        await hamburg.restart();
        const asked = hostile.front.asked;
        let answer: unknown;
        const entering = mallory
          .ask('POST', `client/v3/join/${encodeURIComponent(room)}?via=${encodeURIComponent(hamburg.serverName)}`, {})
          .then((given) => (answer = given));
        await eventually(
          () => Promise.resolve(hostile.front.asked),
          (now) => now > asked,
        );
        await bertIsHeard();
        await eventually(
          () => Promise.resolve(answer),
          (given) => given !== undefined,
          GIVEN_UP_MS,
        );
        await entering;
        expect(at(answer, 'status')).toBe(403);
        expect(String(at(answer, 'body', 'error'))).toMatch(told);
        await bertIsHeard();
      },
      LONG_MS,
    );
  }

  it(
    'is asked by one request at a time, however many wait for it',
    async () => {
      hostile.front.statement = slow;
      await hamburg.restart();
      const before = hostile.front.asked;
      const path = `client/v3/join/${encodeURIComponent(room)}?via=${encodeURIComponent(hamburg.serverName)}`;
      const invited = Array.from({ length: 20 }, (_, index) =>
        anna.ask('POST', `client/v3/rooms/${encodeURIComponent(room)}/invite`, {
          user_id: `@guest${String(index)}:${hostile.serverName}`,
        }),
      );
      const entering = mallory.ask('POST', path, {});
      const answers = await Promise.all([...invited, entering]);
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 21 }, () => 403));
      expect(hostile.front.asked - before).toBe(1);
    },
    LONG_MS,
  );
});
