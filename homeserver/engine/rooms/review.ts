/** Checks all events again that were received while a room had partial state. */
import type { Logger } from 'pino';
import type { Pdu } from '../../../federation/event.ts';
import type { Database } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Write } from '../../database/writes.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import type { PartialStateRoom } from './partial-state-rooms.ts';
import type { Judge } from './judge.ts';
import type { Room } from './room.ts';
import type { StateResolver } from './state-resolver.ts';
import type { State } from './state-store.ts';
import { signedForm } from './stored-event.ts';

const READ_AT_ONCE = 500;

export interface ReviewDeps {
  readonly db: Database;
  readonly events: EventStore;
  readonly judge: Judge;
  readonly resolver: StateResolver;
  readonly log: Logger;
}

/** The room after the review; most of it still has to be stored. */
export interface Reviewed {
  /** Our join and all later events, by id. */
  readonly reviewed: ReadonlyMap<string, StoredEvent>;
  readonly extremities: string[];
  /** The state after the extremities. */
  readonly state: State;
}

export class Review {
  readonly #deps: ReviewDeps;

  constructor(deps: ReviewDeps) {
    this.#deps = deps;
  }

  /** @param before the states after the `prev_events` of our join. To be called in the room's turn. */
  async review(room: Room, entry: PartialStateRoom, before: readonly State[]): Promise<Reviewed> {
    const reviewed = await this.#anew(room, entry, before);
    const end = await this.#end(room, reviewed);
    const isNew = await this.#revealSoftFailed(room, reviewed, end.state);
    return { reviewed, ...(isNew ? await this.#end(room, reviewed) : end) };
  }

  /** Computes states and verdicts of our join and all later events. @returns these by id @returns all of these by id */
  async #anew(room: Room, entry: PartialStateRoom, before: readonly State[]): Promise<Map<string, StoredEvent>> {
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
        // Later events are checked against this. If the process ends now, everything is reviewed once more.
        this.#deps.log.info({ roomId: room.roomId, eventId: id, reason }, 'the verdict on an event changed');
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
    entry: PartialStateRoom,
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
      // An event received after one that references it was missing then, and is not reviewed yet.
      const wasMissing = previous !== undefined && previous.position >= event.position;
      if (group === undefined || wasMissing) hasGap = true;
      else groups.add(group);
    }
    // An event after a gap got its state from another server, and that one was complete.
    if (event.stateBefore !== undefined && (hasGap || groups.size === 0)) groups.add(event.stateBefore);
    return resolver.merge(room, [...groups]);
  }

  /** The forward extremities of the reviewed events, and the state after them. */
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

  /**
   * Reveals events that were soft-failed because memberships were missing. @returns whether there are any
   *
   * @returns whether there is such
   */
  async #revealSoftFailed(room: Room, reviewed: Map<string, StoredEvent>, state: State): Promise<boolean> {
    let found = false;
    for (const [id, event] of reviewed) {
      if (!event.softFailed || event.rejected) continue;
      if ((await this.#deps.judge.whyRejected(room, signedForm(event), id, state.map)) !== undefined) continue;
      reviewed.set(id, { ...event, softFailed: false });
      found = true;
    }
    return found;
  }
}

/**
 * The forward extremities among the reviewed events: those that no accepted one references, directly or through hidden
 * ones.
 */
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
