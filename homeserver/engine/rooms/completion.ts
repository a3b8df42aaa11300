/**
 * Completes rooms that were entered without their whole state: fetches the state from before our join, and judges
 * everything anew that was taken since.
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
import type { IncompleteRoom, IncompleteRooms } from './incomplete-rooms.ts';
import type { InTurn } from './in-turn.ts';
import type { Members } from './members.ts';
import type { Outliers } from './outliers.ts';
import type { RemoteGraph, RemoteState, Sender } from './ports.ts';
import type { Room, RoomTable } from './room.ts';
import type { State } from './state-store.ts';
import { signedForm } from './stored-event.ts';
import type { Judge } from './judge.ts';
import type { StateResolver } from './state-resolver.ts';
import type { StateIndex } from './state-index.ts';

/** Between the first tries, in ms; each time twice as long, up to the last. */
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 60 * 60 * 1000;
/** Then events that nobody gives, or whose keys nobody has, count as gone: about two days. */
const TRIES = 60;
const READ_AT_ONCE = 500;
const SERVERS_TO_ASK = 5;

export interface CompletionDeps {
  readonly db: Database;
  readonly serverName: string;
  readonly events: EventStore;
  readonly rooms: RoomTable;
  readonly members: Members;
  readonly incomplete: IncompleteRooms;
  readonly positions: Positions;
  readonly outliers: Outliers;
  readonly judge: Judge;
  readonly resolver: StateResolver;
  readonly stateIndex: StateIndex;
  readonly sender: Sender;
  readonly remoteGraph: () => RemoteGraph;
  readonly inTurn: InTurn;
  /** Wakes those who may see the room now. */
  readonly wake: (roomId: string) => Promise<void>;
  /** Told of servers that turn out to be in a room, and have not been told anything of it by us. */
  readonly onServers: (roomId: string, servers: readonly string[]) => void;
  readonly log: Logger;
}

/** The state after one of the events that our join cites. */
interface Before {
  readonly id: string;
  readonly given: RemoteState;
  /** The event itself, unless nobody gives it. */
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

  /** Goes on with what was not finished when the process ended. */
  start(): void {
    for (const { roomId } of this.#deps.incomplete.all()) this.begin(roomId);
  }

  /** Completes a room in the background, if it is incomplete. */
  begin(roomId: string): void {
    if (this.#running.has(roomId)) return;
    this.#running.add(roomId);
    this.#try(roomId, 1);
  }

  /** Ends the waiting between tries. What is being stored now is stored. */
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
      if (!this.#closed) log.info({ err: error, roomId, count }, 'a room could not be completed yet');
      next(false);
    });
  }

