/** The orders of moderators: to mute somebody, and to remove somebody from the meeting. */
import type { Logger } from 'pino';
import { BadEventError, BadSignatureError, eventId, wireForm } from '../../../federation/event.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { KeyLookup } from '../../../federation/keyring.ts';
import { MatrixError } from '../../base/errors.ts';
import { checkedEvent } from '../../engine/federation/checked-events.ts';
import { UnknownPlaceError } from '../../engine/rooms/dependency-fetcher.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Rights } from '../rights.ts';
import type { Conference } from './conference.ts';
import { splitParticipantId } from './membership.ts';
import type { Order } from './messages.ts';
import type { Orders } from './orders.ts';
import type { Removals } from './removals.ts';
import type { SeatMedia } from './seat-media.ts';
import type { Seats } from './seats.ts';

export interface ModerationDeps {
  readonly rooms: Pick<Rooms, 'version' | 'membership' | 'stateEvent' | 'event' | 'receive' | 'memberships'>;
  readonly rights: Pick<Rights, 'may' | 'require'>;
  readonly keyring: KeyLookup;
  readonly orders: Orders;
  readonly seats: Pick<Seats, 'act' | 'remove'>;
  readonly media: Pick<SeatMedia, 'pauseByOrder'>;
  readonly removals: Removals;
  readonly log: Logger;
}

export class Moderation {
  readonly #deps: ModerationDeps;

  constructor(deps: ModerationDeps) {
    this.#deps = deps;
    const { orders, seats, media } = deps;
    orders.on('mute', {
      right: 'mute',
      apply: (conference, local, by) =>
        seats.act({ conference, local }, async (still) => {
          const microphone = local.sources.get('microphone');
          if (!microphone || microphone.paused) return;
          try {
            await media.pauseByOrder({ conference, local }, 'microphone', still);
          } finally {
            // Also where the SFU cannot be reached: the client stops by itself.
            local.notifier?.notify('moderation.muted', { by: by.displayName, organisation: by.organisation });
          }
        }),
      applyElsewhere: (conference, participantId) => conference.silence(participantId, 'microphone'),
    });
    orders.on('remove', {
      right: 'remove',
      async apply(conference, { userId }) {
        const taken = conference.seats().filter((local) => local.userId === userId);
        await Promise.all(taken.map((local) => seats.remove({ conference, local }, 'removed')));
      },
      applyElsewhere: (conference, participantId) => conference.removeRemote(participantId, 'removed'),
      admit: (roomId, order, origin) => this.#admitRemoval(roomId, order, origin),
    });
  }

  /**
   * Mutes microphones. Who was muted may speak again.
   *
   * @param by the user id of somebody of ours
   * @returns the server names of the organisations that were not reached
   * @throws MatrixError 403
   */
  mute(conference: Conference, by: string, participantIds: readonly string[]): Promise<{ unreached: string[] }> {
    return this.#deps.orders.give(conference, by, 'mute', participantIds);
  }

  /**
   * Takes somebody out of the conference and the room, with all devices; only an invitation lets them in again.
   *
   * @throws MatrixError 403 without the right, or with no more power than the person has
   */
  async remove(conference: Conference, by: string, participantId: string): Promise<{ unreached: string[] }> {
    const { rooms, rights, orders } = this.#deps;
    const { roomId } = conference;
    const { userId: target } = splitParticipantId(participantId);
    await rights.require(roomId, by, 'remove', target);
    // Before the room tells of the removal: then they are not in the conference any more.
    const servers = conference.servers();
    const participantIds = conference
      .participants()
      .filter(({ userId }) => userId === target)
      .map((participant) => participant.participantId);
    await rooms.memberships.change('kick', { roomId, sender: by, target });
    const [removal, version] = await Promise.all([
      rooms.stateEvent(roomId, 'm.room.member', target),
      rooms.version(roomId),
    ]);
    if (!removal || !version || removal.pdu.sender !== by) return { unreached: [] };
    const event = wireForm(removal.pdu, version);
    return orders.give(conference, by, 'remove', participantIds, { event, servers });
  }

  /**
   * A removal is believed with the event that will make it last, signed by the giver's server. By our own state of the
   * room the giver must have more power than the person: what the room will say is not known yet.
   */
  async #admitRemoval(roomId: string, order: Order, origin: string): Promise<boolean> {
    const { rooms, rights, keyring, removals, log } = this.#deps;
    const version = await rooms.version(roomId);
    const targets = new Set(order.participants.map(({ user_id: userId }) => userId));
    const [target] = targets;
    if (!version || target === undefined || targets.size !== 1 || !isJsonObject(order.event)) return false;
    try {
      const pdu = await checkedEvent(order.event, version, keyring);
      const membership = member(pdu.content, 'membership');
      const isRemoval = pdu.type === 'm.room.member' && (membership === 'leave' || membership === 'ban');
      if (!isRemoval || pdu.room_id !== roomId || pdu.sender !== order.by || pdu.state_key !== target) return false;
      if (!(await rights.may(roomId, order.by, 'remove', target))) return false;
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
