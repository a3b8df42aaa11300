/** Invitation links: whoever has one may enter the meeting, without an account as a guest. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { Database } from '../database/database.ts';
import { tooMuchKept } from '../base/errors.ts';
import { LINKS_OF_MEETING } from '../base/limits.ts';

export interface GuestLink {
  linkId: string;
  roomId: string;
  createdBy: string;
  /** Unix ms. */
  expiresAt?: number;
}

/** A link as those see it who may make and end links; its secret was shown once and is not kept. */
export interface ListedLink extends GuestLink {
  /** Unix ms. */
  readonly createdAt: number;
  /** Guests who came in by it. */
  readonly guests: number;
}

interface Row {
  link_id: string;
  room_id: string;
  created_by: string;
  expires_at: string | null;
}

const VALID = 'revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)';

/** Only the hash of a token is stored, so that a copy of the database opens no meeting. */
function hash(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

function fromRow(row: Row): GuestLink {
  return {
    linkId: row.link_id,
    roomId: row.room_id,
    createdBy: row.created_by,
    ...(row.expires_at === null ? {} : { expiresAt: Number(row.expires_at) }),
  };
}

export class GuestLinks {
  readonly #db: Database;
  constructor(db: Database) {
    this.#db = db;
  }

  /** A new link; the token (128 random bits) is shown this once. @throws MatrixError 403 when there are too many */
  async create(
    roomId: string,
    createdBy: string,
    expiresAt: number | undefined,
  ): Promise<GuestLink & { token: string }> {
    const token = randomBytes(16).toString('base64url');
    const linkId = randomUUID();
    const now = Date.now();
    await this.#db.transaction(async (tx) => {
      await this.#db.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 56))', [roomId], tx);
      const [kept] = await this.#db.query<{ count: number }>(
        `SELECT count(*) AS count FROM guest_links WHERE room_id = $1 AND ${VALID}`,
        [roomId, now],
        tx,
      );
      if ((kept?.count ?? 0) >= LINKS_OF_MEETING) {
        throw tooMuchKept('This meeting has too many links. End those that are not needed any more.');
      }
      await this.#db.query(
        `INSERT INTO guest_links (link_id, token_hash, room_id, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)`,
        [linkId, hash(token), roomId, createdBy, now, expiresAt ?? null],
        tx,
      );
    });
    return { linkId, roomId, createdBy, token, ...(expiresAt === undefined ? {} : { expiresAt }) };
  }

  /** The link of a token, unless it has expired or was revoked. */
  async find(token: string): Promise<GuestLink | undefined> {
    const [row] = await this.#db.query<Row>(
      `SELECT link_id, room_id, created_by, expires_at FROM guest_links
       WHERE token_hash = $1 AND ${VALID}`,
      [hash(token), Date.now()],
    );
    return row && fromRow(row);
  }

  /** The links of a meeting that let people in, the newest first. */
  async list(roomId: string): Promise<ListedLink[]> {
    const rows = await this.#db.query<Row & { created_at: string; guests: number }>(
      `SELECT link_id, room_id, created_by, created_at, expires_at,
         (SELECT count(*) FROM guest_link_entries e WHERE e.link_id = l.link_id) AS guests
       FROM guest_links l WHERE room_id = $1 AND ${VALID} ORDER BY created_at DESC, link_id`,
      [roomId, Date.now()],
    );
    return rows.map((row) => ({ ...fromRow(row), createdAt: Number(row.created_at), guests: row.guests }));
  }

  /**
   * Remembers that a guest comes in by a link; to be called before he does.
   *
   * @param browser what the guest's browser was given to be known by
   */
  async noteEntry(linkId: string, userId: string, browser: string | undefined): Promise<void> {
    await this.#db.query(
      `INSERT INTO guest_link_entries (link_id, user_id, browser_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
      [linkId, userId, browser === undefined ? null : hash(browser)],
    );
  }

  /** The guests who came into a meeting from one browser, by any link. */
  async ofBrowser(roomId: string, browser: string): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      `SELECT DISTINCT e.user_id FROM guest_link_entries e JOIN guest_links l USING (link_id)
       WHERE e.browser_hash = $2 AND l.room_id = $1 LIMIT 100`,
      [roomId, hash(browser)],
    );
    return rows.map((row) => row.user_id);
  }

  /** The guests who came in by a link. */
  async entries(linkId: string): Promise<string[]> {
    const rows = await this.#db.query<{ user_id: string }>(
      'SELECT user_id FROM guest_link_entries WHERE link_id = $1',
      [linkId],
    );
    return rows.map((row) => row.user_id);
  }

  /** Whether a link still lets people in. */
  async isValid(linkId: string): Promise<boolean> {
    const rows = await this.#db.query(`SELECT 1 FROM guest_links WHERE link_id = $1 AND ${VALID}`, [
      linkId,
      Date.now(),
    ]);
    return rows.length > 0;
  }

  /** True when there was such a link in this room. */
  async revoke(roomId: string, linkId: string): Promise<boolean> {
    const rows = await this.#db.query(
      'UPDATE guest_links SET revoked_at = $3 WHERE room_id = $1 AND link_id = $2 AND revoked_at IS NULL RETURNING link_id',
      [roomId, linkId, Date.now()],
    );
    return rows.length > 0;
  }
}
