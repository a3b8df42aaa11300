/**
 * What is written of seats: the membership in the room, which others see, and the place in the database, which outlives a
 * restart. Each write runs in the seat's turn. An end that can not be written now is tried again until it is, or until
 * whoever has come back is written there.
 */
import type { Logger } from 'pino';
import { type Cancel, type Clock, pause } from '../../base/clock.ts';
import { MatrixError } from '../../base/errors.ts';
import { unexpected } from '../../base/log.ts';
import { CALL_MEMBER } from '../../base/names.ts';
import { Rounds } from '../../base/rounds.ts';
import type { Conference } from './conference.ts';
import type { LocalParticipant } from './local-participant.ts';
import {
  isOwnMembership,
  joinedContent,
  membershipKey,
  ownerOfKey,
  participantIdOf,
  readMembership,
  splitParticipantId,
} from './membership.ts';
import type { Places } from './places.ts';
import type { RoomPort } from './ports.ts';
import type { Seat } from './seat-media.ts';
import type { PlaceKey, SeatTurns } from './seat-turns.ts';

/** What could not be written of a seat that was given up is tried again after this time, in ms. */
const RETRY_MS = 2_000;
/** A membership that others overwrite is not written again more often than this, in ms. */
const REWRITE_MS = 1_000;

export interface SeatRecordsDeps {
  readonly serverName: string;
  readonly rooms: RoomPort;
  readonly places: Pick<Places, 'put' | 'remove'>;
  readonly turns: SeatTurns;
  readonly clock: Clock;
  readonly log: Logger;
  /** The live conference of a room, if there is one. */
  current(roomId: string): Conference | undefined;
}

/** How the membership of a seat is defended against who writes over it. */
interface Defence {
  readonly rounds: Rounds;
  /** When it was last written again, of a clock that never goes back. */
  rewrittenAt: number;
}

export class SeatRecords {
  readonly #deps: SeatRecordsDeps;
  readonly #defences = new WeakMap<LocalParticipant, Defence>();
  /** Places that were given up, and whose end could not be written yet. */
  readonly #owed = new Map<string, PlaceKey>();
  #retry: Cancel | undefined;
  #closed = false;

  constructor(deps: SeatRecordsDeps) {
    this.#deps = deps;
  }

  /** Writes that somebody is in the conference. In the seat's turn only. */
  async write({ conference, local }: Seat): Promise<void> {
    const { rooms, places, serverName, clock } = this.#deps;
    const { roomId } = conference;
    const { userId, deviceId, joinedAt, guest } = local;
    local.writing();
    await places.put(placeOf(conference, local));
    await rooms.send(roomId, userId, {
      type: CALL_MEMBER,
      stateKey: membershipKey(userId, deviceId),
      content: joinedContent({ deviceId, serverName, joinedAt, guest, now: clock.now() }),
    });
  }

  /** Keeps what is new of a seat, for a restart of the homeserver. @throws when it could not be written */
  async keep(roomId: string, participantId: string): Promise<void> {
    const { turns, current, places } = this.#deps;
    await turns.run({ roomId, ...splitParticipantId(participantId) }, async () => {
      const conference = current(roomId);
      const local = conference?.locals.get(participantId);
      if (conference && local) await places.put(placeOf(conference, local));
    });
  }

