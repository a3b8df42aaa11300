/** `cert key` and `cert request`. */
import { basename, dirname, extname, join } from 'node:path';
import type { KeyObject } from 'node:crypto';
import { readIfThere, SECRET_MODE, writeNew } from '../../base/whole-files.ts';
import { CommandError, EXIT, UsageError } from '../command.ts';
import type { Arguments, Command, Option } from '../command.ts';
import { readSettings, settingOptions } from '../config.ts';
import type { Settings } from '../config.ts';
import { KEY_TYPES, makeRequest, nameOfKey, newPrivateKey, pemOfKey } from './request.ts';
import type { KeyType, Subject } from './request.ts';
import { PUBLIC_MODE, readKeys } from './store.ts';

export const TYPE: Option = { value: 'TYPE', help: `${KEY_TYPES.join(' or ')}; default p256` };
export const SUBJECT: Record<string, Option> = {
  organisation: { value: 'NAME', help: 'official name of the organisation; default HANSETAG_ORGANISATION' },
  unit: { value: 'NAME', help: 'part of the organisation, if the authority wants one' },
  country: { value: 'CODE', help: 'two letters, such as DE' },
  state: { value: 'NAME', help: 'state or province' },
  locality: { value: 'NAME', help: 'town' },
  out: { value: 'FILE', help: 'where the request goes; default beside the key, with the date in its name' },
};

export const key: Command = {
  summary: "Makes the key of the organisation's certificate",
  details:
    'The key is written where HANSETAG_ORGANISATION_KEY says, readable by you alone. A key that is there is never\n' +
    'overwritten. The next step is: npx hansetag cert request',
  options: { ...settingOptions('key'), type: TYPE },
  run: async (args) => {
    const file = readSettings(args).require('key');
    const made = newPrivateKey(keyType(args));
    await makeFile(file, pemOfKey(made), SECRET_MODE, 'Keys are never overwritten. For the next one: cert renew');
    console.log(`A ${nameOfKey(made)} key is in ${file}. Next: npx hansetag cert request`);
    return EXIT.good;
  },
};

export const request: Command = {
  summary: 'Makes the request for a certificate (PKCS#10) that you send to your authority',
  details:
    'Tell the authority that the certificate must have: the organisation in its subject, the host of the server name\n' +
    'as DNS name, the key usage digitalSignature, at most 398 days, and the address of a CRL or of an OCSP responder.',
  options: { ...settingOptions('server-name', 'key'), ...SUBJECT },
  run: async (args) => {
    const settings = readSettings(args);
    const file = settings.require('key');
    const text = await readIfThere(file);
    if (text === undefined) throw new CommandError(`There is no key in ${file}. Make one: npx hansetag cert key`);
    const last = readKeys(text, file).at(-1);
    if (last === undefined) throw new CommandError(`There is no key in ${file}.`);
    await writeRequest(args, settings, last, file);
    return EXIT.good;
  },
};

/** Makes a request and says what to do with it. */
export async function writeRequest(
  args: Arguments,
  settings: Settings,
  made: KeyObject,
  keyFile: string,
  before?: Subject,
): Promise<void> {
  const organisation = args.get('organisation') ?? before?.organisation ?? settings.organisation;
  if (organisation === undefined) throw new UsageError('--organisation or HANSETAG_ORGANISATION is missing.');
  const subject: Subject = {
    organisation,
    unit: args.get('unit') ?? before?.unit,
    country: args.get('country') ?? before?.country,
    state: args.get('state') ?? before?.state,
    locality: args.get('locality') ?? before?.locality,
  };
  const serverName = settings.require('server-name');
  const pem = await makeRequest(made, serverName, subject);
  const file = args.get('out') ?? requestFile(keyFile);
  await makeFile(file, pem, PUBLIC_MODE, 'Move it away, or give another name: --out FILE');
  console.log(
    `The request of ${organisation} for ${serverName} is in ${file}.\n` +
      'Send it to your authority. When the certificate has come: npx hansetag cert import FILE',
  );
}

/** @throws UsageError */
export function keyType(args: Arguments): KeyType {
  const given = args.get('type') ?? 'p256';
  const type = KEY_TYPES.find((known) => known === given.toLowerCase());
  if (type === undefined) throw new UsageError(`--type must be ${KEY_TYPES.join(' or ')}.`);
  return type;
}

function requestFile(keyFile: string): string {
  const day = new Date().toISOString().slice(0, 10);
  return join(dirname(keyFile), `${basename(keyFile, extname(keyFile))}-${day}.csr`);
}

/** Writes a file that must not be there yet. @throws CommandError */
export async function makeFile(file: string, text: string, mode: number, advice: string): Promise<void> {
  try {
    await writeNew(file, text, mode);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
      throw new CommandError(`${file} is there already. ${advice}`);
    }
    throw error;
  }
}
