/**
 * Orders: what somebody in a meeting does to somebody else, whose instance may be another one. Each instance judges the
 * giver's right by its own current state of the room, and acts: the target's own at its SFU, every other one at its side
 * of the link. An order can end what somebody does, and never begin it. docs/federation.md specifies the message.
 */
import type { Logger } from 'pino';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { serverOf } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Right } from '../../../protocol/rights.ts';
import { ORDER_RATE } from '../../base/limits.ts';
import { unexpected } from '../../base/log.ts';
import { nameIn } from '../people.ts';
import type { Rights } from '../rights.ts';
import type { Announcer } from './announcer.ts';
import type { Conference } from './conference.ts';
import type { LocalParticipant } from './local-participant.ts';
import { participantIdOf, splitParticipantId } from './membership.ts';
import type { LiveAnswer, Order } from './messages.ts';
import type { OrderNumbers } from './order-numbers.ts';
import type { RoomPort } from './ports.ts';

/** Participants of one order. */
const MAX_PARTICIPANTS = 500;

/** Who gives an order. */
export interface Giver {
  readonly userId: string;
  readonly displayName: string;
  /** Server name. */
  readonly organisation: string;
}

/** What an order is. */
export interface OrderKind {
  /** What its giver needs. */
  readonly right: Right;
  /** Does it to a participant of ours. */
  apply(conference: Conference, local: LocalParticipant, by: Giver): void | Promise<void>;
  /** Does at our side what makes it hold although the participant's own instance may not comply. */
  applyElsewhere?(conference: Conference, participantId: string): void;
  /** Whether an order of another instance is to be taken, apart from the right. It is on the way to be applied then. */
  admit?(roomId: string, order: Order, origin: string): Promise<boolean>;
}

/** What became of an order. */
type Outcome = NonNullable<LiveAnswer['orders']>[string];

export interface OrdersDeps {
  readonly serverName: string;
  readonly rooms: Pick<RoomPort, 'stateEvent'>;
  readonly rights: Pick<Rights, 'may' | 'require'>;
  readonly numbers: Pick<OrderNumbers, 'next' | 'take'>;
  readonly announcer: Pick<Announcer, 'order'>;
  readonly log: Logger;
}

export class Orders {
  readonly #deps: OrdersDeps;
  readonly #kinds = new Map<string, OrderKind>();
  readonly #rate = new RateLimiterMemory({ points: ORDER_RATE.points, duration: ORDER_RATE.seconds });

  constructor(deps: OrdersDeps) {
    this.#deps = deps;
  }

  /** Says what an order does. Each action is said once, at start. */
  on(action: string, kind: OrderKind): void {
    this.#kinds.set(action, kind);
  }

  /**
   * Gives an order: it is done here at once, and all other instances of the conference are told.
   *
   * @param by the user id of somebody of ours
   * @param participantIds whoever is not in the conference is left out
   * @param lasting of an order that lasts: its signed event, and whom to tell although that has taken effect already
   * @returns the server names of those that have not taken it within a few seconds
   * @throws MatrixError 403 when the giver may not
   */
  async give(
    conference: Conference,
    by: string,
    action: string,
    participantIds: readonly string[],
    lasting?: { readonly event: JsonObject; readonly servers: Iterable<string> },
  ): Promise<{ unreached: string[] }> {
    const { rights, numbers, announcer } = this.#deps;
    const kind = this.#kinds.get(action);
    if (!kind) throw new Error(`There is no order ${action}.`);
    await rights.require(conference.roomId, by, kind.right);
    const giver = await this.#giver(conference.roomId, by);
    // A client may name anything, and others refuse a message that is malformed or too long with all that is in it. Who is
    // removed for good may be out already.
    const named = [...new Set(participantIds)].filter((one) => lasting !== undefined || conference.has(one));
    const targets = named.slice(0, MAX_PARTICIPANTS);
    if (targets.length === 0) return { unreached: [] };
    // The last wait: orders go out in the turn of their numbers, for a lower one does not count after a higher one.
    const number = await numbers.next();
    this.#act(kind, conference, targets, giver);
    const order = {
      number,
      action,
      by,
      participants: targets.map((participantId) => {
        const { userId, deviceId } = splitParticipantId(participantId);
        return { user_id: userId, device_id: deviceId };
      }),
      ...(lasting ? { event: lasting.event } : {}),
    };
    const servers = [...new Set([...conference.servers(), ...(lasting?.servers ?? [])])];
    const taken = await Promise.all(servers.map((server) => announcer.order(conference, server, order)));
    return { unreached: servers.filter((_server, index) => !taken[index]) };
  }

  /**
   * Takes orders of another instance.
   *
   * @param conference that of the room, if there is one here
   * @returns what became of each, by its number
   */
  async receive(
    origin: string,
    roomId: string,
    conference: Conference | undefined,
    orders: readonly Order[],
  ): Promise<Record<string, Outcome>> {
    const outcomes: Record<string, Outcome> = {};
    for (const order of orders) outcomes[String(order.number)] = await this.#receive(origin, roomId, conference, order);
    return outcomes;
  }

  async #receive(origin: string, roomId: string, conference: Conference | undefined, order: Order): Promise<Outcome> {
    const { rights, numbers, log } = this.#deps;
    const { action, by, number } = order;
    const kind = this.#kinds.get(action);
    const refused = (reason: string): Outcome => {
      log.info({ origin, roomId, action, reason }, 'an order of another instance was refused');
      return 'refused';
    };
    if (!(await this.#mayTake(origin))) return refused('too many');
    if (!kind) return refused('unknown');
    // An instance speaks for its own people only.
    if (serverOf(by) !== origin) return refused('of somebody else');
    if (!(await rights.may(roomId, by, kind.right))) return refused('no right');
    if (kind.admit && !(await kind.admit(roomId, order, origin))) return refused('not shown to be so');
    if (!(await numbers.take(origin, roomId, number))) return 'repeated';
    if (!conference) return 'taken';
    const targets = order.participants.map((one) => participantIdOf(one.user_id, one.device_id));
    this.#act(kind, conference, targets, await this.#giver(roomId, by));
    return 'taken';
  }

  async #mayTake(origin: string): Promise<boolean> {
    return this.#rate.consume(origin).then(
      () => true,
      () => false,
    );
  }

  async #giver(roomId: string, userId: string): Promise<Giver> {
    const member = await this.#deps.rooms.stateEvent(roomId, 'm.room.member', userId);
    return { userId, displayName: nameIn(member?.pdu, userId), organisation: serverOf(userId) };
  }

  /** Does not wait: of many, none is done later because of another. */
  #act(kind: OrderKind, conference: Conference, participantIds: readonly string[], by: Giver): void {
    const { serverName, log } = this.#deps;
    const failed = unexpected(log, 'an order was not carried out');
    const apply = async (local: LocalParticipant): Promise<void> => kind.apply(conference, local, by);
    for (const participantId of participantIds) {
      const local = conference.seat(participantId);
      if (local) apply(local).catch(failed);
      else if (splitParticipantId(participantId).server !== serverName)
        kind.applyElsewhere?.(conference, participantId);
    }
  }
}
