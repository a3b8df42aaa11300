/**
 * Tenants: bodies that share an instance and do not see each other. To which one somebody belongs is said by the identity
 * provider. The rule of who may know of whom stands here and nowhere else; docs/tenants.md lists who asks.
 */
import type { Legal, OwnOrganisation } from '../../../protocol/client-api.ts';
import type { Organisation } from '../../../protocol/session.ts';
import type { Database } from '../../database/database.ts';
import type { Circle, Visibility } from '../../engine/visibility.ts';
import { MatrixError } from '../../base/errors.ts';
import type { Requester } from '../../base/requester.ts';
import { isServerAccount, SERVER_PREFIX } from '../localpart.ts';
import { LoginError } from '../login-error.ts';
import { TENANT_ADMIN_ROLE } from '../upstream/roles.ts';
import type { Tariff, Tenant, TenantsFile } from './tenants-file.ts';

/** Where an account belongs. */
export interface Place {
  /** Null when the identity provider names none. */
  readonly tenant: string | null;
  /** A tariff of the person's own, where the provider names one. */
  readonly tariff: string | null;
  /** Whether the person administers the tenant. */
  readonly tenantAdmin: boolean;
}

/** What the identity provider says of where somebody belongs; not checked. */
export interface Claimed {
  readonly tenant?: string | undefined;
  readonly tariff?: string | undefined;
  readonly roles?: readonly string[] | undefined;
}

export interface TenantsOptions {
  readonly db: Database;
  /** What people see of the instance. */
  readonly instance: { readonly organisation: Organisation; readonly legal: Legal };
  /** The tenants; undefined on an instance of one organisation. */
  readonly file: TenantsFile | undefined;
  /** The tenant of those for whom none is named; without it they are not let in by the identity provider. */
  readonly fallback: string | undefined;
}

const NO_LIMITS: Tariff = { id: '', withoutModules: [] };

export class Tenants implements Visibility {
  readonly #options: TenantsOptions;
  readonly #tenants: ReadonlyMap<string, Tenant>;
  readonly #tariffs: ReadonlyMap<string, Tariff>;
  readonly #fallback: string | null;
  readonly isOpen: boolean;

  constructor(options: TenantsOptions) {
    this.#options = options;
    const { file, fallback } = options;
    this.#tenants = new Map(file?.tenants.map((tenant) => [tenant.id, tenant]));
    this.#tariffs = new Map(file?.tariffs.map((tariff) => [tariff.id, tariff]));
    this.#fallback = fallback ?? null;
    this.isOpen = file === undefined;
  }

  /**
   * Where somebody belongs by what the identity provider says.
   *
   * @param isPerson a service for the whole instance may be of no tenant: it sees whom it meets in rooms
   * @returns undefined on an instance without tenants
   * @throws LoginError `no-tenant` when none is named and there is no default, `unknown-tenant`
   */
  placeOf(said: Claimed, isPerson = true): Place | undefined {
    if (this.isOpen) return undefined;
    if (said.tenant === undefined && this.#fallback === null && isPerson) {
      throw new LoginError('no-tenant', 'The identity provider names no tenant for this person.');
    }
    if (said.tenant !== undefined && !this.#tenants.has(said.tenant)) {
      throw new LoginError('unknown-tenant', 'The identity provider names a tenant that this instance does not have.');
    }
    const tariff = said.tariff !== undefined && this.#tariffs.has(said.tariff) ? said.tariff : null;
    return { tenant: said.tenant ?? null, tariff, tenantAdmin: said.roles?.includes(TENANT_ADMIN_ROLE) === true };
  }

  /** The organisation of a local user as people see it: the tenant, or the instance where there is none. */
  async organisationOf(userId: string): Promise<{ readonly organisation: Organisation; readonly legal: Legal }> {
    const { instance } = this.#options;
    const tenant = this.#tenants.get((await this.#placed(userId))?.tenant ?? '');
    if (tenant === undefined) return instance;
    const { serverName } = instance.organisation;
    const { name: displayName, colour, imprint, privacy } = tenant;
    return { organisation: { serverName, displayName, colour }, legal: { imprint, privacy } };
  }