  #tryLater(roomId: string, count: number): void {
    const pause = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(count - 1, 20));
    const timer = setTimeout(() => this.#try(roomId, count + 1), pause);
    timer.unref();
    this.#timers.set(roomId, timer);
  }

  /** @param last whether what is missing is given up @returns whether nothing is left to do */
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
    if (missing > 0) log.info({ roomId, missing }, 'some events of a room can not be checked');
    const complete = async (present: Room): Promise<boolean> => {
      if (incomplete.find(roomId)?.joinEvent !== entry.joinEvent) return true;
      const isComplete = missing === 0 || last;
      // With all but a few events a room whose members were left out is far better than without them.
      if (isComplete || entry.membersOmitted) await this.#apply(present, entry, before, isComplete);
      return false;
    };
    const wasReplaced = await inTurn(roomId, complete, 'foreign');
    await this.#deps.wake(roomId);
    return !wasReplaced && incomplete.find(roomId) === undefined;
  }

  async #fetch(room: Room, entry: IncompleteRoom, join: Pdu): Promise<Before[]> {
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

  /** What nobody gives now is missing, and asked for again. */
  async #event({ version, roomId }: Room, id: string, servers: readonly string[]): Promise<Pdu | undefined> {
    try {
      return await this.#deps.remoteGraph().event(id, servers, version);
    } catch (error) {
      this.#deps.log.info({ err: error, roomId, eventId: id }, 'an event before our join was not given');
      return undefined;
    }
  }

  /** Puts the state under our join and judges all that came after it. In the room's turn. */
  async #apply(room: Room, entry: IncompleteRoom, before: readonly Before[], isComplete: boolean): Promise<void> {
    const { db, events, rooms, members, incomplete, positions, outliers, stateIndex } = this.#deps;
    const { roomId } = room;
    const states: State[] = [];
    for (const { id, given, pdu } of before) {
      const ids = given.state.map((event) => eventId(event, room.version));
      states.push(await outliers.stateOf(room, ids, pdu && { id, pdu }));
    }
    const reviewed = await this.#review(room, entry, states);
    let end = await this.#end(room, reviewed);
    if (await this.#unhide(room, reviewed, end.state)) end = await this.#end(room, reviewed);
    const { extremities, state } = end;
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

  /** The forward extremities of reviewed events, and the state there. */
  async #end(room: Room, reviewed: ReadonlyMap<string, StoredEvent>): Promise<{ extremities: string[]; state: State }> {
    const { events, resolver } = this.#deps;
    const extremities = ends(room, reviewed);
    const groups = new Set<number>();
    for (const [id, event] of await events.getMany(extremities)) {
      const group = (reviewed.get(id) ?? event).stateAfter;
      if (group !== undefined) groups.add(group);
    }
    return { extremities, state: await resolver.merge(room, [...groups]) };
  }

  /** What failed softly because memberships were missing is to be seen after all. @returns whether there is such */
  async #unhide(room: Room, reviewed: Map<string, StoredEvent>, state: State): Promise<boolean> {
    let found = false;
    for (const [id, event] of reviewed) {
      if (!event.softFailed || event.rejected) continue;
      if ((await this.#deps.judge.whyRejected(room, signedForm(event), id, state.map)) !== undefined) continue;
      reviewed.set(id, { ...event, softFailed: false });
      found = true;
    }
    return found;
  }

  /** Works out the states and the verdicts of our join and of what came after it. @returns all of these by id */
  async #review(room: Room, entry: IncompleteRoom, before: readonly State[]): Promise<Map<string, StoredEvent>> {
    const { db, events, judge, resolver } = this.#deps;
    const reviewed = new Map<string, StoredEvent>();
    let from = entry.position;
    for (;;) {
      const page = await events.storedFrom(room.roomId, from, READ_AT_ONCE);
      const writes: Write[] = [];
      for (const event of page) {
        const { eventId: id } = event;
        const pdu = signedForm(event);
        const stateBefore = await this.#stateBefore(room, entry, event, reviewed, before);
        const reason = await judge.whyRejected(room, pdu, id, stateBefore.map);
        const rejected = reason !== undefined;
        const after = await resolver.after(room, pdu, id, stateBefore, { rejected });
        writes.push(...after.writes);
        const anew = { ...event, rejected, stateBefore: stateBefore.group, stateAfter: after.state.group };
        reviewed.set(id, anew);
        if (rejected === event.rejected) continue;
        // What cites it is judged by this. Should we be stopped now, everything is reviewed once more.
        this.#deps.log.info({ roomId: room.roomId, eventId: id, reason }, 'an event was judged anew');
        await writeTogether(db, [...writes.splice(0), events.reviewed([anew])]);
        events.committed(anew);
      }
      await writeTogether(db, writes);
      const newest = page.at(-1);
      if (!newest || page.length < READ_AT_ONCE) return reviewed;
      from = newest.position + 1;
    }
  }

  async #stateBefore(
    room: Room,
    entry: IncompleteRoom,
    event: StoredEvent,
    reviewed: ReadonlyMap<string, StoredEvent>,
    before: readonly State[],
  ): Promise<State> {
    const { events, resolver } = this.#deps;
    if (event.eventId === entry.joinEvent) {
      return resolver.merge(
        room,
        before.map((state) => state.group),
      );
    }
    const groups = new Set<number>();
    const known = await events.getMany(event.pdu.prev_events);
    let hasGap = false;
    for (const id of event.pdu.prev_events) {
      const previous = reviewed.get(id) ?? known.get(id);
      const group = previous?.stateAfter;
      // What came later than the event that cites it was missing then, and is not reviewed yet.
      const wasMissing = previous !== undefined && previous.position >= event.position;
      if (group === undefined || wasMissing) hasGap = true;
      else groups.add(group);
    }
    // What stands behind a gap got its state from another server, and that one was whole.
    if (event.stateBefore !== undefined && (hasGap || groups.size === 0)) groups.add(event.stateBefore);
    return resolver.merge(room, [...groups]);
  }

  /** What our users said meanwhile, for the servers of which we did not know that they are in the room. */
  async #late(
    room: Room,
    entry: IncompleteRoom,
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
    // The join itself was sent out by the server that let us in.
    const own = reviewed.filter(
      ({ pdu, rejected, eventId: id }) => !rejected && id !== entry.joinEvent && serverOf(pdu.sender) === serverName,
    );
    if (own.length === 0) return { writes: [], servers };
    const write = sender.write(servers, own);
    return { writes: write ? [write] : [], servers };
  }
}

/** The forward extremities among reviewed events: those that no accepted one cites, be it through hidden ones. */
function ends(room: Room, reviewed: ReadonlyMap<string, StoredEvent>): string[] {
  const cited = new Set<string>();
  const cite = (pdu: Pdu): void => {
    const edge = [...pdu.prev_events];
    for (let id = edge.pop(); id !== undefined; id = edge.pop()) {
      if (cited.has(id)) continue;
      cited.add(id);
      const event = reviewed.get(id);
      if (event?.rejected === true || event?.softFailed === true) edge.push(...event.pdu.prev_events);
    }
  };
  const accepted = [...reviewed.values()].filter((event) => !event.rejected && !event.softFailed);
  for (const { pdu } of accepted) cite(pdu);
  const found = [...accepted.map((event) => event.eventId), ...room.extremities.filter((id) => !reviewed.has(id))];
  return [...new Set(found)].filter((id) => !cited.has(id));
}
