/**
 * Keys with which users sign their own devices and other users, and the signatures made with them.
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

/** What somebody's signatures were put on. */
export interface Signed {
  /** Own devices. */
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

  /** Signing keys of users of any server, as far as we have them. */
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
   * Stores signing keys of one of our users.
   *
   * @param confirm asks who it is once more; called when present keys would be replaced or added to
   * @param changed stores, in the same transaction, that the keys are others now
   * @returns whether any key is another now
   * @throws MatrixError 400 for keys that are not what they say, or are not signed by the master key
   * @see MSC3967 for when confirmation is asked for
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
        throw new MatrixError(400, 'M_INVALID_PARAM', `${usage}_key is a key of somebody else or for something else.`);
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
   * Stores signatures that a user made. Each is checked; a bad one fails alone.
   *
   * @param masters the master keys of the other users whose keys are signed
   * @param changed stores, in the same transaction, what is signed now
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
            // The device signs itself too, and clients send that signature along.
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
   * Adds the signatures that a reader may see: those that owners made of their own keys, and those of the reader.
   *
   * @param reader undefined for other servers
   * @param targets keys by the owner and the device or public key that they are stored under; they are changed
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
      throw new MatrixError(400, 'M_MISSING_PARAM', 'There is no master key.');
    }
    const devices = (await this.#keys.ofUsers([userId])).get(userId);
    for (const [usage, key] of fresh) {
      const publicKey = publicKeyOf(key);
      if (publicKey === undefined) throw new MatrixError(400, 'M_INVALID_PARAM', `${usage}_key is no ed25519 key.`);
      if (devices?.has(publicKey.key) === true) {
        throw new MatrixError(400, 'M_INVALID_PARAM', 'A device has this public key as its id.');
      }
      if (usage !== 'master' && !isSignedBy(key, userId, master)) {
        throw new MatrixError(400, 'M_INVALID_SIGNATURE', `${usage}_key is not signed by the master key.`);
      }
    }
  }
}

export interface SignedTarget {
  readonly userId: string;
  /** Device id, or public half of a signing key. */
  readonly id: string;
  readonly key: JsonObject;
}

/** The public half of a signing key, and the name of its signatures. */
export function publicKeyOf(key: JsonObject | undefined): { name: string; key: string } | undefined {
  const parsed = crossSigningKeySchema.safeParse(key);
  if (!parsed.success) return undefined;
  const [entry] = Object.entries(parsed.data.keys);
  return entry?.[0].startsWith('ed25519:') === true ? { name: entry[0], key: entry[1] } : undefined;
}

/** The ed25519 key with which a device or a signing key signs. */
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
 * The signatures of a user in an uploaded object that are by one of some keys, as rows.
 *
 * @throws MatrixError 404 when there is no such key, 400 when its content differs or the signature is bad
 */
function signatures(
  object: JsonObject,
  target: string,
  id: string,
  stored: JsonObject | undefined,
  signer: string,
  signers: readonly (JsonObject | undefined)[],
): [string, string, string, string][] {
  if (stored === undefined) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such key.');
  if (bare(object) !== bare(stored)) throw new MatrixError(400, 'M_INVALID_PARAM', 'The key is another one.');
  const all = member(object, 'signatures');
  const ofSigner = isJsonObject(all) ? member(all, signer) : undefined;
  const rows: [string, string, string, string][] = [];
  for (const key of signers) {
    const by = signingKeyOf(key);
    const signature = by && isJsonObject(ofSigner) ? member(ofSigner, by.name) : undefined;
    if (by === undefined || typeof signature !== 'string') continue;
    if (!verifySignature(object, signer, by.name, by.key)) {
      throw new MatrixError(400, 'M_INVALID_SIGNATURE', 'A signature is bad.');
    }
    rows.push([target, id, by.name, signature]);
  }
  if (rows.length === 0) throw new MatrixError(400, 'M_INVALID_SIGNATURE', 'No key that counts here has signed this.');
  return rows;
}

/** What signatures cover. */
function bare(key: JsonObject): string {
  const { signatures: _signatures, unsigned: _unsigned, ...rest } = key;
  return canonicalJson(rest);
}
