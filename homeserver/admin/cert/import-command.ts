/** `cert import`. */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { checkProfile } from '../../../federation/trust/profile.ts';
import { TrustError } from '../../../federation/trust/trust-error.ts';
import type { OrganisationFiles } from '../../engine/trust/own-statement.ts';
import { CommandError, EXIT, UsageError } from '../command.ts';
import type { Command } from '../command.ts';
import { readSettings, settingOptions } from '../config.ts';
import { chainOf, isSelfIssued, issuerOf, nameOf, readCertificateFile } from './certificates.ts';
import { readPassword } from './password.ts';
import { readStored, replaceCertificate, requireTwoFiles } from './store.ts';

/** What is to be put into use. */
export interface Import {
  readonly chain: readonly X509Certificate[];
  readonly key: KeyObject;
}

export const importCertificate: Command = {
  summary: 'Puts a certificate into use, and its key when it comes with one',
  files: 'FILE...',
  details:
    'Takes PEM, DER, PKCS#7 (.p7b) and PKCS#12 (.p12, .pfx), in one file or several: the certificate and those of the\n' +
    'authorities above it, in any order. All is checked first, and nothing is written unless all is good. A running\n' +
    'server takes it within a minute. The certificate before is kept beside it, in a file that ends in .previous.\n' +
    'The password of a PKCS#12 file is asked for, or taken from the variable HANSETAG_CERT_PASSWORD.',
  options: {
    ...settingOptions('server-name', 'cert', 'key'),
    'password-file': { value: 'FILE', help: 'file with the password of a PKCS#12 file' },
  },
  run: async (args) => {
    if (args.files.length === 0) throw new UsageError('Which file? npx hansetag cert import FILE...');
    const settings = readSettings(args);
    const serverName = settings.require('server-name');
    const files = { certFile: settings.require('cert'), keyFile: settings.require('key') };
    requireTwoFiles(files);
    const certificates: X509Certificate[] = [];
    const keys: KeyObject[] = [];
    for (const file of args.files) {
      const found = await readCertificateFile(file, () =>
        readPassword({ file: args.get('password-file'), given: settings.password, prompt: `Password of ${file}: ` }),
      );
      certificates.push(...found.certificates);
      keys.push(...found.keys);
    }
    const before = await readStored(files);
    const chosen = choose(certificates, [...keys, ...before.keys], serverName, files);
    const previous = await replaceCertificate(files, before, chosen.chain, chosen.key);
    report(chosen, files, previous);
    return EXIT.good;
  },
};

/**
 * Finds the certificate for which there is a key, and checks it.
 *
 * @throws CommandError when there is none, or it cannot be used
 */
export function choose(
  certificates: readonly X509Certificate[],
  keys: readonly KeyObject[],
  serverName: string,
  { keyFile }: Pick<OrganisationFiles, 'keyFile'>,
  now = Date.now(),
): Import {
  const pairs = certificates.flatMap((own) => {
    const key = keys.find((candidate) => own.checkPrivateKey(candidate));
    return key === undefined ? [] : [{ own, key }];
  });
  // Several for one key: that of a renewal is the one that lasts.
  const pair = pairs.toSorted((a, b) => b.own.validToDate.getTime() - a.own.validToDate.getTime())[0];
  if (pair === undefined) {
    const names = certificates.map((certificate) => `"${nameOf(certificate)}"`).slice(0, 3);
    throw new CommandError(
      (certificates.length === 0
        ? 'There is a key, but no certificate.'
        : `Neither ${keyFile} nor the given files have a key that belongs to ${names.join(' or ')}.`) +
        ' Nothing was changed. The key is the one that the request was made with; ' +
        'if it is elsewhere, give its file too, or the PKCS#12 file that has both.',
    );
  }
  const { own, key } = pair;
  try {
    checkProfile(own, serverName);
  } catch (error) {
    if (!(error instanceof TrustError)) throw error;
    throw new CommandError(`This certificate cannot be used, nothing was changed: ${error.message}`);
  }
  if (own.validToDate.getTime() <= now) {
    throw new CommandError(`This certificate has expired on ${day(own.validToDate)}. Nothing was changed.`);
  }
  if (own.validFromDate.getTime() > now) {
    throw new CommandError(
      `This certificate is valid from ${own.validFromDate.toISOString()}. Nothing was changed; import it then.`,
    );
  }
  return { chain: chainOf(own, certificates), key };
}

function report({ chain }: Import, { certFile, keyFile }: OrganisationFiles, previous: string | undefined): void {
  const [own] = chain;
  const last = chain.at(-1);
  if (own === undefined || last === undefined) return;
  console.log(`The certificate of "${nameOf(own)}", valid until ${day(own.validToDate)}, is in ${certFile}.`);
  console.log(`Its key is in ${keyFile}. ${previous === undefined ? '' : `What was there before is in ${previous}.`}`);
  if (!isSelfIssued(last)) {
    console.log(`The path ends below "${issuerOf(last)}": this must be an authority that others trust themselves.`);
  }
  console.log('A running server takes it within a minute. Look at it: npx hansetag cert check');
}

export function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
