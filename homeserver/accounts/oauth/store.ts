/** The storage of the OAuth 2.0 provider, in PostgreSQL. */
import type { Adapter, AdapterPayload } from 'oidc-provider';
import { Op } from 'sequelize';
import type { ModelStatic, WhereOptions } from 'sequelize';
import { isJsonObject, parseStrict } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import type { Accounts } from '../accounts.ts';
import { hashSecret } from '../secrets.ts';
import type { Sessions } from '../sessions.ts';
import { oauthItemModel, tokenModel } from '../tables.ts';
import type { OauthItemRow } from '../tables.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { deviceOf } from './scopes.ts';

export interface StoreOptions {
  readonly db: Database;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  /** Where there is an identity provider. */
  readonly upstream?: Pick<Upstream, 'takeHeld'> | undefined;
  /** The clock, Unix ms. */
  readonly now: () => number;
}

/** The user and device of a token. */
interface Owner {
  localpart: string | null;
  device_id: string | null;
}

/** How long expired access tokens are kept, in ms: so long, clients are told to refresh. */
const KEEP_EXPIRED_MS = 30 * 24 * 60 * 60 * 1000;
/** Items that give access to the API; they belong to a device. */
const TOKENS = new Set(['AccessToken', 'RefreshToken']);
/** Looked up by something other than their id, which they therefore contain. They live for minutes. */
const WITH_ID = new Set(['Session', 'Interaction', 'DeviceCode']);
/**
 * How long a used refresh token can be used again, in ms: the response may have been lost. A later second use is a
 * theft, and ends the session.
 */
const LOST_ANSWER_MS = 60_000;
const UNUSED_CLIENT_MS = 30 * 24 * 60 * 60 * 1000;

/** @see the adapter interface of oidc-provider (types of `Adapter`) */
export class OauthStore implements Adapter {
  readonly #model: string;
  readonly #options: StoreOptions;
  readonly #items: ModelStatic<OauthItemRow>;

  constructor(model: string, options: StoreOptions) {
    this.#items = oauthItemModel(options.db);
    this.#model = model;
    this.#options = options;
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const { accounts, now } = this.#options;
    const { jti, ...rest } = payload;
    const userId = payload.accountId;
    const device = TOKENS.has(this.#model) ? deviceOf(payload.scope) : undefined;
    const owner = device === undefined || userId === undefined ? undefined : { userId, device };
    if (this.#model === 'Grant') await this.#keepClient(payload.clientId);
    if (owner && payload.grantId !== undefined) await this.#takeDevice(owner, payload.grantId);
    await this.#items.upsert(
      {
        model: this.#model,
        id: hashSecret(id),
        uid: payload.uid ?? null,
        userCode: payload.userCode ?? null,
        grantId: payload.grantId ?? null,
        payload: JSON.stringify(WITH_ID.has(this.#model) ? { jti, ...rest } : rest),
        localpart: (owner && accounts.localpart(owner.userId)) ?? null,
        deviceId: owner?.device ?? null,
        expiresAt: expiresIn === undefined ? this.#unlimited() : now() + expiresIn * 1000,
      },
      { fields: ['uid', 'userCode', 'grantId', 'payload', 'expiresAt'], returning: false },
    );
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const payload = await this.#one({ id: hashSecret(id) });
    return payload && { ...payload, ...(this.#model === 'Client' ? {} : { jti: id }) };
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return this.#one({ uid });
  }

  async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    return this.#one({ userCode });
  }

  async consume(id: string): Promise<void> {
    const where = { model: this.#model, id: hashSecret(id), consumedAt: null };
    await this.#items.update({ consumedAt: this.#options.now() }, { where });
  }

  async destroy(id: string): Promise<void> {
    await this.#destroy('id', hashSecret(id));
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    await this.#destroy('grant_id', grantId);
  }

  /** By a statement, as models do not return deleted rows: nothing may happen between reading and deleting. */
  async #destroy(column: 'id' | 'grant_id', value: Buffer | string): Promise<void> {
    const rows = await this.#options.db.query<Owner>(
      `DELETE FROM oauth_items WHERE model = $1 AND ${column} = $2 RETURNING localpart, device_id`,
      [this.#model, value],
    );
    await this.#endDevices(rows);
  }

  /** Clients that nobody has given consent are deleted again: anybody can register clients. */
  #unlimited(): number | null {
    return this.#model === 'Client' ? this.#options.now() + UNUSED_CLIENT_MS : null;
  }

  async #keepClient(clientId: string | undefined): Promise<void> {
    await this.#items.update({ expiresAt: null }, { where: { model: 'Client', id: hashSecret(clientId ?? '') } });
  }

  async #one(which: WhereOptions<OauthItemRow>): Promise<AdapterPayload | undefined> {
    const { now } = this.#options;
    const alive = { expiresAt: { [Op.or]: [{ [Op.is]: null }, { [Op.gt]: now() }] } };
    const row = await this.#items.findOne({ where: { ...which, model: this.#model, ...alive } });
    if (!row) return undefined;
    const grace = this.#model === 'RefreshToken' ? LOST_ANSWER_MS : 0;
    const consumed = row.consumedAt !== null && row.consumedAt + grace <= now();
    return { ...payloadOf(row), ...(consumed ? { consumed: true } : {}) };
  }

  /** Creates the requested device; sessions of others with it end. */
  async #takeDevice({ userId, device }: { userId: string; device: string }, grantId: string): Promise<void> {
    const { db, accounts, sessions, upstream } = this.#options;
    const where = { localpart: accounts.localpart(userId) ?? '', deviceId: device };
    await sessions.attach(userId, device, await this.#clientName(grantId));
    await tokenModel(db).destroy({ where });
    await this.#items.destroy({ where: { ...where, grantId: { [Op.ne]: grantId } } });
    sessions.forget(userId);
    await upstream?.takeHeld(grantId, userId, device);
  }

  async #clientName(grantId: string): Promise<string | undefined> {
    const row = await this.#items.findOne({ where: { model: 'Grant', id: hashSecret(grantId) } });
    const clientId = row ? payloadOf(row)['clientId'] : undefined;
    if (typeof clientId !== 'string') return undefined;
    const client = await new OauthStore('Client', this.#options).find(clientId);
    return typeof client?.client_name === 'string' ? client.client_name.slice(0, 100) : undefined;
  }

  /** A client that revokes its tokens has logged out. */
  async #endDevices(rows: readonly Owner[]): Promise<void> {
    const { accounts, sessions } = this.#options;
    for (const { localpart, device_id: deviceId } of rows) {
      if (localpart !== null && deviceId !== null) await sessions.end(accounts.userId(localpart), deviceId);
    }
  }
}

function payloadOf({ payload }: OauthItemRow): JsonObject {
  const value = parseStrict(payload);
  return isJsonObject(value) ? value : {};
}

/** Deletes expired items. */
export async function cleanUpOauth(db: Database, now = Date.now()): Promise<void> {
  const items = oauthItemModel(db);
  await items.destroy({ where: { expiresAt: { [Op.lte]: now }, model: { [Op.ne]: 'AccessToken' } } });
  await items.destroy({ where: { expiresAt: { [Op.lte]: now - KEEP_EXPIRED_MS } } });
}
