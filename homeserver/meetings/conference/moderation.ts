/** What those who lead a meeting do to others, of whichever instance, and what each of their orders is. */
import { wireForm } from '../../../federation/event.ts';
import { displayName as safeName } from '../../../protocol/display-text.ts';
import type { EndFor, ModerationAction, RemovalAction, SeatAction } from '../../../protocol/modules/moderation.ts';
import { MatrixError } from '../../base/errors.ts';
import { ADMISSION, SETTING } from '../../base/names.ts';
import type { NewEvent, Rooms } from '../../engine/rooms/rooms.ts';
import type { Rights } from '../rights.ts';
import type { Conference } from './conference.ts';
import type { LocalParticipant } from './local-participant.ts';
import { splitParticipantId } from './membership.ts';
import type { Giver, OrderDetails } from './order-details.ts';
import type { Given, Orders } from './orders.ts';
import { RemovalOrders, type RemovalOrdersDeps, type RemovedTo } from './removal-orders.ts';
import type { Seat, SeatMedia } from './seat-media.ts';
import type { Seats } from './seats.ts';

export interface ModerationDeps extends RemovalOrdersDeps {
  readonly rooms: RemovalOrdersDeps['rooms'] & Pick<Rooms, 'stateEvent' | 'send' | 'memberships'>;
  readonly rights: Pick<Rights, 'may' | 'require'>;
  readonly orders: Orders;
  readonly seats: Pick<Seats, 'act' | 'remove'>;
  readonly media: Pick<SeatMedia, 'pauseByOrder' | 'unpublish'>;
  /** Gives a guest of ours another name. */
  rename(userId: string, displayName: string): Promise<void>;
}

/** What takes somebody out of conference and room. */
interface Removal {
  readonly right: 'remove' | 'ban';
  readonly change: 'kick' | 'ban';
  readonly to: readonly RemovedTo[];
  readonly ended: 'removed' | 'banned' | 'waiting';
}

const REMOVALS = {
  remove: { right: 'remove', change: 'kick', to: ['leave', 'ban'], ended: 'removed' },
  ban: { right: 'ban', change: 'ban', to: ['ban'], ended: 'banned' },
  wait: { right: 'remove', change: 'kick', to: ['leave'], ended: 'waiting' },
} as const satisfies Readonly<Record<RemovalAction, Removal>>;

/** Of several who are removed at once, so many are told to others live; of the rest the room alone tells. */
const MOST_LIVE_REMOVALS = 50;

export class Moderation {
  readonly #deps: ModerationDeps;

  constructor(deps: ModerationDeps) {
    this.#deps = deps;
    const { orders, seats } = deps;
    orders.on('mute', {
      right: 'mute',
      told: 'mute',
      noted: 'mute',
      apply: (conference, local, by) => this.#pause('mute', { conference, local }, by),
      applyElsewhere: (conference, participantId) => conference.silence(participantId, 'microphone'),
    });
    orders.on('camera-off', {
      right: 'camera-off',
      told: 'camera-off',
      noted: 'camera-off',
      apply: (conference, local, by) => this.#pause('camera-off', { conference, local }, by),
      applyElsewhere: (conference, participantId) => conference.silence(participantId, 'camera'),
    });
    orders.on('stop-share', {
      right: 'stop-share',
      told: 'stop-share',
      noted: 'stop-share',
      apply: (conference, local, by) => this.#stopShare({ conference, local }, by),
      applyElsewhere(conference, participantId) {
        conference.silence(participantId, 'screen');
        conference.silence(participantId, 'screen-audio');
      },
    });
    orders.on('ask-unmute', {
      right: 'ask-unmute',
      noted: 'ask-unmute',
      apply(_conference, local, by) {
        if (local.sources.get('microphone')?.paused !== false) tellDone(local, 'ask-unmute', by);
      },
    });
    orders.on('rename', {
      right: 'rename-others',
      over: true,
      told: 'rename',
      noted: 'rename',
      async apply(_conference, local, by, { displayName }) {
        if (!local.guest || displayName === undefined) return;
        await deps.rename(local.userId, displayName);
        tellDone(local, 'rename', by, { displayName });
      },
    });
    orders.on('end', {
      right: 'end',
      told: 'end',
      noted: 'end',
      whom: (conference, details) => idsOf(conference, details.for),
      apply: (conference, local, by, details) =>
        seats.remove({ conference, local }, { reason: 'ended', by, ...details }),
      applyElsewhere: (conference, participantId) => conference.removeRemote(participantId, 'ended'),
    });
    const removals = new RemovalOrders(deps);
    for (const [action, { right, to, ended }] of Object.entries(REMOVALS) as [RemovalAction, Removal][]) {
      orders.on(action, {
        right,
        told: action,
        async apply(conference, { userId }, by) {
          const taken = conference.seats().filter((local) => local.userId === userId);
          await Promise.all(taken.map((local) => seats.remove({ conference, local }, { reason: ended, by })));
        },
        applyElsewhere: (conference, participantId) => conference.removeRemote(participantId, 'removed'),
        admit: (roomId, order, origin) => removals.admit(order, { roomId, origin, right, to }),
      });
    }
  }

