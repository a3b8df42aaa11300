/** The attacks, each as in the spec of its case in spec/hostile, made so that they can be repeated. */
import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../../../federation/json.ts';
import { ConferencePeer } from '../../hostile/kit/conference-peer.ts';
import { DEAR_PATTERNS, flood, INTERLACED, LONG_BODIES, nested, picture } from '../../hostile/kit/dear-inputs.ts';
import { forks, unconnected, unfounded } from '../../hostile/kit/hostile-events.ts';
import { SessionClient } from '../../hostile/kit/session-client.ts';
import { claim, forged, sendLong, silentName } from '../../hostile/kit/strangers.ts';
import { at, clientOf } from '../../support/homeservers.ts';
import type { TestUser } from '../../support/homeservers.ts';
import { Peer } from '../../support/peer.ts';
import { FORK } from './messages.ts';
import type { AttackOrder } from './messages.ts';

export interface Attack {
  /** How many acts are under way at a time. */
  readonly atOnce: number;
  /** Never needs to be refused: what comes of it is the homeserver's affair. */
  act(): Promise<unknown>;
}

type Open = (order: AttackOrder) => Promise<Attack>;

const MIB = 1024 * 1024;
/** Other addresses on loopback stand for other networks: limits by address are to be passed. */
const ADDRESSES = Array.from({ length: 100 }, (_, index) => `127.0.66.${String(index + 1)}`);
const SILENT_NAMES = 60;
const MEETING_SESSIONS = 20;
const NOTIFIED_PEOPLE = 8;
const RULES_EACH = 60;

