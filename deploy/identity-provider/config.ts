/** The settings of the demo's identity provider, from the environment. */
import { z } from 'zod';

export interface Person {
  /** What the person types, and the local part of the Matrix id. */
  readonly user: string;
  readonly name: string;
}

export interface ProviderConfig {
  /** Where it listens and what it is called: an http address on this machine, without a path. */
  readonly issuer: URL;
  /** Name of the organisation as people see it. */
  readonly organisation: string;
  /** Where the homeserver takes people back. */
  readonly redirectUri: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly people: readonly Person[];
  readonly password: string;
  /** File with the key that signs ID tokens, made if absent. */
  readonly keyFile: string;
}

export class ProviderConfigError extends Error {
  override readonly name = 'ProviderConfigError';
  readonly code = 'CONFIG';
}

const text = z.string('is missing').min(1, 'is empty').max(500, 'is too long');

const schema = z.object({
  // Everybody knows the demo's passwords: it must not be reachable from elsewhere.
  HANSETAG_IDP_ISSUER: text.regex(
    /^http:\/\/127(\.\d{1,3}){3}:\d{1,5}$/,
    'must be http, an address in 127.0.0.0/8, a port',
  ),
  HANSETAG_IDP_ORGANISATION: text,
  HANSETAG_IDP_REDIRECT_URI: text.refine((value) => URL.canParse(value), 'must be an address'),
  HANSETAG_IDP_CLIENT_ID: text.default('hansetag'),
  HANSETAG_IDP_CLIENT_SECRET: text.min(16, 'must have at least 16 characters'),
  // user=full name, separated by commas
  HANSETAG_IDP_PEOPLE: text.regex(/^[a-z]+=[^,=]+(,[a-z]+=[^,=]+)*$/, 'must be like anna=Anna Petersen,jens=Jens Vogt'),
  HANSETAG_IDP_PASSWORD: text.default('demo'),
  HANSETAG_IDP_KEY_FILE: text,
});

/** @throws ProviderConfigError naming each variable that is missing or wrong, without its value */
export function loadProviderConfig(env: Readonly<Record<string, string | undefined>>): ProviderConfig {
  const parsed = schema.safeParse(env);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')} ${issue.message}`);
    throw new ProviderConfigError(`The settings of the identity provider are not complete:\n${lines.join('\n')}`);
  }
  const values = parsed.data;
  return {
    issuer: new URL(values.HANSETAG_IDP_ISSUER),
    organisation: values.HANSETAG_IDP_ORGANISATION,
    redirectUri: values.HANSETAG_IDP_REDIRECT_URI,
    clientId: values.HANSETAG_IDP_CLIENT_ID,
    clientSecret: values.HANSETAG_IDP_CLIENT_SECRET,
    people: values.HANSETAG_IDP_PEOPLE.split(',').map((item) => {
      const [user = '', name = ''] = item.split('=');
      return { user, name };
    }),
    password: values.HANSETAG_IDP_PASSWORD,
    keyFile: values.HANSETAG_IDP_KEY_FILE,
  };
}
