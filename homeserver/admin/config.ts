/** The settings of the command line: those of the homeserver that it needs, from the same variables. */
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import type { z } from 'zod';
import { isServerName } from '../../federation/identifiers.ts';
import type { RevocationWeb } from '../engine/trust/revocation-source.ts';
import { areRanges, hosts, list } from '../base/setting-values.ts';
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

const ranges = list.refine(areRanges, 'must be a list of ranges such as 10.0.0.0/8');

export interface Settings {
  /** @throws UsageError when it is not given */
  require(setting: Setting): string;
  get(setting: Setting): string | undefined;
  /** Name of the organisation, for requests. */
  readonly organisation: string | undefined;
  /** Password of a PKCS#12 file. */
  readonly password: string | undefined;
  /**
   * How addresses of authorities are reached: as by the homeserver.
   *
   * @throws UsageError when a setting is wrong, CommandError when the file of CAs cannot be read
   */
  web(): RevocationWeb;
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
    web: () => {
      const caFile = variable('HANSETAG_FEDERATION_CA');
      return {
        allowedRanges: valueOf('HANSETAG_FEDERATION_ALLOWED_RANGES', ranges, variable) ?? [],
        hosts: valueOf('HANSETAG_FEDERATION_HOSTS', list.transform(hosts), variable) ?? new Map(),
        ca: caFile === undefined ? undefined : readText(caFile, 'The CAs'),
      };
    },
  };
}

function valueOf<T>(name: string, schema: z.ZodType<T>, variable: (name: string) => string | undefined): T | undefined {
  const given = variable(name);
  if (given === undefined) return undefined;
  const { data, error } = schema.safeParse(given);
  if (error) throw new UsageError(`${name} ${error.issues[0]?.message ?? 'is wrong'}.`);
  return data;
}

function readEnvFile(file: string): NodeJS.Dict<string> {
  return parseEnv(readText(file, 'The settings'));
}

function readText(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError(`${what} cannot be read: ${error instanceof Error ? error.message : file}`);
  }
}