export const ATTACKS: Readonly<Record<string, Open>> = {
  A3: async ({ homeserver, roomId }) => {
    const { user, peer, room, sender } = await insideAndOutside(homeserver, roomId);
    const path = `client/v3/rooms/${encodeURIComponent(roomId)}/send/org.example.deep`;
    const deep = [98, 490, 510, 900].map((depth) => nested(depth) as JsonObject);
    return {
      atOnce: 2,
      act: async () => {
        const pdus = deep.map((content) => peer.event(room, { sender, type: 'org.example.deep', content }));
        const edus = deep.map((content) => ({ edu_type: 'm.typing', content }));
        const body = { origin: peer.serverName, origin_server_ts: Date.now(), pdus, edus };
        await peer.ask(homeserver.serverName, 'PUT', `v1/send/${randomUUID()}`, body);
        await user.ask('PUT', `${path}/${randomUUID()}`, nested(51));
        await raw(homeserver.url, `${path}/${randomUUID()}`, user.token, '['.repeat(MIB - 1024));
      },
    };
  },

  A4: async ({ homeserver }) => {
    const peer = await Peer.start(homeserver);
    // The server knows the key now.
    await peer.ask(homeserver.serverName, 'GET', 'v1/query/directory?room_alias=%23a:b');
    const bodies = Object.values(LONG_BODIES).map((body) => body(10 * MIB));
    const authorization = forged(peer.serverName, homeserver.serverName, peer.key.keyId);
    const next = counter();
    return {
      atOnce: 4,
      act: () => {
        const turn = next();
        const [body, localAddress] = [of(bodies, turn), of(ADDRESSES, turn)];
        const path = `/_matrix/federation/v1/send/${randomUUID()}`;
        return sendLong(homeserver, { face: 'federation', path, body, authorization, localAddress });
      },
    };
  },

  A5: async ({ homeserver }) => {
    const people = await register(homeserver, NOTIFIED_PEOPLE);
    const [writer, ...others] = people;
    if (!writer) throw new Error('There is nobody.');
    const room = await writer.must('POST', 'client/v3/createRoom', { preset: 'public_chat' });
    const roomId = encodeURIComponent(String(at(room, 'room_id')));
    const never = DEAR_PATTERNS.filter((pattern) => pattern.endsWith('b'));
    for (const person of others) {
      await person.must('POST', `client/v3/join/${roomId}`, {});
      for (let rule = 0; rule < RULES_EACH; rule += 1) {
        const conditions = [{ kind: 'event_match', key: 'content.body', pattern: of(never, rule) }];
        const path = `client/v3/pushrules/global/override/dear-${String(rule)}`;
        await person.must('PUT', path, { actions: ['notify'], conditions });
      }
    }
    const content = { msgtype: 'm.text', body: 'a'.repeat(60_000) };
    return {
      atOnce: 2,
      act: () => writer.ask('PUT', `client/v3/rooms/${roomId}/send/m.room.message/${randomUUID()}`, content),
    };
  },

  A6: async ({ homeserver, roomId }) => {
    const { peer, room, sender } = await insideAndOutside(homeserver, roomId);
    peer.answer = (path) => (path.includes('/v1/send/') ? { pdus: {} } : new Promise(() => undefined));
    return {
      atOnce: 4,
      act: () => {
        const said = (body: string) => ({ sender, type: 'm.room.message', content: { msgtype: 'm.text', body } });
        const pdus = Array.from({ length: 50 }, (_, index) =>
          (index % 2 === 0 ? unfounded : unconnected)(peer, room, said(String(index))),
        );
        return peer.send(homeserver.serverName, pdus);
      },
    };
  },

  A8: async ({ homeserver, roomId }) => {
    const people = await register(homeserver, MEETING_SESSIONS);
    for (const { must, token } of people) {
      await must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
      const session = await SessionClient.open(homeserver.url, token);
      await session.join(roomId);
    }
    const next = counter();
    const content = { msgtype: 'm.text', body: 'x'.repeat(63_000) };
    const path = `client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message`;
    return { atOnce: 4, act: () => of(people, next()).ask('PUT', `${path}/${randomUUID()}`, content) };
  },

  A10: async ({ homeserver }) => {
    const people = await register(homeserver, 4);
    const next = counter();
    return {
      atOnce: 4,
      act: async () => {
        const session = await SessionClient.open(homeserver.url, of(people, next()).token);
        await flood(session.socket, 5_000);
      },
    };
  },

  A12: async ({ homeserver, roomId }) => {
    const conference = await ConferencePeer.start(homeserver);
    const { peer } = conference;
    const room = await peer.join(homeserver.serverName, roomId, peer.userId('mallory'));
    await conference.enter(homeserver.serverName, room, 'mallory');
    const state = (paused: boolean) => conference.state(roomId, 'mallory', [{ source: 'camera', id: 'c', paused }]);
    const named = (count: number) => Array.from({ length: count }, (_, n) => of(participants(state(n % 2 === 0)), 0));
    // Each says the contrary of the one before; some name one participant 500 times.
    const contents = Array.from({ length: 100 }, (_, n) =>
      n % 4 === 0 ? { room_id: roomId, participants: named(500 - (n % 8 === 0 ? 1 : 0)) } : state(n % 2 === 0),
    );
    return { atOnce: 2, act: () => conference.speak(homeserver.serverName, contents) };
  },

  A17: async ({ homeserver }) => {
    const people = await register(homeserver, 2);
    const next = counter();
    const text = 'x'.repeat(MIB - 4096);
    return {
      atOnce: 4,
      act: async () => {
        const turn = next();
        const { ask, userId } = of(people, turn);
        await ask('PUT', `client/v3/user/${userId}/account_data/n${String(turn % 24)}`, { text });
        await ask('GET', 'client/v3/sync?timeout=0');
      },
    };
  },

  A20: async ({ homeserver }) => {
    const names = await Promise.all(Array.from({ length: SILENT_NAMES }, silentName));
    const next = counter();
    return {
      atOnce: SILENT_NAMES,
      act: async () => {
        const turn = next();
        const status = await claim(homeserver, of(names, turn).name, of(ADDRESSES, Math.floor(turn / 10)));
        // As many as the spec has at a time, not a flood of connections: that is another attack.
        if (status === 429) await new Promise((resolve) => setTimeout(resolve, 500));
      },
    };
  },

  A22: async ({ homeserver }) => {
    const [user] = await register(homeserver, 1);
    const peer = await Peer.start(homeserver);
    if (!user) throw new Error('There is nobody.');
    const long = { displayname: 'x'.repeat(10 * MIB) };
    // Just below what a list may have.
    const list = { chunk: Array.from({ length: MIB }, () => ({})) };
    peer.answer = (path) => (path.includes('publicRooms') ? list : long);
    const farUser = (): string => encodeURIComponent(peer.userId(randomUUID()));
    const questions: (() => Promise<unknown>)[] = [
      () => user.ask('GET', `client/v3/profile/${farUser()}`),
      () => user.ask('GET', `client/v3/publicRooms?server=${peer.serverName}&limit=5`),
      () => user.ask('POST', 'client/v3/keys/query', { device_keys: { [peer.userId(randomUUID())]: [] } }),
      () => user.ask('POST', `client/v3/join/!${randomUUID()}:${peer.serverName}?via=${peer.serverName}`, {}),
    ];
    const next = counter();
    return { atOnce: 6, act: () => of(questions, next())() };
  },

  A23: async ({ homeserver, roomId }) => {
    const { peer, room, sender } = await insideAndOutside(homeserver, roomId);
    const next = counter();
    return {
      atOnce: 1,
      act: () => {
        const said = { sender, type: FORK, state_key: `${String(next())}.` };
        return peer.send(homeserver.serverName, forks(peer, room, said, 50));
      },
    };
  },

  A24: async ({ homeserver }) => {
    const people = await register(homeserver, 4);
    const files = await Promise.all([
      picture(5_100).png(INTERLACED).toBuffer(),
      picture(2_400).png(INTERLACED).toBuffer(),
      picture(5_100).png({ compressionLevel: 1 }).toBuffer(),
    ]);
    const next = counter();
    return {
      atOnce: 4,
      act: async () => {
        const turn = next();
        const { token } = of(people, turn);
        const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'image/png' };
        const body = new Uint8Array(of(files, turn));
        const uploaded = await fetch(`${homeserver.url}/_matrix/media/v3/upload`, { method: 'POST', headers, body });
        const uri = String(at(await uploaded.json(), 'content_uri')).replace('mxc://', '');
        const path = `_matrix/client/v1/media/thumbnail/${uri}?width=96&height=96&method=scale`;
        const shown = await fetch(`${homeserver.url}/${path}`, { headers });
        await shown.arrayBuffer();
      },
    };
  },
};

