/** Accounts: of users of the identity provider, of users with a password, and of guests. */
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
import type { Place } from './tenants/tenants.ts';

/** A user as described by the identity provider. `issuer` and `subject` together never change. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
  /** The user name at the identity provider, if known. */
  readonly preferredUsername?: string | undefined;
  readonly name?: string | undefined;
  /** The mail address, only when the provider has verified it. */
  readonly email?: string | undefined;
  /** Address of a picture. */
  readonly picture?: string | undefined;
  /** RFC 5646. */
  readonly language?: string | undefined;
  readonly groups?: readonly string[];
  readonly phone?: string | undefined;
  /** Roles there; undefined when the provider says nothing of roles. */
  readonly roles?: readonly string[] | undefined;
  /** Id of the tenant, if one is named, and of a tariff of the person's own. Not checked: see `Tenants.placeOf`. */
  readonly tenant?: string | undefined;
  readonly tariff?: string | undefined;
}

export interface Account {
  readonly userId: string;
  readonly guest: boolean;
  readonly admin: boolean;
  readonly deactivated: boolean;
  /** A locked user can only log out. */
  readonly locked: boolean;
  /** A suspended user can read, but not send. */
  readonly suspended: boolean;
  /** The password hash of `Passwords`. */
  readonly passwordHash: string | undefined;
  /** Whether the user logs in at the identity provider. */
  readonly external: boolean;
}

export interface NewAccount {
  readonly localpart: string;
  readonly passwordHash: string;
  readonly admin?: boolean | undefined;
  readonly displayName?: string | undefined;
}

