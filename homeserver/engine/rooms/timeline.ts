/**
 * Adds checked events to a room: stores each with the state around it, updates the current state and notifies
 * listeners. Every call for a room runs inside its turn (`RoomTurns`).
 */
import { stateKey } from '../../../federation/auth-rules.ts';
import { eventId, redactsOf, serverOf } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Write } from '../../database/writes.ts';
import type { Positions } from '../stream/positions.ts';
import { transactionWrites } from './client-transactions.ts';
import type { EventStore } from './event-store.ts';
import type { Extremities } from './extremities.ts';
import type { Judge, Verdict } from './judge.ts';
import type { Members } from './members.ts';
import type { Sender } from './ports.ts';
import type { EarlyRedactions } from './redactions.ts';
import type { EventInfo } from './room-listeners.ts';
import type { Room, RoomTable } from './room.ts';
import type { StateIndex } from './state-index.ts';
import type { StateResolver } from './state-resolver.ts';
import type { State } from './state-store.ts';
import { redactedEvent } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';

export interface Addition {
  readonly room: Room;
  readonly pdu: Pdu;
  readonly stateBefore: State;
  readonly verdict: Verdict;
  /** The servers to send it to; none for an event that its own server has sent. */
  readonly fanOut?: 'all' | { except: readonly string[] };
  readonly transaction?: { userId: string; deviceId: string; transactionId: string };
  /** An invite that is answered in this turn of the room: see `EventInfo`. */
  readonly answered?: boolean;
  /** The stored event, if it is already an outlier. */
  readonly known?: StoredEvent | undefined;
}

export interface TimelineDeps {
  readonly db: Database;
  readonly serverName: string;
  readonly events: EventStore;
  readonly extremities: Extremities;
  readonly rooms: RoomTable;
  readonly members: Members;
  readonly judge: Judge;
  readonly resolver: StateResolver;
  readonly stateIndex: StateIndex;
  readonly redactions: EarlyRedactions;
  readonly positions: Positions;
  readonly sender: Sender;
  readonly emit: (event: StoredEvent, info: EventInfo) => void;
}

export class Timeline {
  readonly #deps: TimelineDeps;

  constructor(deps: TimelineDeps) {
    this.#deps = deps;
  }

