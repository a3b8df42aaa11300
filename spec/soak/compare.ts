/** Whether the servers agree about a room, as their people see it. */
import { at } from '../support/homeservers.ts';
import type { Room, Town } from './actions.ts';
import { inRoom } from './client.ts';
import type { Person } from './client.ts';
import { splitStateKey } from '../../federation/auth-rules.ts';
import { extremities, RoomGraph } from './graph.ts';
import type { SoakServer } from './servers.ts';

export interface Comparison {
  /** Servers with somebody in the room. */
  readonly servers: number;
  readonly stateEvents: number;
  readonly historyEvents: number;
  /** Events that a server had to hide. */
  readonly softFailed: number;
  /** Pairs of servers that have lost each other, see `haveParted`. */
  readonly parted: number;
  /** Nothing, when all is well. */
  readonly differences: readonly string[];
}

const MAX_PAGES = 200;
/** Synapse joins loose ends of a room by such events and never shows its own or others' to anybody. */
const HIDDEN_BY_SYNAPSE = 'org.matrix.dummy_event';

/** Compares what members on different servers see of the state and of the whole history of a room. Does not throw. */
export async function compare(servers: readonly SoakServer[], town: Town, room: Room): Promise<Comparison> {
  const differences: string[] = [];
  const views: View[] = [];
  let softFailed = 0;
  let parted = 0;
  try {
    for (const server of servers) if (server.kind === 'synapse') await letAnHourPass(server);
    for (const [server, people] of town.people.entries()) {
      const member = await firstMember(servers[server], people, room);
      if (member) views.push({ server, ...(await view(member, room)) });
    }
    const graph = await RoomGraph.read(servers, room.roomId, room.version);
    const pairs = views.flatMap((one, index) => views.slice(index + 1).map((other) => [one, other] as const));
    const together = pairs.filter((pair) => !haveParted(...pair, graph));
    parted = pairs.length - together.length;
    differences.push(...unlikeStates(together, graph), ...(await wrongStates(servers, views, room, graph)));
    const alone = views.map((one) => [one, one] as const);
    for (const { server, eventId } of notShown([...together, ...alone], town, room)) {
      if (await mayBeHidden(server, eventId, graph)) softFailed += 1;
      else if (isHiddenBySynapse(servers[server], eventId, graph)) continue;
      else differences.push(`history: server ${String(server)} does not show ${graph.describe(eventId)}`);
    }
    for (const [server] of servers.entries()) {
      for (const eventId of await graph.misjudged(server)) {
        differences.push(`verdict: server ${String(server)} misjudges ${graph.describe(eventId)}`);
      }
    }
    differences.push(...twice(graph));
  } catch (error) {
    // It may be on its way still: somebody is thrown out between two questions, or an event is nowhere yet.
    differences.push(`it can not be compared: ${error instanceof Error ? error.message : String(error)}`);
  }
  return {
    servers: views.length,
    stateEvents: new Set(views.flatMap(({ state }) => [...state.keys()])).size,
    historyEvents: new Set(views.flatMap(({ history }) => [...history])).size,
    softFailed,
    parted,
    differences: differences.map((difference) => `${room.roomId} (version ${room.version}) ${difference}`),
  };
}

/**
 * Whether by the state of one of two servers nobody of the other is in the room. When rules change on one side of a cut
 * while somebody enters on the other, servers may come to different states by the rules, and who is outside by one of
 * them is told nothing from there any more: no more can be asked of these two.
 */
function haveParted(one: View, other: View, graph: RoomGraph): boolean {
  return !graph.isInside(other.server, one.state.values()) || !graph.isInside(one.server, other.state.values());
}

type Pairs = readonly (readonly [View, View])[];

/** Events that one server shows, or has acknowledged, and another one does not show. */
function notShown(pairs: Pairs, town: Town, room: Room): { server: number; eventId: string }[] {
  const found = new Map<string, { server: number; eventId: string }>();
  for (const [one, other] of pairs) {
    for (const [from, to] of [[one, other] as const, [other, one] as const]) {
      const acknowledged = town.acknowledged.filter(
        ({ roomId, server }) => roomId === room.roomId && server === from.server,
      );
      for (const eventId of [...from.history, ...acknowledged.map((event) => event.eventId)]) {
        for (const { server, history } of [from, to]) {
          if (!history.has(eventId)) found.set(`${String(server)} ${eventId}`, { server, eventId });
        }
      }
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
async function wrongStates(
  servers: readonly SoakServer[],
  views: readonly View[],
  room: Room,
  graph: RoomGraph,
): Promise<string[]> {
  const found: string[] = [];
  for (const { server: index, state } of views) {
    const server = servers[index];
    if (server?.kind !== 'ours') continue;
    const right = new Map<string, string>();
    for (const [key, id] of await graph.stateAfter(await extremities(server, room.roomId))) {
      right.set(nameOf(...splitStateKey(key)), id);
    }
    for (const key of new Set([...right.keys(), ...state.keys()])) {
      if (right.get(key) === state.get(key)) continue;
      found.push(`${stateOn(index, key, state.get(key), graph)} instead of ${right.get(key) ?? 'none'}`);
    }
  }
  return found;
}

const nameOf = (type: string, key: string): string => `${type} [${key}]`;

function stateOn(server: number, key: string, eventId: string | undefined, graph: RoomGraph): string {
  return `state: ${key} on server ${String(server)}: ${eventId === undefined ? 'none' : graph.describe(eventId)}`;
}

/** Whether the rules want a server not to show an event. */
async function mayBeHidden(server: number, eventId: string, graph: RoomGraph): Promise<boolean> {
  if (graph.standing(server, eventId) === 'soft-failed' && (await graph.hadToSoftFail(server, eventId))) return true;
  if (await graph.isIdleRedaction(server, eventId)) return true;
  return (await graph.isKeptBySynapse(server, eventId)) || graph.isSkippedBySynapse(server, eventId);
}

function isHiddenBySynapse(server: SoakServer | undefined, eventId: string, graph: RoomGraph): boolean {
  return server?.kind === 'synapse' && graph.event(eventId)?.type === HIDDEN_BY_SYNAPSE;
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
  const shutOut = server?.kind === 'synapse' ? await shutOutBySynapse(server, room) : [];
  for (const person of people) {
    if (shutOut.includes(person.userId)) continue;
    const joined = at((await person.askAgain('GET', 'joined_rooms')).body, 'joined_rooms');
    if (Array.isArray(joined) && joined.includes(room.roomId)) return person;
  }
  return undefined;
}

/**
 * Members whom Synapse lets see nothing. An invitation that crosses the join of whom it invites is no part of the state,
 * but Synapse notes it as the membership of its user, who is refused from then on and can not join again either.
 */
async function shutOutBySynapse({ database }: SoakServer, { roomId }: Room): Promise<string[]> {
  const { rows } = await database.query<{ user_id: string }>(
    `SELECT user_id FROM local_current_membership own
     JOIN current_state_events state ON state.room_id = own.room_id AND state.state_key = own.user_id
     WHERE own.room_id = $1 AND type = 'm.room.member' AND state.membership = 'join' AND own.membership <> 'join'`,
    [roomId],
  );
  return rows.map((row) => row.user_id);
}

interface View {
  readonly server: number;
  /** Event ids by type and state key. */
  readonly state: ReadonlyMap<string, string>;
  /** Event ids. */
  readonly history: ReadonlySet<string>;
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
