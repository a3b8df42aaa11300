/** People of this homeserver: who they are at the identity provider, those with a password, and guests. */
import { Op } from 'sequelize';
import type { Attributes, CreationAttributes, ModelStatic } from 'sequelize';
import { displayName as shownName } from '../../protocol/display-text.ts';
import type { Database } from '../database/database.ts';
import { isUniqueViolation } from '../database/errors.ts';
import { MatrixError } from '../base/errors.ts';
import { GUEST_PREFIX, isServerAccount, MAX_LOCALPART_BYTES, toLocalpart } from './localpart.ts';
import { randomBase32 } from './secrets.ts';
import { profileFieldModel, userModel } from './tables.ts';
import type { ProfileFieldRow, UserRow } from './tables.ts';

/** Somebody as the identity provider describes them. `issuer` and `subject` together never change. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
  /** The name that people log in with, if known. */
  readonly preferredUsername?: string | undefined;
  readonly displayName?: string | undefined;
}

export interface Account {
  readonly userId: string;
  readonly guest: boolean;
  readonly admin: boolean;
  readonly deactivated: boolean;
  /** Can do nothing but log out. */
  readonly locked: boolean;
  /** Can read, but not write. */
  readonly suspended: boolean;
  /** What `Passwords` made of the password. */
  readonly passwordHash: string | undefined;
  /** Whether the person is known to the identity provider. */
  readonly external: boolean;
}

export interface NewAccount {
  readonly localpart: string;
  readonly passwordHash: string;
  readonly admin?: boolean | undefined;
  readonly displayName?: string | undefined;
}

/** What administrators can do to an account for a time. */
export type Restriction = 'locked' | 'suspended';

export const MAX_DISPLAY_NAME = 256;
const GUEST_ID_LENGTH = 10;
const ATTEMPTS = 8;

export class Accounts {
  readonly #db: Database;
  readonly #users: ModelStatic<UserRow>;
  readonly #profileFields: ModelStatic<ProfileFieldRow>;
  readonly #serverName: string;
  readonly #listeners = new Set<(userId: string) => void>();

  constructor(db: Database, serverName: string) {
    this.#db = db;
    this.#users = userModel(db);
    this.#profileFields = profileFieldModel(db);
    this.#serverName = serverName;
  }

  userId(localpart: string): string {
    return `@${localpart}:${this.#serverName}`;
  }

  /** The local part of a user id of this server, undefined for anybody else's. */
  localpart(userId: string): string | undefined {
    const end = `:${this.#serverName}`;
    return userId.startsWith('@') && userId.endsWith(end) ? userId.slice(1, -end.length) : undefined;
  }

