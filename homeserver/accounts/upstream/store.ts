/** Which session at the identity provider each device was logged in by. */
import type { ModelStatic, Transaction } from 'sequelize';
import { z } from 'zod';
import type { Database } from '../../database/database.ts';
import { upstreamSessionModel } from '../tables.ts';
import type { UpstreamSessionRow } from '../tables.ts';
import type { Seal } from '../seal.ts';

/** What a log-in at the identity provider has brought. */
export interface UpstreamGrant {
  readonly issuer: string;
  readonly subject: string;
  /** The session there, if the provider names it. */
  readonly sid: string | undefined;
  readonly idToken: string;
  /** By which we may ask again; not every provider gives one. */
  readonly refreshToken: string | undefined;
  /** When somebody came back from there, Unix ms. */
  readonly at: number;
}

export interface DeviceKey {
  readonly localpart: string;
  readonly deviceId: string;
}

/** A device whose session has to be checked again. */
export interface DueDevice extends DeviceKey {
  /** The device was logged out, and its session at the provider not yet. */
  readonly isGone: boolean;
}

/** A device and its session at the provider. */
export interface UpstreamSession extends DeviceKey {
  readonly issuer: string;
  readonly subject: string;
  readonly sid: string | undefined;
  readonly idToken: string;
  readonly refreshToken: string | undefined;
  /** When the provider was asked about it last, or has let it in, Unix ms. */
  readonly checkedAt: number;
  /** The tokens as they are stored, which no other log-in has. */
  readonly sealed: Buffer;
}

/** Sessions of one person, or the one with this id. */
export type Which = { readonly subject: string } | { readonly sid: string };

/** Until a session is asked about again, in ms. */
const SHORTEST_PAUSE_MS = 60_000;

const tokensSchema = z.object({ idToken: z.string(), refreshToken: z.string().optional() });

export class UpstreamStore {
  readonly #db: Database;
  readonly #rows: ModelStatic<UpstreamSessionRow>;
  readonly #seal: Seal;
  readonly #now: () => number;

  /** @param now the clock, Unix ms */
  constructor(db: Database, seal: Seal, now: () => number) {
    this.#db = db;
    this.#rows = upstreamSessionModel(db);
    this.#seal = seal;
    this.#now = now;
  }

  /** Notes how a device was logged in; without a grant, that it was not by the provider. */
  async set(
    { localpart, deviceId }: DeviceKey,
    grant: UpstreamGrant | undefined,
    transaction?: Transaction,
  ): Promise<void> {
    const within = transaction ? { transaction } : {};
    if (grant === undefined) {
      await this.#rows.destroy({ where: { localpart, deviceId }, ...within });
      return;
    }
    const { issuer, subject, sid } = grant;
    await this.#rows.upsert(
      {
        localpart,
        deviceId,
        issuer,
        subject,
        sid: sid ?? null,
        sealedTokens: this.#sealed({ localpart, deviceId }, grant),
        checkable: grant.refreshToken !== undefined,
        checkedAt: this.#now(),
      },
      { returning: false, ...within },
    );
  }

  /** @throws SealError when it was sealed by another key */
  async of({ localpart, deviceId }: DeviceKey): Promise<UpstreamSession | undefined> {
    const row = await this.#rows.findOne({ where: { localpart, deviceId } });
    return row ? this.#opened(row) : undefined;
  }

  /** The devices that a session or a person at the provider has. */
  async devices(issuer: string, which: Which): Promise<DeviceKey[]> {
    const rows = await this.#rows.findAll({ where: { issuer, ...which } });
    return rows.map(({ localpart, deviceId }) => ({ localpart, deviceId }));
  }

  /** The devices that have to be checked again, those that wait longest first. */
  async due(checkedBefore: number, most: number): Promise<DueDevice[]> {
    const rows = await this.#db.query<{ localpart: string; device_id: string; is_gone: boolean }>(
      `SELECT u.localpart, u.device_id, d.device_id IS NULL AS is_gone
       FROM upstream_sessions u LEFT JOIN devices d USING (localpart, device_id)
       WHERE u.checkable AND u.checked_at <= $1 AND u.retry_at <= $2 ORDER BY u.checked_at LIMIT $3`,
      [checkedBefore, this.#now(), most],
    );
    return rows.map(({ localpart, device_id: deviceId, is_gone: isGone }) => ({ localpart, deviceId, isGone }));
  }

  /**
   * Asks about a session later: after as long again as it has waited for an answer already.
   *
   * @param checkMs how often it is checked otherwise, in ms; it is not put off for longer
   */
  async postpone({ localpart, deviceId }: DeviceKey, checkMs: number): Promise<void> {
    await this.#db.query(
      `UPDATE upstream_sessions SET retry_at = $3::bigint + LEAST($4::bigint, GREATEST($5::bigint, $3 - checked_at - $4))
       WHERE localpart = $1 AND device_id = $2`,
      [localpart, deviceId, this.#now(), checkMs, SHORTEST_PAUSE_MS],
    );
  }

  /** Notes that the provider was asked, with the tokens that it has given, unless the device was logged in anew meanwhile. */
  async checked(session: UpstreamSession, tokens?: { idToken: string; refreshToken: string }): Promise<void> {
    const { localpart, deviceId, sealed } = session;
    await this.#rows.update(
      { checkedAt: this.#now(), ...(tokens ? { sealedTokens: this.#sealed(session, tokens) } : {}) },
      { where: { localpart, deviceId, sealedTokens: sealed } },
    );
  }

  async remove({ localpart, deviceId }: DeviceKey, transaction?: Transaction): Promise<void> {
    await this.#rows.destroy({ where: { localpart, deviceId }, ...(transaction ? { transaction } : {}) });
  }

  /** @returns false when the device was logged in anew since the session was read */
  async removeSame({ localpart, deviceId, sealed }: UpstreamSession, transaction: Transaction): Promise<boolean> {
    return (await this.#rows.destroy({ where: { localpart, deviceId, sealedTokens: sealed }, transaction })) > 0;
  }

  #sealed(owner: DeviceKey, { idToken, refreshToken }: Pick<UpstreamGrant, 'idToken' | 'refreshToken'>): Buffer {
    return this.#seal.close(JSON.stringify({ idToken, refreshToken }), nameOf(owner));
  }

  #opened(row: UpstreamSessionRow): UpstreamSession {
    const { localpart, deviceId, issuer, subject, sid, sealedTokens: sealed, checkedAt } = row;
    const tokens = tokensSchema.parse(JSON.parse(this.#seal.open(sealed, nameOf(row))));
    const { idToken, refreshToken } = tokens;
    return { localpart, deviceId, issuer, subject, sid: sid ?? undefined, idToken, refreshToken, checkedAt, sealed };
  }
}

function nameOf({ localpart, deviceId }: DeviceKey): string {
  return `${localpart}\0${deviceId}`;
}
