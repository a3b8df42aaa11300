/**
 * User-interactive authentication: sensitive operations require users to authenticate again.
 *
 * @see Matrix specification, client-server API, "User-Interactive Authentication API"
 */
import { z } from 'zod';
import { MatrixError } from '../base/errors.ts';
import type { Accounts } from './accounts.ts';
import { ExpiringMap } from '../base/expiring-map.ts';
import { MAX_PASSWORD } from './passwords.ts';
import type { PasswordLogin } from './password-login.ts';
import { newSecret } from './secrets.ts';
import { namedUser } from './user-identifier.ts';

export type Stage = 'm.login.password' | 'm.login.dummy' | 'm.login.sso' | 'm.oauth' | 'org.matrix.cross_signing_reset';
type Flow = readonly Stage[];

export interface UiaOptions {
  readonly accounts: Accounts;
  readonly passwordLogin: PasswordLogin;
  /** Whether passwords are allowed. */
  readonly passwords: boolean;
  /** Whether an identity provider is configured. */
  readonly sso: boolean;
  /** URL of the account management page, if any. */
  readonly accountUrl?: string;
  /** The clock, Unix ms. */
  readonly now?: () => number;
}

export interface UiaRequest {
  /** Name of the operation; a session is valid for one operation only. */
  readonly operation: string;
  /** The body of the request, with `auth`. */
  readonly body: unknown;
  /** Where the request came from. */
  readonly address: string | undefined;
}

interface Session {
  readonly operation: string;
  readonly userId: string | undefined;
  readonly completed: Set<Stage>;
}

/** @see Matrix specification, client-server API, "OAuth authentication" */
const REPLACE_KEYS = 'POST /keys/device_signing/upload';
const REPLACEMENT_LIFE_MS = 10 * 60 * 1000;
const SESSION_LIFE_MS = 15 * 60 * 1000;
const MAX_SESSIONS = 20_000;

const authSchema = z.looseObject({
  type: z.string().max(100).optional(),
  session: z.string().max(200).optional(),
  identifier: z.looseObject({ type: z.string().max(100), user: z.string().max(300).optional() }).optional(),
  user: z.string().max(300).optional(),
  password: z.string().max(MAX_PASSWORD).optional(),
});
type Auth = z.output<typeof authSchema>;
const bodySchema = z.looseObject({ auth: authSchema.optional() });

export class Uia {
  readonly #options: UiaOptions;
  readonly #sessions: ExpiringMap<Session>;
  /** Users who may replace their cross-signing keys, because they allowed it on the account page. */
  readonly #keyReplacements: ExpiringMap<true>;

  constructor(options: UiaOptions) {
    this.#options = options;
    const clock = options.now ? { now: options.now } : {};
    this.#sessions = new ExpiringMap({ lifeMs: SESSION_LIFE_MS, maxSize: MAX_SESSIONS, ...clock });
    this.#keyReplacements = new ExpiringMap({ lifeMs: REPLACEMENT_LIFE_MS, maxSize: MAX_SESSIONS, ...clock });
  }

  /**
   * Resolves when the user has authenticated again.
   *
   * @throws MatrixError 401 with `flows`, `params`, `session` and `completed` while stages are missing
   * @throws MatrixError 403 when another user authenticated, or the user has no way to
   */
  async confirm(userId: string, request: UiaRequest): Promise<void> {
    const flows = await this.#flowsOf(userId);
    if (request.operation === REPLACE_KEYS && this.#options.accountUrl !== undefined) {
      flows.push(['m.oauth'], ['org.matrix.cross_signing_reset']);
    }
    if (flows.length === 0)
      throw new MatrixError(403, 'M_FORBIDDEN', 'This account has no way to authenticate for this operation.');
    await this.#run(flows, userId, request);
  }

  /**
   * Resolves when a new user may register. @throws MatrixError 401 as `confirm`
   *
   * @throws MatrixError 401 as `confirm`
   */
  async register(request: UiaRequest): Promise<void> {
    await this.#run([['m.login.dummy']], undefined, request);
  }

  /** The operation of a user's session; undefined for an unknown session. */
  operationOf(session: string): string | undefined {
    const known = this.#sessions.get(session);
    return known?.userId === undefined ? undefined : known.operation;
  }

  /**
   * Records an SSO log-in for a session. @returns whether it was by the session's user
   *
   * @returns whether it was theirs
   */
  completeSso(session: string, userId: string): boolean {
    const known = this.#sessions.get(session);
    if (known === undefined || known.userId !== userId) return false;
    known.completed.add('m.login.sso');
    return true;
  }

