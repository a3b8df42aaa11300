/** Whether the servers agree about a room, as their people see it. */
import { readFileSync } from 'node:fs';
import { at } from '../support/homeservers.ts';
import type { Acknowledged, Room, Town } from './actions.ts';
import { inRoom } from './client.ts';
import type { Person } from './client.ts';
import { splitStateKey } from '../../federation/auth-rules.ts';
import { excuse, excuseOfParted } from './excuses.ts';
import type { Excuse, View } from './excuses.ts';
import { extremities, RoomGraph } from './graph.ts';
import type { SoakServer } from './servers.ts';
import { droppedIn } from './synapse-log.ts';

/** What is known of a room when it is judged. */
export interface Evidence {
  readonly graph: RoomGraph;
  /** One for each server that has somebody in the room who can look. */
  readonly views: readonly View[];
  /** Where the room ends for each server. */
  readonly ends: readonly (readonly string[])[];
  /** Of each server, its members whom Synapse lets see nothing. */
  readonly shutOut: readonly (readonly string[])[];
  readonly acknowledged: readonly Omit<Acknowledged, 'roomId'>[];
  /** Of each server, what it has thrown away, see `droppedIn`. */
  readonly dropped: readonly ReadonlySet<string>[];
}

export interface Verdict {
  /** Pairs of servers that have lost each other, see `haveParted`. */
  readonly parted: number;
  /** Events that a server does not show, by what excuses it. */
  readonly excused: ReadonlyMap<Excuse, number>;
  /** Nothing, when all is well. */
  readonly differences: readonly string[];
}

export interface Comparison extends Verdict {
  readonly roomId: string;
  readonly views: readonly View[];
  readonly shutOut: readonly (readonly string[])[];
}

const MAX_PAGES = 200;

/** Compares what members on different servers see of the state and of the whole history of a room. Does not throw. */
export async function compare(servers: readonly SoakServer[], town: Town, room: Room): Promise<Comparison> {
  const views: View[] = [];
  const shutOut: string[][] = [];
  let verdict: Verdict;
  try {
    for (const server of servers) if (server.kind === 'synapse') await letAnHourPass(server);
    for (const [server, people] of town.people.entries()) {
      const member = await firstMember(servers[server], people, room);
      if (member) views.push({ server, ...(await view(member, room)) });
    }
    const ends: string[][] = [];
    for (const server of servers) {
      ends.push(await extremities(server, room.roomId));
      shutOut.push(await shutOutBySynapse(server, room));
    }
    const graph = await RoomGraph.read(servers, room.roomId, room.version);
    const acknowledged = town.acknowledged.filter(({ roomId }) => roomId === room.roomId);
    const dropped = servers.map(({ kind, logFile }) =>
      droppedIn(kind === 'synapse' ? readFileSync(logFile, 'utf8') : ''),
    );
    verdict = await judge({ graph, views, ends, shutOut, acknowledged, dropped });
  } catch (error) {
    // It may be on its way still: somebody is thrown out between two questions, or an event is nowhere yet.
    const reason = error instanceof Error ? error.message : String(error);
    verdict = { parted: 0, excused: new Map(), differences: [`it can not be compared: ${reason}`] };
  }
  const { roomId, version } = room;
  const differences = verdict.differences.map((difference) => `${roomId} (version ${version}) ${difference}`);
  return { ...verdict, roomId, views, shutOut, differences };
}

