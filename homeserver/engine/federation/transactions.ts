/**
 * Incoming transactions: each is processed once, those of one server one after another, and one bad event never makes
 * the rest fail. Events of one room are processed in order; waiting for missing events delays no other room and no
 * other server.
 *
 * @see Matrix specification, server-server API, "Transactions"
 */
import type { Logger } from 'pino';
import { z } from 'zod';
import {
  BadEventError,
  BadSignatureError,
  checkEventSignaturesAndHash,
  eventId,
  parsePdu,
} from '../../../federation/event.ts';
import {
  canonicalJson,
  CanonicalJsonError,
  DEPTH,
  isJsonObject,
  isWithinDepth,
  member,
} from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { KeyLookup } from '../../../federation/keyring.ts';
import type { Database } from '../../database/database.ts';
import { isTransient } from '../../database/errors.ts';
import { roomVersion } from '../../../federation/room-versions.ts';
import { MatrixError } from '../../base/errors.ts';
import { TRANSACTION_EDUS, TRANSACTION_PDUS } from '../../base/limits.ts';
import type { Urgency } from '../rooms/receive.ts';
import { UnknownPlaceError } from '../rooms/dependency-fetcher.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';
import { Serial } from '../../base/serial.ts';
import { checkedEvent } from './checked-events.ts';
import type { Edus } from './edus.ts';
import { UnplacedEvents } from './unplaced-events.ts';

/** Rooms processed concurrently; within a room, events are processed in order. */
const ROOMS_AT_ONCE = 5;
/** How long a response is kept for a server that did not receive it, in ms. */
const REMEMBERED_MS = 24 * 60 * 60 * 1000;

const transactionSchema = z.looseObject({
  pdus: z
    .array(z.custom<JsonValue>(() => true))
    .max(TRANSACTION_PDUS)
    .default([]),
  edus: z
    .array(z.custom<JsonValue>(() => true))
    .max(TRANSACTION_EDUS)
    .default([]),
});
const eduSchema = z.looseObject({
  edu_type: z.string().max(255),
  content: z.custom<JsonObject>((content) => isJsonObject(content) && isWithinDepth(content, DEPTH.event)),
});

export interface TransactionsDeps {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly keyring: KeyLookup;
  readonly edus: Edus;
  /** Settles when a join of the room that is in progress has ended. */
  readonly joined: (roomId: string) => Promise<void>;
  readonly log: Logger;
}

/** The result for one event. `errcode` is not in the specification, but some servers read it. */
interface Result {
  readonly id: string;
  readonly error?: string;
  readonly errcode?: string;
}

export class Transactions {
  readonly #deps: TransactionsDeps;
  readonly #serial = new Serial();
  readonly #unplaced: UnplacedEvents;

