/** What OpenSSL's command says of the same certificates. */
import { execFile } from 'node:child_process';
import type { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SERVER } from './kit.ts';

const run = promisify(execFile);

export class OpenSsl {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(): Promise<OpenSsl> {
    return new OpenSsl(await mkdtemp(join(tmpdir(), 'hansetag-openssl-')));
  }

  close(): Promise<void> {
    return rm(this.#folder, { recursive: true, force: true });
  }

  /**
   * Whether `openssl verify` accepts a chain for `SERVER`.
   *
   * @param time Unix ms
   * @param crls in DER; with them, revocation is checked for all certificates
   */
  async accepts(
    [leaf, ...others]: readonly X509Certificate[],
    anchors: readonly X509Certificate[],
    time: number,
    crls?: readonly Uint8Array[],
  ): Promise<boolean> {
    const leafFile = await this.#write('leaf', String(leaf));
    const args = ['-attime', String(Math.floor(time / 1000)), '-no-CApath', '-no-CAstore', '-partial_chain'];
    args.push('-policy', '2.5.29.32.0', '-auth_level', '2', '-verify_hostname', SERVER);
    args.push('-CAfile', await this.#write('anchors', anchors.map(String).join('')));
    if (others.length > 0) args.push('-untrusted', await this.#write('others', others.map(String).join('')));
    if (crls !== undefined) args.push('-crl_check_all', '-CRLfile', await this.#write('crls', crls.map(pem).join('')));
    try {
      await run('openssl', ['verify', ...args, leafFile]);
      return true;
    } catch {
      return false;
    }
  }

  /** What `openssl ocsp` is told by the responder of a root: `good`, `revoked`, or its output when it does not believe it. */
  async askOcsp(url: string, leaf: X509Certificate, root: X509Certificate): Promise<string> {
    const rootFile = await this.#write('anchors', String(root));
    // The issuer has to come before the certificate.
    const args = [
      '-url',
      url,
      '-issuer',
      rootFile,
      '-cert',
      await this.#write('leaf', String(leaf)),
      '-CAfile',
      rootFile,
    ];
    const { stdout, stderr } = await run('openssl', ['ocsp', ...args]);
    const verified = stderr.includes('Response verify OK');
    return (verified ? /: (good|revoked|unknown)$/m.exec(stdout)?.[1] : undefined) ?? `${stdout}${stderr}`;
  }

  async #write(name: string, text: string): Promise<string> {
    const file = join(this.#folder, `${name}.pem`);
    await writeFile(file, text);
    return file;
  }
}

function pem(crl: Uint8Array): string {
  return `-----BEGIN X509 CRL-----\n${Buffer.from(crl).toString('base64')}\n-----END X509 CRL-----\n`;
}
