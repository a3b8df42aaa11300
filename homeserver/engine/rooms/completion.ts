/**
 * Completes rooms with partial state: fetches the state before our join, and applies it beneath everything that was
 * received since (`Review`).
 *
 * @see MSC3902, "Faster remote room joins over federation"
 */
import type { Logger } from 'pino';
import { eventId, serverOf } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { Database } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Write } from '../../database/writes.ts';
import type { Positions } from '../stream/positions.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import type { InTurn } from './in-turn.ts';
import type { PartialStateRoom, PartialStateRooms } from './partial-state-rooms.ts';
import type { Members } from './members.ts';
import type { Outliers } from './outliers.ts';
import type { RemoteGraph, RemoteState, Sender } from './ports.ts';
import type { Review } from './review.ts';
import type { Room, RoomTable } from './room.ts';
import type { StateIndex } from './state-index.ts';
import type { State } from './state-store.ts';

/** The first pause between retries, in ms; it doubles up to the last. */
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 60 * 60 * 1000;
/** After so many tries, some two days, events that nobody has, or whose keys nobody has, are given up. */
const TRIES = 60;
const SERVERS_TO_ASK = 5;

export interface CompletionDeps {
  readonly db: Database;
  readonly serverName: string;
  readonly events: EventStore;
  readonly rooms: RoomTable;
  readonly members: Members;
  readonly incomplete: PartialStateRooms;
  readonly positions: Positions;
  readonly outliers: Outliers;
  readonly review: Review;
  readonly stateIndex: StateIndex;
  readonly sender: Sender;
  readonly remoteGraph: () => RemoteGraph;
  readonly inTurn: InTurn;
  /** Wakes syncs that may show the room now. */
  readonly wake: (roomId: string) => Promise<void>;
  /** Called with servers that turn out to be in a room, and have received nothing of it from us. */
  readonly onServers: (roomId: string, servers: readonly string[]) => void;
  readonly log: Logger;
}

/** The state after one of the `prev_events` of our join. */
interface Before {
  readonly id: string;
  readonly given: RemoteState;
  /** The event itself, unless no server has it. */
  readonly pdu: Pdu | undefined;
}

export class Completion {
  readonly #deps: CompletionDeps;
  readonly #running = new Set<string>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #closed = false;

  constructor(deps: CompletionDeps) {
    this.#deps = deps;
  }

