import { readFile } from 'node:fs/promises';
import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';

interface Listed {
  readonly method: string;
  readonly path: string;
  readonly state: string;
}

/** For names in paths that have to be well-formed. */
const EXAMPLES: Readonly<Record<string, string>> = {
  roomId: '!x:localhost',
  roomIdOrAlias: '!x:localhost',
  roomAlias: '%23x:localhost',
  userId: '@x:localhost',
  eventId: '$x',
  serverName: 'localhost',
  kind: 'override',
  receiptType: 'm.read',
  action: 'cancel',
  keyName: 'displayname',
  queryType: 'profile',
  authType: 'm.login.dummy',
};
/** What endpoints that are switched off need, each as small as can be. */
const SWITCHED_ON = {
  HANSETAG_URL_PREVIEWS: '1',
  HANSETAG_UNAUTHENTICATED_MEDIA: '1',
  HANSETAG_FEDERATION_ADDRESS: 'matrix.localhost:8448',
  HANSETAG_SUPPORT_EMAIL: 'help@localhost.example',
  HANSETAG_SUPPORT_PAGE: 'https://localhost.example/help',
};

describe('The list of endpoints in docs/federation.md', () => {
  let federations: TestFederation[];
  let plain: TestHomeserver;
  let switchedOn: TestHomeserver;
  let listed: Listed[];

  beforeAll(async () => {
    federations = await Promise.all([startHomeservers(1), startHomeservers(1, SWITCHED_ON)]);
    const [first, second] = federations.map(({ servers }) => servers[0]);
    if (!first || !second) throw new Error('A server is missing.');
    [plain, switchedOn] = [first, second];
    const text = await readFile(new URL('../../docs/federation.md', import.meta.url), 'utf8');
    listed = [...text.matchAll(/^\| `(GET|PUT|POST|DELETE) (\S+)` *\| *(.+?) *\|$/gm)].map(
      ([, method = '', path = '', state = '']) => ({ method, path, state }),
    );
  });
  afterAll(() => Promise.all(federations.map((federation) => federation.close())));

  /**
   * Whether the server has a route: an unknown one is told apart from one that asks for a log-in or a signature. Whole
   * branches ask for a log-in before they look further, so that only somebody who is logged in can tell.
   */
  async function exists(server: TestHomeserver, { method, path }: Listed, token: string): Promise<boolean> {
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => EXAMPLES[name] ?? 'x');
    const ask = async (authorization: string | undefined): Promise<unknown> => {
      // The older event stream waits when nothing else is said.
      const response = await fetch(`${server.url}${filled}?timeout=0`, {
        method,
        redirect: 'manual',
        headers: authorization === undefined ? {} : { authorization },
      });
      const text = await response.text();
      return text.startsWith('{') ? at(JSON.parse(text), 'errcode') : undefined;
    };
    let errcode = await ask(undefined);
    if (errcode === 'M_MISSING_TOKEN' && !path.includes('/logout')) errcode = await ask(`Bearer ${token}`);
    return errcode !== 'M_UNRECOGNIZED';
  }

  async function wrongOn(server: TestHomeserver, isThere: (entry: Listed) => boolean | undefined): Promise<string[]> {
    const { token } = await server.register('somebody');
    const wrong: string[] = [];
    for (const entry of listed) {
      const wanted = isThere(entry);
      if (wanted === undefined || (await exists(server, entry, token)) === wanted) continue;
      wrong.push(`${entry.method} ${entry.path} is listed as: ${entry.state}`);
    }
    return wrong;
  }

  it('has every endpoint once, with a state', () => {
    expect(listed.length).toBeGreaterThan(200);
    expect(new Set(listed.map(({ method, path }) => `${method} ${path}`)).size).toBe(listed.length);
    for (const { path, state } of listed) {
      expect(state)
        .withContext(path)
        .toMatch(/^(done$|done: \S|switched off: `HANSETAG_|not planned: \S)/);
    }
  });

  it('says of each whether a server has it that only has what is needed', async () => {
    expect(await wrongOn(plain, ({ state }) => state.startsWith('done'))).toEqual([]);
  });

  it('says of each whether it can be switched on', async () => {
    const named = (state: string): boolean => Object.keys(SWITCHED_ON).some((name) => state.includes(`\`${name}\``));
    const wrong = await wrongOn(switchedOn, ({ state }) =>
      state.startsWith('switched off') ? named(state) || undefined : state.startsWith('done'),
    );
    expect(wrong).toEqual([]);
  });

  it('is not about stand-ins: rules for notices are the whole ones', async () => {
    const somebody = await plain.register('reader');
    const rules = await somebody.must('GET', 'client/v3/pushrules/');
    expect(JSON.stringify(at(rules, 'global', 'underride'))).toContain('.m.rule.message');
  });

  it('takes account data with any numbers, as the places of tags are, but no such events', async () => {
    const { must, ask, userId } = await plain.register('sorter');
    const roomId = String(at(await must('POST', 'client/v3/createRoom', {}), 'room_id'));
    await must('PUT', `client/v3/user/${userId}/rooms/${roomId}/tags/u.work`, { order: 0.5 });
    const tags = await must('GET', `client/v3/user/${userId}/rooms/${roomId}/tags`);
    expect(at(tags, 'tags', 'u.work', 'order')).toBe(0.5);
    expect(JSON.stringify(await must('GET', 'client/v3/sync'))).toContain('"order":0.5');
    const refused = await ask('PUT', `client/v3/rooms/${roomId}/send/m.room.message/1`, { half: 0.5 });
    expect([refused.status, at(refused.body, 'errcode')]).toEqual([400, 'M_BAD_JSON']);
  });

  it('tells at the well-known places what was set', async () => {
    const ask = async (name: string): Promise<object> =>
      (await (await fetch(`${switchedOn.url}/.well-known/matrix/${name}`)).json()) as object;
    expect(await ask('server')).toEqual({ 'm.server': 'matrix.localhost:8448' });
    expect(await ask('support')).toEqual({
      contacts: [{ role: 'm.role.admin', email_address: 'help@localhost.example' }],
      support_page: 'https://localhost.example/help',
    });
  });
});
