/** How a removal by another instance is believed before the room tells of it. */
import type { Logger } from 'pino';
import { BadEventError, BadSignatureError, eventId } from '../../../federation/event.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { KeyLookup } from '../../../federation/keyring.ts';
import type { Right } from '../../../protocol/rights.ts';
import { MatrixError } from '../../base/errors.ts';
import { checkedEvent } from '../../engine/federation/checked-events.ts';
import { UnknownPlaceError } from '../../engine/rooms/dependency-fetcher.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Rights } from '../rights.ts';
import type { Order } from './messages.ts';
import type { Removals } from './removals.ts';

export interface RemovalOrdersDeps {
  readonly rooms: Pick<Rooms, 'version' | 'membership' | 'event' | 'receive'>;
  readonly rights: Pick<Rights, 'may'>;
  readonly keyring: KeyLookup;
  readonly removals: Pick<Removals, 'add'>;
  readonly log: Logger;
}

/** What somebody's membership becomes by a removal. */
export type RemovedTo = 'leave' | 'ban';

export class RemovalOrders {
  readonly #deps: RemovalOrdersDeps;

  constructor(deps: RemovalOrdersDeps) {
    this.#deps = deps;
  }

  /**
   * A removal is believed with the event that will make it last, signed by the giver's server. By our own state of the
   * room the giver must have more power than the person: what the room will say is not known yet.
   *
   * @param to what the event must make of the membership
   */
  async admit(order: Order, { roomId, origin, right, to }: Admission): Promise<boolean> {
    const { rooms, rights, keyring, removals, log } = this.#deps;
    const version = await rooms.version(roomId);
    const targets = new Set(order.participants.map(({ user_id: userId }) => userId));
    const [target] = targets;
    if (!version || target === undefined || targets.size !== 1 || !isJsonObject(order.event)) return false;
    try {
      const pdu = await checkedEvent(order.event, version, keyring);
      const isRemoval = pdu.type === 'm.room.member' && to.some((one) => one === member(pdu.content, 'membership'));
      if (!isRemoval || pdu.room_id !== roomId || pdu.sender !== order.by || pdu.state_key !== target) return false;
      if (!(await rights.may(roomId, order.by, right, target))) return false;
      const id = eventId(pdu, version);
      const known = await rooms.event(id);
      // Perhaps the person was invited again since.
      if (known && !known.outlier) return (await rooms.membership(roomId, target)) !== 'join';
      await removals.add(roomId, target, id);
      rooms.receive(roomId, pdu, origin).catch((error: unknown) => {
        // It comes with a transaction as well, and is kept there until it has its place.
        if (error instanceof UnknownPlaceError || error instanceof MatrixError) return;
        log.warn({ err: error, roomId }, 'the event of a removal was not taken yet');
      });
      return true;
    } catch (error) {
      if (error instanceof BadEventError || error instanceof BadSignatureError) return false;
      throw error;
    }
  }
}

interface Admission {
  readonly roomId: string;
  /** Server name of the sender. */
  readonly origin: string;
  readonly right: Right;
  readonly to: readonly RemovedTo[];
}
