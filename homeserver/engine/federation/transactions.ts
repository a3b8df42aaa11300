/**
 * Transactions of other servers: the same one is processed once, those of one server one after another, and one bad
 * event never fails the rest. Events of one room are taken in their order; what one of them waits for holds up no other
 * room and no other server.
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
import { UnknownPlaceError } from '../rooms/supply.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';
import { Serial } from '../../base/serial.ts';
import { checkedEvent } from './checked-events.ts';
import type { Edus } from './edus.ts';
import { UnplacedEvents } from './unplaced-events.ts';

/** Rooms whose events are taken side by side: those of each in their order. */
const ROOMS_AT_ONCE = 5;
/** How long an answer is kept for a server that did not get it, in ms. */
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
  /** Settles when a room that is being entered now is entered. */
  readonly joined: (roomId: string) => Promise<void>;
  readonly log: Logger;
}

/** What became of an event. The code is not in the specification, but some look at it. */
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

  /** Ends what waits to be tried again. */
  close(): void {
    this.#unplaced.close();
  }

  /** Processes a transaction and answers what became of each event. @throws MatrixError 400 when it is malformed */
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
      // What devices tell each other is theirs: it may have any numbers.
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

  /** Forgets old answers. */
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

  /** For a room that we are not in: it may be that an invitation or a knock of one of ours has come to its end. */
  async #outside(origin: string, roomId: string, value: JsonValue): Promise<Result | undefined> {
    const target = isJsonObject(value) ? member(value, 'state_key') : undefined;
    if (typeof target !== 'string') return undefined;
    const { rooms, keyring } = this.#deps;
    const invitation = await rooms.invitation(roomId, target);
    const version = invitation && roomVersion(invitation.version);
    // Without the room its version is unknown, and without that the id of the event.
    if (!invitation || !version) return undefined;
    try {
      const pdu = await checkedEvent(value, version, keyring, { outsideRoom: true });
      const membership = member(pdu.content, 'membership');
      if (pdu.type !== 'm.room.member' || (membership !== 'leave' && membership !== 'ban')) return undefined;
      const id = eventId(pdu, version);
      if (await rooms.elsewhere.withdraw(roomId, pdu, origin)) return { id };
      return { id, errcode: 'M_FORBIDDEN', error: 'As far as this server knows, the sender may not do that.' };
    } catch (error) {
      if (error instanceof BadEventError || error instanceof BadSignatureError) return undefined;
      throw error;
    }
  }

  /** Takes an event whose signatures are checked. @throws MatrixError 403 for a server that may not take part any more */
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
      return stored.rejected ? { id, error: 'The event was rejected: the rules of the room forbid it.' } : { id };
    } catch (error) {
      // An error would be the last word on the event, although what is missing may be to be had later.
      if (error instanceof UnknownPlaceError && id !== undefined && checked !== undefined) {
        log.info({ origin, roomId, eventId: id, reason: error.message }, 'an event was not taken yet');
        await this.#unplaced.keep({ eventId: id, roomId, origin, pdu: checked });
        return { id };
      }
      // Nothing is wrong with the event: the other server has to send the transaction again.
      if (isTransient(error)) throw error;
      const known =
        error instanceof BadEventError || error instanceof BadSignatureError || error instanceof MatrixError;
      if (!known) log.error({ err: error, origin, roomId }, 'an event of another server could not be processed');
      return id === undefined ? undefined : { id, error: known ? error.message : 'Internal error.' };
    }
  }
}

/** The room that an event says it is of; undefined for what can be no room. */
function roomIdIn(value: JsonValue): string | undefined {
  const roomId = isJsonObject(value) ? member(value, 'room_id') : undefined;
  return typeof roomId === 'string' && roomId.length <= 255 && !roomId.includes('\0') ? roomId : undefined;
}

/** The body was read with numbers of any kind: see `parseLong`. */
function isCanonical(value: JsonValue): boolean {
  try {
    canonicalJson(value);
    return true;
  } catch (error) {
    if (error instanceof CanonicalJsonError) return false;
    throw error;
  }
}

/** The keys of a call come from device to device; they do not wait until the gaps of some room are filled. */
function isUrgent({ edu_type: type }: { readonly edu_type: string }): boolean {
  return type === 'm.direct_to_device';
}