  /** Writes the membership again, so that it does not expire. */
  async renew(seat: Seat): Promise<void> {
    await this.#deps.turns.run(placeOf(seat.conference, seat.local), async () => {
      if (seat.local.isSeated) await this.write(seat);
    });
  }

  /**
   * The event under the key of a seat is new: what somebody else wrote there, or the user's own client, is written over, for
   * a place without its membership would be a listener that other organisations do not see.
   * @param rewritten is called when it was written again
   */
  async defend(seat: Seat, rewritten: () => void): Promise<void> {
    const { local } = seat;
    const { roomId } = seat.conference;
    const defence = this.#defences.get(local) ?? { rounds: new Rounds(), rewrittenAt: -Infinity };
    this.#defences.set(local, defence);
    const { clock, log } = this.#deps;
    await defence.rounds.run(async () => {
      while (local.isWritten) {
        const wait = defence.rewrittenAt + REWRITE_MS - clock.monotonic();
        try {
          if (await this.#stands(seat)) return;
          if (wait > 0) await pause(clock, wait);
          defence.rewrittenAt = clock.monotonic();
          log.warn({ roomId, participantId: local.participantId }, 'conference: a membership was overwritten');
          await this.renew(seat);
          if (local.isSeated) rewritten();
        } catch (error) {
          // Who may not write there any more waits for the room to change. Anything else may be over in a moment.
          if (error instanceof MatrixError && error.status < 500) throw error;
          log.warn({ err: error, roomId }, 'conference: a membership could not be written again yet');
          await pause(clock, REWRITE_MS);
        }
      }
    });
  }

  async #stands({ conference, local }: Seat): Promise<boolean> {
    const { rooms, clock } = this.#deps;
    const key = membershipKey(local.userId, local.deviceId);
    const current = await rooms.stateEvent(conference.roomId, CALL_MEMBER, key);
    return current !== undefined && readMembership(current.pdu, clock.now()) !== undefined;
  }

  /** Writes the end of a seat that was given up, when its turn comes. Never rejects. */
  async end({ conference, local }: Seat): Promise<void> {
    await this.#deps.turns.run(placeOf(conference, local), async () => {
      if (local.state.kind === 'leaving') await this.#writeEnd(placeOf(conference, local));
      local.end();
    });
  }

  /**
   * Ends what stands in a room for devices of a user that have no seat: whoever is banned can not write that the place is
   * free, and would be shown in the conference again when let in later, without being there.
   */
  async clear(roomId: string, userId: string): Promise<void> {
    const isOfUser = (key: string): boolean => ownerOfKey(key)?.userId === userId;
    for (const { pdu } of await this.#deps.rooms.stateOfType(roomId, CALL_MEMBER, isOfUser)) {
      const owner = ownerOfKey(pdu.state_key ?? '');
      if (!owner || pdu.sender !== userId || !isOwnMembership(pdu.content)) continue;
      await this.#endUnlessSeated({ roomId, userId, deviceId: owner.deviceId });
    }
  }

  close(): void {
    this.#closed = true;
    this.#retry?.();
  }

  async #endUnlessSeated(place: PlaceKey): Promise<void> {
    await this.#deps.turns.run(place, async () => {
      // Whoever has come back meanwhile is in the conference, and written there.
      const participantId = participantIdOf(place.userId, place.deviceId);
      if (this.#closed || this.#deps.current(place.roomId)?.seat(participantId)) return;
      await this.#writeEnd(place);
    });
  }

  /** Never rejects: what can not be written now is tried again. */
  async #writeEnd({ roomId, userId, deviceId }: PlaceKey): Promise<void> {
    const { rooms, places, log } = this.#deps;
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
      this.#owed.set(`${roomId} ${participantIdOf(userId, deviceId)}`, { roomId, userId, deviceId });
      this.#payLater();
    }
  }

  #payLater(): void {
    if (this.#closed || this.#retry) return;
    this.#retry = this.#deps.clock.after(RETRY_MS, () => {
      this.#retry = undefined;
      this.#pay().catch(unexpected(this.#deps.log, 'conference: the end of a seat was not written'));
    });
  }

  /** Never rejects. */
  async #pay(): Promise<void> {
    const owed = [...this.#owed.values()];
    this.#owed.clear();
    for (const place of owed) await this.#endUnlessSeated(place);
  }
}

function placeOf({ roomId }: Conference, { userId, deviceId, joinedAt, signals }: LocalParticipant) {
  return { roomId, userId, deviceId, joinedAt, signals };
}
