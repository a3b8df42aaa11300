/**
 * The time limit of a meeting, `ends_at` of `org.hansetag.setting.limit`: announced some minutes before, and then each
 * instance ends the seats of its own people. It is a time of the clock of whoever set it, and read as such.
 */
import type { Logger } from 'pino';
import { z } from 'zod';
import { serverOf } from '../../../federation/event.ts';
import { shownTimeSchema } from '../../../protocol/values.ts';
import type { Cancel, Clock } from '../../base/clock.ts';
import { MatrixError } from '../../base/errors.ts';
import { unexpected } from '../../base/log.ts';
import { SETTING, TIME_LIMIT } from '../../base/names.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Rights } from '../rights.ts';
import type { Conference } from './conference.ts';
import type { Clocks } from './room-memberships.ts';
import type { Seats } from './seats.ts';

/** Type of the state event. */
export const LIMIT_SETTING = `${SETTING}limit`;
const MINUTE_MS = 60_000;
/** How long before the end it is announced, in minutes. */
const ANNOUNCED = [10, 5, 1];
/** Longer waits are made of several: clocks are set, and timers have a limit, in ms. */
const LONGEST_WAIT_MS = 10 * MINUTE_MS;

const limitSchema = z.object({ ends_at: shownTimeSchema }).catch({ ends_at: undefined });

export interface TimeLimitsDeps {
  readonly serverName: string;
  readonly rooms: Pick<Rooms, 'stateEvent'>;
  readonly rights: Pick<Rights, 'roleOf'>;
  readonly seats: () => Pick<Seats, 'remove'>;
  readonly clocks: Clocks;
  readonly clock: Clock;
  readonly log: Logger;
}

export class TimeLimits {
  readonly #deps: TimeLimitsDeps;
  /** What is to happen next in each conference. */
  readonly #next = new Map<Conference, Cancel>();

  constructor(deps: TimeLimitsDeps) {
    this.#deps = deps;
  }

  /** When a meeting ends, Unix ms of our clock; undefined without a limit. */
  async endOf(roomId: string): Promise<number | undefined> {
    const { rooms, clocks, serverName } = this.#deps;
    const event = await rooms.stateEvent(roomId, LIMIT_SETTING, '');
    const { ends_at: endsAt } = limitSchema.parse(event?.pdu.content ?? {});
    if (!event || endsAt === undefined) return undefined;
    const server = serverOf(event.pdu.sender);
    return server === serverName ? endsAt : endsAt - clocks.clockAhead(server);
  }

  /** @throws MatrixError 403 when the time is over, but for those who can extend it */
  async check(roomId: string, userId: string): Promise<void> {
    const end = await this.endOf(roomId);
    if (end === undefined || end > this.#deps.clock.now()) return;
    const role = await this.#deps.rights.roleOf(roomId, userId);
    if (role === 'owner' || role === 'moderator') return;
    throw new MatrixError(403, TIME_LIMIT, 'The time of this meeting is over. Whoever leads it can extend it.');
  }

  /** Reads the limit of a conference again, and does what is due. Whoever enters after the end stays. */
  async refresh(conference: Conference): Promise<void> {
    const { clock, seats } = this.#deps;
    const end = await this.endOf(conference.roomId);
    this.closed(conference);
    if (end === undefined) return;
    const left = end - clock.now();
    if (left <= 0) {
      const ended = conference.seats().filter(({ joinedAt }) => joinedAt < end);
      await Promise.all(ended.map((local) => seats().remove({ conference, local }, { reason: 'time-limit' })));
      return;
    }
    const minutes = ANNOUNCED.find((each) => each * MINUTE_MS < left);
    const wait = left - (minutes ?? 0) * MINUTE_MS;
    if (wait > LONGEST_WAIT_MS) this.#in(conference, LONGEST_WAIT_MS, undefined);
    else this.#in(conference, wait, minutes);
  }

  /** Idempotent. */
  closed(conference: Conference): void {
    this.#next.get(conference)?.();
    this.#next.delete(conference);
  }

  close(): void {
    for (const cancel of this.#next.values()) cancel();
    this.#next.clear();
  }

  #in(conference: Conference, ms: number, minutes: number | undefined): void {
    const { clock, log } = this.#deps;
    const cancel = clock.after(ms, () => {
      if (minutes !== undefined) conference.notifyAll('moderation.time-limit', { minutes });
      this.refresh(conference).catch(unexpected(log, 'the time limit of a meeting was not read'));
    });
    this.#next.set(conference, cancel);
  }
}
