/**
 * Who somebody is, by the claims of the organisation's identity provider. What they are called is a setting; the
 * defaults are those of OpenTalk's realm. A claim that is not what it should be counts as absent, and as an unknown one
 * where it says where somebody belongs: nothing is cut to fit that identifies anything.
 *
 * @see OpenID Connect Core 1.0, sections 2 and 5.1
 */
import { z } from 'zod';
import type { Identity } from '../accounts.ts';
import { LoginError } from '../login-error.ts';

/** Names of claims. A dot leads into an object, such as `realm_access.roles`. */
export interface ClaimNames {
  readonly name: string;
  readonly email: string;
  readonly picture: string;
  readonly language: string;
  readonly groups: string;
  readonly phone: string;
  readonly tenant: string;
  readonly tariff: string;
  readonly roles: string;
}

export const CLAIM_NAMES: ClaimNames = {
  name: 'name',
  email: 'email',
  picture: 'picture',
  language: 'locale',
  groups: 'x_grp',
  phone: 'phone_number',
  tenant: 'tenant_id',
  tariff: 'tariff_id',
  roles: 'roles',
};

type Claims = Readonly<Record<string, unknown>>;

/** OpenID Connect Core 1.0, section 2: "must not exceed 255 ASCII characters". */
const MAX_ID = 255;
const MAX_NAME = 500;
const MAX_EMAIL = 254;
const MAX_URL = 2_000;
const MAX_LANGUAGE = 35;
/** Of groups and of roles. */
const MAX_ITEMS = 1_000;

/** Without control characters, among them NUL, which PostgreSQL does not store. */
const plain = z.string().refine((value) => value.trim() !== '' && value.isWellFormed() && !/\p{Cc}/u.test(value));
/** As it is: two that differ by a space are two. */
const id = plain.max(MAX_ID);
const name = plain.transform((value) => value.trim().slice(0, MAX_NAME).toWellFormed());
const email = z.email().max(MAX_EMAIL);
const picture = z.url({ protocol: /^https?$/ }).max(MAX_URL);
/** RFC 5646; Keycloak also has an underscore in it. */
const language = z
  .string()
  .max(MAX_LANGUAGE)
  .regex(/^[a-z]{2,8}([-_][a-z0-9]{1,8})*$/i);
const phone = z
  .string()
  .trim()
  .regex(/^\+?[0-9][0-9 ()/.-]{1,30}$/);
const items = z.union([z.array(z.unknown()), id.transform((one) => [one])]).transform((list) =>
  list
    .map((item) => id.safeParse(item).data)
    .filter((item) => item !== undefined)
    .slice(0, MAX_ITEMS),
);

/**
 * @throws LoginError `refused` when the provider does not say whom it means
 */
export function identityOf(claims: Claims, names: ClaimNames = CLAIM_NAMES): Identity {
  const read = <T>(claim: string, schema: z.ZodType<T>): T | undefined => schema.safeParse(claimOf(claims, claim)).data;
  const issuer = read('iss', z.string().min(1).max(MAX_URL));
  const subject = read('sub', id);
  if (issuer === undefined || subject === undefined) {
    throw new LoginError('refused', 'The identity provider does not say properly who has logged in.');
  }
  // Whoever may write their own mail address there would be found as somebody else.
  const isVerified = claims['email_verified'] === true;
  return {
    issuer,
    subject,
    preferredUsername: read('preferred_username', id),
    name: read(names.name, name) ?? fullName(read('given_name', name), read('family_name', name)),
    email: isVerified ? read(names.email, email) : undefined,
    picture: read(names.picture, picture),
    language: read(names.language, language)?.replaceAll('_', '-'),
    groups: read(names.groups, items) ?? [],
    phone: read(names.phone, phone),
    tenant: idOf(claimOf(claims, names.tenant)),
    tariff: idOf(claimOf(claims, names.tariff)),
    roles: read(names.roles, items),
  };
}

/** An id; what is there, but is none, is '', an id that nothing has: it must not pass for none. */
function idOf(claim: unknown): string | undefined {
  return claim === undefined || claim === null ? undefined : (id.safeParse(claim).data ?? '');
}

/** Claims of two sources, the first one decides; a mail address is verified only by whoever says it. */
export function merged(first: Claims, second: Claims, { email: emailClaim }: ClaimNames): Claims {
  const isOfFirst = claimOf(first, emailClaim) !== undefined;
  return { ...second, ...first, email_verified: (isOfFirst ? first : second)['email_verified'] };
}

/** A claim by its name; else along the dots in it. */
function claimOf(claims: Claims, claim: string): unknown {
  if (Object.hasOwn(claims, claim)) return claims[claim];
  let value: unknown = claims;
  for (const part of claim.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Claims)[part];
  }
  return value;
}

function fullName(given: string | undefined, family: string | undefined): string | undefined {
  const names = [given, family].filter((one) => one !== undefined);
  return names.length > 0 ? names.join(' ') : undefined;
}
