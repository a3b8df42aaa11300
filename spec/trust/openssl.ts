/** An authority made of OpenSSL's command line: another maker than the one under test. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Runs openssl. @returns what it prints; rejects with its words when it fails */
export async function openssl(...args: string[]): Promise<string> {
  const { stdout, stderr } = await run('openssl', args);
  return stdout + stderr;
}

export interface IssueOptions {
  readonly days?: number;
  /** As OpenSSL writes it, such as `DNS:hamburg.example`. */
  readonly names?: string;
  readonly usage?: string;
}

export class OpensslAuthority {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes a root and an authority below it. */
  static async make(folder: string): Promise<OpensslAuthority> {
    const authority = new OpensslAuthority(folder);
    const [rootKey, root] = [join(folder, 'root.key'), authority.root];
    await ecKey(rootKey);
    const subject = ['-subj', '/C=DE/O=Spec/CN=Root of the spec'];
    const extensions = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'];
    await openssl('req', '-x509', '-new', '-key', rootKey, '-days', '3650', '-out', root, ...subject, ...extensions);
    await ecKey(authority.#key);
    const request = join(folder, 'intermediate.csr');
    await openssl(
      'req',
      '-new',
      '-key',
      authority.#key,
      '-subj',
      '/C=DE/O=Spec/CN=Authority of the spec',
      '-out',
      request,
    );
    await authority.#sign(request, authority.intermediate, root, rootKey, 1825, [
      'basicConstraints=critical,CA:TRUE,pathlen:0',
      'keyUsage=critical,keyCertSign,cRLSign',
      'crlDistributionPoints=URI:http://127.0.0.1:9/root.crl',
    ]);
    return authority;
  }

  get root(): string {
    return join(this.#folder, 'root.pem');
  }

  get intermediate(): string {
    return join(this.#folder, 'intermediate.pem');
  }

  get #key(): string {
    return join(this.#folder, 'intermediate.key');
  }

  /** Issues a certificate for a request, with the profile of organisations. @returns its file */
  async issue(request: string, options: IssueOptions = {}): Promise<string> {
    const { days = 365, names = 'DNS:hamburg.example', usage = 'digitalSignature' } = options;
    const file = `${request}.issued.pem`;
    await this.#sign(request, file, this.intermediate, this.#key, days, [
      'basicConstraints=critical,CA:FALSE',
      `keyUsage=critical,${usage}`,
      `subjectAltName=${names}`,
      'crlDistributionPoints=URI:http://127.0.0.1:9/organisations.crl',
    ]);
    return file;
  }

  /** Certificate, authority and root in one file, in an order of which nothing is to be expected. */
  async bundle(certificate: string): Promise<string> {
    const file = `${certificate}.bundle.pem`;
    const parts = await Promise.all([this.root, certificate, this.intermediate].map((part) => readFile(part, 'utf8')));
    await writeFile(file, parts.join('\n'));
    return file;
  }

  async #sign(request: string, out: string, issuer: string, key: string, days: number, extensions: string[]) {
    const file = `${request}.ext`;
    await writeFile(file, extensions.join('\n'));
    const signing = ['-CA', issuer, '-CAkey', key, '-CAcreateserial', '-days', String(days), '-extfile', file];
    await openssl('x509', '-req', '-in', request, '-out', out, '-sha256', ...signing);
  }
}

/** Makes a P-256 key. */
export async function ecKey(file: string): Promise<void> {
  await openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file);
}

/** Makes a request for a key that is in a file. @returns its file */
export async function requestFor(key: string): Promise<string> {
  const file = `${key}.csr`;
  await openssl('req', '-new', '-key', key, '-subj', '/C=DE/O=Hansestadt Hamburg/CN=hamburg.example', '-out', file);
  return file;
}
