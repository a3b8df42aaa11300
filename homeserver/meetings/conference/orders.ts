/**
 * Orders: what somebody in a meeting does to somebody else, whose instance may be another one. Each instance judges the
 * giver's right by its own current state of the room, and acts: the target's own at its SFU, every other one at its side
 * of the link. An order can end what somebody does, and never begin it. docs/federation.md specifies the message.
 */
import type { Logger } from 'pino';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { serverOf } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { type ModerationAction, MOST_PARTICIPANTS } from '../../../protocol/modules/moderation.ts';
import type { LogKind } from '../../../protocol/meeting-log.ts';
import type { Right } from '../../../protocol/rights.ts';
import { ORDER_RATE } from '../../base/limits.ts';
import { unexpected } from '../../base/log.ts';
import { displayName as safeName } from '../../../protocol/display-text.ts';
import type { MeetingLogPort } from '../log/meeting-log.ts';
import { nameIn } from '../people.ts';
import type { Rights } from '../rights.ts';
import type { Announcer } from './announcer.ts';
import type { Conference } from './conference.ts';
import type { LocalParticipant } from './local-participant.ts';
import { participantIdOf, splitParticipantId } from './membership.ts';
import type { LiveAnswer, Order } from './messages.ts';
import type { Giver, OrderDetails } from './order-details.ts';
import type { OrderNumbers } from './order-numbers.ts';
import type { RoomPort } from './ports.ts';
import { tellOthers } from './tell-others.ts';

/** What an order is. */
export interface OrderKind {
  /** What its giver needs. */
  readonly right: Right;
  /** Whether it takes more power than each of those has to whom it is done. */
  readonly over?: true;
  /** What others than those whom it means are told; absent, nothing. */
  readonly told?: ModerationAction;
  /** As what it stands in the log of the meeting; absent where events of the room tell of it. */
  readonly noted?: LogKind;
  /** Whom it means, where that is not who is named. */
  whom?(conference: Conference, details: OrderDetails): string[];
  /** Does it to a participant of ours. */
  apply(conference: Conference, local: LocalParticipant, by: Giver, details: OrderDetails): void | Promise<void>;
  /** Does at our side what makes it hold although the participant's own instance may not comply. */
  applyElsewhere?(conference: Conference, participantId: string): void;
  /** Whether an order of another instance is to be taken, apart from the right. It is on the way to be applied then. */
  admit?(roomId: string, order: Order, origin: string): Promise<boolean>;
}

/** What became of an order that was given. */
export interface Given {
  /** Server names of organisations that were not reached. */
  unreached: string[];
  /** Participants to whom it was not done. */
  refused?: string[];
}

/** What became of an order of another instance. */
type Outcome = NonNullable<LiveAnswer['orders']>[string];

