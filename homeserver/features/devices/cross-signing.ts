/**
 * Cross-signing keys, and the signatures made with them.
 *
 * @see Matrix specification, client-server API, "Cross-signing"
 */
import { canonicalJson, isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { verifySignature } from '../../../federation/signing.ts';
import type { Database, Tx } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import { readObject } from './device-keys.ts';
import type { DeviceKeys } from './device-keys.ts';
import { crossSigningKeySchema, deviceKeysSchema } from './schemas.ts';
import type { SigningUpload } from './schemas.ts';

export type Usage = 'master' | 'self_signing' | 'user_signing';
const USAGES: readonly Usage[] = ['master', 'self_signing', 'user_signing'];

export type SigningKeys = Partial<Record<Usage, JsonObject>>;

/** What signatures were added to. */
export interface Signed {
  /** The user's own devices. */
  readonly devices: string[];
  readonly ownMaster: boolean;
  /** Other users whose master keys were signed. */
  readonly others: string[];
  readonly failures: JsonObject;
}

export class CrossSigning {
  readonly #db: Database;
  readonly #keys: DeviceKeys;

  constructor(db: Database, keys: DeviceKeys) {
    this.#db = db;
    this.#keys = keys;
  }

  /** Cross-signing keys of users of any server, as far as known. */
  async ofUsers(userIds: readonly string[], tx?: Tx): Promise<Map<string, SigningKeys>> {
    const rows = await this.#db.query<{ user_id: string; usage: Usage; json: string }>(
      'SELECT user_id, usage, json FROM cross_signing_keys WHERE user_id = ANY($1)',
      [userIds],
      tx,
    );
    const found = new Map<string, SigningKeys>();
    for (const row of rows) {
      found.set(row.user_id, { ...found.get(row.user_id), [row.usage]: readObject(row.json) });
    }
    return found;
  }

  /**
   * Stores the cross-signing keys of a local user.
   *
   * @param confirm re-authenticates the user; called when existing keys would be replaced or extended
   * @param changed records the change, in the same transaction
   * @returns whether any key changed
   * @throws MatrixError 400 for malformed keys, or keys not signed by the master key
   * @see MSC3967 for when re-authentication is needed
   */
  async upload(
    userId: string,
    upload: SigningUpload,
    confirm: () => Promise<void>,
    changed: (tx: Tx, usages: readonly Usage[]) => Promise<void>,
  ): Promise<boolean> {
    const fresh = new Map<Usage, JsonObject>();
    const present = (await this.ofUsers([userId])).get(userId) ?? {};
    for (const usage of USAGES) {
      const key = upload[`${usage}_key`];
      if (!key) continue;
      if (key.user_id !== userId || !key.usage.includes(usage)) {
        throw new MatrixError(400, 'M_INVALID_PARAM', `${usage}_key belongs to another user or has another usage.`);
      }
      const { unsigned: _unsigned, ...signed } = key as JsonObject;
      const old = present[usage];
      if (old === undefined || canonicalJson(old) !== canonicalJson(signed)) fresh.set(usage, signed);
    }
    if (fresh.size === 0) return false;
    const master = fresh.get('master') ?? present.master;
    await this.#check(userId, fresh, master);
    if (present.master !== undefined) await confirm();
    await this.#db.transaction(async (tx) => {
      for (const [usage, key] of fresh) await this.put(tx, userId, usage, key);
      await changed(tx, [...fresh.keys()]);
    });
    return true;
  }

  async put(tx: Tx, userId: string, usage: Usage, key: JsonObject): Promise<void> {
    await this.#db.query(
      `INSERT INTO cross_signing_keys (user_id, usage, json) VALUES ($1, $2, $3)
       ON CONFLICT (user_id, usage) DO UPDATE SET json = excluded.json`,
      [userId, usage, canonicalJson(key)],
      tx,
    );
  }

  async remove(tx: Tx, userId: string): Promise<void> {
    await this.#db.query('DELETE FROM cross_signing_keys WHERE user_id = $1', [userId], tx);
  }

  /**
   * Stores signatures made by a user. Each is verified; a bad one does not affect the others.
   *
   * @param masters the master keys of other users that are signed
   * @param changed records the change, in the same transaction
   */
  async sign(
    userId: string,
    upload: Record<string, Record<string, JsonObject>>,
    masters: ReadonlyMap<string, JsonObject | undefined>,
    changed: (tx: Tx, signed: Signed) => Promise<void>,
  ): Promise<Signed> {
    const own = (await this.ofUsers([userId])).get(userId) ?? {};
    const devices = (await this.#keys.ofUsers([userId])).get(userId) ?? new Map<string, JsonObject>();
    const signed = { devices: [] as string[], ownMaster: false, others: [] as string[], failures: {} as JsonObject };
    const rows: [string, string, string, string][] = [];
    for (const [target, objects] of Object.entries(upload)) {
      const failures: JsonObject = {};
      for (const [id, object] of Object.entries(objects)) {
        try {
          if (target !== userId) {
            const master = masterWith(masters.get(target), id);
            rows.push(...signatures(object, target, id, master, userId, [own.user_signing]));
            signed.others.push(target);
          } else if (devices.has(id)) {
            // Clients include the device's signature of itself.
            rows.push(...signatures(object, target, id, devices.get(id), userId, [own.self_signing, devices.get(id)]));
            signed.devices.push(id);
          } else {
            rows.push(...signatures(object, target, id, masterWith(own.master, id), userId, [...devices.values()]));
            signed.ownMaster = true;
          }
        } catch (error) {
          if (!(error instanceof MatrixError)) throw error;
          failures[id] = { errcode: error.errcode, error: error.message };
        }
      }
      if (Object.keys(failures).length > 0) signed.failures[target] = failures;
    }
    if (rows.length === 0) return signed;
    await this.#db.transaction(async (tx) => {
      const stored = await this.#db.query(
        `INSERT INTO key_signatures AS old (target_user, target_key, signer, signer_key, signature)
         SELECT DISTINCT ON (target_user, target_key, signer_key) target_user, target_key, $1, signer_key, signature
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
           AS new (target_user, target_key, signer_key, signature)
         ON CONFLICT (target_user, target_key, signer, signer_key) DO UPDATE SET signature = excluded.signature
         WHERE old.signature <> excluded.signature RETURNING signer_key`,
        [userId, ...[0, 1, 2, 3].map((column) => rows.map((row) => row[column]))],
        tx,
      );
      if (stored.length > 0) await changed(tx, signed);
    });
    return signed;
  }

  /**
   * Adds the signatures that a reader may see: those by the owners of the keys, and those by the reader.
   *
   * @param reader undefined for other servers
   * @param targets keys by owner and device id or public key; they are modified
   */
  async addSignatures(reader: string | undefined, targets: readonly SignedTarget[], tx?: Tx): Promise<void> {
    if (targets.length === 0) return;
    const rows = await this.#db.query<{
      target_user: string;
      target_key: string;
      signer: string;
      signer_key: string;
      signature: string;
    }>(
      `SELECT target_user, target_key, signer, signer_key, signature FROM key_signatures
       WHERE target_user = ANY($1) AND (signer = target_user OR signer = $2)`,
      [[...new Set(targets.map((target) => target.userId))], reader ?? null],
      tx,
    );
    if (rows.length === 0) return;
    const byTarget = Map.groupBy(rows, (row) => `${row.target_user} ${row.target_key}`);
    for (const { userId, id, key } of targets) {
      for (const row of byTarget.get(`${userId} ${id}`) ?? []) {
        const all = member(key, 'signatures');
        const present: JsonObject = isJsonObject(all) ? all : {};
        const ofSigner = member(present, row.signer);
        key['signatures'] = {
          ...present,
          [row.signer]: { ...(isJsonObject(ofSigner) ? ofSigner : {}), [row.signer_key]: row.signature },
        };
      }
    }
  }

  async #check(userId: string, fresh: ReadonlyMap<Usage, JsonObject>, master: JsonObject | undefined): Promise<void> {
    if (master === undefined) {
      throw new MatrixError(400, 'M_MISSING_PARAM', 'The user has no master key. Upload one first.');
    }
    const devices = (await this.#keys.ofUsers([userId])).get(userId);
    for (const [usage, key] of fresh) {
      const publicKey = publicKeyOf(key);
      if (publicKey === undefined) throw new MatrixError(400, 'M_INVALID_PARAM', `${usage}_key is not an ed25519 key.`);
      if (devices?.has(publicKey.key) === true) {
        throw new MatrixError(400, 'M_INVALID_PARAM', 'A device of the user has this public key as its id.');
      }
      if (usage !== 'master' && !isSignedBy(key, userId, master)) {
        throw new MatrixError(400, 'M_INVALID_SIGNATURE', `${usage}_key is not signed by the master key.`);
      }
    }
  }
}

