/**
 * What the servers have stored of a room: the graph of its events, and what each server thinks of each of them in the
 * order in which it took them. From that it follows what each had to think, and whether it may show its people other
 * events than the others do.
 */
import { z } from 'zod';
import { stateViewOf } from '../../federation/auth-rules.ts';
import { isCreate, serverOf } from '../../federation/event.ts';
import type { Pdu } from '../../federation/event.ts';
import { canonicalJson, parseStrict } from '../../federation/json.ts';
import { roomVersion } from '../../federation/room-versions.ts';
import type { RoomVersion } from '../../federation/room-versions.ts';
import type { StateMap } from '../../federation/state-resolution.ts';
import type { SoakServer } from './servers.ts';
import { Truth } from './truth.ts';

export const STANDINGS = ['accepted', 'soft-failed', 'rejected', 'outlier'] as const;
export type Standing = (typeof STANDINGS)[number];

/** An event as a server has it. */
export interface Arrival {
  readonly eventId: string;
  /** Order of arrival; history that was fetched later is below zero. Ours give outliers none. */
  readonly position: number | null;
  readonly standing: Standing;
  /** As it is stored. */
  readonly json: string;
}

const Row = z.object({
  event_id: z.string(),
  position: z.number().nullable(),
  json: z.string(),
  standing: z.enum(STANDINGS),
});
const QUERIES = {
  ours: `SELECT event_id, position::float8, json, CASE WHEN outlier THEN 'outlier' WHEN rejected THEN 'rejected'
           WHEN soft_failed THEN 'soft-failed' ELSE 'accepted' END AS standing
         FROM events WHERE room_id = $1 ORDER BY position NULLS FIRST, depth`,
  synapse: `SELECT event_id, stream_ordering::float8 AS position, json, CASE WHEN outlier THEN 'outlier'
              WHEN rejection_reason IS NOT NULL THEN 'rejected'
              WHEN (internal_metadata::json ->> 'soft_failed')::boolean THEN 'soft-failed' ELSE 'accepted' END AS standing
            FROM events JOIN event_json USING (event_id) WHERE events.room_id = $1 ORDER BY stream_ordering`,
};

/** All that a server has of a room, in the order in which it took it. */
export async function arrivals({ kind, database }: SoakServer, roomId: string): Promise<Arrival[]> {
  const { rows } = await database.query(QUERIES[kind], [roomId]);
  return z
    .array(Row)
    .parse(rows)
    .map(({ event_id: eventId, ...rest }) => ({ eventId, ...rest }));
}

/** How much an event says: less when it is redacted. */
const said = ({ content, redacts }: Pdu): number => canonicalJson(content).length + (redacts === undefined ? 0 : 1);

/** The forward extremities of a room. */
const ENDS = {
  ours: 'SELECT unnest(extremities) AS event_id FROM rooms WHERE room_id = $1',
  synapse: 'SELECT event_id FROM event_forward_extremities WHERE room_id = $1',
};

/** Where a room ends for a server. */
export async function extremities({ kind, database }: SoakServer, roomId: string): Promise<string[]> {
  const { rows } = await database.query<{ event_id: string }>(ENDS[kind], [roomId]);
  return rows.map((row) => row.event_id);
}

export class RoomGraph {
  readonly #version;
  readonly #names: readonly string[];
  readonly #kinds: readonly SoakServer['kind'][];
  readonly #events = new Map<string, Pdu>();
  readonly #arrivals: (readonly Arrival[])[] = [];
  readonly #standings: ReadonlyMap<string, Standing>[] = [];
  readonly #pasts = new Map<string, ReadonlySet<string>>();
  readonly #truth: Truth;

  private constructor(version: string, servers: readonly Pick<SoakServer, 'kind' | 'name'>[]) {
    const known = roomVersion(version);
    if (!known) throw new Error('The room version is unknown.');
    this.#version = known;
    this.#names = servers.map(({ name }) => name);
    this.#kinds = servers.map(({ kind }) => kind);
    this.#truth = new Truth(known, this.#events);
  }

