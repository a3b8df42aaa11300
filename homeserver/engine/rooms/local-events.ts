/** Events of our own users: built on the current state, signed, checked, stored and sent. */
import { citedHashes, eventId, hashAndSign } from '../../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../../federation/event.ts';
import { BadEventError, MAX_PREV_EVENTS, parsePdu, serverOf, wireForm } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { SigningKey } from '../../../federation/signing.ts';
import { REFERENCE_HASHES } from '../../../federation/wire-form.ts';
import { MatrixError } from '../../base/errors.ts';
import type { Database } from '../../database/database.ts';
import { CALL_MEMBER } from '../../base/names.ts';
import { transactionScope } from './client-transactions.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import type { Judge } from './judge.ts';
import { checkOwner, vouched } from './owned-state.ts';
import type { LocalRights, RoomAct } from './ports.ts';
import type { Room } from './room.ts';
import type { StateResolver } from './state-resolver.ts';
import { STICKY } from './sticky.ts';
import type { Timeline } from './timeline.ts';

/** What a user wants to send. */
export interface NewEvent {
  readonly type: string;
  /** Present for a state event. */
  readonly stateKey?: string;
  /** What `m.room.redaction` redacts is `redacts` in it, whatever the version of the room. */
  readonly content: JsonObject;
  /** How long everybody in the room is to learn of it, in ms. @see MSC4354 */
  readonly stickyMs?: number;
  /** Idempotency: the same (sender, device, transaction id) sends once. */
  readonly transactionId?: string;
  readonly deviceId?: string;
}

export interface LocalEventsDeps {
  readonly db: Database;
  readonly judge: Judge;
  readonly resolver: StateResolver;
  readonly timeline: Timeline;
  readonly events: EventStore;
  readonly serverName: string;
  readonly key: SigningKey;
  readonly rights: LocalRights;
  /** Name and picture of a local user, and whether it is a guest, as they stand in a membership. */
  readonly profile: (userId: string) => Promise<JsonObject>;
}

/** Where the next event of a room goes. */
export interface RoomEnd {
  readonly prevEvents: readonly string[];
  readonly depth: number;
}

/** Deepest position that canonical JSON can hold. */
const MAX_DEPTH = Number.MAX_SAFE_INTEGER;

export class LocalEvents {
  readonly #db: Database;
  readonly #judge: Judge;
  readonly #resolver: StateResolver;
  readonly #timeline: Timeline;
  readonly #events: EventStore;
  readonly #serverName: string;
  readonly #key: SigningKey;
  readonly #rights: LocalRights;
  readonly #profile: (userId: string) => Promise<JsonObject>;

  constructor(deps: LocalEventsDeps) {
    this.#db = deps.db;
    this.#rights = deps.rights;
    this.#profile = deps.profile;
    this.#judge = deps.judge;
    this.#resolver = deps.resolver;
    this.#timeline = deps.timeline;
    this.#events = deps.events;
    this.#serverName = deps.serverName;
    this.#key = deps.key;
  }

