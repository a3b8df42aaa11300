/** The authorities whose certificates we believe. */
import { createHash } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import { readAnchors as readPem } from '../../../federation/trust/certificate.ts';
import { anchorFault } from '../../../federation/trust/path.ts';
import { TrustError } from '../../../federation/trust/trust-error.ts';
import { readText } from '../../base/whole-files.ts';

/** The file named by HANSETAG_TRUST_ANCHORS is of no use. */
export class AnchorsError extends Error {
  override readonly name = 'AnchorsError';
  readonly code = 'CONFIG';
}

export interface Anchors {
  readonly certificates: readonly X509Certificate[];
  /** Differs when the authorities do. */
  readonly digest: string;
}

/** @throws AnchorsError with what is wrong with the file and what to do */
export async function readAnchors(file: string): Promise<Anchors> {
  const name = `HANSETAG_TRUST_ANCHORS: ${file}`;
  const pem = await readText(file).catch((error: unknown) => {
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new AnchorsError(`${name} cannot be read (${why}). It has to be a PEM file with the authorities to trust.`);
  });
  const certificates = authoritiesIn(pem, name);
  const digest = createHash('sha256');
  for (const fingerprint of certificates.map(({ fingerprint256 }) => fingerprint256).sort()) digest.update(fingerprint);
  return { certificates, digest: digest.digest('base64url') };
}

function authoritiesIn(pem: string, name: string): X509Certificate[] {
  try {
    return readPem(pem);
  } catch (error) {
    if (error instanceof TrustError) throw new AnchorsError(`${name}: ${error.message}`);
    throw error;
  }
}

/** What is wrong with authorities by whom nobody will be trusted, such as those that have expired. */
export function faultsOf({ certificates }: Anchors, now: number): string[] {
  return certificates.flatMap((certificate) => anchorFault(certificate, now)?.message ?? []);
}
