/**
 * What people do. Each has a generator of choices of their own and does one thing after the other. A step takes the
 * same number of choices whatever the servers answer, so that a seed always gives the same wishes; what comes of them
 * depends on what got through first.
 */
import { at } from '../support/homeservers.ts';
import { inRoom } from './client.ts';
import type { Person } from './client.ts';
import type { Random } from './random.ts';

export interface Room {
  readonly roomId: string;
  readonly version: string;
  /** Never leaves, so that there always is somebody who may do everything; may nevertheless be thrown out. */
  readonly founder: Person;
}

/** An event whose id a server has given to its sender. */
export interface Acknowledged {
  readonly eventId: string;
  readonly roomId: string;
  /** Number of the server. */
  readonly server: number;
}

export interface Town {
  readonly rooms: readonly Room[];
  /** The people of each server. */
  readonly people: readonly (readonly Person[])[];
  /** The server names. */
  readonly names: readonly string[];
  readonly acknowledged: Acknowledged[];
  /** How often an action was done and ended so: action, status. */
  readonly counts: Map<string, number>;
}

/** Versions of the rooms in their order; each is founded on the next server. */
const VERSIONS = ['12', '11', '10', '12', '11', '10'];
const PAUSE_MS = { least: 200, most: 1_600 };
const LEVELS = [0, 25, 50, 100];
const JOIN_RULES = [
  [6, 'public'],
  [1, 'invite'],
  [1, 'knock'],
] as const;

type Action = (step: Step) => Promise<number>;

interface Step {
  readonly town: Town;
  readonly server: number;
  readonly self: Person;
  readonly room: Room;
  readonly target: Person;
  /** Choices of the action's own, from 0 to 1. */
  readonly first: number;
  readonly second: number;
  /** A name that no other step has. */
  readonly name: string;
}

const ACTIONS: readonly (readonly [weight: number, name: string, action: Action])[] = [
  [30, 'message', (step) => put(step, `send/m.room.message/${step.name}`, { msgtype: 'm.text', body: step.name })],
  [14, 'join', join],
  [4, 'leave', (step) => (step.room.founder === step.self ? Promise.resolve(-1) : post(step, 'leave', {}))],
  [6, 'invite', (step) => post(step, 'invite', { user_id: step.target.userId })],
  [3, 'kick', (step) => post(step, 'kick', { user_id: step.target.userId })],
  [3, 'ban', (step) => post(step, 'ban', { user_id: step.target.userId })],
  [4, 'unban', (step) => post(step, 'unban', { user_id: step.target.userId })],
  [2, 'knock', knock],
  [8, 'topic', (step) => put(step, 'state/m.room.topic/', { topic: step.name })],
  [
    10,
    'state',
    (step) => put(step, `state/org.example.soak/${String(Math.floor(step.first * 5))}`, { value: step.name }),
  ],
  [
    4,
    'name',
    (step) =>
      put(step, `state/m.room.member/${encodeURIComponent(step.self.userId)}`, {
        membership: 'join',
        displayname: step.name,
      }),
  ],
  [2, 'join rules', (step) => put(step, 'state/m.room.join_rules/', { join_rule: weighted(JOIN_RULES, step.first) })],
  [4, 'power levels', changeLevels],
  [6, 'redaction', redact],
];

/** Makes the rooms. Everybody may do much in them, a few may do everything. @throws Error */
export async function found(
  people: readonly (readonly Person[])[],
  names: readonly string[],
  random: Random,
): Promise<Town> {
  const rooms: Room[] = [];
  const all = people.flat();
  for (const [index, version] of VERSIONS.entries()) {
    const founder = random.of(people[index % people.length] ?? []);
    const helpers = Object.fromEntries([100, 50, 50].map((level) => [random.of(all).userId, level]));
    delete helpers[founder.userId];
    const answer = await founder.must('POST', 'createRoom', {
      preset: 'public_chat',
      room_version: version,
      power_level_content_override: {
        users: { ...helpers, ...(version === '12' ? {} : { [founder.userId]: 100 }) },
        events: { 'm.room.topic': 0, 'org.example.soak': 0 },
        invite: 0,
      },
    });
    rooms.push({ roomId: String(at(answer, 'room_id')), version, founder });
  }
  return { rooms, people, names, acknowledged: [], counts: new Map() };
}