  constructor(deps: TransactionsDeps) {
    this.#deps = deps;
    const { db, log } = deps;
    this.#unplaced = new UnplacedEvents({
      db,
      log,
      take: (roomId, pdu, origin) => this.#take(roomId, pdu, origin, 'again'),
    });
    this.#unplaced.start();
  }

  /** Stops the retries. */
  close(): void {
    this.#unplaced.close();
  }

  /** Processes a transaction and returns the result for each event. @throws MatrixError 400 when it is malformed */
  async receive(origin: string, transactionId: string, body: unknown): Promise<JsonObject> {
    return this.#serial.run(origin, async () => {
      const { db } = this.#deps;
      const [earlier] = await db.query<{ response: string }>(
        'SELECT response FROM inbound_transactions WHERE origin = $1 AND transaction_id = $2',
        [origin, transactionId],
      );
      if (earlier) return JSON.parse(earlier.response) as JsonObject;
      const parsed = transactionSchema.safeParse(body);
      if (!parsed.success) throw new MatrixError(400, 'M_BAD_JSON', 'The transaction is malformed or too large.');
      const edus = parsed.data.edus.flatMap((edu) => eduSchema.safeParse(edu).data ?? []);
      // To-device messages are opaque to us: they may have any numbers.
      const urgent = edus.filter(isUrgent);
      const others = edus.filter((edu) => !isUrgent(edu) && isCanonical(edu.content));
      for (const { edu_type: type, content } of urgent) await this.#deps.edus.handle(origin, type, content);
      const results = await this.#events(origin, parsed.data.pdus);
      for (const { edu_type: type, content } of others) await this.#deps.edus.handle(origin, type, content);
      const response = { pdus: results };
      await db.query(
        `INSERT INTO inbound_transactions (origin, transaction_id, response, received_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING`,
        [origin, transactionId, JSON.stringify(response), Date.now()],
      );
      return response;
    });
  }

  /** Deletes old responses. */
  async cleanUp(): Promise<void> {
    await this.#deps.db.query('DELETE FROM inbound_transactions WHERE received_at < $1', [Date.now() - REMEMBERED_MS]);
  }

  async #events(origin: string, pdus: readonly JsonValue[]): Promise<JsonObject> {
    const rooms = [...Map.groupBy(pdus, roomIdIn)];
    const results: JsonObject = {};
    const takeRooms = async (): Promise<void> => {
      for (let next = rooms.shift(); next !== undefined; next = rooms.shift()) {
        const [roomId, values] = next;
        if (roomId === undefined) continue;
        for (const value of values) {
          const result = await this.#event(origin, roomId, value);
          if (result) {
            const { id, ...outcome } = result;
            results[id] = { ...outcome };
          }
        }
      }
    };
    await Promise.all(Array.from({ length: ROOMS_AT_ONCE }, takeRooms));
    return results;
  }

  /** For a room that we are not in: the event may rescind an invite or reject a knock of one of our users. */
  async #outside(origin: string, roomId: string, value: JsonValue): Promise<Result | undefined> {
    const target = isJsonObject(value) ? member(value, 'state_key') : undefined;
    if (typeof target !== 'string') return undefined;
    const { rooms, keyring } = this.#deps;
    const invitation = await rooms.invitation(roomId, target);
    const version = invitation && roomVersion(invitation.version);
    // Without the room we know neither its version nor the id of the event.
    if (!invitation || !version) return undefined;
    try {
      const pdu = await checkedEvent(value, version, keyring, { outsideRoom: true });
      const membership = member(pdu.content, 'membership');
      if (pdu.type !== 'm.room.member' || (membership !== 'leave' && membership !== 'ban')) return undefined;
      const id = eventId(pdu, version);
      if (await rooms.elsewhere.withdraw(roomId, pdu, origin)) return { id };
      return { id, errcode: 'M_FORBIDDEN', error: 'As far as this server knows, the sender may not do this.' };
    } catch (error) {
      if (error instanceof BadEventError || error instanceof BadSignatureError) return undefined;
      throw error;
    }
  }

  /**
   * Processes an event whose signatures are verified. @throws MatrixError 403 for a server that the room's ACL denies
   *
   * @throws MatrixError 403 for a server that may not take part any more
   */
  async #take(roomId: string, pdu: Pdu, origin: string, urgency: Urgency): Promise<StoredEvent> {
    const { rooms } = this.#deps;
    if (!(await rooms.serverAllowed(roomId, origin))) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'The server is banned from the room.');
    }
    return rooms.receive(roomId, pdu, origin, urgency);
  }

  async #event(origin: string, roomId: string, value: JsonValue): Promise<Result | undefined> {
    const { rooms, keyring, log } = this.#deps;
    await this.#deps.joined(roomId);
    const version = await rooms.version(roomId);
    if (!version) return this.#outside(origin, roomId, value);
    let id: string | undefined;
    let checked: Pdu | undefined;
    try {
      const pdu = parsePdu(value, version);
      id = eventId(pdu, version);
      if (!(await rooms.serverAllowed(roomId, origin)))
        return { id, errcode: 'M_FORBIDDEN', error: 'The server is banned from the room.' };
      checked = await checkEventSignaturesAndHash(pdu, version, keyring);
      const stored = await this.#take(roomId, checked, origin, 'now');
      return stored.rejected ? { id, error: 'The event was rejected by the auth rules of the room.' } : { id };
    } catch (error) {
      // An error would be final, although what is missing may be available later.
      if (error instanceof UnknownPlaceError && id !== undefined && checked !== undefined) {
        log.info({ origin, roomId, eventId: id, reason: error.message }, 'an event could not be placed yet');
        await this.#unplaced.keep({ eventId: id, roomId, origin, pdu: checked });
        return { id };
      }
      // The event itself may be fine: the other server has to send the transaction again.
      if (isTransient(error)) throw error;
      const known =
        error instanceof BadEventError || error instanceof BadSignatureError || error instanceof MatrixError;
      if (!known) log.error({ err: error, origin, roomId }, 'an event of another server could not be processed');
      return id === undefined ? undefined : { id, error: known ? error.message : 'Internal error.' };
    }
  }
}

/** The `room_id` of an event; undefined when it cannot be one. */
function roomIdIn(value: JsonValue): string | undefined {
  const roomId = isJsonObject(value) ? member(value, 'room_id') : undefined;
  return typeof roomId === 'string' && roomId.length <= 255 && !roomId.includes('\0') ? roomId : undefined;
}

/** Whether an event is canonical JSON: the body was parsed with any numbers (`parseLong`). */
function isCanonical(value: JsonValue): boolean {
  try {
    canonicalJson(value);
    return true;
  } catch (error) {
    if (error instanceof CanonicalJsonError) return false;
    throw error;
  }
}

/** To-device messages carry the keys of calls: they do not wait for gaps to be filled. */
function isUrgent({ edu_type: type }: { readonly edu_type: string }): boolean {
  return type === 'm.direct_to_device';
}
