import { createHmac } from 'node:crypto';
import { at, startHomeservers } from '../support/homeservers.ts';
import type { Answer, TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';

const SECRET = 'only of this spec';

describe('An account that an administrator restricts', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let admin: string;
  let emil: TestUser;
  let bert: TestUser;
  let roomId: string;
  let message: string;
  let other: string;
  let berts: string;

  beforeAll(async () => {
    federation = await startHomeservers(1, { HANSETAG_ADMIN_SECRET: SECRET });
    const [first] = federation.servers;
    if (!first) throw new Error('There is no server.');
    server = first;
    admin = await registerAdmin();
    bert = await server.register('bert');
    emil = await server.register('emil');
    roomId = String(at(await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat' }), 'room_id'));
    await emil.must('POST', `client/v3/join/${roomId}`, {});
    [message, other, berts] = [await say(emil, 1), await say(emil, 5), await say(bert, 1)];
  });
  afterAll(() => federation.close());

  /** Makes an administrator as the tools of Synapse do. */
  async function registerAdmin(): Promise<string> {
    const url = `${server.url}/_synapse/admin/v1/register`;
    const { nonce } = (await (await fetch(url)).json()) as { nonce: string };
    const user = { username: 'root', password: 'a long enough password' };
    const mac = createHmac('sha1', SECRET)
      .update([nonce, user.username, user.password, 'admin'].join('\0'))
      .digest('hex');
    const body = JSON.stringify({ ...user, nonce, admin: true, mac });
    const made = (await (await fetch(url, { method: 'POST', body })).json()) as { access_token: string };
    return made.access_token;
  }
  async function say(person: TestUser, transaction: number): Promise<string> {
    const path = `client/v3/rooms/${roomId}/send/m.room.message/${String(transaction)}`;
    return String(at(await person.must('PUT', path, {}), 'event_id'));
  }
  const set = (what: 'lock' | 'suspend', userId: string, body: object, token = admin): Promise<Answer> =>
    server.ask('PUT', `client/v1/admin/${what}/${userId}`, body, token);
  const errcode = ({ body }: Answer): unknown => at(body, 'errcode');

  it('can do nothing but log out while it is locked, and everything afterwards', async () => {
    const anna = await server.register('anna');
    expect((await set('lock', anna.userId, { locked: true })).body as object).toEqual({ locked: true });
    const refused = await anna.ask('GET', 'client/v3/account/whoami');
    expect([refused.status, errcode(refused), at(refused.body, 'soft_logout')]).toEqual([401, 'M_USER_LOCKED', true]);
    const shown = await server.ask('GET', `client/v1/admin/lock/${anna.userId}`, undefined, admin);
    expect(shown.body as object).toEqual({ locked: true });
    await set('lock', anna.userId, { locked: false });
    expect((await anna.ask('GET', 'client/v3/account/whoami')).status).toBe(200);
    await set('lock', anna.userId, { locked: true });
    expect((await anna.ask('POST', 'client/v3/logout')).status).toBe(200);
  });

  it('reads, leaves and takes back its own words while it is suspended, and writes nothing', async () => {
    expect((await set('suspend', emil.userId, { suspended: true })).body as object).toEqual({ suspended: true });
    for (const [method, path, body] of [
      ['PUT', `rooms/${roomId}/send/m.room.message/2`, { body: 'x' }],
      ['PUT', `rooms/${roomId}/state/m.room.topic`, { topic: 'x' }],
      ['PUT', `rooms/${roomId}/redact/${roomId.replace('!', '$')}/3`, {}],
      ['PUT', `rooms/${roomId}/send/m.room.redaction/6`, { redacts: berts }],
      ['POST', `rooms/${roomId}/invite`, { user_id: bert.userId }],
      ['POST', 'createRoom', {}],
      ['POST', `join/${roomId}`, {}],
      ['PUT', `profile/${emil.userId}/displayname`, { displayname: 'Somebody' }],
    ] as const) {
      const refused = await emil.ask(method, `client/v3/${path}`, body);
      expect([path, refused.status, errcode(refused)]).toEqual([path, 403, 'M_USER_SUSPENDED']);
    }
    expect((await emil.ask('GET', 'client/v3/sync')).status).toBe(200);
    expect((await emil.ask('GET', `client/v3/rooms/${roomId}/messages?dir=b`)).status).toBe(200);
    expect((await emil.ask('PUT', `client/v3/rooms/${roomId}/redact/${message}/4`, {})).status).toBe(200);
    const sent = await emil.ask('PUT', `client/v3/rooms/${roomId}/send/m.room.redaction/7`, { redacts: other });
    expect(sent.status).toBe(200);
    const leaving = { membership: 'leave' };
    expect(
      (await emil.ask('PUT', `client/v3/rooms/${roomId}/state/m.room.member/${emil.userId}`, leaving)).status,
    ).toBe(200);
    await set('suspend', emil.userId, { suspended: false });
    expect((await emil.ask('POST', `client/v3/join/${roomId}`, {})).status).toBe(200);
  });

  it('is restricted by administrators only, and is none of theirs', async () => {
    for (const what of ['lock', 'suspend'] as const) {
      const body = { locked: true, suspended: true };
      expect((await set(what, bert.userId, body, bert.token)).status).toBe(403);
      expect(errcode(await set(what, '@nobody:localhost', body))).toBe('M_INVALID_PARAM');
      expect(errcode(await set(what, bert.userId.replace('bert', 'nobody'), body))).toBe('M_NOT_FOUND');
      expect(errcode(await set(what, bert.userId.replace('bert', 'root'), body))).toBe('M_FORBIDDEN');
      expect((await set(what, bert.userId, { locked: 1, suspended: 1 })).status).toBe(400);
      expect((await server.ask('GET', `client/v1/admin/${what}/${bert.userId}`, undefined, bert.token)).status).toBe(
        403,
      );
    }
    const moderation = (token: string): Promise<unknown> =>
      server
        .ask('GET', 'client/v3/capabilities', undefined, token)
        .then(({ body }) => at(body, 'capabilities', 'm.account_moderation'));
    expect((await moderation(admin)) as object).toEqual({ lock: true, suspend: true });
    expect(await moderation(bert.token)).toBeUndefined();
  });
});
