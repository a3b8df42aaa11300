/**
 * The log of each meeting: who came, went, was admitted, muted or removed, and by whom. It is fed from the room's signed
 * events and from the orders that this instance has given and taken, and kept for some days.
 */
import { DataTypes, Op } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import type { Logger } from 'pino';
import * as z from 'zod';
import { serverOf } from '../../../federation/event.ts';
import {
  LOG_NAMED,
  LOG_PAGE,
  type LogEntry,
  type LogKind,
  type LogPage,
  type LogPerson,
  logKindSchema,
  logPersonSchema,
} from '../../../protocol/meeting-log.ts';
import { listOf } from '../../../protocol/values.ts';
import type { Clock } from '../../base/clock.ts';
import { unexpected } from '../../base/log.ts';
import { Serial } from '../../base/serial.ts';
import type { Database } from '../../database/database.ts';
import { defineModel } from '../../database/models.ts';
import type { Row } from '../../database/models.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { isGuest, localpartOf, nameIn } from '../people.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** How often what is too old is removed, in ms. */
const PURGE_MS = 60 * 60 * 1000;
const MAX_DETAIL = 512;

/** Something that happened in a meeting. */
export interface Noted {
  readonly roomId: string;
  /** Unix ms; absent, now. */
  readonly at?: number | undefined;
  readonly kind: LogKind;
  /** User id of who did it; absent when somebody did it themselves, or nobody did. */
  readonly by?: string | undefined;
  /** User ids of whom it concerned. */
  readonly whom?: string | readonly string[] | undefined;
  /** A text beside it: the new role, the rule, the new name. */
  readonly detail?: string | undefined;
  /** What is noted under the same key of a room again is the same thing. */
  readonly key?: string | undefined;
  /** Of a gap: the organisation of which nothing is known, and its end in Unix ms. */
  readonly organisation?: string | undefined;
  readonly until?: number | undefined;
  /** Names that the room does not know, such as of who waits outside of it, by user id. */
  readonly names?: ReadonlyMap<string, string> | undefined;
}

/** What those need in whose parts something happens. */
export interface MeetingLogPort {
  /** Notes something. Never throws and never waits. */
  note(noted: Noted): void;
}

interface LogRow extends Row<LogRow> {
  id: number | null;
  roomId: string;
  at: number;
  kind: string;
  key: string | null;
  by: object | null;
  whom: object;
  count: number;
  detail: string | null;
  organisation: string | null;
  until: number | null;
}

const logModel = defineModel<LogRow>('meeting_log', {
  id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
  roomId: DataTypes.TEXT,
  at: DataTypes.BIGINT,
  kind: DataTypes.TEXT,
  key: DataTypes.TEXT,
  by: DataTypes.JSONB,
  whom: DataTypes.JSONB,
  count: DataTypes.INTEGER,
  detail: DataTypes.TEXT,
  organisation: DataTypes.TEXT,
  until: DataTypes.BIGINT,
});
const peopleSchema = listOf(logPersonSchema);
/** `<at>.<id>` of the last entry of a page. */
const cursorSchema = z.string().regex(/^[0-9]{1,15}\.[0-9]{1,15}$/);