  /**
   * Does something to people that leaves them in the conference.
   *
   * @param by the user id of somebody of ours
   * @throws MatrixError 403 without the right
   */
  act(conference: Conference, by: string, action: SeatAction, participantIds: readonly string[]): Promise<Given> {
    const others = participantIds.filter((one) => action !== 'ask-unmute' || splitParticipantId(one).userId !== by);
    return this.#deps.orders.give(conference, by, action, others);
  }

  /**
   * Takes people out of the conference and the room, with all their devices: until they are invited again, for good, or
   * until they are admitted.
   *
   * @throws MatrixError 403 without the right, or when everybody of them has as much power
   */
  async remove(
    conference: Conference,
    by: string,
    action: RemovalAction,
    participantIds: readonly string[],
  ): Promise<Given> {
    const { rights } = this.#deps;
    const { roomId } = conference;
    const { right } = REMOVALS[action];
    await rights.require(roomId, by, right);
    const named = [...new Set(participantIds)].filter((one) => conference.has(one));
    const targets = new Map<string, string[]>();
    const refused: string[] = [];
    for (const participantId of named) {
      const { userId } = splitParticipantId(participantId);
      const known = targets.get(userId);
      if (known) known.push(participantId);
      else if (await rights.may(roomId, by, right, userId)) targets.set(userId, [participantId]);
      else refused.push(participantId);
    }
    const [one] = refused;
    if (targets.size === 0 && one !== undefined) {
      await rights.require(roomId, by, right, splitParticipantId(one).userId);
    }
    const unreached = new Set<string>();
    const told: Promise<void>[] = [];
    let live = 0;
    for (const [target, ids] of targets) {
      live += 1;
      try {
        const { given } = await this.#removeOne(conference, by, { action, target, isLive: live <= MOST_LIVE_REMOVALS });
        told.push(given.then((answer) => answer.unreached.forEach((server) => unreached.add(server))));
      } catch (error) {
        // What has changed meanwhile does not keep the others in.
        if (!(error instanceof MatrixError) || targets.size === 1) throw error;
        refused.push(...ids);
      }
    }
    await Promise.all(told);
    return { unreached: [...unreached], ...(refused.length > 0 ? { refused } : {}) };
  }

