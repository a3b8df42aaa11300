/** The settings of one homeserver. The only reader of its environment. */
import { isIP } from 'node:net';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { isServerName } from '../federation/identifiers.ts';
import type { Legal } from '../protocol/client-api.ts';
import type { OidcConfig } from './accounts/provider-connection.ts';
import type { PasswordConfig } from './accounts/passwords.ts';
import { CLAIM_NAMES } from './accounts/upstream/claims.ts';
import type { TenantsConfig } from './accounts/tenants/index.ts';
import { tenantIdSchema } from './accounts/tenants/tenants-file.ts';
import { LOG_LEVELS } from './base/log.ts';
import type { LogLevel } from './base/log.ts';
import type { TrustSettings } from './engine/trust/index.ts';
import type { OrganisationFiles } from './engine/trust/own-statement.ts';
import type { MediaConfig } from './features/media/index.ts';
import {
  address,
  areRanges,
  bytes,
  claim,
  days,
  flag,
  hosts,
  isDatabaseUrl,
  isRange,
  list,
  minutes,
  text,
  webAddress,
} from './base/setting-values.ts';
import type { Address } from './base/setting-values.ts';

export interface Config {
  readonly serverName: string;
  /** Name of the organisation as people see it. */
  readonly organisation: string;
  /** Colour of the organisation, `#rrggbb`. */
  readonly colour: string;
  /** Pages that the organisation has to show. */
  readonly legal: Legal;
  /** Address of the web client, without a slash at the end. */
  readonly publicUrl: string;
  readonly wellKnown: WellKnownConfig;
  readonly clientListen: Address;
  readonly federation: FederationConfig;
  readonly databaseUrl: string;
  /** The organisation's identity provider; without it nobody logs in by it. */
  readonly oidc: OidcConfig | undefined;
  readonly sfu: SfuConfig | undefined;
  readonly passwords: PasswordConfig;
  readonly media: MediaConfig;
  /** Bodies that share this instance and do not see each other; undefined for one organisation. */
  readonly tenancy: TenantsConfig | undefined;
  /** How long is known what happened in meetings, in days; 0: nothing of it is kept. */
  readonly meetingLogDays: number;
  /** What becomes of who is alone in a meeting, and after how many ms; 0: it does not. */
  readonly alone: { readonly mediaOffMs: number; readonly askMs: number; readonly leaveMs: number };
  /** Whether people see who is there. */
  readonly presence: 'off' | 'local' | 'federated';
  /** Whether other servers are told what people call their devices. */
  readonly federatedDeviceNames: boolean;
  /** CIDR ranges in which push gateways may be although they are not public. */
  readonly pushAllowedRanges: readonly string[];
  /** Folder with the built web client, one folder for each language in it; without it none is served. */
  readonly clientDir: string | undefined;
  readonly signingKeyFile: string;
  /** PEM files of the certificate that vouches for this server, and of its key; without it no statement is made. */
  readonly organisationFiles: OrganisationFiles | undefined;
  /** File with the key by which is encrypted what the identity provider entrusts to us. */
  readonly sessionKeyFile: string;
  /** Life of an access token that can be refreshed, and the longest time until a session is checked again, in ms. */
  readonly accessTokenLifeMs: number;
  readonly logLevel: LogLevel;
  /** All rate limits are multiplied by this; 0 turns them off. */
  readonly rateLimitFactor: number;
  /** Addresses of reverse proxies whose `X-Forwarded-For` is believed. */
  readonly proxies: readonly string[];
  /** Where Prometheus may ask; without it there are no metrics. */
  readonly metricsListen: Address | undefined;
  /** End when the standard input closes, so that no process outlives the one that started it. */
  readonly exitWithParent: boolean;
}

/** What `/.well-known/matrix` says beside the address for clients. */
export interface WellKnownConfig {
  /** Server name under which other servers reach this one, when it is not its own. */
  readonly server: string | undefined;
  /** Where people find help. */
  readonly supportEmail: string | undefined;
  readonly supportPage: string | undefined;
}