export interface SignedTarget {
  readonly userId: string;
  /** Device id, or public part of a cross-signing key. */
  readonly id: string;
  readonly key: JsonObject;
}

/** The public part of a cross-signing key, and the key id of its signatures. */
export function publicKeyOf(key: JsonObject | undefined): { name: string; key: string } | undefined {
  const parsed = crossSigningKeySchema.safeParse(key);
  if (!parsed.success) return undefined;
  const [entry] = Object.entries(parsed.data.keys);
  return entry?.[0].startsWith('ed25519:') === true ? { name: entry[0], key: entry[1] } : undefined;
}

/** The ed25519 key of a device or cross-signing key. */
function signingKeyOf(key: JsonObject | undefined): { name: string; key: string } | undefined {
  const device = deviceKeysSchema.safeParse(key);
  if (!device.success) return publicKeyOf(key);
  const name = `ed25519:${device.data.device_id}`;
  const text = Object.hasOwn(device.data.keys, name) ? device.data.keys[name] : undefined;
  return text === undefined ? undefined : { name, key: text };
}

function isSignedBy(object: JsonObject, userId: string, signer: JsonObject): boolean {
  const key = signingKeyOf(signer);
  return key !== undefined && verifySignature(object, userId, key.name, key.key);
}

function masterWith(master: JsonObject | undefined, publicKey: string): JsonObject | undefined {
  return publicKeyOf(master)?.key === publicKey ? master : undefined;
}

