/** Links by which guests come in, in a real database: who they let in, how many there are, and when they end. */
import { createLog } from '../../homeserver/base/log.ts';
import { type Database, openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import { Seal } from '../../homeserver/accounts/seal.ts';
import { type GuestLink, GuestLinks, type LinkSettings } from '../../homeserver/meetings/guest-links.ts';
import { randomBytes } from 'node:crypto';
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
    links = new GuestLinks(db, new Seal(randomBytes(32)));
  }, 60_000);
  afterAll(async () => {
    await db.close();
    await database.close();
  });
  beforeEach(() => {
    rooms += 1;
    roomId = `!room${String(rooms)}:luebeck.example`;
  });

  const make = (settings: LinkSettings = {}, room = roomId): ReturnType<GuestLinks['create']> =>
    links.create(room, ANNA, settings);
  const come = (link: GuestLink, name: string, browser?: string): ReturnType<GuestLinks['noteEntry']> =>
    links.noteEntry(link, { userId: `@${name}:luebeck.example`, guest: true, browser });

  /** Time goes on. Timers are not touched. */
  const pass = (ms: number): void => {
    const now = Date.now() + ms;
    spyOn(Date, 'now').and.returnValue(now);
  };

  it('let in whoever has the token, and are found by nothing else', async () => {
    const { token, tokenHash, ...link } = await make();
    const { linkId } = link;
    expect(await links.find(token)).toEqual({ linkId, roomId, createdBy: ANNA, mode: 'direct', tokenHash });
    for (const other of ['', linkId, tokenHash, token.toLowerCase(), `${token} `, token.slice(0, -1)]) {
      if (other !== token)
        expect(await links.find(other))
          .withContext(other)
          .toBeUndefined();
    }
  });

  it('have tokens of 128 bits, each another, which no table holds', async () => {
    const made = [await make(), await make()];
    const tokens = made.map(({ token }) => token);
    expect(new Set(tokens).size).toBe(2);
    for (const token of tokens) expect(Buffer.from(token, 'base64url').length).toBe(16);
    const rows = JSON.stringify(await db.query('SELECT * FROM guest_links'));
    for (const token of tokens) expect(rows).not.toContain(token);
  });

  it('end at their time', async () => {
    const expiresAt = Date.now() + HOUR;
    const link = await make({ expiresAt });
    expect(await links.find(link.token)).toEqual(jasmine.objectContaining({ expiresAt }));
    expect(await links.byId(link.linkId)).toBeDefined();
    pass(HOUR + 1);
    expect(await links.find(link.token)).toBe('expired');
    expect(await links.byId(link.linkId)).toBeUndefined();
    expect(await links.list(roomId)).toEqual([]);
    expect(await come(link, 'g1')).toBe('expired');
  });

  it('end when they are revoked, once, and only by the room that they are of', async () => {
    const link = await make();
    const { token, linkId } = link;
    expect(await links.revoke('!other:luebeck.example', linkId)).toBeFalse();
    expect(await links.find(token)).toEqual(jasmine.objectContaining({ linkId }));
    expect(await links.revoke(roomId, linkId)).toBeTrue();
    expect(await links.revoke(roomId, linkId)).toBeFalse();
    expect(await links.revoke(roomId, 'no such link')).toBeFalse();
    expect(await links.find(token)).toBe('revoked');
    expect(await links.byId(linkId)).toBeUndefined();
    expect(await come(link, 'g1')).toBe('revoked');
  });

  it('keep what they are for and what bounds them', async () => {
    const settings = {
      purpose: 'Press',
      expiresAt: Date.now() + HOUR,
      maxUses: 3,
      mode: 'waiting',
      passwordHash: 'h',
    } as const;
    const { token } = await make(settings);
    expect(await links.find(token)).toEqual(jasmine.objectContaining(settings));
    expect((await links.list(roomId))[0]).toEqual(jasmine.objectContaining({ ...settings, token, uses: 0, guests: 0 }));
  });

  it('let in as many people as they are for: of many at the last use, one', async () => {
    const link = await make({ maxUses: 3 });
    expect([await come(link, 'g1'), await come(link, 'g2')]).toEqual(['new', 'new']);
    expect(await links.isUsedUp(link)).toBeFalse();
    const ends = await Promise.all(Array.from({ length: 20 }, (_, n) => come(link, `late-${String(n)}`)));
    expect(ends.filter((end) => end === 'new').length).toBe(1);
    expect(ends.filter((end) => end === 'used-up').length).toBe(19);
    expect(await links.isUsedUp(link)).toBeTrue();
    expect(await come(link, 'g1'))
      .withContext('who came before')
      .toBe('again');
    expect((await links.list(roomId))[0]?.uses)
      .withContext('listed, so that its guests can be sent away')
      .toBe(3);
  });

  it('give a use back that let nobody in', async () => {
    const link = await make({ maxUses: 1 });
    expect(await come(link, 'g1')).toBe('new');
    await links.forgetEntry(link.linkId, '@g1:luebeck.example');
    expect(await come(link, 'g2')).toBe('new');
  });

  it('let nobody in by the old secret once they have another, and keep the rest', async () => {
    const before = await make({ purpose: 'Press', maxUses: 2 });
    await come(before, 'g1');
    expect(await links.replace('!other:luebeck.example', before.linkId)).toBeUndefined();
    const after = await links.replace(roomId, before.linkId);
    expect(after).toEqual(jasmine.objectContaining({ linkId: before.linkId, purpose: 'Press', maxUses: 2, uses: 1 }));
    expect(await links.find(before.token)).toBeUndefined();
    expect(await links.find(after?.token ?? '')).toEqual(jasmine.objectContaining({ linkId: before.linkId }));
    expect(await come(before, 'g2'))
      .withContext('who was on the way by the old one')
      .toBe('revoked');
    expect(after && (await come(after, 'g2'))).toBe('new');
    await links.revoke(roomId, before.linkId);
    expect(await links.replace(roomId, before.linkId)).toBeUndefined();
  });

  it('are known as the way by which somebody came, until they end with their guests', async () => {
    const [kept, gone, over] = [await make(), await make(), await make({ expiresAt: Date.now() + HOUR })];
    for (const [index, link] of [kept, gone, over].entries()) await come(link, `g${String(index)}`);
    await links.revoke(roomId, kept.linkId, 'keep');
    await links.revoke(roomId, gone.linkId, 'remove');
    pass(HOUR + 1);
    const ways = ['g0', 'g1', 'g2', 'g3'].map((name) => links.cameBy(roomId, `@${name}:luebeck.example`));
    expect((await Promise.all(ways)).map((link) => link?.linkId)).toEqual([
      kept.linkId,
      undefined,
      over.linkId,
      undefined,
    ]);
    expect(await links.cameBy('!other:luebeck.example', '@g0:luebeck.example')).toBeUndefined();
  });

  it('are listed with the newest first, with who came by each, and can be copied again', async () => {
    const first = await make();
    pass(1_000);
    const second = await make();
    await make({}, '!other:luebeck.example');
    await come(first, 'g1');
    await come(first, 'g2');
    await links.noteEntry(first, { userId: '@bert:luebeck.example', guest: false });
    const listed = await links.list(roomId);
    expect(listed.map(({ linkId, token, uses, guests }) => [linkId, token, uses, guests])).toEqual([
      [second.linkId, second.token, 0, 0],
      [first.linkId, first.token, 3, 2],
    ]);
    expect(await links.list('!nowhere:luebeck.example')).toEqual([]);
  });

  it('cannot be copied with another key than the server’s, and go on', async () => {
    const { token, linkId } = await make();
    const others = new GuestLinks(db, new Seal(randomBytes(32)));
    const [listed] = await others.list(roomId);
    expect([listed?.linkId, listed?.token]).toEqual([linkId, undefined]);
    expect(await others.find(token)).toEqual(jasmine.objectContaining({ linkId }));
  });

  it('count a guest who comes again once, and remember the first browser', async () => {
    const link = await make();
    await come(link, 'g1', 'browser-1');
    await come(link, 'g1', 'browser-2');
    expect(await links.entries(link.linkId)).toEqual(['@g1:luebeck.example']);
    expect(await links.ofBrowser(roomId, 'browser-1')).toEqual(['@g1:luebeck.example']);
    expect(await links.ofBrowser(roomId, 'browser-2')).toEqual([]);
  });

  it('know the guests of one browser in one meeting, by any of its links, also those that have ended', async () => {
    const made = [await make(), await make()];
    const elsewhere = await make({}, '!other:luebeck.example');
    for (const [index, link] of [...made, elsewhere].entries()) await come(link, `g${String(index)}`, 'my-browser');
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
    const link = await make();
    expect(await come({ ...link, linkId: 'no such link' }, 'g1')).toBe('revoked');
    expect(await links.entries('no such link')).toEqual([]);
  });

  it('are a hundred at most for each meeting, also when they are made at the same time', async () => {
    const made = await Promise.allSettled(Array.from({ length: 110 }, () => make()));
    expect(made.filter(({ status }) => status === 'fulfilled').length).toBe(100);
    const refused = made.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
    expect(refused.length).toBe(10);
    for (const reason of refused) {
      expect(reason).toEqual(jasmine.objectContaining({ status: 403, errcode: 'M_RESOURCE_LIMIT_EXCEEDED' }));
    }
    await expectAsync(make({}, '!other:luebeck.example')).toBeResolved();
    const [newest] = await links.list(roomId);
    await links.revoke(roomId, newest?.linkId ?? '');
    await expectAsync(make()).withContext('one has ended').toBeResolved();
  });
});
