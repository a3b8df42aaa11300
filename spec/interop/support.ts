/** One of our homeservers and a stock Synapse, shared by all interop specs, and what people do on them. */
import { at, eventually as eventuallyWithin, startHomeservers } from '../support/homeservers.ts';
import type { Answer, TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { startSynapse } from './synapse.ts';
import type { Synapse } from './synapse.ts';

export interface Servers {
  readonly federation: TestFederation;
  readonly ours: TestHomeserver;
  readonly synapse: Synapse;
}

/** Who has a room and who comes to it: each of the two servers in both roles. */
export const DIRECTIONS = [
  { name: 'of ours, entered from Synapse', home: 'ours', away: 'synapse' },
  { name: 'of Synapse, entered from ours', home: 'synapse', away: 'ours' },
] as const;

/** For what two servers tell each other, one of them in Python, on a machine that does much else, in ms. */
const PATIENCE_MS = 60_000;

let started: Promise<Servers> | undefined;

/** Starts both at the first call; they end after the last spec. */
export function servers(): Promise<Servers> {
  return (started ??= start());
}

async function start(): Promise<Servers> {
  const settings = {
    HANSETAG_PRESENCE: 'federated',
    // Meetings are made and planned while no media server can be reached.
    HANSETAG_SFU_CONTROL: '/nowhere/sfu.sock',
    HANSETAG_SFU_SECRET: 'a secret that nobody asks for',
  };
  const federation = await startHomeservers(2, settings, ['127.0.0.1', '127.0.0.1']);
  const [ours] = federation.servers;
  if (!ours) throw new Error('Our server is missing.');
  return { federation, ours, synapse: await startSynapse({ tls: federation.tls }) };
}

afterAll(async () => {
  if (!started) return;
  const { federation, synapse } = await started;
  await synapse.close();
  await federation.close();
});

export const room = (roomId: string, rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;

/** Asks again until the answer is as wanted. @throws Error after a minute */
export function eventually<T>(ask: () => Promise<T>, wanted: (value: T) => boolean): Promise<T> {
  return eventuallyWithin(ask, wanted, PATIENCE_MS);
}

/** Creates a room. @returns its id */
export async function create(user: TestUser, options: object): Promise<string> {
  return String(at(await user.must('POST', 'client/v3/createRoom', options), 'room_id'));
}

/** Asks to join by id or alias. */
export function join(user: TestUser, name: string, via?: Pick<TestHomeserver, 'serverName'>): Promise<Answer> {
  const query = via
    ? `?server_name=${encodeURIComponent(via.serverName)}&via=${encodeURIComponent(via.serverName)}`
    : '';
  return user.ask('POST', `client/v3/join/${encodeURIComponent(name)}${query}`, {});
}

let transactions = 0;

/** Sends an event. @returns its id */
export async function send(user: TestUser, roomId: string, type: string, content: object): Promise<string> {
  const answer = await user.must('PUT', room(roomId, `send/${type}/interop${String(transactions++)}`), content);
  return String(at(answer, 'event_id'));
}

export const say = (user: TestUser, roomId: string, body: string): Promise<string> =>
  send(user, roomId, 'm.room.message', { msgtype: 'm.text', body });

export async function setState(
  user: TestUser,
  roomId: string,
  type: string,
  content: object,
  stateKey = '',
): Promise<Answer> {
  return user.ask('PUT', room(roomId, `state/${type}/${encodeURIComponent(stateKey)}`), content);
}

/** Content of a state event; undefined when there is none or it may not be seen. */
export async function stateOf(user: TestUser, roomId: string, type: string, stateKey = ''): Promise<unknown> {
  const answer = await user.ask('GET', room(roomId, `state/${type}/${encodeURIComponent(stateKey)}`));
  return answer.status === 200 ? answer.body : undefined;
}

export async function membership(asked: TestUser, roomId: string, of: TestUser): Promise<unknown> {
  return at(await stateOf(asked, roomId, 'm.room.member', of.userId), 'membership');
}

/** Waits until somebody sees a membership. */
export async function sees(asked: TestUser, roomId: string, of: TestUser, wanted: string): Promise<void> {
  await eventually(
    () => membership(asked, roomId, of),
    (now) => now === wanted,
  );
}

/** All events of a room that somebody may see, oldest first. */
export async function history(user: TestUser, roomId: string): Promise<unknown[]> {
  const all: unknown[] = [];
  let from = '';
  for (let pages = 0; pages < 50; pages += 1) {
    const answer = await user.must('GET', room(roomId, `messages?dir=b&limit=100${from}`));
    const chunk = at(answer, 'chunk');
    if (Array.isArray(chunk)) all.push(...(chunk as unknown[]));
    const end = at(answer, 'end');
    if (typeof end !== 'string') break;
    from = `&from=${encodeURIComponent(end)}`;
  }
  return all.reverse();
}

export async function bodies(user: TestUser, roomId: string): Promise<string[]> {
  const events = await history(user, roomId);
  return events.map((event) => at(event, 'content', 'body')).filter((body) => typeof body === 'string');
}

/** Waits until somebody has all of these messages. */
export async function hears(user: TestUser, roomId: string, wanted: readonly string[]): Promise<string[]> {
  return eventually(
    () => bodies(user, roomId),
    (now) => wanted.every((body) => now.includes(body)),
  );
}

/** The state of a room as pairs of a name and an event id. */
export async function wholeState(user: TestUser, roomId: string): Promise<string[]> {
  const events = (await user.must('GET', room(roomId, 'state'))) as unknown[];
  return events
    .map((event) => `${String(at(event, 'type'))} ${String(at(event, 'state_key'))} ${String(at(event, 'event_id'))}`)
    .sort();
}

/** Waits until two people have the same state of a room. */
export async function sameState(one: TestUser, other: TestUser, roomId: string): Promise<string[]> {
  const [state] = await eventually(
    () => Promise.all([wholeState(one, roomId), wholeState(other, roomId)]),
    ([a, b]) => JSON.stringify(a) === JSON.stringify(b),
  );
  return state;
}

/** A client that goes on syncing, and keeps all that it is told. */
export class Syncing {
  readonly #user: TestUser;
  #since: string | undefined;

  constructor(user: TestUser) {
    this.#user = user;
  }

  /** The next answer of `/sync`; at most half a second later. */
  async next(): Promise<unknown> {
    const query = this.#since === undefined ? '' : `&since=${encodeURIComponent(this.#since)}`;
    const answer = await this.#user.must('GET', `client/v3/sync?timeout=500${query}`);
    this.#since = String(at(answer, 'next_batch'));
    return answer;
  }

  /** Syncs on until something is found in an answer. @throws Error after a minute */
  async until<T>(find: (answer: unknown) => T | undefined): Promise<T> {
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline;) {
      const found = find(await this.next());
      if (found !== undefined) return found;
    }
    throw new Error('No sync told of it.');
  }
}

/** The `events` of a section of an answer of `/sync`. */
export function eventsIn(answer: unknown, ...path: string[]): unknown[] {
  const events = at(answer, ...path, 'events');
  return Array.isArray(events) ? (events as unknown[]) : [];
}