export interface MeetingLogDeps {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Pick<Rooms, 'stateEvent'>;
  /** How long entries are kept, in days; 0: nothing is noted. */
  readonly keptDays: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export class MeetingLog implements MeetingLogPort {
  readonly #deps: MeetingLogDeps;
  readonly #rows: ModelStatic<LogRow>;
  /** What is noted of a room first stands first. */
  readonly #turns = new Serial();
  readonly #underWay = new Set<Promise<void>>();
  #purgedAt = -Infinity;

  constructor(deps: MeetingLogDeps) {
    this.#deps = deps;
    this.#rows = logModel(deps.db);
  }

  note(noted: Noted): void {
    if (this.#deps.keptDays === 0) return;
    const at = noted.at ?? this.#deps.clock.now();
    const written: Promise<void> = this.#turns
      .run(noted.roomId, () => this.#write(noted, at))
      .catch(unexpected(this.#deps.log, 'the log of a meeting was not written'))
      .finally(() => this.#underWay.delete(written));
    this.#underWay.add(written);
  }

  /**
   * A page of the log, the newest first.
   *
   * @param before what a page gave as `next`; one that cannot be read counts as absent
   */
  async page(roomId: string, before?: string): Promise<LogPage> {
    const cursor = cursorSchema.safeParse(before);
    const [at, id] = cursor.success ? cursor.data.split('.').map(Number) : [];
    const rows = await this.#rows.findAll({
      where: {
        roomId,
        at: { [Op.gte]: this.#oldest() },
        ...(at === undefined || id === undefined
          ? {}
          : { [Op.or]: [{ at: { [Op.lt]: at } }, { at, id: { [Op.lt]: id } }] }),
      },
      order: [
        ['at', 'DESC'],
        ['id', 'DESC'],
      ],
      limit: LOG_PAGE + 1,
    });
    const entries = rows.slice(0, LOG_PAGE).flatMap((row) => entryOf(row) ?? []);
    const last = rows.length > LOG_PAGE ? rows[LOG_PAGE - 1] : undefined;
    return { entries, ...(last ? { next: `${String(last.at)}.${String(last.id)}` } : {}) };
  }

  /** When somebody entered the conference of a room first after a time, Unix ms; Infinity where nobody did. */
  async firstEntry(roomId: string, after: number): Promise<number> {
    const [first] = await this.#rows.findAll({
      where: { roomId, kind: 'entered', at: { [Op.gt]: after } },
      order: [['at', 'ASC']],
      limit: 1,
    });
    return first?.at ?? Infinity;
  }

  /** Waits until all is written that was noted. */
  async close(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  #oldest(): number {
    return this.#deps.clock.now() - this.#deps.keptDays * DAY_MS;
  }

  async #write(noted: Noted, at: number): Promise<void> {
    const { roomId, kind, by, whom = [], detail, key, organisation, until } = noted;
    const ids = typeof whom === 'string' ? [whom] : [...new Set(whom)];
    const person = (userId: string): Promise<LogPerson> => this.#person(noted, userId);
    const row = {
      id: null,
      roomId,
      at,
      kind,
      key: key ?? null,
      by: by === undefined ? null : await person(by),
      whom: await Promise.all(ids.slice(0, LOG_NAMED).map(person)),
      count: ids.length,
      detail: detail?.replaceAll('\0', '').slice(0, MAX_DETAIL) ?? null,
      organisation: organisation ?? null,
      until: until ?? null,
    };
    await this.#rows.bulkCreate([row], { ignoreDuplicates: true });
    await this.#purge();
  }

  /** The name of now. That of who has left is the last one that the log knows. */
  async #person({ roomId, names }: Noted, userId: string): Promise<LogPerson> {
    const { rooms, serverName } = this.#deps;
    const member = (await rooms.stateEvent(roomId, 'm.room.member', userId))?.pdu;
    const given = names?.get(userId);
    const shown = {
      userId,
      displayName: given ?? nameIn(member, userId),
      organisation: serverOf(userId),
      guest: isGuest(userId, member, serverName),
    };
    if (given !== undefined || shown.displayName !== localpartOf(userId)) return shown;
    return (await this.#lastKnown(roomId, userId)) ?? shown;
  }

  async #lastKnown(roomId: string, userId: string): Promise<LogPerson | undefined> {
    const row = await this.#rows.findOne({
      where: { roomId, whom: { [Op.contains]: [{ userId }] } },
      order: [
        ['at', 'DESC'],
        ['id', 'DESC'],
      ],
    });
    return row ? peopleSchema.parse(row.whom).find((one) => one.userId === userId) : undefined;
  }

  async #purge(): Promise<void> {
    const now = this.#deps.clock.monotonic();
    if (now - this.#purgedAt < PURGE_MS) return;
    this.#purgedAt = now;
    await this.#rows.destroy({ where: { at: { [Op.lt]: this.#oldest() } } });
  }
}

function entryOf(row: LogRow): LogEntry | undefined {
  const kind = logKindSchema.safeParse(row.kind);
  if (!kind.success) return undefined;
  const by = logPersonSchema.safeParse(row.by);
  return {
    id: String(row.id),
    at: row.at,
    kind: kind.data,
    ...(by.success ? { by: by.data } : {}),
    whom: peopleSchema.parse(row.whom),
    count: row.count,
    ...(row.detail === null ? {} : { detail: row.detail }),
    ...(row.organisation === null ? {} : { organisation: row.organisation }),
    until: row.until ?? undefined,
  };
}
