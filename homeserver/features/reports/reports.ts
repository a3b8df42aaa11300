/** Reports of content to the administrators. */
import type { Logger } from 'pino';
import { DataTypes, Op } from 'sequelize';
import type { CreationOptional, ModelStatic, WhereOptions } from 'sequelize';
import type { Database } from '../../database/database.ts';
import { defineModel } from '../../database/models.ts';
import type { Row } from '../../database/models.ts';
import { MatrixError } from '../../base/errors.ts';
import { REPORTS_A_DAY } from '../../base/limits.ts';

/** What is reported: an event, a room, or a user. */
export interface NewReport {
  readonly roomId?: string;
  readonly eventId?: string;
  readonly userId?: string;
  readonly reason?: string | null | undefined;
  /** From -100, the worst, to 0. */
  readonly score?: number | null | undefined;
}

export interface Report extends NewReport {
  readonly id: number;
  readonly reporter: string;
  /** Unix time in ms. */
  readonly reportedAt: number;
}

export interface ReportQuery {
  readonly from: number;
  readonly limit: number;
  readonly newestFirst: boolean;
  readonly reporter?: string;
  readonly roomId?: string;
}

interface ReportRow extends Row<ReportRow> {
  reportId: CreationOptional<number>;
  reporter: string;
  roomId: string | null;
  eventId: string | null;
  userId: string | null;
  reason: string | null;
  score: number | null;
  reportedAt: number;
}

const reportModel = defineModel<ReportRow>('reports', {
  reportId: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
  reporter: DataTypes.TEXT,
  roomId: DataTypes.TEXT,
  eventId: DataTypes.TEXT,
  userId: DataTypes.TEXT,
  reason: DataTypes.TEXT,
  score: DataTypes.INTEGER,
  reportedAt: DataTypes.BIGINT,
});

const DAY_MS = 24 * 60 * 60 * 1000;

export class Reports {
  readonly #reports: ModelStatic<ReportRow>;
  readonly #log: Logger;

  constructor(db: Database, log: Logger) {
    this.#reports = reportModel(db);
    this.#log = log;
  }

  /**
   * @throws MatrixError 429 when the user has sent too many reports today
   *
   * @throws MatrixError 429 for somebody who has reported a lot today
   */
  async add(reporter: string, report: NewReport): Promise<void> {
    const now = Date.now();
    const count = await this.#reports.count({ where: { reporter, reportedAt: { [Op.gt]: now - DAY_MS } } });
    if (count >= REPORTS_A_DAY) {
      throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'You have sent too many reports today. Try again tomorrow.', {
        retry_after_ms: DAY_MS,
      });
    }
    await this.#reports.create({
      reporter,
      roomId: report.roomId ?? null,
      eventId: report.eventId ?? null,
      userId: report.userId ?? null,
      reason: report.reason?.replaceAll('\0', '') ?? null,
      score: report.score ?? null,
      reportedAt: now,
    });
    // The reason is for the administrators, not for the log.
    const { roomId, eventId, userId } = report;
    this.#log.info({ reporter, roomId, eventId, userId }, 'content was reported');
  }

  /** A page of reports, and the total number. */
  async list(query: ReportQuery): Promise<{ reports: Report[]; total: number }> {
    const where: WhereOptions<ReportRow> = {
      ...(query.reporter === undefined ? {} : { reporter: query.reporter }),
      ...(query.roomId === undefined ? {} : { roomId: query.roomId }),
    };
    const { rows, count } = await this.#reports.findAndCountAll({
      where,
      order: [['reportId', query.newestFirst ? 'DESC' : 'ASC']],
      offset: query.from,
      limit: query.limit,
    });
    return { reports: rows.map(read), total: count };
  }

  async get(id: number): Promise<Report | undefined> {
    const row = await this.#reports.findByPk(id);
    return row ? read(row) : undefined;
  }

  /** @returns false for an unknown report @returns false when there is none */
  async remove(id: number): Promise<boolean> {
    return (await this.#reports.destroy({ where: { reportId: id } })) > 0;
  }
}

function read(row: ReportRow): Report {
  return {
    id: row.reportId,
    reporter: row.reporter,
    reportedAt: row.reportedAt,
    ...(row.roomId === null ? {} : { roomId: row.roomId }),
    ...(row.eventId === null ? {} : { eventId: row.eventId }),
    ...(row.userId === null ? {} : { userId: row.userId }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.score === null ? {} : { score: row.score }),
  };
}