  /** Resumes after a restart. */
  start(): void {
    for (const { roomId } of this.#deps.incomplete.all()) this.begin(roomId);
  }

  /** Completes a room in the background, if it has partial state. */
  begin(roomId: string): void {
    if (this.#running.has(roomId)) return;
    this.#running.add(roomId);
    this.#try(roomId, 1);
  }

  /** Stops the retries. What is being stored is stored. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  #try(roomId: string, count: number): void {
    const { log } = this.#deps;
    const next = (done: boolean): void => {
      if (done || this.#closed) this.#running.delete(roomId);
      else this.#tryLater(roomId, count);
    };
    this.#complete(roomId, count >= TRIES).then(next, (error: unknown) => {
      if (!this.#closed) log.info({ err: error, roomId, count }, 'the state of a room could not be completed yet');
      next(false);
    });
  }

  #tryLater(roomId: string, count: number): void {
    const pause = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(count - 1, 20));
    const timer = setTimeout(() => this.#try(roomId, count + 1), pause);
    timer.unref();
    this.#timers.set(roomId, timer);
  }

  /** @param last whether missing events are given up @returns whether nothing is left to do */
  async #complete(roomId: string, last: boolean): Promise<boolean> {
    const { incomplete, rooms, events, outliers, inTurn, log } = this.#deps;
    const entry = incomplete.find(roomId);
    const room = await rooms.find(roomId);
    const join = entry && (await events.get(entry.joinEvent));
    if (!entry || !room || !join) return true;
    const before = await this.#fetch(room, entry, join.pdu);
    if (this.#closed) return false;
    const pdus = before.flatMap(({ given, pdu }) => [...given.authChain, ...given.state, ...(pdu ? [pdu] : [])]);
    await outliers.storeInTurns(room.version, pdus, (task) => inTurn(roomId, task, 'foreign'));
    const missing = before.reduce((sum, { given, pdu }) => sum + given.missing + (pdu ? 0 : 1), 0);
    if (missing > 0) log.info({ roomId, missing }, 'some events of a room cannot be verified');
    const complete = async (present: Room): Promise<boolean> => {
      if (incomplete.find(roomId)?.joinEvent !== entry.joinEvent) return true;
      const isComplete = missing === 0 || last;
      // A room that lacks a few events is far better than one without its members.
      if (isComplete || entry.membersOmitted) await this.#apply(present, entry, before, isComplete);
      return false;
    };
    const wasReplaced = await inTurn(roomId, complete, 'foreign');
    await this.#deps.wake(roomId);
    return !wasReplaced && incomplete.find(roomId) === undefined;
  }

  async #fetch(room: Room, entry: PartialStateRoom, join: Pdu): Promise<Before[]> {
    const { members, remoteGraph, serverName } = this.#deps;
    const others = [...entry.servers, ...(await members.servers(room.roomId))];
    const servers = [...new Set(others)].filter((server) => server !== serverName).slice(0, SERVERS_TO_ASK);
    return Promise.all(
      join.prev_events.map(async (id) => {
        const given = await remoteGraph().stateAt(room.roomId, id, servers, room.version);
        const stored = (await this.#deps.events.get(id))?.pdu;
        return { id, given, pdu: stored ?? (await this.#event(room, id, servers)) };
      }),
    );
  }

  /** Undefined when no server has it now; it is requested again later. */
  async #event({ version, roomId }: Room, id: string, servers: readonly string[]): Promise<Pdu | undefined> {
    try {
      return await this.#deps.remoteGraph().event(id, servers, version);
    } catch (error) {
      this.#deps.log.info({ err: error, roomId, eventId: id }, 'an event before our join could not be fetched');
      return undefined;
    }
  }

  /** Sets the state before our join and checks everything after it again. In the room's turn. */
  async #apply(room: Room, entry: PartialStateRoom, before: readonly Before[], isComplete: boolean): Promise<void> {
    const { db, events, rooms, members, incomplete, positions, outliers, stateIndex } = this.#deps;
    const { roomId } = room;
    const states: State[] = [];
    for (const { id, given, pdu } of before) {
      const ids = given.state.map((event) => eventId(event, room.version));
      states.push(await outliers.stateOf(room, ids, pdu && { id, pdu }));
    }
    const { reviewed, extremities, state } = await this.#deps.review.review(room, entry, states);
    const position = positions.take();
    try {
      const derived = await stateIndex.update(room, state.map, position, undefined);
      const changed = [...reviewed.values()];
      const late = await this.#late(room, entry, state, changed);
      members.changing(roomId);
      await writeTogether(db, [
        ...derived.writes,
        incomplete.learning(roomId, position, isComplete),
        ...late.writes,
        events.reviewed(changed),
        rooms.write({ ...room, extremities, state }),
      ]);
      members.changing(roomId);
      for (const event of changed) events.committed(event);
      Object.assign(room, { extremities, state });
      rooms.committed(room);
      incomplete.learned(roomId, isComplete);
      this.#deps.sender.flush(late.servers);
      if (late.servers.length > 0) this.#deps.onServers(roomId, late.servers);
    } finally {
      positions.settle(position);
    }
  }

  /** What our users sent meanwhile, for servers that we did not know to be in the room. */
  async #late(
    room: Room,
    entry: PartialStateRoom,
    state: State,
    reviewed: readonly StoredEvent[],
  ): Promise<{ writes: Write[]; servers: string[] }> {
    const { events, members, sender, serverName } = this.#deps;
    const told = await members.servers(room.roomId);
    const inside = new Set<string>();
    const ids = [...state.map].filter(([key]) => key.startsWith('m.room.member\0')).map(([, id]) => id);
    for (const { pdu } of (await events.getMany(ids)).values()) {
      if (pdu.content['membership'] === 'join') inside.add(serverOf(pdu.state_key ?? pdu.sender));
    }
    const servers = [...inside].filter((server) => !told.has(server) && server !== serverName);
    // The join itself was sent by the resident server.
    const own = reviewed.filter(
      ({ pdu, rejected, eventId: id }) => !rejected && id !== entry.joinEvent && serverOf(pdu.sender) === serverName,
    );
    if (own.length === 0) return { writes: [], servers };
    const write = sender.write(servers, own);
    return { writes: write ? [write] : [], servers };
  }
}
