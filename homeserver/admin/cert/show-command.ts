/** `cert show`. */
import type { X509Certificate } from 'node:crypto';
import { readIfThere } from '../../base/whole-files.ts';
import { readSigningKeys } from '../../base/signing-key-file.ts';
import { EXIT, table, UsageError } from '../command.ts';
import type { Command } from '../command.ts';
import { readSettings, settingOptions } from '../config.ts';
import type { Settings } from '../config.ts';
import { issuerOf, nameOf, readCertificateFile } from './certificates.ts';
import { readPassword } from './password.ts';
import { nameOfKey } from './request.ts';
import { readStored } from './store.ts';

type Row = readonly [string, string];

export const show: Command = {
  summary: 'Shows the certificate, its key and the signing keys, or what is in a file',
  files: '[FILE]',
  details: 'No secret is shown. A FILE may be of any kind that import takes.',
  options: {
    ...settingOptions('cert', 'key', 'signing-key'),
    'password-file': { value: 'FILE', help: 'file with the password of a PKCS#12 file' },
  },
  run: async (args) => {
    const settings = readSettings(args);
    const [file] = args.files;
    if (args.files.length > 1) throw new UsageError('One file at a time.');
    if (file !== undefined) {
      const { certificates, keys } = await readCertificateFile(file, () =>
        readPassword({ file: args.get('password-file'), given: settings.password, prompt: `Password of ${file}: ` }),
      );
      for (const certificate of certificates) console.log(`${describe(certificate)}\n`);
      for (const key of keys) console.log(`A private key: ${nameOfKey(key)}`);
      return EXIT.good;
    }
    await showStored(settings);
    await showSigningKeys(settings);
    return EXIT.good;
  },
};

async function showStored(settings: Settings): Promise<void> {
  const [certFile, keyFile] = [settings.get('cert'), settings.get('key')];
  if (certFile === undefined || keyFile === undefined) {
    console.log('There is no certificate: HANSETAG_ORGANISATION_CERT and HANSETAG_ORGANISATION_KEY are not set.\n');
    return;
  }
  const { chain, keys, key } = await readStored({ certFile, keyFile });
  if (chain.length === 0) console.log(`There is no certificate in ${certFile}.\n`);
  for (const [index, certificate] of chain.entries()) {
    console.log(
      `${index === 0 ? 'Certificate of the organisation' : 'Authority above it'}\n${describe(certificate)}\n`,
    );
  }
  const rows = keys.map((known): Row => [
    nameOfKey(known),
    known === key ? 'of the certificate' : 'has no certificate yet',
  ]);
  console.log(`Keys in ${keyFile}\n${rows.length === 0 ? '  none' : table(rows)}\n`);
}

async function showSigningKeys(settings: Settings): Promise<void> {
  const file = settings.get('signing-key');
  const text = file === undefined ? undefined : await readIfThere(file);
  if (file === undefined || text === undefined) return;
  const now = Date.now();
  const keys = readSigningKeys(file, text);
  const old = new Map(keys.old(now).map(({ keyId, expiredTs }) => [keyId, expiredTs]));
  const rows = [
    ...keys.published(now).map(({ keyId }): Row => [keyId, keyId === keys.keyId ? 'signs now' : 'is published']),
    ...[...old].map(([keyId, ended]): Row => [keyId, `signs no more since ${new Date(ended).toISOString()}`]),
  ];
  console.log(`Matrix signing keys in ${file}\n${table(rows)}`);
}

function describe(certificate: X509Certificate): string {
  return table([
    ['subject', nameOf(certificate)],
    ['names', certificate.subjectAltName ?? 'none'],
    ['issuer', issuerOf(certificate)],
    ['serial number', certificate.serialNumber],
    ['valid', `${certificate.validFromDate.toISOString()} to ${certificate.validToDate.toISOString()}`],
    ['key', nameOfKey(certificate.publicKey)],
    ['SHA-256', certificate.fingerprint256],
  ]);
}
