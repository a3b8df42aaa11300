/** Which session at the identity provider each device was logged in by. */
import { Op } from 'sequelize';
import type { ModelStatic, Transaction } from 'sequelize';
import { z } from 'zod';
import type { Database } from '../../database/database.ts';
import { upstreamSessionModel } from '../tables.ts';
import type { UpstreamSessionRow } from '../tables.ts';
import type { Seal } from './seal.ts';

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

/** A device and its session at the provider. */
export interface UpstreamSession extends DeviceKey {
  readonly issuer: string;
  readonly subject: string;
  readonly sid: string | undefined;
  readonly idToken: string;
  readonly refreshToken: string | undefined;
  /** When the provider was asked about it last, or has let it in, Unix ms. */
  readonly checkedAt: number;
}

/** Sessions of one person, or the one with this id. */
export type Which = { readonly subject: string } | { readonly sid: string };

const tokensSchema = z.object({ idToken: z.string(), refreshToken: z.string().optional() });

export class UpstreamStore {
  readonly #rows: ModelStatic<UpstreamSessionRow>;
  readonly #seal: Seal;
  readonly #now: () => number;

  /** @param now the clock, Unix ms */
  constructor(db: Database, seal: Seal, now: () => number) {
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
  async due(checkedBefore: number, most: number): Promise<DeviceKey[]> {
    const rows = await this.#rows.findAll({
      where: { checkable: true, checkedAt: { [Op.lte]: checkedBefore } },
      order: ['checkedAt'],
      limit: most,
    });
    return rows.map(({ localpart, deviceId }) => ({ localpart, deviceId }));
  }

  /** Notes that the provider was asked, with the tokens that it has given, unless the device was logged in anew meanwhile. */
  async checked(session: UpstreamSession, tokens?: { idToken: string; refreshToken: string }): Promise<void> {
    const { localpart, deviceId, sid, subject } = session;
    await this.#rows.update(
      { checkedAt: this.#now(), ...(tokens ? { sealedTokens: this.#sealed(session, tokens) } : {}) },
      { where: { localpart, deviceId, subject, sid: sid ?? null } },
    );
  }

  async remove({ localpart, deviceId }: DeviceKey): Promise<void> {
    await this.#rows.destroy({ where: { localpart, deviceId } });
  }

  #sealed(owner: DeviceKey, { idToken, refreshToken }: Pick<UpstreamGrant, 'idToken' | 'refreshToken'>): Buffer {
    return this.#seal.close(JSON.stringify({ idToken, refreshToken }), nameOf(owner));
  }

  #opened(row: UpstreamSessionRow): UpstreamSession {
    const { localpart, deviceId, issuer, subject, sid, sealedTokens, checkedAt } = row;
    const tokens = tokensSchema.parse(JSON.parse(this.#seal.open(sealedTokens, nameOf(row))));
    const { idToken, refreshToken } = tokens;
    return { localpart, deviceId, issuer, subject, sid: sid ?? undefined, idToken, refreshToken, checkedAt };
  }
}

function nameOf({ localpart, deviceId }: DeviceKey): string {
  return `${localpart}\0${deviceId}`;
}