/** Somebody does things until the time is over. */
export async function live(town: Town, server: number, self: Person, random: Random, until: number): Promise<void> {
  const all = town.people.flat();
  for (let count = 0; Date.now() < until; count += 1) {
    const [name, action] = random.weighted(ACTIONS.map(([weight, ...rest]) => [weight, rest] as const));
    const step = {
      town,
      server,
      self,
      room: random.of(town.rooms),
      target: random.of(all),
      first: random.next(),
      second: random.next(),
      name: `${self.name}-${String(count)}`,
    };
    const pause = random.whole(PAUSE_MS.least, PAUSE_MS.most);
    let status = await action(step);
    // Who can do nothing because they are not in the room goes there next.
    if (status === 403 && step.first < 0.5) {
      tally(town, name, status);
      status = await join(step);
      tally(town, 'join', status);
    } else tally(town, name, status);
    await new Promise((resolve) => setTimeout(resolve, Math.min(pause, Math.max(until - Date.now(), 0))));
  }
}

/** Writes down that an event is acknowledged, if it is. */
export function acknowledge(town: Town, server: number, roomId: string, body: unknown): void {
  const eventId = at(body, 'event_id');
  if (typeof eventId === 'string') town.acknowledged.push({ eventId, roomId, server });
}

async function put({ town, server, self, room }: Step, path: string, content: object): Promise<number> {
  const { status, body } = await self.askAgain('PUT', inRoom(room.roomId, path), content);
  if (status === 200) acknowledge(town, server, room.roomId, body);
  return status;
}

async function post({ self, room }: Step, path: string, content: object): Promise<number> {
  return (await self.ask('POST', inRoom(room.roomId, path), content)).status;
}

async function join(step: Step): Promise<number> {
  const { town, server, self, room } = step;
  const { status } = await self.ask('POST', `join/${encodeURIComponent(room.roomId)}${via(step)}`, {});
  if (status !== 200) return status;
  // The answer does not name the event; what does is an acknowledgement as well.
  const member = await self.ask(
    'GET',
    inRoom(room.roomId, `state/m.room.member/${encodeURIComponent(self.userId)}?format=event`),
  );
  if (member.status === 200) acknowledge(town, server, room.roomId, member.body);
  return status;
}

async function knock(step: Step): Promise<number> {
  return (await step.self.ask('POST', `knock/${encodeURIComponent(step.room.roomId)}${via(step)}`, {})).status;
}

/** All servers, beginning with one or the other. */
function via({ town, second }: Step): string {
  const first = Math.floor(second * town.names.length);
  const names = town.names.map((_, index) => town.names[(first + index) % town.names.length] ?? '');
  return `?${names.flatMap((name) => [`server_name=${encodeURIComponent(name)}`, `via=${encodeURIComponent(name)}`]).join('&')}`;
}

async function changeLevels(step: Step): Promise<number> {
  const { self, room, target, first } = step;
  if (target === room.founder) return -1;
  const path = 'state/m.room.power_levels/';
  const now = await self.ask('GET', inRoom(room.roomId, path));
  if (now.status !== 200) return now.status;
  const users = { ...(at(now.body, 'users') as object), [target.userId]: LEVELS[Math.floor(first * LEVELS.length)] };
  return put(step, path, { ...(now.body as object), users });
}

async function redact(step: Step): Promise<number> {
  const { town, room, first } = step;
  const events = town.acknowledged.filter(({ roomId }) => roomId === room.roomId);
  const event = events[Math.floor(first * events.length)];
  return event ? put(step, `redact/${encodeURIComponent(event.eventId)}/${step.name}`, {}) : -1;
}

function tally({ counts }: Town, name: string, status: number): void {
  if (status === -1) return;
  const key = `${name} ${status === 0 ? 'unanswered' : String(status)}`;
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function weighted<T>(all: readonly (readonly [number, T])[], choice: number): T | undefined {
  let rest = choice * all.reduce((sum, [weight]) => sum + weight, 0);
  return all.find(([weight]) => (rest -= weight) < 0)?.[1];
}
