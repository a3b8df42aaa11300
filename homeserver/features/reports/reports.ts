/** What people report to those who look after the server. */
import type { Logger } from 'pino';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import { REPORTS_A_DAY } from '../../base/limits.ts';

/** What is reported: an event of a room, a room, or somebody. */
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

interface Row {
  report_id: number;
  reporter: string;
  room_id: string | null;
  event_id: string | null;
  user_id: string | null;
  reason: string | null;
  score: number | null;
  reported_at: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

export class Reports {
  readonly #db: Database;
  readonly #log: Logger;

  constructor(db: Database, log: Logger) {
    this.#db = db;
    this.#log = log;
  }

  /** @throws MatrixError 429 for somebody who has reported a lot today */
  async add(reporter: string, report: NewReport): Promise<void> {
    const now = Date.now();
    const [counted] = await this.#db.query<{ count: number }>(
      'SELECT count(*) AS count FROM reports WHERE reporter = $1 AND reported_at > $2',
      [reporter, now - DAY_MS],
    );
    if ((counted?.count ?? 0) >= REPORTS_A_DAY) {
      throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'You have reported a lot today.', { retry_after_ms: DAY_MS });
    }
    await this.#db.query(
      `INSERT INTO reports (reporter, room_id, event_id, user_id, reason, score, reported_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [
        reporter,
        report.roomId ?? null,
        report.eventId ?? null,
        report.userId ?? null,
        report.reason?.replaceAll('\0', '') ?? null,
        report.score ?? null,
        now,
      ],
    );
    // What was written is for the eyes of those who look after the server, not for its log.
    const { roomId, eventId, userId } = report;
    this.#log.info({ reporter, roomId, eventId, userId }, 'something was reported');
  }

  /** A page of the reports, and how many there are. */
  async list(query: ReportQuery): Promise<{ reports: Report[]; total: number }> {
    const where = '($1::text IS NULL OR reporter = $1) AND ($2::text IS NULL OR room_id = $2)';
    const who = [query.reporter ?? null, query.roomId ?? null];
    const rows = await this.#db.query<Row>(
      `SELECT * FROM reports WHERE ${where} ORDER BY report_id ${query.newestFirst ? 'DESC' : 'ASC'}
       OFFSET $3 LIMIT $4`,
      [...who, query.from, query.limit],
    );
    const [counted] = await this.#db.query<{ total: number }>(
      `SELECT count(*) AS total FROM reports WHERE ${where}`,
      who,
    );
    return { reports: rows.map(read), total: counted?.total ?? 0 };
  }

  async get(id: number): Promise<Report | undefined> {
    const [row] = await this.#db.query<Row>('SELECT * FROM reports WHERE report_id = $1', [id]);
    return row && read(row);
  }

  /** @returns false when there is none */
  async remove(id: number): Promise<boolean> {
    return (await this.#db.query('DELETE FROM reports WHERE report_id = $1 RETURNING report_id', [id])).length > 0;
  }
}

function read(row: Row): Report {
  return {
    id: row.report_id,
    reporter: row.reporter,
    reportedAt: row.reported_at,
    ...(row.room_id === null ? {} : { roomId: row.room_id }),
    ...(row.event_id === null ? {} : { eventId: row.event_id }),
    ...(row.user_id === null ? {} : { userId: row.user_id }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.score === null ? {} : { score: row.score }),
  };
}
