/** People, rooms and things of a target's homeserver that inputs name. */
import { randomUUID } from 'node:crypto';
import { CALL_MEMBER } from '../../../homeserver/base/names.ts';
import { at, clientOf } from '../../support/homeservers.ts';
import type { TestUser } from '../../support/homeservers.ts';
import { registerAdmin } from '../kit/meeting.ts';
import type { Target } from './target-process.ts';

export const ADMIN_SECRET = 'the secret of administrators in these specs';
/** Settings under which most can be reached. */
export const SETTINGS: Readonly<Record<string, string>> = {
  HANSETAG_PASSWORD_COST: '10',
  HANSETAG_ADMIN_SECRET: ADMIN_SECRET,
  HANSETAG_UNAUTHENTICATED_MEDIA: '1',
  HANSETAG_URL_PREVIEWS: '1',
};
const GROUP = { events: { [CALL_MEMBER]: 0 } };

export class World {
  /** What stands for each name. */
  readonly names = new Map<string, string>();
  readonly tokens = new Map<string, string>();
  readonly #target: Target;
  readonly #people = new Map<string, TestUser>();

  constructor(target: Target) {
    this.#target = target;
    this.names.set('server', target.homeserver.serverName);
  }

  person(name: string): TestUser {
    const person = this.#people.get(name);
    if (!person) throw new Error(`There is no ${name}.`);
    return person;
  }

  /** Makes whoever can not be logged in any more anew. @returns whether somebody was */
  async people(names: readonly string[]): Promise<boolean> {
    let anew = false;
    for (const name of names) {
      const known = this.#people.get(name);
      if (known && (await known.ask('GET', 'client/v3/account/whoami')).status === 200) continue;
      const { register } = clientOf(this.#target.homeserver.url);
      // Others who attack the same target have people of these names too.
      const person = await register(`${name}-${randomUUID()}`);
      this.#people.set(name, person);
      this.tokens.set(name, person.token);
      this.names.set(name, person.userId);
      anew = true;
    }
    const whoami = await this.person(names[0] ?? '').must('GET', 'client/v3/account/whoami');
    this.names.set('device', String(at(whoami, 'device_id')));
    return anew;
  }

  async admin(): Promise<void> {
    this.tokens.set('admin', await registerAdmin(this.#target.homeserver.url, ADMIN_SECRET, `root-${randomUUID()}`));
  }

  /** A room of the first of them that the others are in. @returns its id */
  async room(names: readonly string[], preset = 'private_chat'): Promise<string> {
    const [host = '', ...others] = names;
    const invite = others.map((name) => this.person(name).userId);
    const made = await this.person(host).must('POST', 'client/v3/createRoom', {
      preset,
      invite,
      power_level_content_override: GROUP,
    });
    const roomId = String(at(made, 'room_id'));
    for (const name of others) await this.person(name).must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
    const path = `client/v3/rooms/${encodeURIComponent(roomId)}`;
    const said = await this.person(host).must('PUT', `${path}/send/m.room.message/${randomUUID()}`, {
      msgtype: 'm.text',
      body: 'hello',
    });
    this.names.set('room', roomId);
    this.names.set('event', String(at(said, 'event_id')));
    return roomId;
  }

  /** What else inputs of clients name: each is made as a client makes it. */
  async things(): Promise<void> {
    const user = this.person('user');
    const { url } = this.#target.homeserver;
    const id = (answer: unknown, key: string): string => String(at(answer, key) ?? 'something');
    const ask = async (method: string, path: string, body?: unknown): Promise<unknown> =>
      (await user.ask(method, path, body)).body;
    const own = async (method: string, path: string, body: object): Promise<unknown> => {
      const response = await fetch(`${url}/_hansetag/client/v1/${path}`, {
        method,
        headers: { Authorization: `Bearer ${user.token}` },
        body: JSON.stringify(body),
      });
      return response.json();
    };
    const { names } = this;
    const room = encodeURIComponent(names.get('room') ?? '');
    const alias = `#alias${randomUUID()}:${names.get('server') ?? ''}`;
    await ask('PUT', `client/v3/directory/room/${encodeURIComponent(alias)}`, { room_id: names.get('room') ?? '' });
    names.set('alias', alias);
    names.set(
      'filter',
      id(await ask('POST', `client/v3/user/${encodeURIComponent(user.userId)}/filter`, {}), 'filter_id'),
    );
    names.set('since', id(await ask('GET', 'client/v3/sync?timeout=0'), 'next_batch'));
    names.set('token', id(await ask('GET', `client/v3/rooms/${room}/messages?dir=b&limit=1`), 'end'));
    const backup = {
      algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2',
      auth_data: { public_key: 'x', signatures: {} },
    };
    names.set('backup', id(await ask('POST', 'client/v3/room_keys/version', backup), 'version'));
    const delay = `client/v3/rooms/${room}/send/m.room.message/${randomUUID()}?org.matrix.msc4140.delay=600000`;
    names.set('delay', id(await ask('PUT', delay, { msgtype: 'm.text', body: 'later' }), 'delay_id'));
    const media = id(await ask('POST', 'media/v3/upload?filename=a.txt', { a: 'file' }), 'content_uri');
    names.set('media', media.split('/').at(-1) ?? '');
    const link = await own('POST', `meetings/${room}/links`, {});
    names.set('link', id(link, 'linkId'));
    names.set('linktoken', id(link, 'url').split('/').at(-1) ?? '');
    names.set('session', 'a-session-of-megolm');
    const joined = await fetch(`${url}/_hansetag/client/v1/links/${names.get('linktoken') ?? ''}/join`, {
      method: 'POST',
      body: JSON.stringify({ displayName: 'A guest' }),
    });
    const guest: unknown = await joined.json();
    const guestToken = at(guest, 'session', 'accessToken');
    if (typeof guestToken === 'string') this.tokens.set('guest', guestToken);
  }
}