  /** Whether somebody has an account here that has not ended. */
  async exists(userId: string): Promise<boolean> {
    return (await this.#find(userId))?.deactivatedAt === null;
  }

  /** An account of this server, ended ones too. */
  async find(userId: string): Promise<Account | undefined> {
    const row = await this.#find(userId);
    return (
      row && {
        userId: this.userId(row.localpart),
        guest: row.guest,
        admin: row.admin,
        deactivated: row.deactivatedAt !== null,
        locked: row.locked,
        suspended: row.suspended,
        passwordHash: row.password ?? undefined,
        external: row.subject !== null,
      }
    );
  }

  /** @throws MatrixError 400 M_USER_IN_USE when somebody has the name, or had it */
  async requireFree(localpart: string): Promise<void> {
    if ((await this.#find(this.userId(localpart))) !== undefined) throw inUse();
  }

  /**
   * Makes the account of somebody with a password. The name of the profile is the local part when none is given.
   *
   * @returns the user id
   * @throws MatrixError 400 M_USER_IN_USE
   */
  async register({ localpart, passwordHash, admin = false, displayName }: NewAccount): Promise<string> {
    const name = checkedName(displayName ?? '') ?? localpart;
    if (!(await this.#add({ localpart, displayName: name, guest: false, password: passwordHash, admin })))
      throw inUse();
    return this.userId(localpart);
  }

  /**
   * Makes a guest somebody with an account of the same name.
   *
   * @throws MatrixError 400 M_USER_IN_USE for who is no guest
   */
  async promote(userId: string, passwordHash: string): Promise<void> {
    const [promoted] = await this.#users.update(
      { guest: false, password: passwordHash },
      { where: { localpart: this.localpart(userId) ?? '', guest: true, deactivatedAt: null } },
    );
    if (promoted === 0) throw inUse();
    this.#changed(userId);
  }

  /** Makes an account that belongs to the server itself; once. Nobody logs in to it, and nobody changes or ends it. */
  async makeOwn(localpart: string, displayName: string): Promise<void> {
    await this.#add({ localpart, displayName, guest: false });
  }

  /** @throws MatrixError 403 for an account of the server itself */
  requirePerson(userId: string): void {
    if (!isServerAccount(userId)) return;
    throw new MatrixError(403, 'M_FORBIDDEN', 'This account belongs to the server itself.');
  }

  /** Makes somebody an administrator, or no longer one. */
  async setAdmin(userId: string, admin: boolean): Promise<void> {
    this.requirePerson(userId);
    await this.#update(userId, { admin });
    this.#changed(userId);
  }

  /** Locks or suspends somebody, or ends that. */
  async restrict(userId: string, restriction: Restriction, on: boolean): Promise<void> {
    this.requirePerson(userId);
    await this.#update(userId, { [restriction]: on });
    this.#changed(userId);
  }

  async setPassword(userId: string, passwordHash: string): Promise<void> {
    this.requirePerson(userId);
    await this.#update(userId, { password: passwordHash });
  }

  /**
   * Ends an account for good: its profile goes, its id is never given to anybody else. The password hash stays, so that
   * only who knows the password learns that the account has ended.
   */
  async deactivate(userId: string): Promise<void> {
    this.requirePerson(userId);
    const localpart = this.localpart(userId) ?? '';
    await this.#db.models.transaction(async (transaction) => {
      const ended = { deactivatedAt: Date.now(), displayName: null };
      await this.#users.update(ended, { where: { localpart }, transaction });
      await this.#profileFields.destroy({ where: { localpart }, transaction });
    });
    this.#changed(userId);
  }

  async isGuest(userId: string): Promise<boolean> {
    return (await this.#find(userId))?.guest ?? false;
  }

  /** The name of a local user; for anybody else the part of the id before the colon. */
  async displayName(userId: string): Promise<string> {
    return (await this.#find(userId))?.displayName ?? userId.slice(1).replace(/:.*$/s, '');
  }

  /**
   * @throws MatrixError 404 for somebody who is not of this server
   * @throws MatrixError 400 for a name that is empty, too long or made of control characters
   */
  async setDisplayName(userId: string, name: string): Promise<void> {
    const checked = checkedName(name);
    if (checked === undefined) throw new MatrixError(400, 'M_BAD_JSON', 'This can not be a name.');
    if ((await this.#update(userId, { displayName: checked })) === 0) {
      throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such person here.');
    }
    this.#changed(userId);
  }

  /** Takes the name out of the profile. */
  async removeDisplayName(userId: string): Promise<void> {
    await this.#update(userId, { displayName: null });
    this.#changed(userId);
  }

  /** Tells of accounts that have another name or other rights, or have ended. */
  onChange(listener: (userId: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Users whose account has ended and who may still be in rooms. */
  async endedInRooms(): Promise<string[]> {
    const rows = await this.#users.findAll({ where: { deactivatedAt: { [Op.not]: null }, outOfRooms: false } });
    return rows.map((row) => this.userId(row.localpart));
  }

  async setOutOfRooms(userId: string): Promise<void> {
    await this.#update(userId, { outOfRooms: true });
  }

  /**
   * The account of somebody who has just proven who they are; made at the first log-in. The id comes from the name
   * that they log in with. When another person has it already, it gets a random suffix: names may be given to a new
   * person, and the account of the old one must not be.
   *
   * @returns the user id
   * @throws MatrixError 403 M_USER_DEACTIVATED
   */
  async logIn(identity: Identity): Promise<string> {
    const known = await this.#byIdentity(identity);
    if (known !== undefined) {
      if (!(await this.exists(this.userId(known)))) throw deactivated();
      return this.userId(known);
    }
    const wanted = toLocalpart(identity.preferredUsername ?? identity.subject);
    const name = checkedName((identity.displayName ?? identity.preferredUsername ?? '').slice(0, MAX_DISPLAY_NAME));
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const localpart = attempt === 0 ? wanted : `${wanted.slice(0, MAX_LOCALPART_BYTES - 6)}-${randomBase32(5)}`;
      const { issuer, subject } = identity;
      const isMade = await this.#add({ localpart, issuer, subject, displayName: name ?? wanted, guest: false });
      if (isMade) return this.userId(localpart);
      // Two log-ins of the same new person may have raced.
      const raced = await this.#byIdentity(identity);
      if (raced !== undefined) return this.userId(raced);
    }
    throw new Error('No free user id was found.');
  }

  /** Who it is that the identity provider describes; undefined for somebody without account, or with an ended one. */
  async known(identity: Identity): Promise<string | undefined> {
    const localpart = await this.#byIdentity(identity);
    const userId = localpart === undefined ? undefined : this.userId(localpart);
    return userId !== undefined && (await this.exists(userId)) ? userId : undefined;
  }

  /**
   * Makes the account of a guest; one without a name can choose it later.
   *
   * @returns the user id, such as `@guest-k3x7q2m5ab:hamburg.example`
   * @throws MatrixError 400 for a name that is empty, too long or made of control characters
   */
  async createGuest(displayName?: string): Promise<string> {
    const name = displayName === undefined ? undefined : checkedName(displayName);
    if (displayName !== undefined && name === undefined)
      throw new MatrixError(400, 'M_BAD_JSON', 'Please say your name.');
    const localpart = GUEST_PREFIX + randomBase32(GUEST_ID_LENGTH);
    await this.#users.create({ localpart, displayName: name ?? null, guest: true, createdAt: Date.now() });
    return this.userId(localpart);
  }

  #changed(userId: string): void {
    for (const listener of this.#listeners) listener(userId);
  }

  async #find(userId: string): Promise<UserRow | undefined> {
    const localpart = this.localpart(userId);
    if (localpart === undefined) return undefined;
    return (await this.#users.findByPk(localpart)) ?? undefined;
  }

  async #byIdentity({ issuer, subject }: Identity): Promise<string | undefined> {
    return (await this.#users.findOne({ where: { issuer, subject } }))?.localpart;
  }

  /** @returns false when somebody has the name, or is already there */
  async #add(user: Omit<CreationAttributes<UserRow>, 'createdAt'>): Promise<boolean> {
    try {
      await this.#users.create({ ...user, createdAt: Date.now() });
      return true;
    } catch (error) {
      if (isUniqueViolation(error)) return false;
      throw error;
    }
  }

  /** @returns how many there are, 0 or 1 */
  async #update(userId: string, values: Partial<Attributes<UserRow>>): Promise<number> {
    const [count] = await this.#users.update(values, { where: { localpart: this.localpart(userId) ?? '' } });
    return count;
  }
}

/** Only for somebody who has proven who they are. */
export function deactivated(): MatrixError {
  return new MatrixError(403, 'M_USER_DEACTIVATED', 'This account has ended.');
}

function inUse(): MatrixError {
  return new MatrixError(400, 'M_USER_IN_USE', 'This user name is taken.');
}

/** A name as people may show it to others; undefined for one without a visible character, or that is too long. */
export function checkedName(name: string): string | undefined {
  return name.trim().length > MAX_DISPLAY_NAME || !name.isWellFormed() ? undefined : shownName(name);
}
