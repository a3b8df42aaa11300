/**
 * Profiles of local users: display name, avatar and further fields.
 *
 * @see Matrix specification, client-server API, "Profiles"
 */
import { canonicalJsonWithAnyNumbers, parseWithAnyNumbers } from '../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../federation/json.ts';
import { Op } from 'sequelize';
import type { ModelStatic } from 'sequelize';
import type { Database } from '../database/database.ts';
import { MatrixError } from '../base/errors.ts';
import { PROFILE_BYTES } from '../base/limits.ts';
import { GUEST_FIELD } from '../base/names.ts';
import type { Accounts } from './accounts.ts';
import { profileFieldModel, userModel } from './tables.ts';
import type { ProfileFieldRow, UserRow } from './tables.ts';

/** Limits of the specification, in bytes. */
const MAX_KEY_BYTES = 255;
const MAX_AVATAR_URL = 1000;
/** Bytes of JSON syntax per field. */
const ENTRY_BYTES = 4;

/** Called after a profile has changed, before the response is sent. */
export type ProfileListener = (userId: string, field: string) => void | Promise<void>;

/** Read at every join, so by a statement. */
interface Row {
  display_name: string | null;
  guest: boolean;
  active: boolean;
  field: string | null;
  json: string | null;
}

export class Profiles {
  readonly #db: Database;
  readonly #users: ModelStatic<UserRow>;
  readonly #fields: ModelStatic<ProfileFieldRow>;
  readonly #accounts: Accounts;
  readonly #listeners = new Set<ProfileListener>();

  constructor(db: Database, accounts: Accounts) {
    this.#db = db;
    this.#users = userModel(db);
    this.#fields = profileFieldModel(db);
    this.#accounts = accounts;
  }

  /** The whole profile; undefined for an unknown user. */
  async get(userId: string): Promise<JsonObject | undefined> {
    return (await this.#read(userId))?.profile;
  }

  /**
   * The profile fields of a membership event: `displayname` and `avatar_url`, and the guest flag for guests, who are
   * unverified.
   */
  async membership(userId: string): Promise<JsonObject> {
    const { profile, guest = false } = (await this.#read(userId)) ?? {};
    const { displayname, avatar_url: avatarUrl } = profile ?? {};
    return {
      ...(displayname === undefined ? {} : { displayname }),
      ...(avatarUrl === undefined ? {} : { avatar_url: avatarUrl }),
      ...(guest ? { [GUEST_FIELD]: true } : {}),
    };
  }

  /** A deactivated account has no profile, but a guest remains a guest. */
  async #read(userId: string): Promise<{ profile: JsonObject | undefined; guest: boolean } | undefined> {
    const localpart = this.#accounts.localpart(userId);
    if (localpart === undefined) return undefined;
    const rows = await this.#db.query<Row>(
      `SELECT u.display_name, u.guest, u.deactivated_at IS NULL AS active, f.field, f.json
       FROM users u LEFT JOIN profile_fields f USING (localpart) WHERE localpart = $1 ORDER BY f.field`,
      [localpart],
    );
    const [first] = rows;
    if (!first?.active) return first && { profile: undefined, guest: first.guest };
    const profile: JsonObject = first.display_name === null ? {} : { displayname: first.display_name };
    for (const { field, json } of rows) if (field !== null && json !== null) profile[field] = parseWithAnyNumbers(json);
    return { profile, guest: first.guest };
  }

  /**
   * Sets a profile field of a local user. An empty name or avatar removes it.
   *
   * @throws MatrixError 400 for an invalid value or key, or when the profile becomes too large
   */
  async set(userId: string, field: string, value: JsonValue): Promise<void> {
    requireKey(field);
    if ((field === 'displayname' || field === 'avatar_url') && value === '') return this.remove(userId, field);
    if (field === 'displayname') await this.#accounts.setDisplayName(userId, requireText(value));
    else {
      if (field === 'avatar_url' && requireText(value).length > MAX_AVATAR_URL) {
        throw new MatrixError(400, 'M_BAD_JSON', 'The avatar URL is too long.');
      }
      await this.#put(userId, field, canonicalJsonWithAnyNumbers(value));
    }
    await this.#changed(userId, field);
  }

  async remove(userId: string, field: string): Promise<void> {
    requireKey(field);
    const localpart = this.#accounts.localpart(userId) ?? '';
    await (field === 'displayname'
      ? this.#accounts.removeDisplayName(userId)
      : this.#fields.destroy({ where: { localpart, field } }));
    await this.#changed(userId, field);
  }

  /** @returns a function that removes the listener @returns a function that ends the telling */
  onChange(listener: ProfileListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #put(userId: string, field: string, json: string): Promise<void> {
    const localpart = this.#accounts.localpart(userId) ?? '';
    await this.#db.models.transaction(async (transaction) => {
      // Serialised, so that concurrent changes cannot exceed the limit.
      await this.#users.findByPk(localpart, { lock: true, transaction });
      const others = await this.#fields.findAll({ where: { localpart, field: { [Op.ne]: field } }, transaction });
      const bytes = [...others, { field, json }].reduce(
        (sum, other) => sum + Buffer.byteLength(other.field + other.json) + ENTRY_BYTES,
        0,
      );
      if (bytes > PROFILE_BYTES) {
        throw new MatrixError(400, 'M_PROFILE_TOO_LARGE', 'The profile would be larger than 64 KiB.');
      }
      await this.#fields.upsert({ localpart, field, json }, { returning: false, transaction });
    });
  }

  async #changed(userId: string, field: string): Promise<void> {
    for (const listener of this.#listeners) await listener(userId, field);
  }
}

/** @see Matrix specification, appendices, "Common Namespaced Identifier Grammar" */
function requireKey(key: string): void {
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw new MatrixError(400, 'M_KEY_TOO_LARGE', 'The name of a profile field may have at most 255 bytes.');
  }
  if (!/^[a-z][a-z0-9_.-]*$/.test(key)) {
    throw new MatrixError(400, 'M_INVALID_PARAM', 'The name of a profile field may only contain a-z, 0-9 and _ . -');
  }
}

function requireText(value: JsonValue): string {
  if (typeof value !== 'string') throw new MatrixError(400, 'M_BAD_JSON', 'The value must be a string.');
  return value;
}