  /** Reads the databases of all servers. */
  static async read(servers: readonly SoakServer[], roomId: string, version: string): Promise<RoomGraph> {
    const all: (readonly Arrival[])[] = [];
    for (const server of servers) all.push(await arrivals(server, roomId));
    return RoomGraph.of(all, servers, version);
  }

  /** @param all of each server what it has, in its order */
  static of(
    all: readonly (readonly Arrival[])[],
    servers: readonly Pick<SoakServer, 'kind' | 'name'>[],
    version: string,
  ): RoomGraph {
    const graph = new RoomGraph(version, servers);
    for (const ones of all) {
      // It is compared, and was checked by the server that has stored it.
      for (const { eventId, json } of ones) {
        const event = parseStrict(json) as Pdu;
        const known = graph.#events.get(eventId);
        // Some servers have it redacted.
        if (!known || said(event) > said(known)) graph.#events.set(eventId, event);
      }
      graph.#arrivals.push(ones);
      graph.#standings.push(new Map(ones.map(({ eventId, standing }) => [eventId, standing])));
    }
    return graph;
  }

  get version(): RoomVersion {
    return this.#version;
  }

  /** The numbers of the servers. */
  get servers(): number[] {
    return [...this.#names.keys()];
  }

  kind(server: number): SoakServer['kind'] | undefined {
    return this.#kinds[server];
  }

  nameOf(server: number): string | undefined {
    return this.#names[server];
  }

  serverNamed(name: string): number | undefined {
    const index = this.#names.indexOf(name);
    return index < 0 ? undefined : index;
  }

  /** What a server has, in its order. */
  arrivals(server: number): readonly Arrival[] {
    return this.#arrivals[server] ?? [];
  }

  arrival(server: number, eventId: string): Arrival | undefined {
    return this.arrivals(server).find((one) => one.eventId === eventId);
  }

  event(eventId: string): Pdu | undefined {
    return this.#events.get(eventId);
  }

  get events(): ReadonlyMap<string, Pdu> {
    return this.#events;
  }

  /** What a server thinks of an event; `undefined` when it does not have it. */
  standing(server: number, eventId: string): Standing | undefined {
    return this.#standings[server]?.get(eventId);
  }

  /** Whether a server does not have an event, or does not know its place in the history. */
  isUnplaced(server: number, eventId: string): boolean {
    const standing = this.standing(server, eventId);
    return standing === undefined || standing === 'outlier';
  }

  /** What each server thinks of it, in words. */
  describe(eventId: string): string {
    const event = this.#events.get(eventId);
    const what = event
      ? `${event.type}${event.state_key === undefined ? '' : ` [${event.state_key}]`} of ${event.sender}`
      : '';
    return `${eventId} ${what}: ${this.#standings.map((one) => one.get(eventId) ?? 'absent').join(', ')}`;
  }

  /**
   * Events that a server has rejected although the rules allow them, or has taken although they do not.
   *
   * @throws IncompleteGraphError
   */
  async misjudged(server: number): Promise<string[]> {
    const wrong: string[] = [];
    for (const { eventId, standing } of this.arrivals(server)) {
      if (standing === 'outlier') continue;
      if ((await this.#truth.rejected(eventId)) !== (standing === 'rejected')) wrong.push(eventId);
    }
    return wrong;
  }

  /** The state after some events by the rules. @throws IncompleteGraphError */
  async stateAfter(eventIds: readonly string[]): Promise<StateMap> {
    return this.#truth.after(eventIds);
  }

  /** Whether somebody of a server is in the room by a state. @param eventIds of the state */
  isInside(server: number, eventIds: Iterable<string>): boolean {
    return this.membersOf(server, eventIds).length > 0;
  }

  /** Whether a server saw that, after a join, nobody of another one was in the room. @throws IncompleteGraphError */
  async sawLeave(server: number, other: number, joinId: string): Promise<boolean> {
    const arrivals = this.arrivals(server);
    const since = arrivals.slice(arrivals.findIndex((one) => one.eventId === joinId) + 1);
    for (const { eventId } of since) {
      const { type, content, state_key: userId = '' } = this.#events.get(eventId) ?? {};
      if (type !== 'm.room.member' || content?.['membership'] === 'join') continue;
      if (this.isUnplaced(server, eventId) || serverOf(userId) !== this.#names[other]) continue;
      if (!this.isInside(other, (await this.#truth.after([eventId])).values())) return true;
    }
    return false;
  }

  /** Who of a server is in the room by a state. @param eventIds of the state */
  membersOf(server: number, eventIds: Iterable<string>): string[] {
    return Array.from(eventIds).flatMap((id) => {
      const event = this.#events.get(id);
      if (event?.type !== 'm.room.member' || event.content['membership'] !== 'join') return [];
      return serverOf(event.sender) === this.#names[server] ? [event.sender] : [];
    });
  }

  /**
   * Whether a server had to hide an event from its people: when it came, the current state did not allow it.
   *
   * @throws IncompleteGraphError
   * @see Matrix specification, server-server API, "Soft failure"
   */
  async hadToSoftFail(server: number, eventId: string): Promise<boolean> {
    for (const state of await this.statesOnArrival(server, eventId)) {
      if (this.#truth.whyForbidden(eventId, state) !== undefined) return true;
      // Where nobody of Synapse is left it forgets the current state, which then allows nothing.
      if (this.#kinds[server] === 'synapse' && !this.isInside(server, state.values())) return true;
    }
    return false;
  }

  /** The state before an event by the rules. @throws IncompleteGraphError */
  async stateBefore(eventId: string): Promise<StateMap> {
    return this.#truth.before(eventId);
  }

  /** Whether nobody of a server was in the room when something happened, so that nobody had to tell it. */
  async isBeforeTimeOf(server: number, eventId: string): Promise<boolean> {
    return !this.isInside(server, (await this.#truth.before(eventId)).values());
  }

  /**
   * The current states of a server by which it may have judged an event: the one before the event's arrival. Synapse
   * judges some time before it numbers what it stores, so that each may count that it had since it had what came before
   * the event; where it never had that, it takes the state at the event as well.
   */
  async statesOnArrival(server: number, eventId: string): Promise<StateMap[]> {
    const missing = new Set(this.#events.get(eventId)?.prev_events);
    const states: StateMap[] = [];
    let ends: string[] = [];
    for (const { eventId: id, position, standing } of this.arrivals(server)) {
      if (id === eventId) break;
      if (position === null || position <= 0 || standing === 'outlier') continue;
      missing.delete(id);
      if (standing === 'accepted') {
        if (await this.#isEntry(server, id, ends)) ends = [];
        const past = this.#past(id);
        ends = ends.filter((end) => !past.has(end));
        if (!ends.some((end) => this.#past(end).has(id))) ends.push(id);
      }
      if (missing.size === 0) states.push(await this.#truth.after(ends));
    }
    if (ends.length === 0) return [];
    const last = await this.#truth.after(ends);
    if (this.#kinds[server] === 'ours') return [last];
    return missing.size === 0
      ? [...new Set(states)]
      : [await this.#truth.together([last, await this.#truth.before(eventId)])];
  }

  /** Whether a join begins the room anew for a server, because nobody of it was there. */
  async #isEntry(server: number, eventId: string, ends: readonly string[]): Promise<boolean> {
    const event = this.#events.get(eventId);
    if (event?.type !== 'm.room.member' || event.content['membership'] !== 'join') return false;
    if (ends.length === 0 || serverOf(event.sender) !== this.#names[server]) return false;
    return !this.isInside(server, (await this.#truth.after(ends)).values());
  }

  /** A state as the rules look at it. */
  view(state: StateMap): ReturnType<typeof stateViewOf> {
    return stateViewOf(
      [...state.values()].flatMap((id) => this.#events.get(id) ?? []),
      [...this.#events.values()].find(isCreate),
    );
  }

  /** All events before one. */
  #past(eventId: string): ReadonlySet<string> {
    const known = this.#pasts.get(eventId);
    if (known) return known;
    const past = new Set<string>();
    const open = [eventId];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      for (const previous of this.#events.get(id)?.prev_events ?? []) {
        if (past.has(previous)) continue;
        past.add(previous);
        open.push(previous);
      }
    }
    this.#pasts.set(eventId, past);
    return past;
  }
}
