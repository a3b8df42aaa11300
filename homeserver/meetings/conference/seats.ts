/**
 * The seats of our own participants: who takes one, who holds it, and how it is given up.
 *
 * Whatever changes a seat runs in the seat's turn, one after the other, and looks after each wait whether the seat is
 * still there. To take a seat away waits for nobody: it is out of the conference at once, its media is closed, and
 * only what is written of it in the room waits for its turn. A seat can be taken away from the moment on in which the
 * right to it is checked, so no event that ends the right falls between the check and the seat.
 */
import type { Logger } from 'pino';
import type { EndFor } from '../../../protocol/modules/moderation.ts';
import type { MediaOpened } from '../../../protocol/session.ts';
import type { Cancel, Clock } from '../../base/clock.ts';
import { MatrixError } from '../../base/errors.ts';
import { unexpected } from '../../base/log.ts';
import type { Conference, LeaveReason } from './conference.ts';
import { LocalParticipant } from './local-participant.ts';
import { participantIdOf } from './membership.ts';
import type { Notifier } from './notification.ts';
import type { Giver } from './order-details.ts';
import type { Place, Places } from './places.ts';
import type { RoomPort } from './ports.ts';
import type { Held } from './registry.ts';
import type { Person } from './room-facts.ts';
import type { Seat, SeatMedia, StillSeated } from './seat-media.ts';
import { SeatRecords } from './seat-records.ts';
import { SeatError, SeatTurns } from './seat-turns.ts';

/** How long clients have to come back after a restart of the homeserver, in ms. */
const RESTART_GRACE_MS = 20_000;

/** Who asks for a seat. */
export interface Joiner {
  readonly userId: string;
  readonly deviceId: string;
  readonly guest: boolean;
  readonly holder: Notifier;
}

/** Media that a client still has when it comes back. */
export interface KeptMedia {
  readonly send: string;
  readonly receive: string;
  readonly consumers: readonly string[];
}

/** Why a seat is taken away. */
export interface Ending {
  readonly reason: keyof typeof LEFT_BY;
  /** Who has done it. */
  readonly by?: Giver;
  /** For whom the meeting was ended. */
  readonly for?: EndFor;
}

/** How the others are told of each. */
const LEFT_BY = {
  removed: 'removed',
  banned: 'removed',
  waiting: 'removed',
  ended: 'ended',
  'time-limit': 'ended',
  'signed-out': 'left',
  alone: 'left',
} as const satisfies Readonly<Record<string, LeaveReason>>;

export interface SeatsDeps {
  readonly serverName: string;
  readonly rooms: RoomPort;
  readonly places: Pick<Places, 'put' | 'remove'>;
  readonly media: SeatMedia;
  readonly clock: Clock;
  readonly log: Logger;
  /** The live conference of a room, if there is one. */
  current(roomId: string): Conference | undefined;
  /** Keeps the conference of a room open; opened where there is none. */
  hold(roomId: string): Promise<Held>;
  /**
   * @param isNew whether it is for a place that the person does not have yet
   * @throws MatrixError 403 when this person may not be in the conference now, SeatError when they have to wait
   */
  check(roomId: string, joiner: Pick<Joiner, 'userId' | 'guest'>, isNew: boolean): Promise<void>;
  person(roomId: string, userId: string, guest: boolean): Promise<Person>;
}

/** What somebody gets who takes a seat. */
export interface Joined extends Seat {
  readonly isNew: boolean;
  /** Undefined when the client keeps what it has. */
  readonly media: MediaOpened | undefined;
}

export class Seats {
  readonly #deps: SeatsDeps;
  readonly #turns = new SeatTurns();
  readonly #records: SeatRecords;
  readonly #byHolder = new Map<Notifier, Seat>();
  /** Ends the waits for clients after a restart. */
  readonly #graces = new Set<Cancel>();
  readonly #unexpected: (error: unknown) => void;

  constructor(deps: SeatsDeps) {
    this.#deps = deps;
    this.#records = new SeatRecords({ ...deps, turns: this.#turns });
    this.#unexpected = unexpected(deps.log, 'conference: a seat was not ended as it should be');
  }

