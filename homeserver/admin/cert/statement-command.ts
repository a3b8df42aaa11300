/** `cert statement`: for servers of other makes. */
import { makeStatement, MAX_STATEMENT_LIFE_MS } from '../../../federation/trust/statement.ts';
import { readSigningKeys } from '../../base/signing-key-file.ts';
import { readText, writeWhole } from '../../base/whole-files.ts';
import {
  OrganisationCertificateError,
  readOrganisationCertificate,
} from '../../engine/trust/organisation-certificate.ts';
import { CommandError, EXIT, UsageError } from '../command.ts';
import type { Arguments, Command } from '../command.ts';
import { readSettings, settingOptions } from '../config.ts';
import { PUBLIC_MODE } from './store.ts';

const DAY_MS = 24 * 60 * 60_000;
const DEFAULT_DAYS = 7;
const MAX_DAYS = MAX_STATEMENT_LIFE_MS / DAY_MS;

export const statement: Command = {
  summary: 'Writes the statement to a file, for a server of another make such as Synapse',
  details:
    'A Hansetag server serves its statement itself. For another one, a reverse proxy serves this file at\n' +
    '/_hansetag/key/v1/statement, with the content type application/jose. Make it anew in time, for example once a day.',
  options: {
    ...settingOptions('server-name', 'cert', 'key', 'signing-key'),
    days: { value: 'DAYS', help: `how long it is valid; default ${String(DEFAULT_DAYS)}, at most ${String(MAX_DAYS)}` },
    out: { value: 'FILE', help: 'where it goes; default the standard output' },
  },
  run: async (args) => {
    const settings = readSettings(args);
    const days = daysOf(args);
    const serverName = settings.require('server-name');
    const files = { certFile: settings.require('cert'), keyFile: settings.require('key') };
    const signingKeyFile = settings.require('signing-key');
    const { chain, key, notAfter } = await readCertificate(serverName, files);
    const now = Date.now();
    if (notAfter <= now) throw new CommandError('The certificate has expired. Renew it: npx hansetag cert renew');
    const keys = readSigningKeys(signingKeyFile, await readText(signingKeyFile));
    const made = await makeStatement({
      serverName,
      keys: new Map(keys.published(now).map(({ keyId, publicKey }) => [keyId, publicKey])),
      number: Math.floor(now / 1000),
      issuedAt: now,
      expiresAt: Math.min(now + days * DAY_MS, notAfter),
      certificateKey: key,
      chain,
    });
    const out = args.get('out');
    if (out === undefined) console.log(made);
    else await writeWhole(out, made, PUBLIC_MODE);
    return EXIT.good;
  },
};

function daysOf(args: Arguments): number {
  const days = Number(args.get('days') ?? DEFAULT_DAYS);
  if (!(days >= 1 && days <= MAX_DAYS)) throw new UsageError(`--days must be from 1 to ${String(MAX_DAYS)}.`);
  return days;
}

async function readCertificate(serverName: string, files: { readonly certFile: string; readonly keyFile: string }) {
  const [certificates, keys] = await Promise.all([readText(files.certFile), readText(files.keyFile)]);
  try {
    return readOrganisationCertificate({ serverName, certificates, keys, ...files });
  } catch (error) {
    if (error instanceof OrganisationCertificateError) throw new CommandError(error.message);
    throw error;
  }
}