  /** The limits of a local user, by a tariff of their own or that of their tenant. The one place to ask for limits. */
  async limitsOf(userId: string): Promise<OwnOrganisation['limits']> {
    const { tenant, tariff } = (await this.#placed(userId)) ?? {};
    const { id: _id, ...limits } =
      this.#tariffs.get(tariff ?? this.#tenants.get(tenant ?? '')?.tariff ?? '') ?? NO_LIMITS;
    return limits;
  }

  /**
   * Administrators of the instance administer every account, those of a tenant the accounts of it.
   *
   * @throws MatrixError 403 for who is no administrator; 404 for one of a tenant who names somebody else, as for nobody
   */
  async requireAdministers({ userId, admin }: Pick<Requester, 'userId' | 'admin'>, subject: string): Promise<void> {
    if (admin) return;
    const [row] = await this.#options.db.query<{ tenant_admin: boolean; is_own: boolean | null }>(
      `SELECT a.tenant_admin, coalesce(s.tenant, $3) = coalesce(a.tenant, $3) AS is_own
       FROM users a LEFT JOIN users s ON s.localpart = $2 WHERE a.localpart = $1`,
      [this.#localpart(userId) ?? '', this.#localpart(subject) ?? '', this.#fallback],
    );
    if (this.isOpen || row?.tenant_admin !== true) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'You are not a server administrator.');
    }
    if (row.is_own !== true) throw new MatrixError(404, 'M_NOT_FOUND', 'No such user on this server.');
  }

  async maySee(viewer: string, subject: string): Promise<boolean> {
    return (await this.seenBy(viewer, [subject])).has(subject);
  }

  async seenBy(viewer: string, subjects: readonly string[]): Promise<ReadonlySet<string>> {
    if (this.isOpen || isServerAccount(viewer)) return new Set(subjects);
    const asked = subjects.filter((subject) => subject !== viewer && this.#localpart(subject) !== undefined);
    if (asked.length === 0) return new Set(subjects);
    // Who is invited is shown in the list of members, and who knocks asks to be seen.
    const rows = await this.#options.db.query<{ user_id: string }>(
      `SELECT s.user_id FROM (SELECT localpart, tenant, '@' || localpart || ':' || $3 AS user_id FROM users) s
       WHERE s.localpart = ANY($2) AND (
         starts_with(s.localpart, $6)
         OR coalesce(s.tenant, $4) = (SELECT coalesce(tenant, $4) FROM users WHERE localpart = $1)
         OR EXISTS (
           SELECT 1 FROM room_members own JOIN room_members other USING (room_id)
           WHERE own.user_id = $5 AND own.membership = 'join'
             AND other.user_id = s.user_id AND other.membership IN ('join', 'invite', 'knock')))`,
      [
        this.#localpart(viewer) ?? '',
        asked.map((subject) => this.#localpart(subject) ?? ''),
        this.#options.instance.organisation.serverName,
        this.#fallback,
        viewer,
        SERVER_PREFIX,
      ],
    );
    const seen = new Set(rows.map((row) => row.user_id));
    return new Set(subjects.filter((id) => id === viewer || this.#localpart(id) === undefined || seen.has(id)));
  }

  async circleOf(viewer: string): Promise<Circle | undefined> {
    if (this.isOpen) return undefined;
    const tenant = (await this.#placed(viewer))?.tenant ?? undefined;
    return { tenant, withUnnamed: tenant !== undefined && tenant === this.#fallback };
  }

  async mayPeek(viewer: string, roomId: string): Promise<boolean> {
    if (this.isOpen || isServerAccount(viewer)) return true;
    const [row] = await this.#options.db.query<{ open: boolean }>(
      `SELECT coalesce(bool_or(coalesce(u.tenant, $3) = (SELECT coalesce(tenant, $3) FROM users WHERE localpart = $1)),
         count(*) = 0) AS open
       FROM room_members m
       JOIN users u ON u.localpart = substr(m.user_id, 2, length(m.user_id) - length($4) - 2)
       WHERE m.room_id = $2 AND m.server = $4 AND m.membership = 'join' AND NOT starts_with(u.localpart, $5)`,
      [
        this.#localpart(viewer) ?? '',
        roomId,
        this.#fallback,
        this.#options.instance.organisation.serverName,
        SERVER_PREFIX,
      ],
    );
    return row?.open === true;
  }

  async #placed(userId: string): Promise<Pick<Place, 'tenant' | 'tariff'> | undefined> {
    if (this.isOpen) return undefined;
    const [row] = await this.#options.db.query<{ tenant: string | null; tariff: string | null }>(
      'SELECT coalesce(tenant, $2) AS tenant, tariff FROM users WHERE localpart = $1',
      [this.#localpart(userId) ?? '', this.#fallback],
    );
    return row;
  }

  #localpart(userId: string): string | undefined {
    const end = `:${this.#options.instance.organisation.serverName}`;
    return userId.startsWith('@') && userId.endsWith(end) ? userId.slice(1, -end.length) : undefined;
  }
}
