/** The settings of the command line: those of the homeserver that it needs, from the same variables. */
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { isServerName } from '../../federation/identifiers.ts';
import { CommandError, UsageError } from './command.ts';
import type { Arguments, Option } from './command.ts';

/** Options by which the variables of the homeserver are given, or given differently. */
export const SETTINGS = {
  'env-file': { value: 'FILE', help: 'file with the settings of the homeserver, a line NAME=value for each' },
  'server-name': { value: 'NAME', help: 'Matrix server name; default HANSETAG_SERVER_NAME' },
  cert: { value: 'FILE', help: 'certificate chain (PEM); default HANSETAG_ORGANISATION_CERT' },
  key: { value: 'FILE', help: 'key of the certificate (PEM); default HANSETAG_ORGANISATION_KEY' },
  'signing-key': { value: 'FILE', help: 'Matrix signing keys; default HANSETAG_SIGNING_KEY_FILE' },
  anchors: { value: 'FILE', help: 'trusted authorities (PEM); default HANSETAG_TRUST_ANCHORS' },
} satisfies Record<string, Option>;

const VARIABLES: Readonly<Record<Exclude<keyof typeof SETTINGS, 'env-file'>, string>> = {
  'server-name': 'HANSETAG_SERVER_NAME',
  cert: 'HANSETAG_ORGANISATION_CERT',
  key: 'HANSETAG_ORGANISATION_KEY',
  'signing-key': 'HANSETAG_SIGNING_KEY_FILE',
  anchors: 'HANSETAG_TRUST_ANCHORS',
};

export type Setting = keyof typeof VARIABLES;

export interface Settings {
  /** @throws UsageError when it is not given */
  require(setting: Setting): string;
  get(setting: Setting): string | undefined;
  /** Name of the organisation, for requests. */
  readonly organisation: string | undefined;
  /** Password of a PKCS#12 file. */
  readonly password: string | undefined;
}

/** Picks the options that a command has. */
export function settingOptions(...names: Setting[]): Record<string, Option> {
  const all = ['env-file' as const, ...names];
  return Object.fromEntries(all.map((name): [string, Option] => [name, SETTINGS[name]]));
}

/** @throws CommandError when the file of settings cannot be read; UsageError when the server name is none */
export function readSettings(args: Arguments): Settings {
  const envFile = args.get('env-file');
  const file = envFile === undefined ? {} : readEnvFile(envFile);
  // As with Node's own --env-file, what is in the environment goes before.
  const variable = (name: string): string | undefined => process.env[name] || file[name] || undefined;
  const get = (setting: Setting): string | undefined => args.get(setting) || variable(VARIABLES[setting]);
  const serverName = get('server-name');
  if (serverName !== undefined && !isServerName(serverName)) {
    throw new UsageError(`"${serverName}" is not a Matrix server name, such as hamburg.example.`);
  }
  return {
    get,
    require: (setting) => {
      const value = get(setting);
      if (value !== undefined) return value;
      throw new UsageError(`--${setting} or ${VARIABLES[setting]} is missing.`);
    },
    organisation: variable('HANSETAG_ORGANISATION'),
    password: variable('HANSETAG_CERT_PASSWORD'),
  };
}

function readEnvFile(file: string): NodeJS.Dict<string> {
  try {
    return parseEnv(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CommandError(`The settings cannot be read: ${error instanceof Error ? error.message : file}`);
  }
}