export interface FederationConfig {
  readonly listen: Address;
  /** PEM files of the certificate chain and its key. */
  readonly certFile: string;
  readonly keyFile: string;
  /** PEM file with the authorities that other servers' certificates are checked against; else the system's. */
  readonly caFile: string | undefined;
  /** Addresses of host names, before DNS is asked: like a hosts file. */
  readonly hosts: ReadonlyMap<string, string>;
  /** CIDR ranges that may be reached although they are not public. */
  readonly allowedRanges: readonly string[];
  /** With which other servers we federate. */
  readonly trust: TrustSettings;
  /** Servers that are believed about the keys of those that can not be reached. */
  readonly notaries: readonly string[];
}

/** The media server. Without it there are no meetings: the homeserver is a plain Matrix server then. */
export interface SfuConfig {
  readonly control: string;
  readonly secret: string;
}

/** The environment does not make a homeserver. The message names every variable that is wrong, and no value. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG';
}

/** Variables that make sense only together. */
const OIDC = ['HANSETAG_OIDC_ISSUER', 'HANSETAG_OIDC_CLIENT_ID', 'HANSETAG_OIDC_CLIENT_SECRET'] as const;
const SFU = ['HANSETAG_SFU_CONTROL', 'HANSETAG_SFU_SECRET'] as const;
const ORGANISATION = ['HANSETAG_ORGANISATION_CERT', 'HANSETAG_ORGANISATION_KEY'] as const;

