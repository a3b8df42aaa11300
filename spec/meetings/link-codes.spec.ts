/** Codes by which somebody with a guest link goes on elsewhere: how long they count, and how many there can be. */
import type { Request } from 'express';
import { LINK_CODE_RATE, LINK_CODE_RATE_OF_LINK } from '../../homeserver/base/limits.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { Seal } from '../../homeserver/accounts/seal.ts';
import { ShortLived } from '../../homeserver/accounts/short-lived.ts';
import { type Database, openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import { ListTrust } from '../../homeserver/engine/trust/trust.ts';
import type { GuestLink } from '../../homeserver/meetings/guest-links.ts';
import { CODE_LIFE_MS, LinkCodes } from '../../homeserver/meetings/link-codes.ts';
import { LINK_ERRORS } from '../../protocol/guest-links.ts';
import { testDatabase } from '../support/database.ts';

const HAMBURG = 'hamburg.example';
const BERT = '@bert:hamburg.example';
const own = { serverName: 'luebeck.example', displayName: 'Lübeck', colour: '#0b5563' };

describe('Guest link: a code for another organisation', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let now: number;
  let isAllowed: boolean;
  let asked: string[];
  let links = 0;
  let link: GuestLink;

  beforeAll(async () => {
    database = await testDatabase();
    db = await openDatabase(database.url);
    await migrate(db, createLog('silent'));
  }, 60_000);
  afterAll(async () => {
    await db.close();
    await database.close();
  });
  beforeEach(() => {
    now = Date.now();
    isAllowed = true;
    asked = [];
    link = {
      linkId: `link-${String(links++)}`,
      roomId: '!r',
      createdBy: '@anna:luebeck.example',
      mode: 'direct',
      tokenHash: 'hash',
    };
  });

  function codes(
    rateLimitFactor = 0,
    clients: Record<string, string> = { [HAMBURG]: 'https://meet.hamburg.example' },
  ): LinkCodes {
    return new LinkCodes({
      serverName: own.serverName,
      publicUrl: 'https://meet.luebeck.example',
      shortLived: new ShortLived({ db, seal: new Seal(Buffer.alloc(32, 7)), now: () => now }),
      rooms: { serverAllowed: () => Promise.resolve(isAllowed) },
      entry: {
        again: () => Promise.resolve(link),
        invite: () => Promise.resolve('join'),
        requireStranger: () => Promise.resolve(),
      },
      organisations: {
        own,
        ofClient: () => undefined,
        clientOf: (server) => {
          asked.push(server);
          return Promise.resolve(clients[server]);
        },
        info: (serverName) => Promise.resolve({ ...own, serverName }),
      },
      trust: new ListTrust(own.serverName, new Set([HAMBURG])),
      rateLimitFactor,
    });
  }
  const from = (ip: string): Request => ({ ip }) as Request;
  const codeIn = (url: string): string => new URL(url).searchParams.get('code') ?? '';
  const outcome = async (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => 'done',
      (error: unknown) => (error as { errcode: string }).errcode,
    );
  const issue = (some: LinkCodes, typed = HAMBURG, ip = '192.0.2.1'): ReturnType<LinkCodes['issue']> =>
    some.issue(link, 'tok', typed, undefined, from(ip));

  it('counts for two minutes, and once', async () => {
    const some = codes();
    const [first, second] = [codeIn((await issue(some)).url), codeIn((await issue(some)).url)];
    expect(CODE_LIFE_MS).toBe(120_000);
    now += CODE_LIFE_MS - 1;
    expect(await some.redeem(HAMBURG, first, BERT)).toEqual({ roomId: '!r', go: 'join' });
    expect(await outcome(some.redeem(HAMBURG, first, BERT))).toBe(LINK_ERRORS.code);
    now += 1;
    expect(await outcome(some.redeem(HAMBURG, second, BERT))).toBe(LINK_ERRORS.code);
  });

  it('is kept as a hash only', async () => {
    const code = codeIn((await issue(codes())).url);
    expect(Buffer.from(code, 'base64url').length).toBe(32);
    expect(JSON.stringify(await db.query('SELECT * FROM short_lived'))).not.toContain(code);
  });

  it('is for nobody of an organisation that is shut out of the meeting, be it afterwards', async () => {
    const some = codes();
    const code = codeIn((await issue(some)).url);
    isAllowed = false;
    expect(await outcome(some.redeem(HAMBURG, code, BERT))).toBe('M_FORBIDDEN');
    expect(await outcome(issue(some))).toBe('M_FORBIDDEN');
  });

  it('finds an organisation by what people type of it, and asks no server that is not trusted', async () => {
    const some = codes();
    for (const typed of [
      ' Hamburg.example ',
      'https://hamburg.example/de/',
      'hamburg.example/join/x',
      BERT,
      'bert@hamburg.example',
      'https://meet.hamburg.example',
      'meet.hamburg.example',
    ]) {
      expect((await issue(some, typed)).url)
        .withContext(typed)
        .toMatch(/^https:\/\/meet\.hamburg\.example\/join-from\?server=luebeck\.example&code=[\w-]{43}$/);
    }
    for (const typed of ['mallory.example', '127.0.0.1', 'localhost', '[::1]:8448', 'http://169.254.169.254/latest']) {
      expect(await outcome(issue(some, typed)))
        .withContext(typed)
        .toBe('M_FORBIDDEN');
    }
    for (const typed of ['', 'a b', 'javascript:alert(1)', '@x', 'hamburg.example:99999999', '0x7f.1/']) {
      expect([LINK_ERRORS.noOrganisation, 'M_FORBIDDEN'])
        .withContext(typed)
        .toContain((await outcome(issue(some, typed))) as string);
    }
    expect(new Set(asked)).toEqual(new Set([HAMBURG]));
  });

  it('leads people of the own organisation to its log-in, and nobody to one that says no address', async () => {
    expect((await issue(codes(), 'luebeck.example')).url).toBe('https://meet.luebeck.example/login?then=%2Fjoin%2Ftok');
    expect(await outcome(issue(codes(0, {})))).toBe(LINK_ERRORS.noOrganisation);
  });

  it('can be had so often from one address, and so often by one link', async () => {
    const some = codes(1);
    const all = await Promise.all(
      Array.from({ length: LINK_CODE_RATE.points + 5 }, () => outcome(issue(some, 'luebeck.example'))),
    );
    expect(all.filter((one) => one === 'M_LIMIT_EXCEEDED').length).toBe(5);
    const { points } = LINK_CODE_RATE_OF_LINK;
    for (let n = 0; n < points; n += 1) await issue(some, HAMBURG, `198.51.${String(n >> 8)}.${String(n & 255)}`);
    expect(await outcome(issue(some, HAMBURG, '203.0.113.1'))).toBe('M_LIMIT_EXCEEDED');
    link = { ...link, linkId: 'another' };
    expect(await outcome(issue(some, HAMBURG, '203.0.113.1'))).toBe('done');
  });
});
