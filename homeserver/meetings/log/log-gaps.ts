/**
 * What the log of a meeting cannot know: orders are told to those who are in the conference, so of a time in which this
 * homeserver was down, nobody of ours was there, or another organisation did not answer, the log says just that.
 */
import { DataTypes, Op } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import type { Logger } from 'pino';
import type { Cancel, Clock } from '../../base/clock.ts';
import { unexpected } from '../../base/log.ts';
import { Serial } from '../../base/serial.ts';
import type { Database } from '../../database/database.ts';
import { defineModel } from '../../database/models.ts';
import type { Row } from '../../database/models.ts';
import type { ConferenceWatch, WatchedConference } from '../conference/ports.ts';
import { LOST_AFTER_MS } from '../conference/reachability.ts';
import type { MeetingLog } from './meeting-log.ts';

/** How often is written that a conference is watched, in ms: so exactly is known since when it was not. */
const SEEN_EVERY_MS = 60_000;
/** A shorter gap is none: a conference that is opened again at once, in ms. */
const MIN_GAP_MS = 2_000;
/** So long after a start conferences of before are gone on with, in ms. */
const RESUMED_MS = 60_000;
const KEPT_MS = 90 * 24 * 60 * 60 * 1000;

interface WatchRow extends Row<WatchRow> {
  roomId: string;
  /** Unix ms. */
  seenAt: number;
  isOpen: boolean;
  /** Whether people of other organisations were there then. */
  others: boolean;
}

const watchModel = defineModel<WatchRow>('meeting_log_watch', {
  roomId: { type: DataTypes.TEXT, primaryKey: true },
  seenAt: DataTypes.BIGINT,
  isOpen: DataTypes.BOOLEAN,
  others: DataTypes.BOOLEAN,
});

export interface LogGapsDeps {
  readonly db: Database;
  readonly log: Pick<MeetingLog, 'note' | 'firstEntry'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class LogGaps implements ConferenceWatch {
  readonly #deps: LogGapsDeps;
  readonly #rows: ModelStatic<WatchRow>;
  readonly #turns = new Serial();
  readonly #underWay = new Set<Promise<void>>();
  /** The conferences that are open here, by room. */
  readonly #open = new Map<string, WatchedConference>();
  /** Since when organisations do not answer, Unix ms. */
  readonly #lost = new Map<string, number>();
  readonly #unexpected: (error: unknown) => void;
  readonly #started: Promise<void>;
  /** Since when conferences of before the start were not watched, Unix ms, until that is noted. */
  readonly #down = new Map<string, number>();
  #next: Cancel = () => undefined;
  #stopResuming: Cancel = () => undefined;

  constructor(deps: LogGapsDeps) {
    this.#deps = deps;
    this.#rows = watchModel(deps.db);
    this.#unexpected = unexpected(deps.logger, 'gaps in the log of a meeting were not found');
    this.#started = this.#resume().catch(this.#unexpected);
    this.#seeLater();
  }

  /** The first of our people enters the conference of a room, whose people are known by now. */
  opened(conference: WatchedConference): void {
    const { roomId } = conference;
    this.#open.set(roomId, conference);
    const now = this.#deps.clock.now();
    const earliest = Math.min(now, ...conference.participants().map(({ joinedAt }) => joinedAt));
    this.#inTurn(roomId, async () => {
      await this.#started;
      const downSince = this.#down.get(roomId);
      if (downSince === undefined) await this.#noteAbsence(roomId, earliest, now);
      else this.#noteDown(roomId, downSince, now);
      await this.#put(conference, true);
    });
  }

  /** The last of our people has left it. */
  closed(conference: WatchedConference): void {
    this.#open.delete(conference.roomId);
    this.#inTurn(conference.roomId, () => this.#put(conference, false));
  }

  /** An organisation does not answer any more, since some time ago, or answers again. */
  lost(server: string, isLost: boolean, roomIds: ReadonlySet<string>): void {
    const { clock, log } = this.#deps;
    const now = clock.now();
    const since = isLost ? now - LOST_AFTER_MS : this.#lost.get(server);
    if (isLost) this.#lost.set(server, now - LOST_AFTER_MS);
    else this.#lost.delete(server);
    for (const roomId of roomIds) {
      const gap = { roomId, at: since, kind: 'gap', organisation: server } as const;
      log.note(isLost ? gap : { ...gap, until: now });
    }
  }

  /** Waits until what it was told is written. */
  async settled(): Promise<void> {
    await this.#started;
    await Promise.all(this.#underWay);
  }

  async close(): Promise<void> {
    this.#next();
    this.#stopResuming();
    await this.settled();
    await this.#see().catch(this.#unexpected);
  }

  /** Conferences that were open when the homeserver ended. Those that are gone on with are noted then. */
  async #resume(): Promise<void> {
    const now = this.#deps.clock.now();
    for (const row of await this.#rows.findAll({ where: { isOpen: true } })) {
      this.#down.set(row.roomId, row.seenAt);
      await row.update({ isOpen: false });
    }
    await this.#rows.destroy({ where: { seenAt: { [Op.lt]: now - KEPT_MS } } });
    this.#stopResuming = this.#deps.clock.after(RESUMED_MS, () => {
      for (const [roomId, since] of this.#down) this.#inTurn(roomId, async () => this.#noteDown(roomId, since, now));
    });
  }

  #noteDown(roomId: string, since: number, until: number): void {
    if (this.#down.delete(roomId)) this.#note(roomId, since, until, 'down');
  }

  /** Nobody of ours was there, and somebody else was. */
  async #noteAbsence(roomId: string, earliest: number, now: number): Promise<void> {
    const row = await this.#rows.findOne({ where: { roomId } });
    const first = Math.min(earliest, await this.#deps.log.firstEntry(roomId, row?.seenAt ?? 0));
    this.#note(roomId, row?.others ? row.seenAt : Math.max(row?.seenAt ?? 0, first), now, 'absent');
  }

  #note(roomId: string, since: number, until: number, detail: 'down' | 'absent'): void {
    if (until - since >= MIN_GAP_MS) this.#deps.log.note({ roomId, at: since, kind: 'gap', until, detail });
  }

  async #put(conference: WatchedConference, isOpen: boolean): Promise<void> {
    const { roomId } = conference;
    const row = { roomId, seenAt: this.#deps.clock.now(), isOpen, others: conference.servers().size > 0 };
    await this.#rows.upsert(row, { returning: false });
  }

  async #see(): Promise<void> {
    await Promise.all(
      [...this.#open.values()].map((conference) =>
        this.#turns.run(conference.roomId, () => this.#put(conference, true)),
      ),
    );
  }

  #seeLater(): void {
    this.#next = this.#deps.clock.after(SEEN_EVERY_MS, () => {
      this.#see().catch(this.#unexpected);
      this.#seeLater();
    });
  }

  #inTurn(roomId: string, task: () => Promise<void>): void {
    const done: Promise<void> = this.#turns
      .run(roomId, task)
      .catch(this.#unexpected)
      .finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
  }
}