const schema = z.object({
  HANSETAG_SERVER_NAME: text.refine(isServerName, 'must be a Matrix server name, such as hamburg.example'),
  HANSETAG_ORGANISATION: text.max(100, 'is longer than 100 characters').optional(),
  HANSETAG_COLOUR: text.regex(/^#[0-9a-fA-F]{6}$/, 'must be a colour such as #1f6feb').default('#1f6feb'),
  HANSETAG_PUBLIC_URL: webAddress.transform((value) => value.replace(/\/+$/, '')),
  HANSETAG_CLIENT_LISTEN: address.default({ host: '127.0.0.1', port: 8440 }),
  HANSETAG_FEDERATION_LISTEN: address.default({ host: '127.0.0.1', port: 8448 }),
  HANSETAG_FEDERATION_ADDRESS: text
    .refine(isServerName, 'must be a host name and perhaps a port, such as matrix.hamburg.example:443')
    .optional(),
  HANSETAG_FEDERATION_CERT: text,
  HANSETAG_FEDERATION_KEY: text,
  HANSETAG_FEDERATION_CA: text.optional(),
  HANSETAG_FEDERATION_HOSTS: list.transform(hosts).default(new Map()),
  HANSETAG_FEDERATION_ALLOWED_RANGES: list.refine(areRanges, 'must be a list of ranges such as 10.0.0.0/8').default([]),
  HANSETAG_TRUST: z.enum(['open', 'allowlist', 'pki'], 'must be open, allowlist or pki').default('open'),
  HANSETAG_TRUST_SERVERS: list
    .refine((names) => names.every(isServerName), 'must be a list of Matrix server names')
    .default([]),
  HANSETAG_TRUST_ANCHORS: text.optional(),
  HANSETAG_KEY_NOTARIES: list
    .refine((names) => names.every(isServerName), 'must be a list of Matrix server names')
    .default([]),
  DATABASE_URL: text.refine(isDatabaseUrl, 'must be an address such as postgres://user@host/database'),
  HANSETAG_OIDC_ISSUER: webAddress.optional(),
  HANSETAG_OIDC_CLIENT_ID: text.optional(),
  HANSETAG_OIDC_CLIENT_SECRET: text.optional(),
  HANSETAG_OIDC_CLAIM_NAME: claim.default(CLAIM_NAMES.name),
  HANSETAG_OIDC_CLAIM_EMAIL: claim.default(CLAIM_NAMES.email),
  HANSETAG_OIDC_CLAIM_PICTURE: claim.default(CLAIM_NAMES.picture),
  HANSETAG_OIDC_CLAIM_LANGUAGE: claim.default(CLAIM_NAMES.language),
  HANSETAG_OIDC_CLAIM_GROUPS: claim.default(CLAIM_NAMES.groups),
  HANSETAG_OIDC_CLAIM_PHONE: claim.default(CLAIM_NAMES.phone),
  HANSETAG_OIDC_CLAIM_TENANT: claim.default(CLAIM_NAMES.tenant),
  HANSETAG_OIDC_CLAIM_TARIFF: claim.default(CLAIM_NAMES.tariff),
  HANSETAG_OIDC_CLAIM_ROLES: claim.default(CLAIM_NAMES.roles),
  HANSETAG_SFU_CONTROL: text.optional(),
  HANSETAG_SFU_SECRET: text.min(16, 'must have at least 16 characters').optional(),
  HANSETAG_PASSWORD_LOGIN: flag.default(false),
  HANSETAG_REGISTRATION: flag.default(false),
  HANSETAG_PASSWORD_COST: text
    .regex(/^(1[0-9]|20)$/, 'must be a number from 10 to 20')
    .transform(Number)
    .default(15),
  HANSETAG_ADMIN_SECRET: text.min(8, 'must have at least 8 characters').optional(),
  HANSETAG_MEDIA_DIR: text.optional(),
  HANSETAG_MEDIA_MAX_BYTES: bytes.refine((value) => value > 0, 'must not be 0').default(50 * 1024 ** 2),
  HANSETAG_MEDIA_QUOTA_BYTES: bytes.default(0),
  HANSETAG_MEDIA_CACHE_BYTES: bytes.default(10 * 1024 ** 3),
  HANSETAG_MEDIA_RETENTION_DAYS: days.default(0),
  HANSETAG_MEETING_LOG_DAYS: days.default(90),
  HANSETAG_ALONE_MEDIA_OFF_MIN: minutes.default(2 * 60_000),
  HANSETAG_ALONE_ASK_MIN: minutes.default(15 * 60_000),
  HANSETAG_ALONE_LEAVE_MIN: minutes.default(60 * 60_000),
  HANSETAG_TENANTS: z.enum(['single', 'claim'], 'must be single or claim').default('single'),
  HANSETAG_TENANTS_FILE: text.optional(),
  HANSETAG_TENANTS_DEFAULT: tenantIdSchema.optional(),
  HANSETAG_UNAUTHENTICATED_MEDIA: flag.default(false),
  HANSETAG_URL_PREVIEWS: flag.default(false),
  HANSETAG_FEDERATED_DEVICE_NAMES: flag.default(false),
  HANSETAG_PRESENCE: z.enum(['off', 'local', 'federated'], 'must be off, local or federated').default('off'),
  HANSETAG_PUSH_ALLOWED_RANGES: list.refine(areRanges, 'must be a list of ranges such as 10.0.0.0/8').default([]),
  HANSETAG_CLIENT_DIR: text.optional(),
  HANSETAG_SIGNING_KEY_FILE: text,
  HANSETAG_ORGANISATION_CERT: text.optional(),
  HANSETAG_ORGANISATION_KEY: text.optional(),
  HANSETAG_SESSION_KEY_FILE: text.optional(),
  HANSETAG_ACCESS_TOKEN_SECONDS: text
    .regex(/^[0-9]{1,5}$/, 'must be a number of seconds')
    .transform(Number)
    .refine((value) => value >= 10 && value <= 86_400, 'must be from 10 to 86400')
    .default(3_600),
  HANSETAG_SUPPORT_EMAIL: z.email('must be a mail address').max(254, 'is too long').optional(),
  HANSETAG_SUPPORT_PAGE: webAddress.optional(),
  HANSETAG_IMPRINT_PAGE: webAddress.optional(),
  HANSETAG_PRIVACY_PAGE: webAddress.optional(),
  HANSETAG_LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
  HANSETAG_RATE_LIMIT_FACTOR: text
    .regex(/^[0-9]{1,4}(\.[0-9]{1,3})?$/, 'must be a number such as 1 or 2.5')
    .transform(Number)
    .default(1),
  HANSETAG_RATE_LIMITS: z.enum(['on', 'off'], 'must be on or off').default('on'),
  HANSETAG_PROXIES: list
    .refine(
      (items) => items.every((item) => isIP(item) !== 0 || isRange(item)),
      'must be a list of addresses or ranges',
    )
    .default([]),
  HANSETAG_METRICS_LISTEN: address.optional(),
  HANSETAG_EXIT_WITH_PARENT: flag.default(false),
});

/** The names of all variables that `loadConfig` knows. */
export const VARIABLES: readonly string[] = Object.keys(schema.shape);

/**
 * Reads the settings of a homeserver from environment variables. An empty variable counts as absent.
 *
 * @throws ConfigError with one line for each variable that is missing or wrong; values are never shown
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given: Record<string, unknown> = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = schema.superRefine(completeGroups).safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')} ${issue.message}`);
    throw new ConfigError(`The settings of the homeserver are not complete:\n${[...new Set(lines)].join('\n')}`);
  }
  const values = parsed.data;
  return {
    serverName: values.HANSETAG_SERVER_NAME,
    organisation: values.HANSETAG_ORGANISATION ?? values.HANSETAG_SERVER_NAME,
    colour: values.HANSETAG_COLOUR,
    legal: { imprint: values.HANSETAG_IMPRINT_PAGE, privacy: values.HANSETAG_PRIVACY_PAGE },
    publicUrl: values.HANSETAG_PUBLIC_URL,
    wellKnown: {
      server: values.HANSETAG_FEDERATION_ADDRESS,
      supportEmail: values.HANSETAG_SUPPORT_EMAIL,
      supportPage: values.HANSETAG_SUPPORT_PAGE,
    },
    clientListen: values.HANSETAG_CLIENT_LISTEN,
    federation: {
      listen: values.HANSETAG_FEDERATION_LISTEN,
      certFile: values.HANSETAG_FEDERATION_CERT,
      keyFile: values.HANSETAG_FEDERATION_KEY,
      caFile: values.HANSETAG_FEDERATION_CA,
      hosts: values.HANSETAG_FEDERATION_HOSTS,
      allowedRanges: values.HANSETAG_FEDERATION_ALLOWED_RANGES,
      trust: {
        mode: values.HANSETAG_TRUST,
        servers: new Set(values.HANSETAG_TRUST_SERVERS),
        anchorsFile: values.HANSETAG_TRUST_ANCHORS,
      },
      notaries: values.HANSETAG_KEY_NOTARIES,
    },
    databaseUrl: values.DATABASE_URL,
    oidc: oidc(values),
    sfu: sfu(values),
    passwords: {
      login: values.HANSETAG_PASSWORD_LOGIN || values.HANSETAG_REGISTRATION,
      registration: values.HANSETAG_REGISTRATION,
      cost: values.HANSETAG_PASSWORD_COST,
      adminSecret: values.HANSETAG_ADMIN_SECRET,
    },
    media: {
      folder: values.HANSETAG_MEDIA_DIR ?? join(dirname(values.HANSETAG_SIGNING_KEY_FILE), 'media'),
      maxBytes: values.HANSETAG_MEDIA_MAX_BYTES,
      quotaBytes: values.HANSETAG_MEDIA_QUOTA_BYTES,
      cacheBytes: values.HANSETAG_MEDIA_CACHE_BYTES,
      retentionDays: values.HANSETAG_MEDIA_RETENTION_DAYS,
      unauthenticated: values.HANSETAG_UNAUTHENTICATED_MEDIA,
      urlPreviews: values.HANSETAG_URL_PREVIEWS,
    },
    tenancy: tenancy(values),
    meetingLogDays: values.HANSETAG_MEETING_LOG_DAYS,
    alone: {
      mediaOffMs: values.HANSETAG_ALONE_MEDIA_OFF_MIN,
      askMs: values.HANSETAG_ALONE_ASK_MIN,
      leaveMs: values.HANSETAG_ALONE_LEAVE_MIN,
    },
    presence: values.HANSETAG_PRESENCE,
    federatedDeviceNames: values.HANSETAG_FEDERATED_DEVICE_NAMES,
    pushAllowedRanges: values.HANSETAG_PUSH_ALLOWED_RANGES,
    clientDir: values.HANSETAG_CLIENT_DIR,
    signingKeyFile: values.HANSETAG_SIGNING_KEY_FILE,
    organisationFiles: organisationFiles(values),
    sessionKeyFile: values.HANSETAG_SESSION_KEY_FILE ?? join(dirname(values.HANSETAG_SIGNING_KEY_FILE), 'sessions.key'),
    accessTokenLifeMs: values.HANSETAG_ACCESS_TOKEN_SECONDS * 1000,
    logLevel: values.HANSETAG_LOG_LEVEL,
    rateLimitFactor: values.HANSETAG_RATE_LIMITS === 'off' ? 0 : values.HANSETAG_RATE_LIMIT_FACTOR,
    proxies: values.HANSETAG_PROXIES,
    metricsListen: values.HANSETAG_METRICS_LISTEN,
    exitWithParent: values.HANSETAG_EXIT_WITH_PARENT,
  };
}

type Values = z.output<typeof schema>;

/** Names what is missing when only a part of a group is given. */
function completeGroups(values: Values, context: z.RefinementCtx): void {
  for (const group of [OIDC, SFU, ORGANISATION]) {
    const missing = group.filter((name) => values[name] === undefined);
    if (missing.length === group.length) continue;
    for (const name of missing) context.addIssue({ code: 'custom', path: [name], message: 'is missing' });
  }
  if (values.HANSETAG_TENANTS === 'claim') {
    for (const name of ['HANSETAG_OIDC_ISSUER', 'HANSETAG_TENANTS_FILE'] as const) {
      if (values[name] !== undefined) continue;
      context.addIssue({ code: 'custom', path: [name], message: 'is missing: tenants by claim need it' });
    }
  } else {
    for (const name of ['HANSETAG_TENANTS_FILE', 'HANSETAG_TENANTS_DEFAULT'] as const) {
      if (values[name] === undefined) continue;
      context.addIssue({ code: 'custom', path: [name], message: 'makes sense only with HANSETAG_TENANTS=claim' });
    }
  }
  if (values.HANSETAG_TRUST === 'pki' && values.HANSETAG_TRUST_ANCHORS === undefined) {
    context.addIssue({ code: 'custom', path: ['HANSETAG_TRUST_ANCHORS'], message: 'is missing: trust is pki' });
  }
}

function oidc(values: Values): OidcConfig | undefined {
  const { HANSETAG_OIDC_ISSUER: issuer, HANSETAG_OIDC_CLIENT_ID: clientId } = values;
  const clientSecret = values.HANSETAG_OIDC_CLIENT_SECRET;
  if (issuer === undefined || clientId === undefined || clientSecret === undefined) return undefined;
  return {
    issuer,
    clientId,
    clientSecret,
    claims: {
      name: values.HANSETAG_OIDC_CLAIM_NAME,
      email: values.HANSETAG_OIDC_CLAIM_EMAIL,
      picture: values.HANSETAG_OIDC_CLAIM_PICTURE,
      language: values.HANSETAG_OIDC_CLAIM_LANGUAGE,
      groups: values.HANSETAG_OIDC_CLAIM_GROUPS,
      phone: values.HANSETAG_OIDC_CLAIM_PHONE,
      tenant: values.HANSETAG_OIDC_CLAIM_TENANT,
      tariff: values.HANSETAG_OIDC_CLAIM_TARIFF,
      roles: values.HANSETAG_OIDC_CLAIM_ROLES,
    },
  };
}

function tenancy(values: Values): TenantsConfig | undefined {
  const { HANSETAG_TENANTS_FILE: file, HANSETAG_TENANTS_DEFAULT: fallback } = values;
  return values.HANSETAG_TENANTS === 'single' || file === undefined ? undefined : { file, fallback };
}

function sfu({ HANSETAG_SFU_CONTROL: control, HANSETAG_SFU_SECRET: secret }: Values): SfuConfig | undefined {
  return control === undefined || secret === undefined ? undefined : { control, secret };
}

function organisationFiles(values: Values): OrganisationFiles | undefined {
  const { HANSETAG_ORGANISATION_CERT: certFile, HANSETAG_ORGANISATION_KEY: keyFile } = values;
  return certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile };
}