/**
 * The signatures in an uploaded object by one of the given keys of a user, as rows.
 *
 * @throws MatrixError 404 for an unknown key, 400 when its content differs or a signature is invalid
 */
function signatures(
  object: JsonObject,
  target: string,
  id: string,
  stored: JsonObject | undefined,
  signer: string,
  signers: readonly (JsonObject | undefined)[],
): [string, string, string, string][] {
  if (stored === undefined) throw new MatrixError(404, 'M_NOT_FOUND', 'No such key exists.');
  if (bare(object) !== bare(stored))
    throw new MatrixError(400, 'M_INVALID_PARAM', 'The key differs from the stored one.');
  const all = member(object, 'signatures');
  const ofSigner = isJsonObject(all) ? member(all, signer) : undefined;
  const rows: [string, string, string, string][] = [];
  for (const key of signers) {
    const by = signingKeyOf(key);
    const signature = by && isJsonObject(ofSigner) ? member(ofSigner, by.name) : undefined;
    if (by === undefined || typeof signature !== 'string') continue;
    if (!verifySignature(object, signer, by.name, by.key)) {
      throw new MatrixError(400, 'M_INVALID_SIGNATURE', 'A signature is invalid.');
    }
    rows.push([target, id, by.name, signature]);
  }
  if (rows.length === 0)
    throw new MatrixError(400, 'M_INVALID_SIGNATURE', 'The key is not signed by a key that may sign it.');
  return rows;
}

/** What signatures cover. */
function bare(key: JsonObject): string {
  const { signatures: _signatures, unsigned: _unsigned, ...rest } = key;
  return canonicalJson(rest);
}
