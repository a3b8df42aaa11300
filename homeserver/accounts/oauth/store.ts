/** What the OAuth 2.0 provider remembers, in PostgreSQL. */
import type { Adapter, AdapterPayload } from 'oidc-provider';
import { isJsonObject, parseStrict } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import type { Accounts } from '../accounts.ts';
import { hashSecret } from '../secrets.ts';
import type { Sessions } from '../sessions.ts';
import { deviceOf } from './scopes.ts';

export interface StoreOptions {
  readonly db: Database;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  /** The clock, Unix ms. */
  readonly now: () => number;
}

interface Row {
  payload: string;
  consumed_at: number | null;
  localpart: string | null;
  device_id: string | null;
}

/** How long an expired access token is remembered, in ms: so long the client is told to refresh. */
const KEEP_EXPIRED_MS = 30 * 24 * 60 * 60 * 1000;
/** Those by which the API is used; they belong to a device. */
const TOKENS = new Set(['AccessToken', 'RefreshToken']);
/** Found by something else than their id, so that they have to say it themselves. They live for minutes. */
const WITH_ID = new Set(['Session', 'Interaction', 'DeviceCode']);
/**
 * A refresh token that was used can be used again for so long, in ms: the answer to its use may have been lost, and a
 * second use later is a theft, which ends the session.
 */
const LOST_ANSWER_MS = 60_000;
const UNUSED_CLIENT_MS = 30 * 24 * 60 * 60 * 1000;

/** @see the adapter interface of oidc-provider (types of `Adapter`) */
export class OauthStore implements Adapter {
  readonly #model: string;
  readonly #options: StoreOptions;

  constructor(model: string, options: StoreOptions) {
    this.#model = model;
    this.#options = options;
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const { db, accounts, now } = this.#options;
    const { jti, ...rest } = payload;
    const userId = payload.accountId;
    const device = TOKENS.has(this.#model) ? deviceOf(payload.scope) : undefined;
    const owner = device === undefined || userId === undefined ? undefined : { userId, device };
    if (this.#model === 'Grant') await this.#keepClient(payload.clientId);
    if (owner && payload.grantId !== undefined) await this.#takeDevice(owner, payload.grantId);
    await db.query(
      `INSERT INTO oauth_items (model, id, uid, user_code, grant_id, payload, localpart, device_id, expires_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
       ON CONFLICT (model, id) DO UPDATE SET uid = excluded.uid, user_code = excluded.user_code,
         grant_id = excluded.grant_id, payload = excluded.payload, expires_at = excluded.expires_at`,
      [
        this.#model,
        hashSecret(id),
        payload.uid ?? null,
        payload.userCode ?? null,
        payload.grantId ?? null,
        JSON.stringify(WITH_ID.has(this.#model) ? { jti, ...rest } : rest),
        (owner && accounts.localpart(owner.userId)) ?? null,
        owner?.device ?? null,
        expiresIn === undefined ? this.#unlimited() : now() + expiresIn * 1000,
      ],
    );
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const payload = await this.#one('id = $2', hashSecret(id));
    return payload && { ...payload, ...(this.#model === 'Client' ? {} : { jti: id }) };
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return this.#one('uid = $2', uid);
  }

  async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    return this.#one('user_code = $2', userCode);
  }

  async consume(id: string): Promise<void> {
    const { db, now } = this.#options;
    await db.query('UPDATE oauth_items SET consumed_at = COALESCE(consumed_at, $3) WHERE model = $1 AND id = $2', [
      this.#model,
      hashSecret(id),
      now(),
    ]);
  }

  async destroy(id: string): Promise<void> {
    const { db } = this.#options;
    const rows = await db.query<Row>('DELETE FROM oauth_items WHERE model = $1 AND id = $2 RETURNING *', [
      this.#model,
      hashSecret(id),
    ]);
    await this.#endDevices(rows);
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    const { db } = this.#options;
    const rows = await db.query<Row>('DELETE FROM oauth_items WHERE model = $1 AND grant_id = $2 RETURNING *', [
      this.#model,
      grantId,
    ]);
    await this.#endDevices(rows);
  }

  /** Clients that nobody has ever allowed anything go again: anybody can register them. */
  #unlimited(): number | null {
    return this.#model === 'Client' ? this.#options.now() + UNUSED_CLIENT_MS : null;
  }

  async #keepClient(clientId: string | undefined): Promise<void> {
    await this.#options.db.query(`UPDATE oauth_items SET expires_at = NULL WHERE model = 'Client' AND id = $1`, [
      hashSecret(clientId ?? ''),
    ]);
  }

  async #one(condition: string, value: unknown): Promise<AdapterPayload | undefined> {
    const { db, now } = this.#options;
    const [row] = await db.query<Row>(
      `SELECT payload, consumed_at FROM oauth_items
       WHERE model = $1 AND ${condition} AND (expires_at IS NULL OR expires_at > $3)`,
      [this.#model, value, now()],
    );
    if (!row) return undefined;
    const grace = this.#model === 'RefreshToken' ? LOST_ANSWER_MS : 0;
    const consumed = row.consumed_at !== null && row.consumed_at + grace <= now();
    return { ...payloadOf(row), ...(consumed ? { consumed: true } : {}) };
  }

  /** Makes the device that a client asks for; what others have held it by ends. */
  async #takeDevice({ userId, device }: { userId: string; device: string }, grantId: string): Promise<void> {
    const { db, accounts, sessions } = this.#options;
    const of = [accounts.localpart(userId) ?? '', device];
    await sessions.attach(userId, device, await this.#clientName(grantId));
    await db.query('DELETE FROM tokens WHERE localpart = $1 AND device_id = $2', of);
    await db.query('DELETE FROM oauth_items WHERE localpart = $1 AND device_id = $2 AND grant_id <> $3', [
      ...of,
      grantId,
    ]);
    sessions.forget(userId);
  }

  async #clientName(grantId: string): Promise<string | undefined> {
    const { db } = this.#options;
    const [row] = await db.query<Row>(`SELECT payload FROM oauth_items WHERE model = 'Grant' AND id = $1`, [
      hashSecret(grantId),
    ]);
    const clientId = row && payloadOf(row)['clientId'];
    if (typeof clientId !== 'string') return undefined;
    const client = await new OauthStore('Client', this.#options).find(clientId);
    return typeof client?.client_name === 'string' ? client.client_name.slice(0, 100) : undefined;
  }

  /** A client that gives its tokens back has logged out. */
  async #endDevices(rows: readonly Row[]): Promise<void> {
    const { accounts, sessions } = this.#options;
    for (const { localpart, device_id: deviceId } of rows) {
      if (localpart !== null && deviceId !== null) await sessions.end(accounts.userId(localpart), deviceId);
    }
  }
}

function payloadOf({ payload }: Row): JsonObject {
  const value = parseStrict(payload);
  return isJsonObject(value) ? value : {};
}

/** Removes what has expired. */
export async function cleanUpOauth(db: Database, now = Date.now()): Promise<void> {
  await db.query(`DELETE FROM oauth_items WHERE expires_at <= $1 AND model <> 'AccessToken'`, [now]);
  await db.query('DELETE FROM oauth_items WHERE expires_at <= $1', [now - KEEP_EXPIRED_MS]);
}
