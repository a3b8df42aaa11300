/**
 * Which people of this server may know of each other. Without tenants everybody may know of everybody, and nothing is
 * asked. People of other servers are seen as federation lets them: about them the answer is always yes. docs/tenants.md
 * lists every place that asks.
 */

/** The people among whom somebody searches and whose lists they see: those of a tenant. */
export interface Circle {
  /** Undefined for somebody of no tenant, who finds nobody. */
  readonly tenant: string | undefined;
  /** Whether those belong to it, too, of whom no tenant is known. */
  readonly withUnnamed: boolean;
}

export interface Visibility {
  /** Whether everybody may know of everybody. */
  readonly isOpen: boolean;
  /**
   * Those of the users of whom a local user may know: people of the same tenant, people who are in a room with them, and
   * everybody of other servers. Nobody else exists for that user: the answers are those for an unknown user id.
   */
  seenBy(viewer: string, subjects: readonly string[]): Promise<ReadonlySet<string>>;
  /** The same for one user. */
  maySee(viewer: string, subject: string): Promise<boolean>;
  /** Whom somebody finds by searching, a room in common or not; undefined for everybody. */
  circleOf(viewer: string): Promise<Circle | undefined>;
  /** Whether somebody may look into a room that is open to all without being in it: of their tenant somebody is. */
  mayPeek(viewer: string, roomId: string): Promise<boolean>;
}

/** A server without tenants. */
export const ALL_VISIBLE: Visibility = {
  isOpen: true,
  seenBy: (_viewer, subjects) => Promise.resolve(new Set(subjects)),
  maySee: () => Promise.resolve(true),
  circleOf: () => Promise.resolve(undefined),
  mayPeek: () => Promise.resolve(true),
};

/**
 * The condition that an account belongs to a circle.
 *
 * @param column the column with the tenant of the account
 * @param first number of the first of the two parameters, which `circleParameters` gives
 */
export function inCircle(column: string, first: number): string {
  const [tenant, withUnnamed] = [`$${String(first)}::text`, `$${String(first + 1)}::boolean`];
  return `(${withUnnamed} IS NULL OR ${column} = ${tenant} OR (${withUnnamed} AND ${column} IS NULL))`;
}

/** The parameters for `inCircle`. */
export function circleParameters(circle: Circle | undefined): [tenant: string | null, withUnnamed: boolean | null] {
  return [circle?.tenant ?? null, circle === undefined ? null : circle.withUnnamed];
}
