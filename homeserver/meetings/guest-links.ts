/** Invitation links: whoever has one may enter the meeting, without an account as a guest. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { DataTypes, Op } from 'sequelize';
import type { CreationOptional, ModelStatic, WhereOptions } from 'sequelize';
import type { LinkMode } from '../../protocol/guest-links.ts';
import { SealError } from '../accounts/seal.ts';
import type { Seal } from '../accounts/seal.ts';
import type { Database } from '../database/database.ts';
import { defineModel, queryIn } from '../database/models.ts';
import type { Row } from '../database/models.ts';
import { tooMuchKept } from '../base/errors.ts';
import { LINKS_OF_MEETING } from '../base/limits.ts';

/** What bounds a link. */
export interface LinkSettings {
  readonly purpose?: string | undefined;
  /** Unix ms. */
  readonly expiresAt?: number | undefined;
  readonly maxUses?: number | undefined;
  readonly mode?: LinkMode | undefined;
  /** Of the password that it asks for. */
  readonly passwordHash?: string | undefined;
}

export interface GuestLink extends LinkSettings {
  readonly linkId: string;
  readonly roomId: string;
  readonly createdBy: string;
  readonly mode: LinkMode;
  /** Of the secret: another one when the link was replaced. */
  readonly tokenHash: string;
}

/** A link as those see it who may make and end links. */
export interface ListedLink extends GuestLink {
  /** Undefined where it cannot be read again. */
  readonly token: string | undefined;
  /** Unix ms. */
  readonly createdAt: number;
  /** People who came in by it, and the guests among them. */
  readonly uses: number;
  readonly guests: number;
}

/** Who comes in by a link. */
export interface LinkUser {
  readonly userId: string;
  readonly guest: boolean;
  /** What the guest's browser was given to be known by. */
  readonly browser?: string | undefined;
}

/** Why a link lets nobody in (any more). */
export type LinkEnd = 'revoked' | 'expired' | 'used-up';

interface LinkRow extends Row<LinkRow> {
  linkId: string;
  tokenHash: string;
  tokenSealed: Buffer | null;
  roomId: string;
  createdBy: string;
  createdAt: number;
  expiresAt: number | null;
  revokedAt: CreationOptional<number | null>;
  guestsRemoved: CreationOptional<boolean>;
  purpose: string | null;
  maxUses: number | null;
  mode: string;
  passwordHash: string | null;
}

const linkModel = defineModel<LinkRow>('guest_links', {
  linkId: { type: DataTypes.TEXT, primaryKey: true },
  tokenHash: DataTypes.TEXT,
  tokenSealed: DataTypes.BLOB,
  roomId: DataTypes.TEXT,
  createdBy: DataTypes.TEXT,
  createdAt: DataTypes.BIGINT,
  expiresAt: DataTypes.BIGINT,
  revokedAt: DataTypes.BIGINT,
  guestsRemoved: { type: DataTypes.BOOLEAN, defaultValue: false },
  purpose: DataTypes.TEXT,
  maxUses: DataTypes.INTEGER,
  mode: DataTypes.TEXT,
  passwordHash: DataTypes.TEXT,
});

interface EntryRow extends Row<EntryRow> {
  linkId: string;
  userId: string;
  browserHash: string | null;
  guest: boolean;
}

const entryModel = defineModel<EntryRow>('guest_link_entries', {
  linkId: { type: DataTypes.TEXT, primaryKey: true },
  userId: { type: DataTypes.TEXT, primaryKey: true },
  browserHash: DataTypes.TEXT,
  guest: DataTypes.BOOLEAN,
});

/** Number of the advisory locks under which the links of a room are made. */
const LOCK = 56;

/** Links that are neither ended nor over. */
function running(now = Date.now()): WhereOptions<LinkRow> {
  return { revokedAt: null, expiresAt: { [Op.or]: [{ [Op.is]: null }, { [Op.gt]: now }] } };
}