/** Temporary restrictions by administrators. */
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

  /** The localpart of a local user id, undefined for any other. */
  localpart(userId: string): string | undefined {
    const end = `:${this.#serverName}`;
    return userId.startsWith('@') && userId.endsWith(end) ? userId.slice(1, -end.length) : undefined;
  }

  /** Whether an active account exists. */
  async exists(userId: string): Promise<boolean> {
    return (await this.#find(userId))?.deactivatedAt === null;
  }

  /** A local account, including deactivated ones. */
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

  /**
   * @throws MatrixError 400 M_USER_IN_USE when the name is or was in use
   *
   * @throws MatrixError 400 M_USER_IN_USE when somebody has the name, or had it
   */
  async requireFree(localpart: string): Promise<void> {
    if ((await this.#find(this.userId(localpart))) !== undefined) throw inUse();
  }

  /**
   * Creates an account with a password. The display name defaults to the localpart.
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
   * Turns a guest into a full account with the same user id.
   *
   * @throws MatrixError 400 M_USER_IN_USE when the user is not a guest
   */
  async promote(userId: string, passwordHash: string): Promise<void> {
    const [promoted] = await this.#users.update(
      { guest: false, password: passwordHash },
      { where: { localpart: this.localpart(userId) ?? '', guest: true, deactivatedAt: null } },
    );
    if (promoted === 0) throw inUse();
    this.#changed(userId);
  }

  /** Creates a service user of the server, once. Nobody can log in to it, change or deactivate it. */
  async makeOwn(localpart: string, displayName: string): Promise<void> {
    await this.#add({ localpart, displayName, guest: false });
  }

  /** @throws MatrixError 403 for a service user @throws MatrixError 403 for an account of the server itself */
  requirePerson(userId: string): void {
    if (!isServerAccount(userId)) return;
    throw new MatrixError(403, 'M_FORBIDDEN', 'This is a service user of the server.');
  }

  /** Grants or revokes administrator rights. */
  async setAdmin(userId: string, admin: boolean): Promise<void> {
    this.requirePerson(userId);
    await this.#update(userId, { admin });
    this.#changed(userId);
  }

  /** Locks or suspends a user, or lifts that. */
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
   * Deactivates an account for ever: deletes its profile, and its user id is never reused. The password hash stays, so
   * that only somebody who knows the password learns that the account was deactivated.
   */
  async deactivate(userId: string): Promise<void> {
    this.requirePerson(userId);
    const localpart = this.localpart(userId) ?? '';
    await this.#db.models.transaction(async (transaction) => {
      const ended = { deactivatedAt: Date.now(), displayName: null, email: null };
      await this.#users.update(ended, { where: { localpart }, transaction });
      await this.#profileFields.destroy({ where: { localpart }, transaction });
    });
    this.#changed(userId);
  }

  async isGuest(userId: string): Promise<boolean> {
    return (await this.#find(userId))?.guest ?? false;
  }

  /** The display name of a local user; for others, the localpart. */
  async displayName(userId: string): Promise<string> {
    return (await this.#find(userId))?.displayName ?? userId.slice(1).replace(/:.*$/s, '');
  }

  /**
   * @throws MatrixError 404 for an unknown user
   * @throws MatrixError 400 for a name without visible characters, or too long a one
   */
  async setDisplayName(userId: string, name: string): Promise<void> {
    const checked = checkedName(name);
    if (checked === undefined)
      throw new MatrixError(400, 'M_BAD_JSON', 'The display name has no visible character or is too long.');
    if ((await this.#update(userId, { displayName: checked })) === 0) {
      throw new MatrixError(404, 'M_NOT_FOUND', 'No such user on this server.');
    }
    this.#changed(userId);
  }

  /** Removes the display name from the profile. */
  async removeDisplayName(userId: string): Promise<void> {
    await this.#update(userId, { displayName: null });
    this.#changed(userId);
  }

  /** Listens for accounts that changed their name or rights, or were deactivated. */
  onChange(listener: (userId: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Deactivated users who may still be in rooms. */
  async endedInRooms(): Promise<string[]> {
    const rows = await this.#users.findAll({ where: { deactivatedAt: { [Op.not]: null }, outOfRooms: false } });
    return rows.map((row) => this.userId(row.localpart));
  }

  async setOutOfRooms(userId: string): Promise<void> {
    await this.#update(userId, { outOfRooms: true });
  }

  /**
   * The account of a user who has just authenticated; created at the first log-in. The user id is derived from the user
   * name. If that is taken by another person, it gets a random suffix: an identity provider may reassign names, but the
   * account of the former holder must not be.
   *
   * @param place where the account belongs from now on; undefined on an instance without tenants
   * @returns the user id
   * @throws MatrixError 403 M_USER_DEACTIVATED
   */
  async logIn(identity: Identity, place?: Place): Promise<string> {
    const known = await this.#byIdentity(identity);
    if (known !== undefined) {
      if (!(await this.exists(this.userId(known)))) throw deactivated();
      if (place !== undefined) await this.move(this.userId(known), place);
      return this.userId(known);
    }
    const wanted = toLocalpart(identity.preferredUsername ?? identity.subject);
    const name = checkedName((identity.name ?? identity.preferredUsername ?? '').slice(0, MAX_DISPLAY_NAME));
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const localpart = attempt === 0 ? wanted : `${wanted.slice(0, MAX_LOCALPART_BYTES - 6)}-${randomBase32(5)}`;
      const { issuer, subject } = identity;
      const isMade = await this.#add({
        localpart,
        issuer,
        subject,
        displayName: name ?? wanted,
        upstreamName: name ?? null,
        guest: false,
        ...place,
      });
      if (isMade) return this.userId(localpart);
      // Concurrent first log-ins of the same person.
      const raced = await this.#byIdentity(identity);
      if (raced !== undefined) return this.userId(raced);
    }
    throw new Error('No free user id was found.');
  }

  /**
   * Notes the name that the identity provider says.
   *
   * @returns whether it was another one before
   */
  async takeUpstreamName(userId: string, name: string): Promise<boolean> {
    const before = (await this.#find(userId))?.upstreamName;
    if (before === name) return false;
    await this.#update(userId, { upstreamName: name });
    return before !== null && before !== undefined;
  }

  /** Notes the mail address that the identity provider has verified, or that there is none. */
  async takeEmail(userId: string, email: string | undefined): Promise<void> {
    const before = (await this.#find(userId))?.email ?? undefined;
    if (before !== email) await this.#update(userId, { email: email ?? null });
  }

  /** Moves an account to where the identity provider says that it belongs. */
  async move(userId: string, place: Place): Promise<void> {
    const row = await this.#find(userId);
    const { tenant, tariff, tenantAdmin } = place;
    if (row === undefined) return;
    if (row.tenant === tenant && row.tariff === tariff && row.tenantAdmin === tenantAdmin) return;
    await this.#update(userId, place);
  }

  /** The user id for an identity; undefined without an active account. */
  async known(identity: Identity): Promise<string | undefined> {
    const localpart = await this.#byIdentity(identity);
    const userId = localpart === undefined ? undefined : this.userId(localpart);
    return userId !== undefined && (await this.exists(userId)) ? userId : undefined;
  }

  /**
   * Creates a guest account; without a name, the guest can choose one later.
   *
   * @param host a user of this server to whose tenant the guest belongs
   * @returns the user id, such as `@guest-k3x7q2m5ab:hamburg.example`
   * @throws MatrixError 400 for a name without visible characters, or too long a one
   */
  async createGuest(displayName?: string, host?: string): Promise<string> {
    const name = displayName === undefined ? undefined : checkedName(displayName);
    if (displayName !== undefined && name === undefined)
      throw new MatrixError(400, 'M_BAD_JSON', 'Please enter your name.');
    const localpart = GUEST_PREFIX + randomBase32(GUEST_ID_LENGTH);
    const tenant = (host === undefined ? undefined : await this.#find(host))?.tenant ?? null;
    await this.#users.create({ localpart, displayName: name ?? null, guest: true, tenant, createdAt: Date.now() });
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

  /**
   * @returns false when the name or the identity is taken
   *
   * @returns false when somebody has the name, or is already there
   */
  async #add(user: Omit<CreationAttributes<UserRow>, 'createdAt'>): Promise<boolean> {
    try {
      await this.#users.create({ ...user, createdAt: Date.now() });
      return true;
    } catch (error) {
      if (isUniqueViolation(error)) return false;
      throw error;
    }
  }

  /** @returns the number of accounts changed, 0 or 1 @returns how many there are, 0 or 1 */
  async #update(userId: string, values: Partial<Attributes<UserRow>>): Promise<number> {
    const [count] = await this.#users.update(values, { where: { localpart: this.localpart(userId) ?? '' } });
    return count;
  }
}

/** Only to be sent to an authenticated user. */
export function deactivated(): MatrixError {
  return new MatrixError(403, 'M_USER_DEACTIVATED', 'This account is deactivated.');
}

function inUse(): MatrixError {
  return new MatrixError(400, 'M_USER_IN_USE', 'This user name is taken.');
}

/** A name that may be shown to others; undefined for one without visible characters, or too long a one. */
export function checkedName(name: string): string | undefined {
  return name.trim().length > MAX_DISPLAY_NAME || !name.isWellFormed() ? undefined : shownName(name);
}
