/**
 * The seats of our own participants: who takes one, who holds it, and how it is given up.
 *
 * Whatever changes a seat runs in the seat's turn, one after the other, and looks after each wait whether the seat is
 * still there. To take a seat away waits for nobody: it is out of the conference at once, its media is closed, and
 * only what is written of it in the room waits for its turn. A seat can be taken away from the moment on in which the
 * right to it is checked, so no event that ends the right falls between the check and the seat.
 */
import type { Logger } from 'pino';
import type { MediaOpened } from '../../../protocol/session.ts';
import { MatrixError } from '../../base/errors.ts';
import { CALL_MEMBER } from '../../base/names.ts';
import { Serial } from '../../base/serial.ts';
import type { Conference, LeaveReason } from './conference.ts';
import { LocalParticipant, type Notifier } from './local-participant.ts';
import {
  isOwnMembership,
  joinedContent,
  membershipKey,
  ownerOfKey,
  participantIdOf,
  readMembership,
} from './membership.ts';
import type { Place, Places } from './places.ts';
import type { RoomPort } from './ports.ts';
import type { Person } from './room-facts.ts';
import type { Seat, SeatMedia, StillSeated } from './seat-media.ts';
import { unexpected } from '../../base/log.ts';

/** Changes of one seat that may wait for their turn; a client that asks for more is refused. */
const MAX_WAITING = 40;
/** What could not be written of a seat that was given up is tried again after this time, in ms. */
const RETRY_MS = 2_000;
/** A membership that others overwrite is not written again more often than this, in ms. */
const REWRITE_MS = 1_000;

/** A request needs a seat that the asker does not have (any more), or asks too much of it. */
export class SeatError extends Error {
  readonly code: 'not-in-conference' | 'too-many-requests';
  constructor(code: SeatError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

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

export interface SeatsDeps {
  readonly serverName: string;
  readonly rooms: RoomPort;
  readonly places: Places;
  readonly media: SeatMedia;
  readonly log: Logger;
  /** The live conference of a room, if there is one. */
  current(roomId: string): Conference | undefined;
  /** The same; opened where there is none. */
  open(roomId: string): Promise<Conference>;
  /** @throws MatrixError 403 when this person may not be in the conference now */
  check(roomId: string, joiner: Pick<Joiner, 'userId' | 'guest'>): Promise<void>;
  person(roomId: string, userId: string, guest: boolean): Promise<Person>;
  /** A seat was given up. */
  vacated(conference: Conference): void;
}

/** Whose place it is. */
type PlaceKey = Pick<Place, 'roomId' | 'userId' | 'deviceId'>;

export class Seats {
  readonly #deps: SeatsDeps;
  readonly #turns = new Serial();
  readonly #waiting = new Map<string, number>();
  readonly #byHolder = new Map<Notifier, Seat>();
  /** Places that were given up, and whose end could not be written yet. */
  readonly #owed = new Map<string, PlaceKey>();
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #unexpected: (error: unknown) => void;

  constructor(deps: SeatsDeps) {
    this.#deps = deps;
    this.#unexpected = unexpected(deps.log, 'conference: a seat was not ended as it should be');
  }

  /** The seat that a session holds, once its participant is in the conference. */
  of(holder: Notifier): Seat | undefined {
    const seat = this.#byHolder.get(holder);
    return seat && seat.conference.locals.get(seat.local.participantId) === seat.local ? seat : undefined;
  }

  /**
   * Takes a seat, or takes it over from another session of the device.
   * @param keep media that the client still has, when it comes back
   * @returns the seat, whether it is a new one, and the media unless it was kept
   * @throws MatrixError 403 for who may not be here, SeatError when the seat was taken away meanwhile, SfuError
   */
  async join(
    roomId: string,
    joiner: Joiner,
    keep?: KeptMedia,
  ): Promise<Seat & { isNew: boolean; media: MediaOpened | undefined }> {
    const participantId = participantIdOf(joiner.userId, joiner.deviceId);
    return this.#inTurn(turnOf(roomId, participantId), async () => {
      const seat = await this.#take(roomId, participantId, joiner);
      const isNew = seat.conference.entering.has(participantId);
      try {
        return { ...seat, isNew, media: await this.#enter(seat, joiner, isNew, keep) };
      } catch (error) {
        const refused = error instanceof MatrixError && error.status === 403;
        if (isNew || refused) this.#giveUp(seat, refused ? 'removed' : 'left').catch(this.#unexpected);
        throw error;
      }
    });
  }

  /** From here on whoever ends the right to be here finds the seat. */
  async #take(roomId: string, participantId: string, joiner: Joiner): Promise<Seat> {
    const { holder } = joiner;
    let conference: Conference;
    // The conference may have ended while it was looked for.
    do conference = await this.#deps.open(roomId);
    while (this.#deps.current(roomId) !== conference);
    if (holder.ended) throw new SeatError('not-in-conference', 'The session has ended.');
    const there = conference.seat(participantId);
    const local = there ?? new LocalParticipant({ ...joiner, participantId, displayName: '', joinedAt: Date.now() });
    if (there?.notifier && there.notifier !== holder) {
      this.#byHolder.delete(there.notifier);
      there.notifier.notify('conference.ended', { reason: 'joined-elsewhere' });
    }
    const other = this.#byHolder.get(holder);
    if (other && other.local !== local) this.#giveUp(other, 'left').catch(this.#unexpected);
    clearTimeout(local.graceTimer);
    local.notifier = holder;
    if (!there) conference.entering.set(participantId, local);
    const seat = { conference, local };
    this.#byHolder.set(holder, seat);
    return seat;
  }

  async #enter(seat: Seat, joiner: Joiner, isNew: boolean, keep?: KeptMedia): Promise<MediaOpened | undefined> {
    const { check, person, media } = this.#deps;
    const { conference, local } = seat;
    const still = (): void => checkSeated(seat);
    await check(conference.roomId, joiner);
    still();
    const who = await person(conference.roomId, joiner.userId, joiner.guest);
    still();
    local.displayName = who.displayName;
    const kept = keep !== undefined && local.sendTransportId === keep.send && local.receiveTransportId === keep.receive;
    if (kept) media.keepConsumers(seat, keep.consumers);
    // Both are waited for, also when one fails: nothing of this goes on beside what comes after it.
    const [opened, written] = await Promise.allSettled([
      kept ? undefined : media.open(seat, still),
      isNew ? this.#write(seat) : undefined,
    ]);
    still();
    if (opened.status === 'rejected') throw opened.reason;
    if (written.status === 'rejected') throw written.reason;
    local.presence = joiner.holder.attached ? 'here' : 'reconnecting';
    conference.addLocal(local, who);
    return opened.value;
  }

