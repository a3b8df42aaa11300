import { execFile } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import forge from 'node-forge';
import { readPkcs12 } from '../../homeserver/admin/cert/pkcs12.ts';
import { readStored, replaceCertificate } from '../../homeserver/admin/cert/store.ts';
import { writeWhole } from '../../homeserver/base/whole-files.ts';
import { readOrganisationCertificate } from '../../homeserver/engine/trust/organisation-certificate.ts';
import { ecKey, openssl, OpensslAuthority, requestFor } from './openssl.ts';

const ROOT = join(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'homeserver/admin/main.ts');
const COMMANDS = ['key', 'request', 'import', 'show', 'check', 'renew', 'roll-key', 'statement'];
const PASSWORD = 'a pass phrase of Lübeck';

interface Result {
  readonly code: number;
  /** All that was printed. */
  readonly text: string;
}

/** Each step is a process of its own, which takes its time on a busy machine. */
const LIMIT_MS = 120_000;

describe('Trust by certificate: npx hansetag cert', () => {
  let limitBefore: number;

  let shared: string;
  let authority: OpensslAuthority;
  let folder: string;
  let settings: Record<string, string>;

  beforeAll(async () => {
    limitBefore = jasmine.DEFAULT_TIMEOUT_INTERVAL;
    jasmine.DEFAULT_TIMEOUT_INTERVAL = LIMIT_MS;
    shared = await mkdtemp(join(tmpdir(), 'hansetag-spec-authority-'));
    authority = await OpensslAuthority.make(shared);
  });
  afterAll(async () => {
    jasmine.DEFAULT_TIMEOUT_INTERVAL = limitBefore;
    await rm(shared, { recursive: true });
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-spec-tools-'));
    await mkdir(at('in'));
    settings = {
      HANSETAG_SERVER_NAME: 'hamburg.example',
      HANSETAG_ORGANISATION: 'Hansestadt Hamburg, Amt für IT + Digitalisierung',
      HANSETAG_ORGANISATION_CERT: at('organisation.pem'),
      HANSETAG_ORGANISATION_KEY: at('organisation.key'),
      HANSETAG_SIGNING_KEY_FILE: at('signing.key'),
      HANSETAG_TRUST_ANCHORS: authority.root,
    };
  });
  afterEach(() => rm(folder, { recursive: true }));

  const at = (name: string): string => join(folder, name);
  const read = (name: string): Promise<string> => readFile(at(name), 'utf8');

  function cert(args: readonly string[], more: Record<string, string> = {}): Promise<Result> {
    const env = { PATH: process.env['PATH'] ?? '', NODE_COMPILE_CACHE: join(shared, 'code'), ...settings, ...more };
    return run(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, 'cert', ...args], env);
  }

  /** The same, but what fails is an error. */
  async function must(args: readonly string[], more: Record<string, string> = {}): Promise<string> {
    const { code, text } = await cert(args, more);
    if (code !== 0) throw new Error(`cert ${args.join(' ')}: ${String(code)} ${text}`);
    return text;
  }

  /** All files that the command may write, with what is in them. */
  async function files(): Promise<Record<string, string>> {
    const names = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile());
    return Object.fromEntries(await Promise.all(names.map(async ({ name }) => [name, await read(name)] as const)));
  }

  /** Runs what must fail, and looks that nothing has changed. */
  async function refused(args: readonly string[], why: RegExp, more: Record<string, string> = {}): Promise<void> {
    const before = await files();
    const { code, text } = await cert(args, more);
    expect(code).withContext(text).toBe(1);
    expect(text).toMatch(why);
    expect(text).not.toMatch(/\n +at /);
    expect(await files()).toEqual(before);
  }

  const requestName = async (): Promise<string> =>
    (await readdir(folder)).find((name) => name.endsWith('.csr')) ?? 'no request';

  /** Key, request and a certificate that came for it. @returns the file of the certificate with its authorities */
  async function requested(options: Parameters<OpensslAuthority['issue']>[1] = {}): Promise<string> {
    await must(['key']);
    await must(['request']);
    return authority.bundle(await authority.issue(at(await requestName()), options));
  }

  async function pkcs12(key: string, certificate: string, ...options: string[]): Promise<string> {
    const file = at('in/store.p12');
    const input = ['-inkey', key, '-in', certificate, '-certfile', authority.intermediate];
    await openssl('pkcs12', '-export', ...input, '-out', file, '-passout', `pass:${PASSWORD}`, ...options);
    return file;
  }

  for (const type of ['p256', 'ed25519']) {
    it(`makes a key of type ${type}, for its owner alone, and a request that OpenSSL accepts`, async () => {
      expect(await must(['key', '--type', type])).toContain('npx hansetag cert request');
      expect((await stat(at('organisation.key'))).mode & 0o777).toBe(0o600);
      await must(['request', '--country', 'DE', '--locality', 'Hamburg']);
      const name = await requestName();
      expect(name).toMatch(/^organisation-\d{4}-\d\d-\d\d\.csr$/);
      const text = await openssl('req', '-in', at(name), '-noout', '-verify', '-text', '-nameopt', 'utf8');
      expect(text).toContain('verify OK');
      expect(text).toContain('DNS:hamburg.example');
      expect(text).toContain('Digital Signature');
      expect(text).toContain('Hansestadt Hamburg, Amt für IT + Digitalisierung');
      expect(text).toContain(type === 'ed25519' ? 'ED25519' : 'prime256v1');
    });
  }

  it('never overwrites a key nor a request', async () => {
    await must(['key']);
    await must(['request']);
    await refused(['key'], /is there already\. Keys are never overwritten/);
    await refused(['request'], /is there already/);
  });

  it('imports a certificate with those of its authorities in any order', async () => {
    const bundle = await requested();
    expect(await must(['import', bundle])).toContain('npx hansetag cert check');
    const [own, above, ...rest] = certificatesIn(await read('organisation.pem'));
    expect(own?.subjectAltName).toBe('DNS:hamburg.example');
    expect(above?.subject).toContain('Authority of the spec');
    expect(rest).toEqual([]);
    const path = ['-CAfile', authority.root, '-untrusted', at('organisation.pem'), at('organisation.pem')];
    expect(await openssl('verify', ...path)).toContain('OK');
    expect((await stat(at('organisation.key'))).mode & 0o777).toBe(0o600);
    expect((await cert(['check', '--offline'])).code).toBe(0);
  });

  it('imports DER and PKCS#7', async () => {
    const bundle = await requested();
    const [p7b, der] = [at('in/chain.p7b'), at('in/own.der')];
    await openssl('crl2pkcs7', '-nocrl', '-certfile', bundle, '-outform', 'DER', '-out', p7b);
    await must(['import', p7b]);
    expect(certificatesIn(await read('organisation.pem')).length).toBe(2);
    await openssl('x509', '-in', at('organisation.pem'), '-outform', 'DER', '-out', der);
    await must(['import', der, authority.intermediate]);
    expect(certificatesIn(await read('organisation.pem')).length).toBe(2);
  });

  const KINDS: Record<string, string[]> = {
    'as OpenSSL 3 makes it': [],
    'with the encryption of old ones': ['-legacy'],
    'with a key and certificates that are not encrypted': ['-keypbe', 'NONE', '-certpbe', 'NONE'],
  };
  for (const [kind, options] of Object.entries(KINDS)) {
    it(`imports a PKCS#12 file ${kind}, with its key, by a password that is no argument`, async () => {
      await ecKey(at('in/own.key'));
      const issued = await authority.issue(await requestFor(at('in/own.key')));
      const store = await pkcs12(at('in/own.key'), issued, ...options);
      await refused(['import', store], /HANSETAG_CERT_PASSWORD/);
      await refused(['import', store], /The password does not open/, { HANSETAG_CERT_PASSWORD: 'another' });
      await writeFile(at('in/password'), `${PASSWORD}\n`);
      await must(['import', store, '--password-file', at('in/password')]);
      const key = createPrivateKey(await read('organisation.key'));
      expect(certificatesIn(await read('organisation.pem'))[0]?.checkPrivateKey(key)).toBeTrue();
      expect((await stat(at('organisation.key'))).mode & 0o777).toBe(0o600);
      expect((await cert(['check', '--offline'])).code).toBe(0);
    });

    it(`reads an RSA key in a PKCS#12 file ${kind}, and says why it is not for organisations`, async () => {
      await openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072', '-out', at('in/rsa.key'));
      const issued = await authority.issue(await requestFor(at('in/rsa.key')));
      const store = await pkcs12(at('in/rsa.key'), issued, ...options);
      const password = { HANSETAG_CERT_PASSWORD: PASSWORD };
      const text = await must(['show', store], password);
      expect(text).toContain('RSA with 3072 bits');
      expect(text).toContain(new X509Certificate(await readFile(issued)).fingerprint256);
      await refused(['import', store], /must be P-256 or Ed25519.*|nothing was changed/, password);
    });
  }

  it('refuses a PKCS#12 file that is cut off, and one that is none', async () => {
    await ecKey(at('in/own.key'));
    const store = await pkcs12(at('in/own.key'), await authority.issue(await requestFor(at('in/own.key'))));
    const password = { HANSETAG_CERT_PASSWORD: PASSWORD };
    const whole = await readFile(store);
    for (const length of [whole.length - 1, whole.length >> 1, 20]) {
      await writeFile(at('in/cut.p12'), whole.subarray(0, length));
      await refused(['import', at('in/cut.p12')], /cannot be read.*cut off|no certificate/s, password);
    }
    await writeFile(at('in/noise.p12'), Buffer.concat([Buffer.from([0x30, 0x82]), Buffer.alloc(500, 0x55)]));
    await refused(['import', at('in/noise.p12')], /neither PEM nor DER/, password);
    await writeFile(at('in/text.p12'), 'Guten Tag');
    await refused(['import', at('in/text.p12')], /neither PEM nor DER/, password);
  });

  it('does not work for ever on a PKCS#12 file that asks for it', async () => {
    await ecKey(at('in/own.key'));
    const store = await pkcs12(at('in/own.key'), await authority.issue(await requestFor(at('in/own.key'))));
    const file = forge.asn1.fromDer((await readFile(store)).toString('binary'));
    const mac = (file.value as forge.asn1.Asn1[])[2];
    const iterations = (mac?.value as forge.asn1.Asn1[])[2];
    if (!iterations) throw new Error('There is no number of iterations.');
    iterations.value = forge.asn1.integerToDer(2 ** 31 - 1).getBytes();
    const hostile = Buffer.from(forge.asn1.toDer(file).getBytes(), 'binary');
    await expectAsync(readPkcs12(hostile, PASSWORD, 'the file', 300)).toBeRejectedWithError(/fewer iterations/);
  });

  it('refuses a certificate without its key, and one whose path goes in a circle', async () => {
    const bundle = await requested();
    await rm(at('organisation.key'));
    await ecKey(at('organisation.key'));
    await refused(['import', bundle], /have a key that belongs to .*Hansestadt Hamburg/);
  });

  it('refuses certificates whose path goes round in a circle', async () => {
    await must(['key']);
    await must(['request']);
    const issued = await authority.issue(at(await requestName()));
    const circle = await makeCircle();
    await must(['import', issued, circle.last]);
    await refused(['import', await circle.issue(at(await requestName())), circle.one, circle.other], /in a circle/);
  });

  it('refuses a thousand certificates, and a large file, without looking at them', async () => {
    const bundle = await requested();
    await writeFile(at('in/many.pem'), (await readFile(bundle, 'utf8')).repeat(400));
    await refused(['import', at('in/many.pem')], /more than 50 certificates|larger than 1 MiB/);
    await writeFile(at('in/large.pem'), Buffer.alloc(2 * 1024 * 1024, 0x41));
    await refused(['import', at('in/large.pem')], /larger than 1 MiB/);
  });

  it('refuses what is outside of the profile, for another server, or damaged', async () => {
    await must(['key']);
    await must(['request']);
    const request = at(await requestName());
    await refused(['import', await authority.issue(request, { names: 'DNS:bremen.example' })], /bremen\.example/);
    await refused(['import', await authority.issue(request, { days: 500 })], /more than 398 days/);
    await refused(['import', await authority.issue(request, { usage: 'keyAgreement' })], /digitalSignature/);
    const text = await readFile(await authority.issue(request), 'utf8');
    await writeFile(at('in/cut.pem'), text.slice(0, text.length >> 1));
    await refused(['import', at('in/cut.pem')], /cut off/);
    await writeFile(at('in/damaged.pem'), text.replace(/\n[A-Za-z0-9+/]{64}\n/, '\n'));
    await refused(['import', at('in/damaged.pem')], /damaged/);
    await refused(['import', at('in/none.pem')], /cannot be read/);
  });

  it('keeps the certificate in use while it is renewed, and afterwards the one before', async () => {
    await must(['import', await requested()]);
    const before = await read('organisation.pem');
    await rm(at(await requestName()));
    expect(await must(['renew'])).toContain('The next key');
    expect(await read('organisation.pem')).toBe(before);
    expect((await cert(['check', '--offline'])).code).toBe(0);
    const request = await requestName();
    const asked = await openssl('req', '-in', at(request), '-noout', '-pubkey', '-subject', '-nameopt', 'utf8');
    expect(asked).toContain('Hansestadt Hamburg, Amt für IT + Digitalisierung');
    await rm(at(request));
    await must(['renew']);
    const again = await openssl(
      'req',
      '-in',
      at(await requestName()),
      '-noout',
      '-pubkey',
      '-subject',
      '-nameopt',
      'utf8',
    );
    expect(again).withContext('the same key').toBe(asked);

    await must(['import', await authority.bundle(await authority.issue(at(await requestName())))]);
    const [own] = certificatesIn(await read('organisation.pem'));
    expect(own?.serialNumber).not.toBe(certificatesIn(before)[0]?.serialNumber);
    const keys = (await read('organisation.key')).match(/BEGIN PRIVATE KEY/g);
    expect(keys?.length).toBe(1);
    expect(own?.checkPrivateKey(createPrivateKey(await read('organisation.key')))).toBeTrue();
    const kept = await read('organisation.pem.previous');
    expect(certificatesIn(kept)[0]?.checkPrivateKey(createPrivateKey(kept))).toBeTrue();
    expect((await stat(at('organisation.pem.previous'))).mode & 0o777).toBe(0o600);
  });

  it('leaves files that fit together wherever an import is interrupted', async () => {
    await must(['import', await requested()]);
    const files = { certFile: at('organisation.pem'), keyFile: at('organisation.key') };
    const [oldCertificate, oldKey] = [await read('organisation.pem'), await read('organisation.key')];
    await ecKey(at('in/next.key'));
    const next = await authority.issue(await requestFor(at('in/next.key')));
    const [own] = certificatesIn(await readFile(next, 'utf8'));
    const key = createPrivateKey(await readFile(at('in/next.key')));
    if (!own) throw new Error('There is no certificate.');
    const serials: string[] = [];
    for (let allowed = 0; allowed <= 4; allowed++) {
      await writeFile(files.certFile, oldCertificate);
      await writeFile(files.keyFile, oldKey);
      let written = 0;
      const write: typeof writeWhole = async (...parameters) => {
        if (++written > allowed) throw new Error('no power');
        await writeWhole(...parameters);
      };
      await replaceCertificate(files, await readStored(files), [own], key, write).catch(() => undefined);
      const [certificates, keys] = [await read('organisation.pem'), await read('organisation.key')];
      const used = readOrganisationCertificate({ ...files, serverName: 'hamburg.example', certificates, keys });
      serials.push(used.chain[0]?.serialNumber ?? '');
    }
    const before = certificatesIn(oldCertificate)[0]?.serialNumber ?? '';
    expect(serials).toEqual([before, before, before, own.serialNumber, own.serialNumber]);
  });

  it('checks: good, ends soon, not for this server, without a path, without its key', async () => {
    await refused(['check'], /There is no certificate in/);
    await must(['import', await requested({ days: 20 })]);
    const soon = await cert(['check', '--offline']);
    expect(soon.code).withContext(soon.text).toBe(3);
    expect(soon.text).toContain('npx hansetag cert renew');
    await refused(['check', '--offline', '--server-name', 'bremen.example'], /WRONG .*bremen\.example/);
    const other = await OpensslAuthority.make(at('in'));
    await refused(['check', '--offline', '--anchors', other.root], /WRONG .*No path leads/);
    await refused(['check'], /WRONG .*revoked|WRONG .*revocation|WRONG .*CRL/);
    await rm(at('organisation.key'));
    await ecKey(at('organisation.key'));
    await refused(['check', '--offline'], /WRONG .*belongs to it/);
  });

  it('shows certificate, keys and signing keys, and no secret', async () => {
    await must(['import', await requested()]);
    await must(['roll-key']);
    const text = await must(['show']);
    expect(text).toContain('DNS:hamburg.example');
    expect(text).toContain('signs now');
    expect(text).toContain('is published');
    const secrets = [await read('organisation.key'), await read('signing.key')].join(' ').split(/\s+/);
    for (const secret of secrets.filter((word) => word.length > 30)) expect(text).not.toContain(secret);
  });

  it('makes the next signing key, once until it signs', async () => {
    await must(['roll-key', '--now']);
    const text = await must(['roll-key', '--in', '24']);
    expect(text).toContain('no restart is needed');
    const lines = (await read('signing.key')).trim().split('\n');
    expect(lines.length).toBe(3);
    expect(lines[2]).toMatch(/^ed25519 a_[0-9a-f]{6} [A-Za-z0-9+/]{43} from \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect((await stat(at('signing.key'))).mode & 0o777).toBe(0o600);
    await refused(['roll-key'], /is the next key already/);
    await writeFile(at('signing.key'), 'topsecret');
    await refused(['roll-key'], /cannot be used\. Line 1/);
  });

  it('explains every command, and how it wants to be asked', async () => {
    const all = await cert(['--help']);
    expect(all.code).toBe(0);
    for (const name of COMMANDS) expect(all.text).toContain(`\n  ${name} `);
    const [missing, unknown, option] = await Promise.all([
      cert(['key'], { HANSETAG_ORGANISATION_KEY: '' }),
      cert(['frobnicate']),
      cert(['check', '--frobnicate']),
    ]);
    expect(missing.code).toBe(2);
    expect(missing.text).toContain('--key or HANSETAG_ORGANISATION_KEY is missing');
    expect(unknown.code).toBe(2);
    expect(option.code).toBe(2);
    for (const name of COMMANDS) {
      const { code, text } = await cert([name, '--help']);
      expect(code).toBe(0);
      expect(text).toContain(`Usage: npx hansetag cert ${name}`);
    }
  });

  it('takes the settings from a file, and is started by any Node from version 20', async () => {
    const { bin } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { bin: Record<string, string> };
    const lines = Object.entries(settings).map(([name, value]) => `${name}="${value}"`);
    await writeFile(at('in/hansetag.env'), lines.join('\n'));
    const path = (process.env['PATH'] ?? '').split(':').filter((part) => !part.endsWith('node_modules/.bin'));
    const program = join(ROOT, bin['hansetag'] ?? '');
    const { code, text } = await run(program, ['cert', 'key', '--env-file', at('in/hansetag.env')], {
      PATH: path.join(':'),
    });
    expect(code).withContext(text).toBe(0);
    expect(await read('organisation.key')).toContain('BEGIN PRIVATE KEY');
  });

  /** Two authorities that each certify the other one, and what is issued below them. */
  async function makeCircle() {
    const names = ['one', 'other', 'last'];
    const [one = '', other = '', last = ''] = names.map((name) => at(`in/${name}`));
    for (const file of [one, other]) {
      await ecKey(`${file}.key`);
      const subject = `/O=Spec/CN=${file === one ? 'One' : 'Other'}`;
      await openssl('req', '-new', '-key', `${file}.key`, '-subj', subject, '-out', `${file}.csr`);
      // As the issuer OpenSSL wants a certificate: what it says beside name and key does not matter.
      await openssl('req', '-x509', '-new', '-key', `${file}.key`, '-subj', subject, '-out', `${file}.self.pem`);
    }
    await writeFile(at('in/ca.ext'), 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign');
    const sign = (request: string, issuer: string, out: string, ext: string) =>
      openssl(
        ...['x509', '-req', '-in', request, '-CA', `${issuer}.self.pem`, '-CAkey', `${issuer}.key`],
        ...['-CAcreateserial', '-days', '300', '-extfile', ext, '-out', out],
      );
    await sign(`${one}.csr`, other, `${one}.pem`, at('in/ca.ext'));
    await sign(`${other}.csr`, one, `${other}.pem`, at('in/ca.ext'));
    await writeFile(
      at('in/own.ext'),
      'keyUsage=critical,digitalSignature\nsubjectAltName=DNS:hamburg.example\n' +
        'crlDistributionPoints=URI:http://127.0.0.1:9/c.crl',
    );
    return {
      one: `${one}.pem`,
      other: `${other}.pem`,
      last: authority.intermediate,
      issue: async (request: string): Promise<string> => {
        await sign(request, one, `${last}.pem`, at('in/own.ext'));
        return `${last}.pem`;
      },
    };
  }
});

function run(program: string, args: readonly string[], env: Record<string, string>): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { env }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, text: stdout + stderr });
    });
    child.stdin?.end();
  });
}

function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