  /**
   * Builds an event at the end of the room, without signing it. Whatever this server writes for its users passes here:
   * their accounts must allow it, and what it says of them is what their accounts say.
   *
   * @param end where the end of the room is, if not where it was
   * @throws MatrixError 403 when the account of the sender may not do this
   */
  async draft(room: Room, sender: string, wanted: NewEvent, end?: RoomEnd): Promise<UnsignedPdu> {
    await this.#requireRight(sender, wanted);
    const accounts = { isGuest: (userId: string) => this.#rights.isGuest(userId), profile: this.#profile };
    const event = { ...wanted, content: await vouched(sender, wanted, this.#serverName, accounts) };
    const isRedaction = event.type === 'm.room.redaction';
    const { prevEvents: prev, depth } = end ?? (await this.end(room));
    const draft = {
      type: event.type,
      room_id: room.roomId,
      sender,
      ...(isRedaction && !room.version.redactsInContent
        ? withRedactsBeside(event.content)
        : { content: event.content }),
      depth: Math.min(depth, MAX_DEPTH),
      prev_events: [...prev],
      auth_events: [] as string[],
      origin_server_ts: Date.now(),
      ...(event.stateKey === undefined ? {} : { state_key: event.stateKey }),
      ...(event.stickyMs === undefined ? {} : { [STICKY]: { duration_ms: event.stickyMs } }),
    } as UnsignedPdu;
    if (isRedaction) await this.#judge.requireRedactable(room, draft as Pdu);
    draft.auth_events = this.#judge.authEvents(room, room.state.map, draft as Pdu);
    if (room.version.eventIds === 'given') draft[REFERENCE_HASHES] = await this.#citedHashes(room, draft);
    return draft;
  }

  async #requireRight(sender: string, event: NewEvent): Promise<void> {
    if (serverOf(sender) !== this.#serverName || (await this.#takesBack(sender, event))) return;
    await this.#rights.require(sender, actOf(sender, event));
  }

  /** Whether somebody goes or unsays something of their own, which everybody may. */
  async #takesBack(sender: string, { type, stateKey, content }: NewEvent): Promise<boolean> {
    if (type === 'm.room.member') return stateKey === sender && member(content, 'membership') === 'leave';
    if (type === CALL_MEMBER && stateKey !== undefined) return Object.keys(content).length === 0;
    const redacts = type === 'm.room.redaction' ? member(content, 'redacts') : undefined;
    return typeof redacts === 'string' && (await this.#events.get(redacts))?.pdu.sender === sender;
  }

  async #citedHashes(room: Room, { auth_events: auth, prev_events: prev }: UnsignedPdu): Promise<JsonObject> {
    const found = await this.#events.getMany([...auth, ...prev]);
    const hashes = (ids: readonly string[]): JsonObject[] =>
      ids.map((id) => {
        const event = found.get(id);
        return event ? citedHashes(event.pdu, room.version) : {};
      });
    return { auth_events: hashes(auth), prev_events: hashes(prev) };
  }

  /** The end of the room as it is stored. */
  async end(room: Room): Promise<RoomEnd> {
    const prevEvents = room.extremities.slice(-MAX_PREV_EVENTS);
    const found = await this.#events.getMany(prevEvents);
    return { prevEvents, depth: Math.max(0, ...[...found.values()].map(({ pdu }) => pdu.depth)) + 1 };
  }

  /** Signs a draft. @throws MatrixError 400 or 413 when it can not be an event */
  sign(room: Pick<Room, 'version'>, draft: UnsignedPdu): Pdu {
    try {
      const { version } = room;
      return parsePdu(wireForm(hashAndSign(draft, version, this.#serverName, this.#key), version), version);
    } catch (error) {
      if (!(error instanceof BadEventError)) throw error;
      throw new MatrixError(error.code === 'M_TOO_LARGE' ? 413 : 400, error.code, error.message);
    }
  }

  /** Builds, checks and stores an event. To be called in the room's turn. @throws MatrixError */
  async send(room: Room, sender: string, event: NewEvent): Promise<StoredEvent> {
    checkOwner(sender, event);
    try {
      return await this.#sendNew(room, sender, event);
    } catch (error) {
      // Most events are sent once. To ask before each whether it was sent already would cost all of them the time; a
      // repetition fails, by its transaction id or because the sender has lost the right meanwhile.
      const earlier = await this.sentBefore(room.roomId, sender, event);
      if (earlier) return earlier;
      throw error;
    }
  }

  /** As `send`, but other servers get it only when they ask for what comes before a later event. */
  async keep(room: Room, sender: string, event: NewEvent): Promise<StoredEvent> {
    return this.#sendNew(room, sender, event, false);
  }

  async #sendNew(room: Room, sender: string, event: NewEvent, isTold = true): Promise<StoredEvent> {
    const pdu = this.sign(room, await this.draft(room, sender, event));
    await this.#judge.authorise(room, room.state.map, pdu, eventId(pdu, room.version));
    const { deviceId, transactionId } = event;
    return this.#timeline.add({
      room,
      pdu,
      stateBefore: await this.#resolver.stateBefore(room, pdu.prev_events),
      verdict: { rejected: false, softFailed: false },
      ...(isTold ? { fanOut: 'all' } : {}),
      ...(deviceId === undefined || transactionId === undefined
        ? {}
        : { transaction: { userId: sender, deviceId, transactionId } }),
    });
  }

  /** What was sent under the same transaction id before. */
  async sentBefore(roomId: string, sender: string, event: NewEvent): Promise<StoredEvent | undefined> {
    const { deviceId, transactionId } = event;
    if (deviceId === undefined || transactionId === undefined) return undefined;
    const [row] = await this.#db.query<{ event_id: string }>(
      `SELECT event_id FROM client_transactions
       WHERE user_id = $1 AND device_id = $2 AND transaction_id = $3 AND scope = $4`,
      [sender, deviceId, transactionId, transactionScope(roomId, event.type)],
    );
    return row && this.#events.get(row.event_id);
  }
}

/** Before room version 11 an event says beside its content what it redacts. */
function withRedactsBeside({ redacts, ...content }: JsonObject): JsonObject {
  return redacts === undefined ? { content } : { content, redacts };
}

function actOf(sender: string, { type, stateKey, content }: NewEvent): RoomAct {
  const membership = type === 'm.room.member' ? member(content, 'membership') : undefined;
  if (membership === 'invite' || membership === 'knock') return membership;
  return membership === 'join' && stateKey === sender ? 'enter' : 'write';
}
