/** Invitation links: whoever has one may enter the meeting, without an account as a guest. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { DataTypes, Op } from 'sequelize';
import type { CreationOptional, ModelStatic, WhereOptions } from 'sequelize';
import type { Database } from '../database/database.ts';
import { defineModel, queryIn } from '../database/models.ts';
import type { Row } from '../database/models.ts';
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

interface LinkRow extends Row<LinkRow> {
  linkId: string;
  tokenHash: string;
  roomId: string;
  createdBy: string;
  createdAt: number;
  expiresAt: number | null;
  revokedAt: CreationOptional<number | null>;
}

const linkModel = defineModel<LinkRow>('guest_links', {
  linkId: { type: DataTypes.TEXT, primaryKey: true },
  tokenHash: DataTypes.TEXT,
  roomId: DataTypes.TEXT,
  createdBy: DataTypes.TEXT,
  createdAt: DataTypes.BIGINT,
  expiresAt: DataTypes.BIGINT,
  revokedAt: DataTypes.BIGINT,
});

interface EntryRow extends Row<EntryRow> {
  linkId: string;
  userId: string;
  browserHash: string | null;
}

const entryModel = defineModel<EntryRow>('guest_link_entries', {
  linkId: { type: DataTypes.TEXT, primaryKey: true },
  userId: { type: DataTypes.TEXT, primaryKey: true },
  browserHash: DataTypes.TEXT,
});

/** Number of the advisory locks under which the links of a room are made. */
const LOCK = 56;

/** Links that let people in. */
function valid(now = Date.now()): WhereOptions<LinkRow> {
  return { revokedAt: null, expiresAt: { [Op.or]: [{ [Op.is]: null }, { [Op.gt]: now }] } };
}

/** Only the hash of a token is stored, so that a copy of the database opens no meeting. */
function hash(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

function fromRow({ linkId, roomId, createdBy, expiresAt }: LinkRow): GuestLink {
  return { linkId, roomId, createdBy, ...(expiresAt === null ? {} : { expiresAt }) };
}

export class GuestLinks {
  readonly #db: Database;
  readonly #links: ModelStatic<LinkRow>;
  readonly #entries: ModelStatic<EntryRow>;

  constructor(db: Database) {
    this.#db = db;
    this.#links = linkModel(db);
    this.#entries = entryModel(db);
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
    await this.#db.models.transaction(async (transaction) => {
      await queryIn(transaction, this.#db, 'SELECT pg_advisory_xact_lock(hashtextextended($1, $2))', [roomId, LOCK]);
      const kept = await this.#links.count({ where: { roomId, ...valid(now) }, transaction });
      if (kept >= LINKS_OF_MEETING) {
        throw tooMuchKept('This meeting has too many links. End those that are not needed any more.');
      }
      await this.#links.create(
        { linkId, tokenHash: hash(token), roomId, createdBy, createdAt: now, expiresAt: expiresAt ?? null },
        { transaction },
      );
    });
    return { linkId, roomId, createdBy, token, ...(expiresAt === undefined ? {} : { expiresAt }) };
  }

  /** The link of a token, unless it has expired or was revoked. */
  async find(token: string): Promise<GuestLink | undefined> {
    const row = await this.#links.findOne({ where: { tokenHash: hash(token), ...valid() } });
    return row ? fromRow(row) : undefined;
  }

  /** The links of a meeting that let people in, the newest first. */
  async list(roomId: string): Promise<ListedLink[]> {
    const rows = await this.#links.findAll({
      where: { roomId, ...valid() },
      order: [['createdAt', 'DESC'], 'linkId'],
    });
    const counts = await this.#entries.count({
      where: { linkId: rows.map((row) => row.linkId) },
      group: ['link_id'],
    });
    const guests = new Map(counts.map((each) => [each['link_id'], each.count]));
    return rows.map((row) => ({
      ...fromRow(row),
      createdAt: row.createdAt,
      guests: guests.get(row.linkId) ?? 0,
    }));
  }

  /**
   * Remembers that a guest comes in by a link; to be called before he does.
   *
   * @param browser what the guest's browser was given to be known by
   */
  async noteEntry(linkId: string, userId: string, browser: string | undefined): Promise<void> {
    const browserHash = browser === undefined ? null : hash(browser);
    await this.#entries.bulkCreate([{ linkId, userId, browserHash }], { ignoreDuplicates: true });
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
    return (await this.#entries.findAll({ where: { linkId } })).map((row) => row.userId);
  }

  /** Whether a link still lets people in. */
  async isValid(linkId: string): Promise<boolean> {
    return (await this.#links.count({ where: { linkId, ...valid() } })) > 0;
  }

  /** True when there was such a link in this room. */
  async revoke(roomId: string, linkId: string): Promise<boolean> {
    const [count] = await this.#links.update({ revokedAt: Date.now() }, { where: { roomId, linkId, revokedAt: null } });
    return count > 0;
  }
}