  /** @returns when it is so in the room; `given` resolves when the others are told */
  async #removeOne(
    conference: Conference,
    by: string,
    { action, target, isLive }: { action: RemovalAction; target: string; isLive: boolean },
  ): Promise<{ given: Promise<Given> }> {
    const { rooms, orders } = this.#deps;
    const { roomId } = conference;
    // Before the room tells of the removal: then they are not in the conference any more.
    const servers = conference.servers();
    const participantIds = conference
      .participants()
      .filter(({ userId }) => userId === target)
      .map((participant) => participant.participantId);
    if (action === 'wait') {
      await rooms.send(roomId, by, { type: ADMISSION, stateKey: `_${target}`, content: { admitted: false } });
    }
    await rooms.memberships.change(REMOVALS[action].change, { roomId, sender: by, target });
    const [removal, version] = await Promise.all([
      rooms.stateEvent(roomId, 'm.room.member', target),
      rooms.version(roomId),
    ]);
    if (!isLive || !removal || !version || removal.pdu.sender !== by) {
      return { given: Promise.resolve({ unreached: [] }) };
    }
    const event = wireForm(removal.pdu, version);
    return { given: orders.give(conference, by, action, participantIds, { lasting: { event, servers } }) };
  }

  /**
   * Gives a guest another name, as which everybody sees the person.
   *
   * @throws MatrixError 403 for somebody who is no guest, or without the right; 400 for a name that shows nothing; 404 for
   *   somebody who is not in the conference
   */
  async rename(conference: Conference, by: string, participantId: string, name: string): Promise<Given> {
    const person = conference.participants().find((one) => one.participantId === participantId);
    if (!person) throw new MatrixError(404, 'M_NOT_FOUND', 'This person is not in the conference any more.');
    if (!person.guest) throw new MatrixError(403, 'M_FORBIDDEN', 'Only guests are given another name.');
    const displayName = safeName(name);
    if (displayName === undefined) throw new MatrixError(400, 'M_INVALID_PARAM', 'This name shows nothing.');
    return this.#deps.orders.give(conference, by, 'rename', [participantId], { displayName });
  }

  /**
   * Ends the conference for some or all. Guests are not let in any more then, or nobody but those who lead the meeting,
   * until one of these changes that; ended for everybody, everybody may come again.
   *
   * @throws MatrixError 403 without the right
   */
  async end(conference: Conference, by: string, whom: EndFor): Promise<Given> {
    const { rooms, rights, orders } = this.#deps;
    const { roomId } = conference;
    await rights.require(roomId, by, 'end');
    const rule = KEEPS_OUT[whom];
    if (rule) await rooms.send(roomId, by, rule);
    return orders.give(conference, by, 'end', idsOf(conference, whom), { for: whom });
  }

  async #pause(action: 'mute' | 'camera-off', seat: Seat, by: Giver): Promise<void> {
    const { seats, media } = this.#deps;
    const { local } = seat;
    const source = action === 'mute' ? 'microphone' : 'camera';
    await seats.act(seat, async (still) => {
      if (local.sources.get(source)?.paused !== false) return;
      try {
        await media.pauseByOrder(seat, source, still);
      } finally {
        // Also where the SFU cannot be reached: the client stops by itself.
        tellDone(local, action, by);
      }
    });
  }

  async #stopShare(seat: Seat, by: Giver): Promise<void> {
    const { seats, media } = this.#deps;
    const { local } = seat;
    await seats.act(seat, async (still) => {
      const shared = (['screen', 'screen-audio'] as const).filter((source) => local.sources.has(source));
      if (shared.length === 0) return;
      try {
        // Both are out of the conference at once; then the media server is told.
        await Promise.all(shared.map((source) => media.unpublish(seat, source)));
        still();
      } finally {
        tellDone(local, 'stop-share', by);
      }
    });
  }
}

/** What keeps those out for whom a meeting was ended. */
const KEEPS_OUT: Readonly<Partial<Record<EndFor, NewEvent>>> = {
  guests: { type: 'm.room.guest_access', stateKey: '', content: { guest_access: 'forbidden' } },
  participants: { type: `${SETTING}lock`, stateKey: '', content: { locked: true } },
};

/** The participants for whom a meeting is ended. */
function idsOf(conference: Conference, whom: EndFor | undefined): string[] {
  return conference
    .participants()
    .filter(({ role, guest }) => {
      if (whom === 'guests') return guest;
      return whom === 'everybody' || (whom === 'participants' && role !== 'owner' && role !== 'moderator');
    })
    .map(({ participantId }) => participantId);
}

function tellDone(local: LocalParticipant, action: ModerationAction, by: Giver, details: OrderDetails = {}): void {
  local.notifier?.notify('moderation.done', { action, by: by.displayName, organisation: by.organisation, ...details });
}