/** Somebody of the homeserver and somebody of a hostile server, both in a room. */
async function insideAndOutside(homeserver: AttackOrder['homeserver'], roomId: string) {
  const [user] = await register(homeserver, 1);
  if (!user) throw new Error('There is nobody.');
  await user.must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
  const peer = await Peer.start(homeserver);
  peer.answer = (path) => (path.includes('/v1/send/') ? { pdus: {} } : undefined);
  const sender = peer.userId('mallory');
  const room = await peer.join(homeserver.serverName, roomId, sender);
  return { user, peer, room, sender };
}

async function register({ url }: AttackOrder['homeserver'], count: number): Promise<TestUser[]> {
  const people: TestUser[] = [];
  for (let index = 0; index < count; index += 1) people.push(await clientOf(url).register(`m-${randomUUID()}`));
  return people;
}

async function raw(url: string, path: string, token: string, body: string): Promise<void> {
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await fetch(`${url}/_matrix/${path}`, { method: 'PUT', headers, body });
  await answer.arrayBuffer();
}

function participants(state: JsonObject): JsonObject[] {
  return state['participants'] as JsonObject[];
}

function counter(): () => number {
  let count = 0;
  return () => count++;
}

function of<T>(list: readonly T[], turn: number): T {
  const item = list[turn % list.length];
  if (item === undefined) throw new Error('The list is empty.');
  return item;
}