  /** Stores a new event, or places one that is an outlier. */
  async add(addition: Addition): Promise<StoredEvent> {
    const { db, events, rooms, members, positions, sender, resolver, stateIndex } = this.#deps;
    const { room, pdu, stateBefore, verdict } = addition;
    const id = eventId(pdu, room.version);
    const accepted = !verdict.rejected && !verdict.softFailed;
    const position = positions.take();
    try {
      // Everything is computed first and then written at once: the throughput of a busy room depends on its round
      // trips.
      const after = await resolver.after(room, pdu, id, stateBefore, verdict);
      const { event, writes: early } = await this.#redactedEarly(addition, {
        eventId: id,
        roomId: room.roomId,
        pdu,
        position,
        rejected: verdict.rejected,
        softFailed: verdict.softFailed,
        outlier: false,
        stateBefore: stateBefore.group,
        stateAfter: after.state.group,
        ...(addition.transaction === undefined ? {} : { transactionId: addition.transaction.transactionId }),
      });
      const redaction = accepted ? await this.#redaction(room, event) : undefined;
      const writes = [...after.writes, ...events.writes([event]), ...early, ...(redaction?.writes ?? [])];
      if (addition.transaction !== undefined) {
        writes.push(...transactionWrites(room.roomId, [{ ...addition.transaction, type: pdu.type, eventId: id }]));
      }
      let next: Pick<Room, 'extremities' | 'state'> | undefined;
      let serversChange = false;
      const ends = await this.#deps.extremities.after(room, id, pdu, accepted);
      writes.push(...ends.writes);
      if (ends.extremities !== room.extremities) {
        const { extremities } = ends;
        const merged = await resolver.stateAt(room, extremities, { id, pdu }, after.state);
        next = { extremities, state: merged.state };
        const isNext = accepted && stateBefore.map === room.state.map && merged.state.map === after.state.map;
        const keys = isNext && pdu.state_key !== undefined ? [stateKey(pdu.type, pdu.state_key)] : undefined;
        const derived = await stateIndex.update(room, merged.state.map, position, { id, pdu }, keys);
        serversChange = derived.serversChange;
        writes.push(...merged.writes, ...derived.writes, rooms.write({ ...room, ...next }));
      }
      const destinations = await this.#destinations(addition);
      const outbound = sender.write(destinations, [event]);
      if (outbound) writes.push(outbound);
      if (serversChange) members.changing(room.roomId);
      await writeTogether(db, writes);
      if (serversChange) members.changing(room.roomId);
      events.committed(event);
      if (redaction?.target !== undefined) events.redacted(redaction.target);
      if (next) {
        Object.assign(room, next);
        rooms.committed(room);
      }
      positions.settle(position);
      sender.flush(destinations);
      if (accepted) this.#deps.emit(event, { live: true, answered: addition.answered === true });
      return event;
    } finally {
      positions.settle(position);
    }
  }

  /** Stores a historic event: it changes neither the current state nor the extremities. */
  async addHistory(addition: Addition, position: number): Promise<StoredEvent> {
    const { db, events, resolver } = this.#deps;
    const { room, pdu, stateBefore, verdict } = addition;
    const id = eventId(pdu, room.version);
    const after = await resolver.after(room, pdu, id, stateBefore, verdict);
    const { event, writes: early } = await this.#redactedEarly(addition, {
      eventId: id,
      roomId: room.roomId,
      pdu,
      position,
      rejected: verdict.rejected,
      softFailed: false,
      outlier: false,
      stateBefore: stateBefore.group,
      stateAfter: after.state.group,
    });
    const redaction = verdict.rejected ? undefined : await this.#redaction(room, event);
    const ends = await this.#deps.extremities.writes(room.roomId, id, pdu);
    await writeTogether(db, [
      ...after.writes,
      ...events.writes([event]),
      ...early,
      ...(redaction?.writes ?? []),
      ...ends,
    ]);
    events.committed(event);
    if (redaction?.target !== undefined) events.redacted(redaction.target);
    return event;
  }

  /** The servers that get an event: those in the room before or after it. */
  async #destinations({ room, pdu, stateBefore, fanOut }: Addition): Promise<string[]> {
    if (fanOut === undefined) return [];
    const destinations = new Set(await this.#deps.members.servers(room.roomId));
    if (pdu.type === 'm.room.member' && member(pdu.content, 'membership') === 'join') {
      destinations.add(serverOf(pdu.sender));
    }
    const outside = await this.#endedElsewhere(pdu, stateBefore);
    if (outside !== undefined) destinations.add(outside);
    destinations.delete(this.#deps.serverName);
    if (fanOut !== 'all') for (const server of fanOut.except) destinations.delete(server);
    return [...destinations];
  }

  /**
   * The server of a user whose invite was rescinded or knock rejected: it gets the event although it is not in the
   * room.
   */
  async #endedElsewhere(pdu: Pdu, stateBefore: State): Promise<string | undefined> {
    if (pdu.type !== 'm.room.member' || pdu.state_key === undefined) return undefined;
    const membership = member(pdu.content, 'membership');
    if (membership !== 'leave' && membership !== 'ban') return undefined;
    const id = stateBefore.map.get(stateKey(pdu.type, pdu.state_key));
    const before = id === undefined ? undefined : member((await this.#deps.events.get(id))?.pdu.content, 'membership');
    return before === 'invite' || before === 'knock' ? serverOf(pdu.state_key) : undefined;
  }

  /**
   * The writes by which an accepted redaction redacts its target; undefined for other events.
   *
   * @returns `target` is the redacted event; without it, that one was not received yet or must not be redacted
   */
  async #redaction(room: Room, event: StoredEvent): Promise<{ writes: Write[]; target?: string } | undefined> {
    const { events, judge, redactions } = this.#deps;
    const { pdu } = event;
    const targetId = pdu.type === 'm.room.redaction' ? redactsOf(pdu, room.version) : undefined;
    if (targetId === undefined) return undefined;
    const target = await judge.redactionTarget(room, pdu);
    if (target === 'nothing') return undefined;
    if (target !== 'unknown') {
      return { writes: events.redaction(target, event.eventId, room.version), target: target.eventId };
    }
    const anybodys = await judge.mayRedactOthers(room, pdu);
    const early = { eventId: event.eventId, roomId: room.roomId, targetId, sender: pdu.sender, anybodys };
    return { writes: [redactions.write(early)] };
  }

  /** The event without what was redacted before it was received, and the writes for that. */
  async #redactedEarly(
    { room, known }: Addition,
    event: StoredEvent,
  ): Promise<{ event: StoredEvent; writes: Write[] }> {
    const { eventId: id, pdu } = event;
    if (known?.redactedBy !== undefined) {
      return { event: redactedEvent(event, known.redactedBy, room.version), writes: [] };
    }
    const by = (await this.#deps.redactions.of(room.roomId, [{ id, sender: pdu.sender }])).get(id);
    if (by === undefined) return { event, writes: [] };
    return { event: redactedEvent(event, by, room.version), writes: [this.#deps.redactions.applied(id)] };
  }
}
