/** The realm of one organisation: `realm.json` with its values, and people for demonstrations and tests. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';

export interface RealmPerson {
  /** What the person types. */
  readonly user: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly password: string;
  readonly email: string;
  /** Realm roles beside those that everybody has. */
  readonly roles?: readonly string[];
  /** Such as `tenant_id`. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** A client with credentials of its own, for which nobody logs in. */
export interface RealmService {
  readonly clientId: string;
  readonly secret: string;
  /** Realm roles. */
  readonly roles: readonly string[];
}

export interface RealmPlan {
  /** Name of the realm, the end of its issuer address. */
  readonly name: string;
  /** Name of the organisation as people see it. */
  readonly organisation: string;
  /** Public address of the homeserver, without a slash at the end. */
  readonly publicUrl: string;
  readonly clientSecret: string;
  readonly people: readonly RealmPerson[];
  readonly services?: readonly RealmService[];
}

const FILE = new URL('realm.json', import.meta.url);
const realmSchema = z.looseObject({ realm: z.string(), clients: z.array(z.looseObject({ clientId: z.string() })) });

/**
 * The realm as Keycloak imports it. People get ids that follow from their names: whoever imports it again has the same
 * people.
 */
export async function realmOf(plan: RealmPlan): Promise<Readonly<Record<string, unknown>>> {
  const values: Readonly<Record<string, string>> = {
    HANSETAG_REALM: plan.name,
    HANSETAG_ORGANISATION: plan.organisation,
    HANSETAG_PUBLIC_URL: plan.publicUrl,
    HANSETAG_OIDC_CLIENT_SECRET: plan.clientSecret,
  };
  const text = (await readFile(FILE, 'utf8')).replace(/\$\{(HANSETAG_[A-Z_]+)\}/g, (whole, name: string) =>
    JSON.stringify(values[name] ?? whole).slice(1, -1),
  );
  const realm = realmSchema.parse(JSON.parse(text));
  const { people, services = [] } = plan;
  return {
    ...realm,
    clients: [...realm.clients, ...services.map(clientOf)],
    users: [...people.map((person) => userOf(plan.name, person)), ...services.map(serviceAccountOf)],
  };
}

/** Its tokens are for the homeserver, which the mapper says: by itself, Keycloak names no audience. */
function clientOf({ clientId, secret }: RealmService): { readonly clientId: string } & Record<string, unknown> {
  return {
    clientId,
    enabled: true,
    protocol: 'openid-connect',
    publicClient: false,
    clientAuthenticatorType: 'client-secret',
    secret,
    standardFlowEnabled: false,
    implicitFlowEnabled: false,
    directAccessGrantsEnabled: false,
    serviceAccountsEnabled: true,
    protocolMappers: [
      {
        name: 'audience',
        protocol: 'openid-connect',
        protocolMapper: 'oidc-audience-mapper',
        config: { 'included.client.audience': 'hansetag', 'access.token.claim': 'true' },
      },
    ],
  };
}

function serviceAccountOf({ clientId, roles }: RealmService): Readonly<Record<string, unknown>> {
  return {
    username: `service-account-${clientId}`,
    enabled: true,
    serviceAccountClientId: clientId,
    realmRoles: roles,
  };
}

function userOf(realm: string, person: RealmPerson): Readonly<Record<string, unknown>> {
  const { user, firstName, lastName, email, password, roles = [], attributes = {} } = person;
  return {
    id: idOf(`${realm}/${user}`),
    username: user,
    enabled: true,
    firstName,
    lastName,
    email,
    emailVerified: true,
    attributes: Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, [value]])),
    realmRoles: [`default-roles-${realm}`, ...roles],
    credentials: [{ type: 'password', value: password, temporary: false }],
  };
}

/** A UUID of version 8, in which the maker says what the bits are (RFC 9562, section 5.8). */
function idOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}