  /** What is written of seats. */
  get records(): Pick<SeatRecords, 'keep' | 'renew' | 'defend' | 'clear'> {
    return this.#records;
  }

  /** The seat that a session holds, once its participant is in the conference. */
  of(holder: Notifier): Seat | undefined {
    const seat = this.#byHolder.get(holder);
    return seat?.local.state.kind === 'entering' ? undefined : seat;
  }

  /**
   * Takes a seat, or takes it over from another session of the device.
   * @param keep media that the client still has, when it comes back
   * @throws MatrixError 403 for who may not be here, SeatError when the seat was taken away meanwhile, SfuError
   */
  async join(roomId: string, joiner: Joiner, keep?: KeptMedia): Promise<Joined> {
    const { userId, deviceId } = joiner;
    return this.#turns.request({ roomId, userId, deviceId }, async () => {
      const seat = await this.#take(roomId, joiner);
      const isNew = seat.local.state.kind === 'entering';
      try {
        return { ...seat, isNew, media: await this.#enter(seat, joiner, keep) };
      } catch (error) {
        const refused = error instanceof MatrixError && error.status === 403;
        if (isNew || refused) this.leave(seat, refused ? 'removed' : 'left').catch(this.#unexpected);
        throw error;
      }
    });
  }

  /** From here on whoever ends the right to be here finds the seat. */
  async #take(roomId: string, joiner: Joiner): Promise<Seat> {
    const { userId, deviceId, holder } = joiner;
    const participantId = participantIdOf(userId, deviceId);
    const held = await this.#deps.hold(roomId);
    const { conference } = held;
    if (holder.ended) {
      held.release();
      throw new SeatError('not-in-conference', 'The session has ended.');
    }
    const there = conference.seat(participantId);
    const other = this.#byHolder.get(holder);
    if (other && other.local !== there) this.leave(other, 'left').catch(this.#unexpected);
    if (there) {
      // It holds the conference itself.
      held.release();
      this.#takeOver(there, holder);
    }
    const local =
      there ??
      new LocalParticipant({
        ...joiner,
        participantId,
        displayName: '',
        joinedAt: this.#deps.clock.now(),
        state: { kind: 'entering', hold: held, notifier: holder, membership: 'unwritten' },
      });
    if (!there) conference.seatTaken(local);
    const seat = { conference, local };
    this.#byHolder.set(holder, seat);
    return seat;
  }

