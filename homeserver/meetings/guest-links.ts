/** Invitation links: whoever has one may enter the meeting, without an account as a guest. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { Database } from '../database/database.ts';

export interface GuestLink {
  linkId: string;
  roomId: string;
  createdBy: string;
  /** Unix ms. */
  expiresAt?: number;
}

interface Row {
  link_id: string;
  room_id: string;
  created_by: string;
  expires_at: string | null;
}

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

  /** A new link; the token (128 random bits) is shown this once. */
  async create(
    roomId: string,
    createdBy: string,
    expiresAt: number | undefined,
  ): Promise<GuestLink & { token: string }> {
    const token = randomBytes(16).toString('base64url');
    const linkId = randomUUID();
    await this.#db.query(
      `INSERT INTO guest_links (link_id, token_hash, room_id, created_by, created_at, expires_at)
       VALUES ($1, $2, $3, $4, $5, $6)`,
      [linkId, hash(token), roomId, createdBy, Date.now(), expiresAt ?? null],
    );
    return { linkId, roomId, createdBy, token, ...(expiresAt === undefined ? {} : { expiresAt }) };
  }

  /** The link of a token, unless it has expired or was revoked. */
  async find(token: string): Promise<GuestLink | undefined> {
    const [row] = await this.#db.query<Row>(
      `SELECT link_id, room_id, created_by, expires_at FROM guest_links
       WHERE token_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)`,
      [hash(token), Date.now()],
    );
    return row && fromRow(row);
  }

  /** Remembers that a guest comes in by a link; to be called before he does. */
  async noteEntry(linkId: string, userId: string): Promise<void> {
    await this.#db.query('INSERT INTO guest_link_entries (link_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
      linkId,
      userId,
    ]);
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
    const rows = await this.#db.query(
      `SELECT 1 FROM guest_links WHERE link_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)`,
      [linkId, Date.now()],
    );
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
