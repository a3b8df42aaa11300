/** Pairs of an access token and a refresh token; only hashes are stored. */
import { Op } from 'sequelize';
import type { ModelStatic, Transaction } from 'sequelize';
import { MatrixError } from '../base/errors.ts';
import type { Database } from '../database/database.ts';
import { hashSecret, newSecret } from './secrets.ts';
import { oauthItemModel, tokenModel } from './tables.ts';
import type { OauthItemRow, TokenRow } from './tables.ts';

export interface Tokens {
  readonly accessToken: string;
  readonly refreshToken?: string;
  readonly expiresInMs?: number;
}

export interface NewPair {
  readonly localpart: string;
  readonly deviceId: string;
  /** Lifetime of the access token, in ms; unlimited by default. */
  readonly lifeMs?: number | undefined;
  readonly refreshable: boolean;
  /** Hash of the access token of the pair that ends when this one is first used. */
  readonly replaces?: Buffer;
}

export const ACCESS_TOKEN_PREFIX = 'hst_';
const REFRESH_TOKEN_PREFIX = 'hsr_';
/** Lifetime of an access token that can be refreshed, in ms. */
const ACCESS_LIFE_MS = 60 * 60 * 1000;

export class TokenPairs {
  readonly #db: Database;
  readonly #tokens: ModelStatic<TokenRow>;
  readonly #oauthItems: ModelStatic<OauthItemRow>;
  readonly #now: () => number;
  /** Life of an access token that can be refreshed, in ms. */
  readonly accessLifeMs: number;

  /** @param now the clock, Unix ms */
  constructor(db: Database, now: () => number, accessLifeMs = ACCESS_LIFE_MS) {
    this.accessLifeMs = accessLifeMs;
    this.#db = db;
    this.#tokens = tokenModel(db);
    this.#oauthItems = oauthItemModel(db);
    this.#now = now;
  }

  async issue(pair: NewPair, transaction: Transaction): Promise<Tokens> {
    const { localpart, deviceId, lifeMs, refreshable, replaces } = pair;
    const accessToken = newSecret(ACCESS_TOKEN_PREFIX);
    const refreshToken = refreshable ? newSecret(REFRESH_TOKEN_PREFIX) : undefined;
    const now = this.#now();
    await this.#tokens.create(
      {
        accessHash: hashSecret(accessToken),
        refreshHash: refreshToken === undefined ? null : hashSecret(refreshToken),
        localpart,
        deviceId,
        expiresAt: lifeMs === undefined ? null : now + lifeMs,
        replaces: replaces ?? null,
        used: false,
        createdAt: now,
      },
      { transaction, returning: false },
    );
    return {
      accessToken,
      ...(refreshToken === undefined ? {} : { refreshToken }),
      ...(lifeMs === undefined ? {} : { expiresInMs: lifeMs }),
    };
  }

  /** @see Sessions.refresh @throws MatrixError 401 M_UNKNOWN_TOKEN */
  async refresh(refreshToken: string): Promise<{ localpart: string; tokens: Tokens }> {
    return this.#db.models.transaction(async (transaction) => {
      const refreshHash = hashSecret(refreshToken);
      const row = await this.#tokens.findOne({ where: { refreshHash }, lock: true, transaction });
      if (!row) throw unknownToken(false);
      const { accessHash, localpart, deviceId } = row;
      await this.#tokens.destroy({ where: { replaces: accessHash }, transaction });
      // Refreshing a pair shows that the client received it.
      if (!row.used) await this.firstUse(row, transaction);
      const tokens = await this.issue(
        { localpart, deviceId, lifeMs: this.accessLifeMs, refreshable: true, replaces: accessHash },
        transaction,
      );
      return { localpart, tokens };
    });
  }

  /** Revokes the pair that this one replaced. */
  async firstUse(
    { accessHash, replaces }: Pick<TokenRow, 'accessHash' | 'replaces'>,
    transaction?: Transaction,
  ): Promise<void> {
    const within = transaction ? { transaction } : {};
    if (replaces !== null) await this.#tokens.destroy({ where: { accessHash: replaces }, ...within });
    await this.#tokens.update({ used: true, replaces: null }, { where: { accessHash }, ...within });
  }

  /** Forgets tokens of a device that have expired and cannot be refreshed. */
  async endExpired(localpart: string, deviceId: string, transaction: Transaction): Promise<void> {
    const expiresAt = { [Op.lte]: this.#now() };
    await this.#tokens.destroy({ where: { localpart, deviceId, refreshHash: null, expiresAt }, transaction });
  }

  /** Revokes all tokens of a device, including those of the OAuth 2.0 API. */
  async endOf(localpart: string, deviceId: string, transaction: Transaction): Promise<void> {
    await this.#tokens.destroy({ where: { localpart, deviceId }, transaction });
    await this.#oauthItems.destroy({ where: { localpart, deviceId }, transaction });
  }
}

/** @param softLogout whether the token only expired, so that the client can refresh it */
export function unknownToken(softLogout: boolean): MatrixError {
  return new MatrixError(401, 'M_UNKNOWN_TOKEN', 'You are no longer logged in. Please log in again.', {
    soft_logout: softLogout,
  });
}