  /** Allows a user to replace their cross-signing keys for ten minutes. */
  allowKeyReplacement(userId: string): void {
    this.#keyReplacements.take(userId);
    this.#keyReplacements.set(userId, true);
  }

  mayReplaceKeys(userId: string): boolean {
    return this.#keyReplacements.get(userId) === true;
  }

  async #flowsOf(userId: string): Promise<Flow[]> {
    const account = await this.#options.accounts.find(userId);
    const flows: Flow[] = [];
    if (this.#options.passwords && account?.passwordHash !== undefined) flows.push(['m.login.password']);
    if (this.#options.sso && account?.external === true) flows.push(['m.login.sso']);
    return flows;
  }

  async #run(flows: readonly Flow[], userId: string | undefined, request: UiaRequest): Promise<void> {
    const parsed = bodySchema.safeParse(request.body ?? {});
    if (!parsed.success) throw new MatrixError(400, 'M_BAD_JSON', 'auth is malformed.');
    const { auth } = parsed.data;
    const { id, session } = this.#session(auth?.session, userId, request.operation);
    // The first response is not a failure, so it has no error code.
    const missing = { errcode: undefined, error: undefined };
    const params = this.#params(flows);
    if (auth === undefined) throw challenge(flows, id, session, { ...missing, params });
    if (userId !== undefined && session.operation === REPLACE_KEYS && this.mayReplaceKeys(userId)) {
      session.completed.add('m.oauth');
    }
    const { type } = auth;
    if (type !== undefined) {
      if (!flows.some((flow) => flow.some((stage) => stage === type))) {
        throw new MatrixError(400, 'M_UNRECOGNIZED', 'This server does not offer this authentication stage.');
      }
      const stage = type as Stage;
      const passed = session.completed.has(stage) || (await this.#prove(stage, auth, userId, request.address));
      if (!passed) throw challenge(flows, id, session, { params });
      session.completed.add(stage);
    }
    if (!flows.some((flow) => flow.every((stage) => session.completed.has(stage)))) {
      throw challenge(flows, id, session, { ...missing, params });
    }
    this.#sessions.take(id);
    if (userId !== undefined && session.operation === REPLACE_KEYS) this.#keyReplacements.take(userId);
  }

  /** The parameters of stages, such as the URL of a page. */
  #params(flows: readonly Flow[]): Record<string, unknown> {
    const url = `${this.#options.accountUrl ?? ''}?action=org.matrix.cross_signing_reset`;
    const stages = flows.flat().filter((stage) => stage === 'm.oauth' || stage === 'org.matrix.cross_signing_reset');
    return Object.fromEntries(stages.map((stage) => [stage, { url }]));
  }

  #session(id: string | undefined, userId: string | undefined, operation: string): { id: string; session: Session } {
    if (id === undefined) {
      const session: Session = { operation, userId, completed: new Set() };
      const made = newSecret('');
      this.#sessions.set(made, session);
      return { id: made, session };
    }
    const session = this.#sessions.get(id);
    if (session === undefined)
      throw new MatrixError(400, 'M_UNKNOWN', 'This session is unknown or has expired. Start again.');
    if (session.operation !== operation || session.userId !== userId) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'This session belongs to another operation.');
    }
    return { id, session };
  }

  async #prove(stage: Stage, auth: Auth, userId: string | undefined, address: string | undefined): Promise<boolean> {
    if (stage === 'm.login.dummy') return true;
    // Browser stages are completed by their page, not here.
    if (stage !== 'm.login.password' || userId === undefined) return false;
    if (auth.password === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', 'password is missing.');
    const { accounts, passwordLogin } = this.#options;
    const named = namedUser(auth, accounts) ?? userId;
    if (named !== userId) throw new MatrixError(403, 'M_FORBIDDEN', 'This is another user.');
    return (await passwordLogin.check(userId, auth.password, address)) !== undefined;
  }
}

function challenge(
  flows: readonly Flow[],
  id: string,
  { completed }: Session,
  extra: Readonly<Record<string, unknown>>,
): MatrixError {
  return new MatrixError(401, 'M_FORBIDDEN', 'The authentication failed.', {
    session: id,
    flows: flows.map((stages) => ({ stages })),
    completed: [...completed],
    ...extra,
  });
}