/** What is wrong with a room. @throws IncompleteGraphError */
export async function judge(evidence: Evidence): Promise<Verdict> {
  const { graph, views, ends } = evidence;
  const differences: string[] = [];
  const excused = new Map<Excuse, number>();
  const pairs = views.flatMap((one, index) => views.slice(index + 1).map((other) => [one, other] as const));
  const together = pairs.filter((pair) => !haveParted(...pair, graph));
  differences.push(...unlikeStates(together, graph), ...(await wrongStates(evidence)));
  for (const { view: lacking, eventId, isOwed } of notShown(pairs, together, evidence)) {
    const dropped = evidence.dropped[lacking.server] ?? new Set();
    const parted = isOwed ? undefined : await excuseOfParted(lacking, eventId, graph, views, dropped);
    const why = parted ?? (await excuse(lacking, eventId, graph, views));
    if (why !== undefined) excused.set(why, (excused.get(why) ?? 0) + 1);
    else differences.push(`history: server ${String(lacking.server)} does not show ${graph.describe(eventId)}`);
  }
  for (const server of graph.servers) {
    for (const eventId of await graph.misjudged(server)) {
      differences.push(`verdict: server ${String(server)} misjudges ${graph.describe(eventId)}`);
    }
    if (views.some((one) => one.server === server)) continue;
    const state = await graph.stateAfter(ends[server] ?? []);
    const shown = evidence.shutOut[server] ?? [];
    for (const userId of graph.membersOf(server, state.values())) {
      if (!shown.includes(userId)) differences.push(`state: server ${String(server)} does not let ${userId} look`);
    }
  }
  for (const { server, eventId } of evidence.acknowledged) {
    if (graph.standing(server, eventId) === undefined) {
      differences.push(`history: server ${String(server)} has lost ${graph.describe(eventId)}`);
    }
  }
  differences.push(...twice(graph));
  return { parted: pairs.length - together.length, excused, differences };
}

/**
 * Whether by the state of one of two servers nobody of the other is in the room. When rules change on one side of a cut
 * while somebody enters on the other, servers may come to different states by the rules, and who is outside by one of
 * them is told nothing from there any more. What happened while they were inside must nevertheless be there.
 */
function haveParted(one: View, other: View, graph: RoomGraph): boolean {
  return !graph.isInside(other.server, one.state.values()) || !graph.isInside(one.server, other.state.values());
}

type Pairs = readonly (readonly [View, View])[];

interface NotShown {
  readonly view: View;
  readonly eventId: string;
  /** Whether the servers have not parted, or it is its own. */
  readonly isOwed: boolean;
}

/** Events that one server shows, or has acknowledged, and another one or itself does not show. */
function notShown(pairs: Pairs, together: Pairs, { views, acknowledged }: Evidence): NotShown[] {
  const found = new Map<string, NotShown>();
  const both = pairs.flatMap(([one, other]) => [[one, other] as const, [other, one] as const]);
  for (const [from, view] of [...both, ...views.map((one) => [one, one] as const)]) {
    const isOwed = from === view || together.some((pair) => pair.includes(from) && pair.includes(view));
    const own = acknowledged.flatMap(({ server, eventId }) => (server === from.server ? [eventId] : []));
    for (const eventId of [...from.history, ...own]) {
      const key = `${String(view.server)} ${eventId}`;
      if (!view.history.has(eventId))
        found.set(key, { view, eventId, isOwed: isOwed || found.get(key)?.isOwed === true });
    }
  }
  return [...found.values()];
}

/** State that two servers do not agree on. */
function unlikeStates(pairs: Pairs, graph: RoomGraph): string[] {
  const found = new Set<string>();
  for (const pair of pairs) {
    for (const key of new Set(pair.flatMap(({ state }) => [...state.keys()]))) {
      if (pair[0].state.get(key) === pair[1].state.get(key)) continue;
      for (const { server, state } of pair) found.add(stateOn(server, key, state.get(key), graph));
    }
  }
  return [...found];
}

/** State of ours that is not what the rules make of the end of the room. */
async function wrongStates({ views, graph, ends }: Evidence): Promise<string[]> {
  const found: string[] = [];
  for (const { server, state } of views) {
    if (graph.kind(server) !== 'ours') continue;
    const right = new Map<string, string>();
    for (const [key, id] of await graph.stateAfter(ends[server] ?? [])) right.set(nameOf(...splitStateKey(key)), id);
    for (const key of new Set([...right.keys(), ...state.keys()])) {
      if (right.get(key) === state.get(key)) continue;
      found.push(`${stateOn(server, key, state.get(key), graph)} instead of ${right.get(key) ?? 'none'}`);
    }
  }
  return found;
}

