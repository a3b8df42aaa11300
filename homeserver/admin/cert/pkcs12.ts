/**
 * Certificates and keys in a PKCS#12 file (`.p12`, `.pfx`), of any kind that OpenSSL, Windows and Java write. The file is
 * read by another thread that is ended when it takes too long: how much work its password costs is said in the file.
 *
 * @see RFC 7292
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { CommandError } from '../command.ts';

export interface Pkcs12Content {
  readonly certificates: readonly X509Certificate[];
  readonly keys: readonly KeyObject[];
}

/** What the other thread says. Keys are PKCS#8. */
export type Pkcs12Answer =
  | { readonly kind: 'content'; readonly certificates: readonly Uint8Array[]; readonly keys: readonly Uint8Array[] }
  | { readonly kind: 'wrong-password' }
  | { readonly kind: 'malformed' };

export interface Pkcs12Question {
  readonly der: Uint8Array;
  readonly password: string;
}

const PATIENCE_MS = 20_000;
const MEMORY_MB = 128;

/**
 * @param title names the file in messages
 * @param patienceMs after this it is given up
 * @throws CommandError
 */
export async function readPkcs12(
  der: Uint8Array,
  password: string,
  title: string,
  patienceMs = PATIENCE_MS,
): Promise<Pkcs12Content> {
  const answer = await ask({ der, password }, title, patienceMs);
  if (answer.kind === 'wrong-password') {
    throw new CommandError(`The password does not open ${title}. Nothing was changed; try again with the right one.`);
  }
  if (answer.kind === 'malformed') throw damaged(title);
  try {
    return {
      certificates: answer.certificates.map((certificate) => new X509Certificate(certificate)),
      keys: answer.keys.map((key) => createPrivateKey({ key: Buffer.from(key), format: 'der', type: 'pkcs8' })),
    };
  } catch {
    throw damaged(title);
  }
}

function ask(question: Pkcs12Question, title: string, patienceMs: number): Promise<Pkcs12Answer> {
  const worker = new Worker(new URL('pkcs12-thread.ts', import.meta.url), {
    workerData: question,
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
  });
  return new Promise<Pkcs12Answer>((resolve, reject) => {
    const timer = setTimeout(() => {
      const seconds = String(patienceMs / 1000);
      reject(
        new CommandError(`${title} takes longer than ${seconds} s to open. Ask for a file with fewer iterations.`),
      );
    }, patienceMs);
    worker.once('message', (answer: Pkcs12Answer) => resolve(answer));
    // Out of memory, for example: whatever it is, the file has caused it.
    worker.once('error', () => reject(damaged(title)));
    worker.once('exit', () => {
      clearTimeout(timer);
      reject(damaged(title));
    });
  }).finally(() => worker.terminate());
}

function damaged(title: string): CommandError {
  return new CommandError(
    `${title} cannot be read: it is no PKCS#12 file, or it is damaged or cut off. Nothing was changed; ` +
      'copy it again from where it came from.',
  );
}
