/** Events of local users: built on the current state, signed, checked, stored and sent. */
import { citedHashes, eventId, hashAndSign } from '../../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../../federation/event.ts';
import { BadEventError, isUserId, MAX_PREV_EVENTS, parsePdu, serverOf, wireForm } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { SigningKey } from '../../../federation/signing.ts';
import { REFERENCE_HASHES } from '../../../federation/wire-form.ts';
import { MatrixError } from '../../base/errors.ts';
import type { Database } from '../../database/database.ts';
import { CALL_MEMBER } from '../../base/names.ts';
import type { Visibility } from '../visibility.ts';
import { transactionScope } from './client-transactions.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import type { Judge } from './judge.ts';
import { checkOwner, withAccountFields } from './owned-state.ts';
import type { LocalRights, RoomAct } from './ports.ts';
import type { SendRules } from './send-rules.ts';
import type { Room } from './room.ts';
import type { StateResolver } from './state-resolver.ts';
import { STICKY } from './sticky.ts';
import type { Timeline } from './timeline.ts';

/** An event that a user wants to send. */
export interface NewEvent {
  readonly type: string;
  /** Only for state events. */
  readonly stateKey?: string;
  /** For `m.room.redaction`, `redacts` is in it, whatever the room version. */
  readonly content: JsonObject;
  /** The sticky duration, in ms. @see MSC4354 */
  readonly stickyMs?: number;
  /** Idempotency: the same (sender, device, transaction id) sends once. */
  readonly transactionId?: string;
  readonly deviceId?: string;
  /** An invitation that the invited user has asked for, and answers in the same turn: nobody is notified of it. */
  readonly isAsked?: boolean;
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
  readonly visibility: Visibility;
  readonly sendRules: SendRules;
  /** Display name, avatar and guest flag of a local user, as in a membership event. */
  readonly profile: (userId: string) => Promise<JsonObject>;
}

/** The `prev_events` and `depth` for the next event of a room. */
export interface RoomEnd {
  readonly prevEvents: readonly string[];
  readonly depth: number;
}

/** The largest depth that canonical JSON can represent. */
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
  readonly #visibility: Visibility;
  readonly #sendRules: SendRules;
  readonly #profile: (userId: string) => Promise<JsonObject>;

  constructor(deps: LocalEventsDeps) {
    this.#db = deps.db;
    this.#rights = deps.rights;
    this.#visibility = deps.visibility;
    this.#sendRules = deps.sendRules;
    this.#profile = deps.profile;
    this.#judge = deps.judge;
    this.#resolver = deps.resolver;
    this.#timeline = deps.timeline;
    this.#events = deps.events;
    this.#serverName = deps.serverName;
    this.#key = deps.key;
  }

  /**
   * Builds an event on the forward extremities, without signing it. Every event that this server writes for its users
   * passes through here: their account standing is checked, and their names and guest flags are taken from their
   * accounts.
   *
   * @param end the extremities to build on, if not those of the room
   * @throws MatrixError 403 when the sender's account may not do this
   */
  async draft(room: Room, sender: string, wanted: NewEvent, end?: RoomEnd): Promise<UnsignedPdu> {
    await this.#requireRight(sender, wanted);
    await this.#sendRules.check(room.roomId, sender, wanted);
    const { type, stateKey: target = '', content: said } = wanted;
    if (type === 'm.room.member' && member(said, 'membership') === 'invite' && wanted.isAsked !== true) {
      await this.requireKnown(sender, target);
    }
    const accounts = { isGuest: (userId: string) => this.#rights.isGuest(userId), profile: this.#profile };
    const event = { ...wanted, content: await withAccountFields(sender, wanted, this.#serverName, accounts) };
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

  /**
   * An invitation of somebody of whom the inviter may not know is answered like that of nobody.
   *
   * @throws MatrixError 404
   */
  async requireKnown(sender: string, target: string): Promise<void> {
    const here = this.#serverName;
    if (!isUserId(target) || serverOf(target) !== here || serverOf(sender) !== here) return;
    if (await this.#visibility.maySee(sender, target)) return;
    throw new MatrixError(404, 'M_NOT_FOUND', 'No such user on this server.');
  }

  async #requireRight(sender: string, event: NewEvent): Promise<void> {
    if (serverOf(sender) !== this.#serverName || (await this.#undoesOwnAct(sender, event))) return;
    await this.#rights.require(sender, actOf(sender, event));
  }

  /** Whether the event is a leave or a redaction of one's own event, which everybody may send. */
  async #undoesOwnAct(sender: string, { type, stateKey, content }: NewEvent): Promise<boolean> {
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

  /** The stored forward extremities. */
  async end(room: Room): Promise<RoomEnd> {
    const prevEvents = room.extremities.slice(-MAX_PREV_EVENTS);
    const found = await this.#events.getMany(prevEvents);
    return { prevEvents, depth: Math.max(0, ...[...found.values()].map(({ pdu }) => pdu.depth)) + 1 };
  }

  /** Signs a draft. @throws MatrixError 400 or 413 when it is not a valid event */
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
      // Most events are sent once; looking up the transaction id first would slow all of them down. A retry fails,
      // either by its transaction id or because the sender has lost the right meanwhile.
      const earlier = await this.sentBefore(room.roomId, sender, event);
      if (earlier) return earlier;
      throw error;
    }
  }

  /** Like `send`, but other servers only get it when they request what comes before a later event. */
  async sendWithoutFanOut(room: Room, sender: string, event: NewEvent): Promise<StoredEvent> {
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
      answered: event.isAsked === true,
      ...(isTold ? { fanOut: 'all' } : {}),
      ...(deviceId === undefined || transactionId === undefined
        ? {}
        : { transaction: { userId: sender, deviceId, transactionId } }),
    });
  }

  /** The event that was sent earlier with the same transaction id. */
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

/** Before room version 11, `redacts` is at the top level. */
function withRedactsBeside({ redacts, ...content }: JsonObject): JsonObject {
  return redacts === undefined ? { content } : { content, redacts };
}

function actOf(sender: string, { type, stateKey, content }: NewEvent): RoomAct {
  const membership = type === 'm.room.member' ? member(content, 'membership') : undefined;
  if (membership === 'invite' || membership === 'knock') return membership;
  return membership === 'join' && stateKey === sender ? 'enter' : 'write';
}