export interface OrdersDeps {
  readonly serverName: string;
  readonly rooms: Pick<RoomPort, 'stateEvent'>;
  readonly rights: Pick<Rights, 'may' | 'require'>;
  readonly numbers: Pick<OrderNumbers, 'next' | 'take'>;
  readonly announcer: Pick<Announcer, 'order'>;
  /** Notes what has happened, of orders that no event of the room tells of. */
  readonly noted?: MeetingLogPort;
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
   * @param more with `lasting`, the signed event of an order that lasts, and whom to tell although it has taken effect
   * @returns the server names of those that have not taken it within a few seconds, and to whom it was not done because
   *   they have as much power
   * @throws MatrixError 403 when the giver may not, or may to nobody of those who are named
   */
  async give(
    conference: Conference,
    by: string,
    action: string,
    participantIds: readonly string[],
    more: OrderDetails & {
      readonly lasting?: { readonly event: JsonObject; readonly servers: Iterable<string> };
    } = {},
  ): Promise<Given> {
    const { rights, numbers, announcer } = this.#deps;
    const { lasting, ...details } = more;
    const kind = this.#kinds.get(action);
    if (!kind) throw new Error(`There is no order ${action}.`);
    const { roomId } = conference;
    await rights.require(roomId, by, kind.right);
    const giver = await this.#giver(roomId, by);
    // A client may name anything, and others refuse a message that is malformed or too long with all that is in it. Who is
    // removed for good may be out already.
    const named = [...new Set(participantIds)]
      .filter((one) => lasting !== undefined || conference.has(one))
      .slice(0, MOST_PARTICIPANTS);
    const refused: string[] = [];
    if (kind.over && !lasting) {
      for (const one of named) {
        if (!(await rights.may(roomId, by, kind.right, splitParticipantId(one).userId))) refused.push(one);
      }
      const [first] = refused;
      if (first !== undefined && refused.length === named.length) {
        await rights.require(roomId, by, kind.right, splitParticipantId(first).userId);
      }
    }
    const answer = refused.length > 0 ? { refused } : {};
    // The last wait: orders go out in the turn of their numbers, for a lower one does not count after a higher one.
    const number = await numbers.next();
    const targets = kind.whom?.(conference, details) ?? named.filter((one) => !refused.includes(one));
    if (targets.length === 0 && !lasting) return { unreached: [], ...answer };
    const servers = [...new Set([...conference.servers(), ...(lasting?.servers ?? [])])];
    const order = {
      number,
      action,
      by,
      participants: targets.slice(0, MOST_PARTICIPANTS).map((participantId) => {
        const { userId, deviceId } = splitParticipantId(participantId);
        return { user_id: userId, device_id: deviceId };
      }),
      ...(details.for === undefined ? {} : { for: details.for }),
      ...(details.displayName === undefined ? {} : { display_name: details.displayName }),
      ...(lasting ? { event: lasting.event } : {}),
    };
    this.#act({ kind, conference, targets, by: giver, details });
    const taken = await Promise.all(servers.map((server) => announcer.order(conference, server, order)));
    return { unreached: servers.filter((_server, index) => !taken[index]), ...answer };
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
    if (kind.over && !(await this.#mayOverAll(roomId, by, kind.right, order))) return refused('no power over them');
    if (kind.admit && !(await kind.admit(roomId, order, origin))) return refused('not shown to be so');
    if (!(await numbers.take(origin, roomId, number))) return 'repeated';
    if (!conference) return 'taken';
    const giver = await this.#giver(roomId, by);
    const displayName = safeName(order.display_name);
    const details: OrderDetails = {
      ...(order.for === undefined ? {} : { for: order.for }),
      ...(displayName === undefined ? {} : { displayName }),
    };
    const targets =
      kind.whom?.(conference, details) ?? order.participants.map((one) => participantIdOf(one.user_id, one.device_id));
    this.#act({ kind, conference, targets, by: giver, details });
    return 'taken';
  }

  async #mayOverAll(roomId: string, by: string, right: Right, { participants }: Order): Promise<boolean> {
    for (const target of new Set(participants.map(({ user_id: userId }) => userId))) {
      if (!(await this.#deps.rights.may(roomId, by, right, target))) return false;
    }
    return true;
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
  #act({ kind, conference, targets, by, details }: Act): void {
    const { serverName, log } = this.#deps;
    const failed = unexpected(log, 'an order was not carried out');
    const apply = async (local: LocalParticipant): Promise<void> => kind.apply(conference, local, by, details);
    if (kind.told) tellOthers(conference, kind.told, { targets, by, details });
    if (kind.noted) {
      const whom = [...new Set(targets.map((participantId) => splitParticipantId(participantId).userId))];
      const detail = details.displayName ?? details.for;
      this.#deps.noted?.note({ roomId: conference.roomId, kind: kind.noted, by: by.userId, whom, detail });
    }
    for (const participantId of targets) {
      const local = conference.seat(participantId);
      if (local) apply(local).catch(failed);
      else if (splitParticipantId(participantId).server !== serverName)
        kind.applyElsewhere?.(conference, participantId);
    }
  }
}

interface Act {
  readonly kind: OrderKind;
  readonly conference: Conference;
  readonly targets: readonly string[];
  readonly by: Giver;
  readonly details: OrderDetails;
}
