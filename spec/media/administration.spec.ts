import { rm } from 'node:fs/promises';
import { authority, json, refusal, startServer } from './support.ts';
import type { Authority, Person, TestServer } from './support.ts';

describe('Administration of files', () => {
  let tls: Authority;
  let luebeck: TestServer;
  let hamburg: TestServer;
  let anna: Person;
  let bert: Person;

  beforeAll(async () => {
    tls = await authority();
    [luebeck, hamburg] = await Promise.all([startServer('luebeck.example', tls), startServer('hamburg.example', tls)]);
    [anna, bert] = await Promise.all([luebeck.person('anna'), luebeck.person('bert')]);
    await luebeck.db.query("UPDATE users SET admin = true WHERE localpart = 'anna'");
  });

  afterAll(async () => {
    await Promise.all([luebeck.close(), hamburg.close()]);
    await rm(tls.folder, { recursive: true });
  });

  const download = (media: string): string => `/client/v1/media/download/${media}`;
  const at = (path: string): string => `/_synapse/admin/v1/${path}`;
  const idOf = (media: string): string => media.split('/')[1] ?? '';

  it('is for administrators only', async () => {
    const media = await bert.upload('mine');
    const asked: [string, string][] = [
      ['DELETE', `media/${media}`],
      ['POST', `media/quarantine/${media}`],
      ['POST', 'media/delete?before_ts=9999999999999'],
      ['POST', 'purge_media_cache?before_ts=9999999999999'],
      ['GET', `users/${bert.userId}/media`],
      ['DELETE', `users/${bert.userId}/media`],
    ];
    for (const [method, path] of asked) {
      expect(await refusal(bert.ask(method, at(path)))).toEqual([403, 'M_FORBIDDEN']);
      expect(await refusal(fetch(luebeck.url + at(path), { method }))).toEqual([401, 'M_MISSING_TOKEN']);
    }
    expect(await (await bert.ask('GET', download(media))).text()).toBe('mine');
  });

  it('removes a file, with its bytes', async () => {
    const media = await bert.upload('to be removed');
    const { blobs } = await luebeck.files();
    const answer = await anna.ask('DELETE', at(`media/${media}`));
    expect(await json(answer)).toEqual({ deleted_media: [idOf(media)], total: 1 });
    expect((await luebeck.files()).blobs).toBe(blobs - 1);
    expect(await refusal(bert.ask('GET', download(media)))).toEqual([404, 'M_NOT_FOUND']);
    expect(await refusal(anna.ask('DELETE', at(`media/${media}`)))).toEqual([404, 'M_NOT_FOUND']);
  });

  it('keeps files from everybody, their small pictures too, until they are let go', async () => {
    const media = await bert.upload('blocked', 'image/png');
    expect((await anna.ask('POST', at(`media/quarantine/${media}`))).status).toBe(200);
    for (const path of [download(media), `/client/v1/media/thumbnail/${media}?width=1&height=1`]) {
      expect(await refusal(bert.ask('GET', path))).toEqual([404, 'M_NOT_FOUND']);
    }
    const path = `/_matrix/federation/v1/media/download/${idOf(media)}`;
    await expectAsync(hamburg.client.open({ destination: luebeck.name, method: 'GET', path })).toBeRejectedWith(
      jasmine.objectContaining({ status: 404 }),
    );
    await anna.ask('POST', at(`media/unquarantine/${media}`));
    expect((await bert.ask('GET', download(media))).status).toBe(200);
  });

  it('lists and removes the files of one person, or those that nobody used for long', async () => {
    const clara = await luebeck.person('clara');
    const all: string[] = [];
    for (const text of ['1', '22', '333']) all.push(idOf(await clara.upload(text, 'text/plain', 'a.txt')));
    const list = at(`users/${encodeURIComponent(clara.userId)}/media`);
    const page = await json(await anna.ask('GET', `${list}?limit=2`));
    expect([page['total'], page['next_token'], (page['media'] as unknown[]).length]).toEqual([3, 2, 2]);
    const rest = await json(await anna.ask('GET', `${list}?limit=2&from=2`));
    expect(rest['next_token']).toBeUndefined();
    await luebeck.db.query('UPDATE media SET used_at = 5 WHERE uploader = $1', [clara.userId]);
    expect(await refusal(anna.ask('POST', at('media/delete')))).toEqual([400, 'M_MISSING_PARAM']);
    const unused = await json(await anna.ask('POST', at('media/delete?before_ts=10&size_gt=2')));
    expect(unused).toEqual({ deleted_media: [all[2]], total: 1 });
    const removed = await json(await anna.ask('DELETE', list));
    expect((removed['deleted_media'] as string[]).toSorted()).toEqual(all.slice(0, 2).toSorted());
  });

  it('empties what is kept of other servers', async () => {
    const dora = await hamburg.person('dora');
    const theirs = await dora.upload('from hamburg');
    const ours = await bert.upload('from here');
    await (await bert.ask('GET', download(theirs))).text();
    const purge = at(`purge_media_cache?before_ts=${String(Date.now() + 1000)}`);
    expect(await json(await anna.ask('POST', purge))).toEqual({ deleted: 1 });
    expect((await bert.ask('GET', download(ours))).status).toBe(200);
    expect(await (await bert.ask('GET', download(theirs))).text()).toBe('from hamburg');
  });
});