  /** A seat that was held when the homeserver ended: taken over until its client comes back. */
  restore(seat: Seat, person: Person): void {
    seat.local.written = true;
    seat.conference.addLocal(seat.local, person);
  }

  /**
   * Runs a change of the seat that a session holds, in the seat's turn.
   * @throws SeatError when it holds none (any more)
   */
  async change<T>(holder: Notifier, task: (seat: Seat, still: StillSeated) => Promise<T>): Promise<T> {
    const seat = this.of(holder);
    if (!seat) throw new SeatError('not-in-conference', 'Join the conference first.');
    return this.#inTurn(turnOf(seat.conference.roomId, seat.local.participantId), async () => {
      const still = (): void => {
        if (this.of(holder) !== seat) throw new SeatError('not-in-conference', 'You are not in the conference.');
      };
      still();
      const result = await task(seat, still);
      still();
      return result;
    });
  }

  async #inTurn<T>(turn: string, task: () => Promise<T>): Promise<T> {
    const waiting = this.#waiting.get(turn) ?? 0;
    if (waiting >= MAX_WAITING) throw new SeatError('too-many-requests', 'Too much at once. Please wait a moment.');
    this.#waiting.set(turn, waiting + 1);
    try {
      return await this.#turns.run(turn, task);
    } finally {
      const left = (this.#waiting.get(turn) ?? 1) - 1;
      if (left > 0) this.#waiting.set(turn, left);
      else this.#waiting.delete(turn);
    }
  }

  // ---- giving up ----

  /** Gives a seat up: its media ends at once. The promise resolves when it is written as well. Never rejects. */
  async leave(seat: Seat, reason: LeaveReason): Promise<void> {
    await this.#giveUp(seat, reason);
  }

  /** The seat of a session, if it has one, also on the way in. Never rejects. */
  async leaveAs(holder: Notifier, reason: LeaveReason): Promise<void> {
    const seat = this.#byHolder.get(holder);
    if (seat) await this.#giveUp(seat, reason);
  }

  /** Takes a seat away and says why. Never rejects. */
  async remove(seat: Seat, ended: 'removed' | 'ended' | 'signed-out'): Promise<void> {
    seat.local.notifier?.notify('conference.ended', { reason: ended });
    await this.#giveUp(seat, ended === 'signed-out' ? 'left' : ended);
  }

  #giveUp(seat: Seat, reason: LeaveReason): Promise<void> {
    const { conference, local } = seat;
    const { notifier, participantId, userId, deviceId } = local;
    if (notifier && this.#byHolder.get(notifier)?.local === local) this.#byHolder.delete(notifier);
    if (conference.seat(participantId) !== local) return Promise.resolve();
    const { roomId } = conference;
    const closed = this.#deps.media.close(seat);
    conference.removeLocal(local, reason);
    this.#deps.vacated(conference);
    const written = this.#turns.run(turnOf(roomId, participantId), () =>
      local.written ? this.#writeEnd({ roomId, userId, deviceId }) : Promise.resolve(),
    );
    return Promise.all([closed, written]).then(() => undefined);
  }

  // ---- what stands in the room ----

  async #write({ conference, local }: Seat): Promise<void> {
    const { rooms, places, serverName } = this.#deps;
    const { roomId } = conference;
    const { userId, deviceId, joinedAt, guest } = local;
    local.written = true;
    await places.put(placeOf(roomId, local));
    await rooms.send(roomId, userId, {
      type: CALL_MEMBER,
      stateKey: membershipKey(userId, deviceId),
      content: joinedContent({ deviceId, serverName, joinedAt, guest, now: Date.now() }),
    });
  }

  /** Keeps what is new of a seat, for a restart of the homeserver. @throws when it could not be written */
  async keep(roomId: string, participantId: string): Promise<void> {
    const { current, places } = this.#deps;
    await this.#turns.run(turnOf(roomId, participantId), async () => {
      const local = current(roomId)?.locals.get(participantId);
      if (local) await places.put(placeOf(roomId, local));
    });
  }

  /** Writes the membership again, so that it does not expire. */
  async renew(seat: Seat): Promise<void> {
    await this.#turns.run(turnOf(seat.conference.roomId, seat.local.participantId), async () => {
      if (isSeated(seat)) await this.#write(seat);
    });
  }

  /**
   * The event under the key of a seat is new: what somebody else wrote there, or the user's own client, is written
   * over, for a place without its membership would be a listener that other organisations do not see.
   * @returns whether it was written
   */
  async defend(seat: Seat): Promise<boolean> {
    const { conference, local } = seat;
    const { roomId } = conference;
    const { userId, deviceId, participantId } = local;
    const stands = async (): Promise<boolean> => {
      const current = await this.#deps.rooms.stateEvent(roomId, CALL_MEMBER, membershipKey(userId, deviceId));
      return current !== undefined && readMembership(current.pdu, Date.now()) !== undefined;
    };
    if (local.defending) return false;
    local.defending = true;
    let rewritten = false;
    try {
      while (isSeated(seat) && !(await stands())) {
        const wait = local.rewrittenAt + REWRITE_MS - performance.now();
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
        local.rewrittenAt = performance.now();
        this.#deps.log.warn({ roomId, participantId }, 'conference: a membership was overwritten');
        await this.renew(seat);
        rewritten = true;
      }
    } finally {
      local.defending = false;
    }
    return rewritten;
  }

  /** Never rejects: what can not be written now is tried again. */
  async #writeEnd(place: PlaceKey): Promise<void> {
    const { rooms, places, log } = this.#deps;
    const { roomId, userId, deviceId } = place;
    try {
      await rooms
        .send(roomId, userId, { type: CALL_MEMBER, stateKey: membershipKey(userId, deviceId), content: {} })
        .catch((error: unknown) => {
          // Somebody removed from the room may not write there any more; the removal itself says that the place is free.
          if (!(error instanceof MatrixError) || error.status >= 500) throw error;
          log.info({ err: error, roomId }, 'conference: the leave was not written');
        });
      await places.remove(roomId, userId, deviceId);
    } catch (error) {
      log.warn({ err: error, roomId }, 'conference: the leave could not be written yet');
      this.#owed.set(`${roomId} ${participantIdOf(userId, deviceId)}`, place);
      this.#payLater();
    }
  }

  /**
   * Ends what stands in a room for devices of a user that have no seat: whoever is banned can not write that the place is
   * free, and would be shown in the conference again when let in later, without being there.
   */
  async clear(roomId: string, userId: string): Promise<void> {
    for (const { pdu } of await this.#deps.rooms.stateOfType(roomId, CALL_MEMBER)) {
      const owner = ownerOfKey(pdu.state_key ?? '');
      if (owner?.userId !== userId || pdu.sender !== userId || !isOwnMembership(pdu.content)) continue;
      const participantId = participantIdOf(userId, owner.deviceId);
      await this.#turns.run(turnOf(roomId, participantId), async () => {
        if (this.#deps.current(roomId)?.seat(participantId)) return;
        await this.#writeEnd({ roomId, userId, deviceId: owner.deviceId });
      });
    }
  }

  #payLater(): void {
    if (this.#closed || this.#retry) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#pay().catch(this.#unexpected);
    }, RETRY_MS);
  }

  /** Never rejects. */
  async #pay(): Promise<void> {
    const owed = [...this.#owed];
    this.#owed.clear();
    for (const [, place] of owed) {
      const participantId = participantIdOf(place.userId, place.deviceId);
      await this.#turns.run(turnOf(place.roomId, participantId), async () => {
        // Whoever has come back meanwhile is in the conference, and written there.
        if (this.#closed || this.#deps.current(place.roomId)?.seat(participantId)) return;
        await this.#writeEnd(place);
      });
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
  }
}

function turnOf(roomId: string, participantId: string): string {
  return `${roomId} ${participantId}`;
}

function placeOf(roomId: string, { userId, deviceId, joinedAt, signals }: LocalParticipant): Place {
  return { roomId, userId, deviceId, joinedAt, signals };
}

function isSeated({ conference, local }: Seat): boolean {
  return !local.gone && conference.seat(local.participantId) === local;
}

function checkSeated(seat: Seat): void {
  if (!isSeated(seat)) throw new SeatError('not-in-conference', 'You were taken out of the conference.');
}