const nameOf = (type: string, key: string): string => `${type} [${key}]`;

function stateOn(server: number, key: string, eventId: string | undefined, graph: RoomGraph): string {
  return `state: ${key} on server ${String(server)}: ${eventId === undefined ? 'none' : graph.describe(eventId)}`;
}

/**
 * After one attempt that failed, because a line was cut at that moment, Synapse does not fetch history from before its
 * own join for an hour and more. That is forgotten here; what it then fetches has to be right.
 */
async function letAnHourPass({ database }: SoakServer): Promise<void> {
  await database.query('DELETE FROM event_failed_pull_attempts');
}

/**
 * Whether Synapse has given up to complete a room that it entered without its members, because a line was cut at that
 * moment: until its next start nobody is told the state of that room.
 */
export async function hasGivenUp({ kind, database }: SoakServer): Promise<boolean> {
  if (kind !== 'synapse') return false;
  return (await database.query('SELECT room_id FROM partial_state_rooms')).rows.length > 0;
}

/** The first of them who is in the room, as their own server has it. */
export async function firstMember(
  server: SoakServer | undefined,
  people: readonly Person[],
  room: Room,
): Promise<Person | undefined> {
  const shutOut = server ? await shutOutBySynapse(server, room) : [];
  for (const person of people) {
    if (shutOut.includes(person.userId)) continue;
    const joined = at((await person.askAgain('GET', 'joined_rooms')).body, 'joined_rooms');
    if (Array.isArray(joined) && joined.includes(room.roomId)) return person;
  }
  return undefined;
}

/**
 * Members whom Synapse lets see nothing: by the state of the room they are in it, but what it has noted of its own user
 * says something else. It notes what is no part of the state, such as an invitation that crosses the join of whom it
 * invites, and an event that it fetches to judge others. Who is concerned is refused from then on, and can not join again.
 * With such an invitation it also takes itself to be outside when its other people leave, and forgets the state.
 */
async function shutOutBySynapse({ kind, database }: SoakServer, { roomId }: Room): Promise<string[]> {
  if (kind !== 'synapse') return [];
  const { rows } = await database.query<{ user_id: string }>(
    `SELECT user_id FROM local_current_membership own
     LEFT JOIN current_state_events state
       ON state.room_id = own.room_id AND state.state_key = own.user_id AND state.type = 'm.room.member'
     WHERE own.room_id = $1
       AND (own.membership = 'invite' OR own.membership <> 'join' AND state.membership = 'join')`,
    [roomId],
  );
  return rows.map((row) => row.user_id);
}

async function view(member: Person, room: Room): Promise<Omit<View, 'server'>> {
  const state = new Map<string, string>();
  for (const event of list(await member.must('GET', inRoom(room.roomId, 'state')))) {
    state.set(nameOf(String(at(event, 'type')), String(at(event, 'state_key'))), String(at(event, 'event_id')));
  }
  const history = new Set<string>();
  let from = '';
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const answer = await member.must('GET', inRoom(room.roomId, `messages?dir=b&limit=100${from}`));
    for (const event of list(at(answer, 'chunk'))) history.add(String(at(event, 'event_id')));
    const end = at(answer, 'end');
    if (typeof end !== 'string') break;
    from = `&from=${encodeURIComponent(end)}`;
  }
  return { state, history };
}

/** A message that was sent again under the same transaction id because no answer came must be there once. */
function twice(graph: RoomGraph): string[] {
  const ids = new Map<string, string>();
  const found: string[] = [];
  for (const [eventId, { type, sender, content }] of graph.events) {
    const body = at(content, 'body');
    if (type !== 'm.room.message' || typeof body !== 'string') continue;
    const other = ids.get(`${sender} ${body}`);
    if (other === undefined) ids.set(`${sender} ${body}`, eventId);
    else found.push(`sent once, there twice: ${graph.describe(other)} and ${graph.describe(eventId)}`);
  }
  return found;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}