/** By its hash a link is found; the secret itself is sealed, so that a copy of the database opens no meeting. */
function hash(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

function fromRow(row: LinkRow): GuestLink {
  const { linkId, roomId, createdBy, tokenHash, expiresAt, purpose, maxUses, passwordHash } = row;
  return {
    linkId,
    roomId,
    createdBy,
    tokenHash,
    mode: row.mode === 'waiting' ? 'waiting' : 'direct',
    ...(expiresAt === null ? {} : { expiresAt }),
    ...(purpose === null ? {} : { purpose }),
    ...(maxUses === null ? {} : { maxUses }),
    ...(passwordHash === null ? {} : { passwordHash }),
  };
}

function endOf({ revokedAt, expiresAt }: LinkRow): LinkEnd | undefined {
  if (revokedAt !== null) return 'revoked';
  return expiresAt !== null && expiresAt <= Date.now() ? 'expired' : undefined;
}

export class GuestLinks {
  readonly #db: Database;
  readonly #seal: Pick<Seal, 'close' | 'open'>;
  readonly #links: ModelStatic<LinkRow>;
  readonly #entries: ModelStatic<EntryRow>;

  /** @param seal keeps the secrets of links, so that those who may make links can copy them again */
  constructor(db: Database, seal: Pick<Seal, 'close' | 'open'>) {
    this.#db = db;
    this.#seal = seal;
    this.#links = linkModel(db);
    this.#entries = entryModel(db);
  }

  /** A new link, with a token of 128 random bits. @throws MatrixError 403 when there are too many */
  async create(
    roomId: string,
    createdBy: string,
    settings: LinkSettings = {},
  ): Promise<ListedLink & { token: string }> {
    const linkId = randomUUID();
    const { token, ...secret } = this.#newSecret(linkId);
    const now = Date.now();
    const row = await this.#db.models.transaction(async (transaction) => {
      await queryIn(transaction, this.#db, 'SELECT pg_advisory_xact_lock(hashtextextended($1, $2))', [roomId, LOCK]);
      const kept = await this.#links.count({ where: { roomId, ...running(now) }, transaction });
      if (kept >= LINKS_OF_MEETING) {
        throw tooMuchKept('This meeting has too many links. End those that are not needed any more.');
      }
      const { expiresAt = null, purpose = null, maxUses = null, mode = 'direct', passwordHash = null } = settings;
      const bounds = { expiresAt, purpose, maxUses, mode, passwordHash };
      return await this.#links.create(
        { linkId, ...secret, roomId, createdBy, createdAt: now, ...bounds },
        { transaction },
      );
    });
    return { ...fromRow(row), token, createdAt: now, uses: 0, guests: 0 };
  }

  /** The link of a token, unless it was ended or its time is over. Why not, in that case, as far as the token is known. */
  async find(token: string): Promise<GuestLink | LinkEnd | undefined> {
    const row = await this.#links.findOne({ where: { tokenHash: hash(token) } });
    return row ? (endOf(row) ?? fromRow(row)) : undefined;
  }

  /** The links of a meeting that were neither ended nor are over, the newest first. */
  async list(roomId: string): Promise<ListedLink[]> {
    const rows = await this.#links.findAll({
      where: { roomId, ...running() },
      order: [['createdAt', 'DESC'], 'linkId'],
    });
    return this.#listed(rows);
  }

  /** Whether as many people came by a link as it is for. */
  async isUsedUp({ linkId, maxUses }: GuestLink): Promise<boolean> {
    return maxUses !== undefined && (await this.#entries.count({ where: { linkId } })) >= maxUses;
  }

  /**
   * Remembers that somebody comes in by a link, which counts as a use unless they did before; to be called before they do.
   * Of two at the last use, one gets it.
   *
   * @returns why the link lets them in no more, or whether they came by it before
   */
  async noteEntry(link: GuestLink, { userId, guest, browser }: LinkUser): Promise<LinkEnd | 'new' | 'again'> {
    const { linkId, tokenHash } = link;
    return this.#db.models.transaction(async (transaction) => {
      // Who ends or replaces the link, and who else comes by it, waits for this.
      const row = await this.#links.findOne({ where: { linkId }, transaction, lock: transaction.LOCK.UPDATE });
      if (row?.tokenHash !== tokenHash) return 'revoked';
      const end = endOf(row);
      if (end !== undefined) return end;
      if ((await this.#entries.count({ where: { linkId, userId }, transaction })) > 0) return 'again';
      const uses = row.maxUses === null ? 0 : await this.#entries.count({ where: { linkId }, transaction });
      if (row.maxUses !== null && uses >= row.maxUses) return 'used-up';
      const browserHash = browser === undefined ? null : hash(browser);
      await this.#entries.create({ linkId, userId, browserHash, guest }, { transaction });
      return 'new';
    });
  }

  /** Whether somebody came by a link before. */
  async hasEntry(linkId: string, userId: string): Promise<boolean> {
    return (await this.#entries.count({ where: { linkId, userId } })) > 0;
  }

  /** Gives a use back that let nobody in. */
  async forgetEntry(linkId: string, userId: string): Promise<void> {
    await this.#entries.destroy({ where: { linkId, userId } });
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

  /**
   * By which link somebody came to a meeting, be it over meanwhile: who came in time may go on. Undefined for who came by
   * none, or by links that were ended together with their guests.
   */
  async cameBy(roomId: string, userId: string): Promise<GuestLink | undefined> {
    const entries = await this.#entries.findAll({ where: { userId } });
    const linkId = entries.map((entry) => entry.linkId);
    const row = await this.#links.findOne({
      where: { linkId, roomId, guestsRemoved: false },
      order: [['createdAt', 'DESC']],
    });
    return row ? fromRow(row) : undefined;
  }

  /** The guests who came in by a link. */
  async entries(linkId: string): Promise<string[]> {
    return (await this.#entries.findAll({ where: { linkId, guest: true } })).map((row) => row.userId);
  }

  /** The link of an id, unless it was ended or its time is over. */
  async byId(linkId: string): Promise<GuestLink | undefined> {
    const row = await this.#links.findOne({ where: { linkId, ...running() } });
    return row ? fromRow(row) : undefined;
  }

  /** Gives a link another secret: by the old one nobody comes in any more. Undefined when there is no such link in this room. */
  async replace(roomId: string, linkId: string): Promise<ListedLink | undefined> {
    const { token: _token, ...secret } = this.#newSecret(linkId);
    await this.#links.update(secret, { where: { roomId, linkId, ...running() } });
    const rows = await this.#links.findAll({ where: { roomId, linkId, ...running() } });
    return (await this.#listed(rows))[0];
  }

  /**
   * Ends a link at once.
   *
   * @param guests whether those who came by it may stay
   * @returns true when there was such a link in this room
   */
  async revoke(roomId: string, linkId: string, guests: 'keep' | 'remove' = 'remove'): Promise<boolean> {
    const [count] = await this.#links.update(
      { revokedAt: Date.now(), guestsRemoved: guests === 'remove' },
      { where: { roomId, linkId, revokedAt: null } },
    );
    return count > 0;
  }

  #newSecret(linkId: string): { token: string; tokenHash: string; tokenSealed: Buffer } {
    const token = randomBytes(16).toString('base64url');
    return { token, tokenHash: hash(token), tokenSealed: this.#seal.close(token, owner(linkId)) };
  }

  async #listed(rows: readonly LinkRow[]): Promise<ListedLink[]> {
    const counts = await this.#entries.count({
      where: { linkId: rows.map((row) => row.linkId) },
      group: ['link_id', 'guest'],
    });
    return rows.map((row) => {
      const own = counts.filter((each) => each['link_id'] === row.linkId);
      const [uses, guests] = [own, own.filter((each) => each['guest'] === true)].map((some) =>
        some.reduce((sum, { count }) => sum + count, 0),
      );
      return {
        ...fromRow(row),
        token: this.#tokenOf(row),
        createdAt: row.createdAt,
        uses: uses ?? 0,
        guests: guests ?? 0,
      };
    });
  }

  #tokenOf({ linkId, tokenSealed }: LinkRow): string | undefined {
    if (!tokenSealed) return undefined;
    try {
      return this.#seal.open(tokenSealed, owner(linkId));
    } catch (error) {
      // The server has another key now: the link goes on, and can be replaced.
      if (error instanceof SealError) return undefined;
      throw error;
    }
  }
}

/** A sealed secret cannot be opened as that of another link. */
function owner(linkId: string): string {
  return `guest link ${linkId}`;
}
