/**
 * Batches local messages: those that arrive while others of the same room are being stored are then stored together, so
 * that a busy room does not need one commit for each. Each is acknowledged after the commit that contains it.
 */
import { eventId, MAX_PREV_EVENTS } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import { isUniqueViolation } from '../../database/errors.ts';
import type { Database } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import { transactionWrites } from './client-transactions.ts';
import type { ClientTransaction } from './client-transactions.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import type { InTurn } from './in-turn.ts';
import type { LocalEvents, NewEvent, RoomEnd } from './local-events.ts';
import type { Members } from './members.ts';
import type { Sender } from './ports.ts';
import type { Positions } from '../stream/positions.ts';
import type { Judge } from './judge.ts';
import type { Room, RoomTable } from './room.ts';

export interface MessageBatchesDeps {
  readonly db: Database;
  readonly serverName: string;
  readonly events: EventStore;
  readonly rooms: RoomTable;
  readonly members: Members;
  readonly judge: Judge;
  readonly local: LocalEvents;
  readonly positions: Positions;
  readonly sender: Sender;
  readonly inTurn: InTurn;
  readonly emit: (event: StoredEvent, info: { live: boolean }) => void;
}

/** Most messages in one batch. */
const MOST = 50;

interface Waiting {
  readonly sender: string;
  readonly event: NewEvent;
  readonly resolve: (stored: StoredEvent) => void;
  readonly reject: (error: unknown) => void;
}

/** A message that is signed and allowed, with its waiting request. */
interface Ready {
  readonly waiting: Waiting;
  readonly stored: StoredEvent;
}

export class MessageBatches {
  readonly #deps: MessageBatchesDeps;
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(deps: MessageBatchesDeps) {
    this.#deps = deps;
  }

  /** Whether an event can be batched: it changes nothing but the forward extremities. */
  takes(event: NewEvent): boolean {
    return event.stateKey === undefined && event.type !== 'm.room.redaction';
  }

  /**
   * Sends an event for which `takes` is true. @throws MatrixError 403 when the auth rules forbid it, 404
   *
   * @throws MatrixError 403 when the room's rules forbid it, 404
   */
  async send(roomId: string, sender: string, event: NewEvent): Promise<StoredEvent> {
    const { promise, resolve, reject } = Promise.withResolvers<StoredEvent>();
    const entry: Waiting = { sender, event, resolve, reject };
    const list = this.#waiting.get(roomId);
    if (list) {
      list.push(entry);
      // A full batch is closed; the next event starts another.
      if (list.length >= MOST) this.#waiting.delete(roomId);
    } else {
      const fresh = [entry];
      this.#waiting.set(roomId, fresh);
      this.#begin(roomId, fresh);
    }
    return promise;
  }

  #begin(roomId: string, list: readonly Waiting[]): void {
    this.#deps
      .inTurn(roomId, async (room) => {
        if (this.#waiting.get(roomId) === list) this.#waiting.delete(roomId);
        await this.#sendAll(room, list);
      })
      .catch((error: unknown) => {
        if (this.#waiting.get(roomId) === list) this.#waiting.delete(roomId);
        // Requests that were already answered do not see this.
        for (const { reject } of list) reject(error);
      });
  }

  async #sendAll(room: Room, list: readonly Waiting[]): Promise<void> {
    const { positions, local } = this.#deps;
    // Otherwise an event would not reference all of them and its state would have to be resolved; or its references
    // contain hashes.
    if (room.extremities.length > MAX_PREV_EVENTS || room.version.eventIds === 'given') {
      for (const each of list) await local.send(room, each.sender, each.event).then(each.resolve, each.reject);
      return;
    }
    const ready: Ready[] = [];
    const taken: number[] = [];
    try {
      let end = await local.end(room);
      for (const waiting of list) {
        try {
          const { id, pdu } = await this.#make(room, waiting, end);
          const position = positions.take();
          taken.push(position);
          ready.push({ waiting, stored: this.#stored(room, waiting, id, pdu, position) });
          end = { prevEvents: [id], depth: Math.min(pdu.depth + 1, Number.MAX_SAFE_INTEGER) };
        } catch (error) {
          await this.#answer(room, waiting, error);
        }
      }
      if (ready.length === 0) return;
      try {
        await this.#store(room, ready);
      } catch (error) {
        if (!isUniqueViolation(error)) throw error;
        // One of them was sent before: send them one by one.
        for (const position of taken) positions.settle(position);
        for (const { waiting } of ready) {
          await local.send(room, waiting.sender, waiting.event).then(waiting.resolve, waiting.reject);
        }
      }
    } finally {
      for (const position of taken) positions.settle(position);
    }
  }

  async #make(room: Room, { sender, event }: Waiting, end: RoomEnd): Promise<{ id: string; pdu: Pdu }> {
    const { local, judge } = this.#deps;
    const pdu = local.sign(room, await local.draft(room, sender, event, end));
    const id = eventId(pdu, room.version);
    await judge.authorise(room, room.state.map, pdu, id);
    return { id, pdu };
  }

  #stored(room: Room, { event }: Waiting, id: string, pdu: Pdu, position: number): StoredEvent {
    const { group } = room.state;
    return {
      eventId: id,
      roomId: room.roomId,
      pdu,
      position,
      rejected: false,
      softFailed: false,
      outlier: false,
      stateBefore: group,
      stateAfter: group,
      ...(event.deviceId === undefined || event.transactionId === undefined
        ? {}
        : { transactionId: event.transactionId }),
    };
  }

  async #store(room: Room, ready: readonly Ready[]): Promise<void> {
    const { db, serverName, events, rooms, members, positions, sender, emit } = this.#deps;
    const all = ready.map(({ stored }) => stored);
    const last = all.at(-1);
    if (!last) return;
    const destinations = [...(await members.servers(room.roomId))].filter((server) => server !== serverName);
    const next = { extremities: [last.eventId] };
    const outbound = sender.write(destinations, all);
    await writeTogether(db, [
      ...events.writes(all),
      ...transactionWrites(room.roomId, ready.flatMap(transactionOf)),
      rooms.write({ ...room, ...next }),
      ...(outbound ? [outbound] : []),
    ]);
    for (const event of all) events.committed(event);
    Object.assign(room, next);
    rooms.committed(room);
    for (const { position } of all) positions.settle(position);
    sender.flush(destinations);
    for (const { waiting, stored } of ready) {
      emit(stored, { live: true });
      waiting.resolve(stored);
    }
  }

  /** Answers a failed request: with the event sent earlier with its transaction id, otherwise with the error. */
  async #answer(room: Room, { sender, event, resolve, reject }: Waiting, error: unknown): Promise<void> {
    try {
      const earlier = await this.#deps.local.sentBefore(room.roomId, sender, event);
      if (earlier) resolve(earlier);
      else reject(error);
    } catch {
      reject(error);
    }
  }
}

function transactionOf({ waiting, stored }: Ready): ClientTransaction[] {
  const { deviceId, transactionId, type } = waiting.event;
  if (deviceId === undefined || transactionId === undefined) return [];
  return [{ userId: waiting.sender, deviceId, transactionId, type, eventId: stored.eventId }];
}
