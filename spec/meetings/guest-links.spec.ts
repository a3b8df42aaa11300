/** Links by which guests come in, in a real database: who they let in, how many there are, and when they end. */
import { createLog } from '../../homeserver/base/log.ts';
import { type Database, openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import { GuestLinks } from '../../homeserver/meetings/guest-links.ts';
import { testDatabase } from '../support/database.ts';

const ANNA = '@anna:luebeck.example';
const HOUR = 60 * 60 * 1000;

describe('Links for guests', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let links: GuestLinks;
  let roomId: string;
  let rooms = 0;

  beforeAll(async () => {
    database = await testDatabase();
    db = await openDatabase(database.url);
    await migrate(db, createLog('silent'));
    links = new GuestLinks(db);
  }, 60_000);
  afterAll(async () => {
    await db.close();
    await database.close();
  });
  beforeEach(() => {
    rooms += 1;
    roomId = `!room${String(rooms)}:luebeck.example`;
  });

  /** Time goes on. Timers are not touched. */
  const pass = (ms: number): void => {
    const now = Date.now() + ms;
    spyOn(Date, 'now').and.returnValue(now);
  };

  it('let in whoever has the token, and are found by nothing else', async () => {
    const { token, ...link } = await links.create(roomId, ANNA, undefined);
    expect(await links.find(token)).toEqual(link);
    expect(link).toEqual({ linkId: link.linkId, roomId, createdBy: ANNA });
    for (const other of ['', link.linkId, token.toLowerCase(), `${token} `, token.slice(0, -1)]) {
      if (other !== token)
        expect(await links.find(other))
          .withContext(other)
          .toBeUndefined();
    }
  });

  it('have tokens of 128 bits, each another, which no table holds', async () => {
    const made = [await links.create(roomId, ANNA, undefined), await links.create(roomId, ANNA, undefined)];
    const tokens = made.map(({ token }) => token);
    expect(new Set(tokens).size).toBe(2);
    for (const token of tokens) expect(Buffer.from(token, 'base64url').length).toBe(16);
    const rows = JSON.stringify(await db.query('SELECT * FROM guest_links'));
    for (const token of tokens) expect(rows).not.toContain(token);
  });

  it('end at their time', async () => {
    const expiresAt = Date.now() + HOUR;
    const { token, linkId } = await links.create(roomId, ANNA, expiresAt);
    expect((await links.find(token))?.expiresAt).toBe(expiresAt);
    expect(await links.isValid(linkId)).toBeTrue();
    pass(HOUR + 1);
    expect(await links.find(token)).toBeUndefined();
    expect(await links.isValid(linkId)).toBeFalse();
    expect(await links.list(roomId)).toEqual([]);
  });

  it('end when they are revoked, once, and only by the room that they are of', async () => {
    const { token, linkId } = await links.create(roomId, ANNA, undefined);
    expect(await links.revoke('!other:luebeck.example', linkId)).toBeFalse();
    expect(await links.find(token)).toBeDefined();
    expect(await links.revoke(roomId, linkId)).toBeTrue();
    expect(await links.revoke(roomId, linkId)).toBeFalse();
    expect(await links.revoke(roomId, 'no such link')).toBeFalse();
    expect(await links.find(token)).toBeUndefined();
    expect(await links.isValid(linkId)).toBeFalse();
  });

  it('are listed with the newest first, without their secret, with the guests who came by each', async () => {
    const first = await links.create(roomId, ANNA, undefined);
    pass(1_000);
    const second = await links.create(roomId, ANNA, undefined);
    await links.create('!other:luebeck.example', ANNA, undefined);
    for (const guest of ['@g1:luebeck.example', '@g2:luebeck.example']) {
      await links.noteEntry(first.linkId, guest, undefined);
    }
    const listed = await links.list(roomId);
    expect(listed.map(({ linkId, guests }) => [linkId, guests])).toEqual([
      [second.linkId, 0],
      [first.linkId, 2],
    ]);
    expect(JSON.stringify(listed)).not.toContain(first.token);
    expect(await links.list('!nowhere:luebeck.example')).toEqual([]);
  });

  it('count a guest who comes again once, and remember the first browser', async () => {
    const { linkId } = await links.create(roomId, ANNA, undefined);
    await links.noteEntry(linkId, '@g1:luebeck.example', 'browser-1');
    await links.noteEntry(linkId, '@g1:luebeck.example', 'browser-2');
    expect(await links.entries(linkId)).toEqual(['@g1:luebeck.example']);
    expect(await links.ofBrowser(roomId, 'browser-1')).toEqual(['@g1:luebeck.example']);
    expect(await links.ofBrowser(roomId, 'browser-2')).toEqual([]);
  });

  it('know the guests of one browser in one meeting, by any of its links, also those that have ended', async () => {
    const made = [await links.create(roomId, ANNA, undefined), await links.create(roomId, ANNA, undefined)];
    const elsewhere = await links.create('!other:luebeck.example', ANNA, undefined);
    for (const [index, { linkId }] of [...made, elsewhere].entries()) {
      await links.noteEntry(linkId, `@g${String(index)}:luebeck.example`, 'my-browser');
    }
    await links.revoke(roomId, made[0]?.linkId ?? '');
    expect((await links.ofBrowser(roomId, 'my-browser')).sort()).toEqual([
      '@g0:luebeck.example',
      '@g1:luebeck.example',
    ]);
    expect(await links.ofBrowser(roomId, '')).toEqual([]);
    const rows = JSON.stringify(await db.query('SELECT * FROM guest_link_entries'));
    expect(rows).withContext('the browser’s secret is not kept').not.toContain('my-browser');
  });

  it('can not be entered by a link that there is not', async () => {
    await expectAsync(links.noteEntry('no such link', '@g1:luebeck.example', undefined)).toBeRejected();
    expect(await links.entries('no such link')).toEqual([]);
  });

  it('are a hundred at most for each meeting, also when they are made at the same time', async () => {
    const made = await Promise.allSettled(Array.from({ length: 110 }, () => links.create(roomId, ANNA, undefined)));
    expect(made.filter(({ status }) => status === 'fulfilled').length).toBe(100);
    const refused = made.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
    expect(refused.length).toBe(10);
    for (const reason of refused) {
      expect(reason).toEqual(jasmine.objectContaining({ status: 403, errcode: 'M_RESOURCE_LIMIT_EXCEEDED' }));
    }
    await expectAsync(links.create('!other:luebeck.example', ANNA, undefined)).toBeResolved();
    const [newest] = await links.list(roomId);
    await links.revoke(roomId, newest?.linkId ?? '');
    await expectAsync(links.create(roomId, ANNA, undefined))
      .withContext('one has ended')
      .toBeResolved();
  });
});