  #takeOver(local: LocalParticipant, holder: Notifier): void {
    const before = local.notifier;
    if (before && before !== holder) {
      this.#byHolder.delete(before);
      before.notify('conference.ended', { reason: 'joined-elsewhere' });
    }
    local.takeOver(holder);
  }

  async #enter(seat: Seat, joiner: Joiner, keep?: KeptMedia): Promise<MediaOpened | undefined> {
    const { check, person, media } = this.#deps;
    const { conference, local } = seat;
    const still = (): void => checkSeated(seat);
    const isNew = local.state.kind === 'entering';
    await check(conference.roomId, joiner, isNew);
    still();
    const who = await person(conference.roomId, joiner.userId, joiner.guest);
    still();
    local.displayName = who.displayName;
    const kept = keep !== undefined && local.media.send === keep.send && local.media.receive === keep.receive;
    if (kept) media.keepConsumers(seat, keep.consumers);
    // Both are waited for, also when one fails: nothing of this goes on beside what comes after it.
    const [opened, written] = await Promise.allSettled([
      kept ? undefined : media.open(seat, still),
      local.isWritten ? undefined : this.#records.write(seat),
    ]);
    still();
    if (opened.status === 'rejected') throw opened.reason;
    if (written.status === 'rejected') throw written.reason;
    // The right may have ended meanwhile, and the event that says so not have come here yet.
    await check(conference.roomId, joiner, isNew);
    still();
    local.arrive(joiner.holder.attached);
    conference.addLocal(local, who);
    return opened.value;
  }

  /**
   * A seat that was held when the homeserver ended: kept for a while, until its client comes back.
   * @param found is called before anybody sees the seat
   * @returns undefined when its client was faster and has another one
   */
  async restore(place: Place, guest: boolean, found: (seat: Seat) => void): Promise<Seat | undefined> {
    return this.#turns.run(place, async () => {
      const { conference, release } = await this.#deps.hold(place.roomId);
      const participantId = participantIdOf(place.userId, place.deviceId);
      try {
        // A client that was faster has a seat of its own.
        if (conference.seat(participantId)) {
          release();
          return undefined;
        }
        const person = await this.#deps.person(place.roomId, place.userId, guest);
        const endGrace: Cancel = this.#deps.clock.after(RESTART_GRACE_MS, () => {
          this.leave(seat, 'lost').catch(this.#unexpected);
        });
        const local = new LocalParticipant({
          ...place,
          participantId,
          displayName: person.displayName,
          guest,
          state: { kind: 'reconnecting', hold: { release }, notifier: undefined, endGrace },
        });
        const seat = { conference, local };
        this.#graces.add(endGrace);
        conference.seatTaken(local);
        found(seat);
        conference.addLocal(local, person);
        return seat;
      } catch (error) {
        release();
        throw error;
      }
    });
  }

  /** The session of a participant dropped, or is there again. */
  attached(holder: Notifier, isAttached: boolean): void {
    const seat = this.of(holder);
    const presence = isAttached ? 'here' : 'reconnecting';
    if (!seat || seat.local.presence === presence) return;
    seat.local.arrive(isAttached);
    seat.conference.localChanged(seat.local);
  }

  /**
   * Runs a change of the seat that a session holds, in the seat's turn.
   * @throws SeatError when it holds none (any more)
   */
  async change<T>(holder: Notifier, task: (seat: Seat, still: StillSeated) => Promise<T>): Promise<T> {
    const seat = this.of(holder);
    if (!seat) throw new SeatError('not-in-conference', 'Join the conference first.');
    const { userId, deviceId } = seat.local;
    return this.#turns.request({ roomId: seat.conference.roomId, userId, deviceId }, async () => {
      const still = (): void => {
        if (this.of(holder) !== seat) throw new SeatError('not-in-conference', 'You are not in the conference.');
      };
      still();
      const result = await task(seat, still);
      still();
      return result;
    });
  }

  /** Does something to a seat in its turn, whoever holds it and however much its client has asked for. */
  async act(seat: Seat, task: (still: StillSeated) => Promise<void>): Promise<void> {
    const { userId, deviceId } = seat.local;
    await this.#turns.run({ roomId: seat.conference.roomId, userId, deviceId }, async () => {
      if (seat.local.isSeated) await task(() => checkSeated(seat));
    });
  }

  // ---- giving up ----

  /** Gives a seat up: its media ends at once. The promise resolves when it is written as well. Never rejects. */
  async leave(seat: Seat, reason: LeaveReason): Promise<void> {
    const { conference, local } = seat;
    const { notifier } = local;
    const hold = local.leave();
    if (!hold) return;
    if (notifier && this.#byHolder.get(notifier)?.local === local) this.#byHolder.delete(notifier);
    const closed = this.#deps.media.close(seat);
    conference.removeLocal(local, reason);
    hold.release();
    await Promise.all([closed, this.#records.end(seat)]);
  }

  /** The seat of a session, if it has one, also on the way in. Never rejects. */
  async leaveAs(holder: Notifier, reason: LeaveReason): Promise<void> {
    const seat = this.#byHolder.get(holder);
    if (seat) await this.leave(seat, reason);
  }

  /** Takes a seat away and says why. Never rejects. */
  async remove(seat: Seat, { reason, by, for: whom }: Ending): Promise<void> {
    seat.local.notifier?.notify('conference.ended', {
      reason,
      ...(by ? { by: by.displayName, organisation: by.organisation } : {}),
      ...(whom === undefined ? {} : { for: whom }),
    });
    await this.leave(seat, LEFT_BY[reason]);
  }

  /** Media and memberships stay: a restart takes them over. */
  close(): void {
    this.#records.close();
    for (const endGrace of this.#graces) endGrace();
  }
}

function checkSeated({ local }: Seat): void {
  if (!local.isSeated) throw new SeatError('not-in-conference', 'You were taken out of the conference.');
}
