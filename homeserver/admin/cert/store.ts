/** The files of the organisation's certificate: what is in them, and changing both at once. */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { readChain } from '../../../federation/trust/certificate.ts';
import { readIfThere, SECRET_MODE, writeWhole } from '../../base/whole-files.ts';
import { readPrivateKeys } from '../../engine/trust/organisation-certificate.ts';
import type { OrganisationFiles } from '../../engine/trust/own-statement.ts';
import { CommandError, UsageError } from '../command.ts';
import { pemOfKey } from './request.ts';

/** Of what anybody may read. */
export const PUBLIC_MODE = 0o644;

export interface Stored {
  /** The certificate and those above it; none when there is no file yet, or nothing that can be read. */
  readonly chain: readonly X509Certificate[];
  readonly keys: readonly KeyObject[];
  /** The key of the certificate. */
  readonly key: KeyObject | undefined;
}

/** @throws CommandError when the keys cannot be read */
export async function readStored({ certFile, keyFile }: OrganisationFiles): Promise<Stored> {
  const [certificates, keyText] = [await readIfThere(certFile), await readIfThere(keyFile)];
  const keys = keyText === undefined ? [] : readKeys(keyText, keyFile);
  const chain = certificates === undefined ? [] : readable(certificates);
  return { chain, keys, key: keys.find((key) => chain[0]?.checkPrivateKey(key)) };
}

/** @throws CommandError */
export function readKeys(text: string, file: string): KeyObject[] {
  try {
    return readPrivateKeys(text, file);
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : `The keys in ${file} cannot be read.`);
  }
}

function readable(text: string): X509Certificate[] {
  try {
    return readChain(text);
  } catch {
    return [];
  }
}

/** @throws UsageError when both are the same file */
export function requireTwoFiles({ certFile, keyFile }: OrganisationFiles): void {
  if (resolve(certFile) === resolve(keyFile)) {
    throw new UsageError('Certificate and key must be two files: HANSETAG_ORGANISATION_CERT and _KEY are the same.');
  }
}

/** Adds a key to the file of keys. */
export async function addKey(keyFile: string, keys: readonly KeyObject[], key: KeyObject): Promise<void> {
  await writeWhole(keyFile, [...keys, key].map(pemOfKey).join(''), SECRET_MODE);
}

/**
 * Puts another certificate and its key into use. Whatever interrupts it, the files fit together: the key comes before
 * the certificate, and the key before leaves after it.
 *
 * @param write writes one file, as a whole
 * @returns the file in which the certificate before is kept together with its key, if there was one
 */
export async function replaceCertificate(
  files: OrganisationFiles,
  before: Stored,
  chain: readonly X509Certificate[],
  key: KeyObject,
  write = writeWhole,
): Promise<string | undefined> {
  const { certFile, keyFile } = files;
  const previous = before.key && `${certFile}.previous`;
  if (previous !== undefined && before.key) {
    await write(previous, pemOf(before.chain) + pemOfKey(before.key), SECRET_MODE);
  }
  const isNew = !before.keys.some((known) => known.equals(key));
  const keys = isNew ? [...before.keys, key] : before.keys;
  if (isNew) await write(keyFile, keys.map(pemOfKey).join(''), SECRET_MODE);
  await write(certFile, pemOf(chain), PUBLIC_MODE);
  const kept = keys.filter((known) => known.equals(key) || !before.key?.equals(known));
  if (kept.length < keys.length) await write(keyFile, kept.map(pemOfKey).join(''), SECRET_MODE);
  return previous;
}

function pemOf(chain: readonly X509Certificate[]): string {
  return chain.map((certificate) => `${certificate.toString().trim()}\n`).join('');
}
