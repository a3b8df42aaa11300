/** The authorities whose certificates we believe. */
import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

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
  const pem = await readFile(file, 'utf8').catch((error: unknown) => {
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new AnchorsError(`${name} cannot be read (${why}). It has to be a PEM file with the authorities to trust.`);
  });
  const blocks = pem.match(BLOCK) ?? [];
  if (blocks.length === 0) {
    throw new AnchorsError(`${name} has no certificate in PEM form. Put the root certificates to trust into it.`);
  }
  const certificates = blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new AnchorsError(`${name}: certificate ${String(index + 1)} is malformed.`);
    }
  });
  const digest = createHash('sha256');
  for (const fingerprint of certificates.map(({ fingerprint256 }) => fingerprint256).sort()) digest.update(fingerprint);
  return { certificates, digest: digest.digest('base64url') };
}
