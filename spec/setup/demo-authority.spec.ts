import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import type { TlsOptions } from 'node:tls';
import { demoCertificates } from '../../deploy/demo-authority.ts';
import type { DemoCertificates } from '../../deploy/demo-authority.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const LUEBECK = { host: 'luebeck.localhost', address: '127.0.0.2' };
const HAMBURG = { host: 'hamburg.localhost', address: '127.0.0.3' };

describe('The demo authority', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-authority-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('issues certificates that TLS verifies for the name and for the address', async () => {
    const made = await demoCertificates(folder, [LUEBECK, HAMBURG]);
    expect(await handshake(made, 0, 'luebeck.localhost')).toBe('verified');
    expect(await handshake(made, 1, 'hamburg.localhost')).toBe('verified');
    expect(await handshake(made, 0, '127.0.0.2')).toBe('verified');
  });

  it('issues no certificate that passes for another server', async () => {
    const made = await demoCertificates(folder, [LUEBECK, HAMBURG]);
    expect(await handshake(made, 0, 'hamburg.localhost')).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(await handshake(made, 0, '127.0.0.3')).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('is not trusted by those who were not told to', async () => {
    const made = await demoCertificates(folder, [LUEBECK]);
    const other = await demoCertificates(join(folder, 'other'), [LUEBECK]);
    const mixed = { caFile: other.caFile, certificates: made.certificates };
    expect(await handshake(mixed, 0, 'luebeck.localhost')).toMatch(/UNABLE_TO_(VERIFY|GET)/);
  });

  it('keeps what it has made', async () => {
    await demoCertificates(folder, [LUEBECK]);
    const before = await contents(folder);
    await demoCertificates(folder, [LUEBECK]);
    expect(await contents(folder)).toEqual(before);
  });

  it('renews a certificate before it expires, and keeps the authority', async () => {
    const now = Date.now();
    await demoCertificates(folder, [LUEBECK], now - 61 * DAY_MS);
    const before = await contents(folder);
    const made = await demoCertificates(folder, [LUEBECK], now);
    const after = await contents(folder);
    expect(after['authority.pem']).toBe(before['authority.pem']);
    expect(after['luebeck.localhost.pem']).not.toBe(before['luebeck.localhost.pem']);
    expect(await handshake(made, 0, 'luebeck.localhost')).toBe('verified');
  });

  it('makes new certificates when the authority is new or a file is damaged', async () => {
    const { caFile, certificates } = await demoCertificates(folder, [LUEBECK]);
    await writeFile(caFile, 'no certificate');
    let made = await demoCertificates(folder, [LUEBECK]);
    expect(await handshake(made, 0, 'luebeck.localhost')).toBe('verified');
    await writeFile(String(certificates[0]?.keyFile), '');
    made = await demoCertificates(folder, [LUEBECK]);
    expect(await handshake(made, 0, 'luebeck.localhost')).toBe('verified');
  });

  it('lets nobody else read its files', async () => {
    await demoCertificates(folder, [LUEBECK]);
    for (const name of await readdir(folder)) {
      expect((await stat(join(folder, name))).mode & 0o777)
        .withContext(name)
        .toBe(0o600);
    }
  });
});

async function contents(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder);
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return Object.fromEntries(names.map((name, index) => [name, texts[index] ?? '']));
}

/** Connects to a server that has the certificate; resolves to `verified` or the code of the error. */
async function handshake(made: DemoCertificates, index: number, name: string): Promise<string> {
  const certificate = made.certificates[index];
  if (certificate === undefined) throw new Error('there is no such certificate');
  const options: TlsOptions = {
    cert: await readFile(certificate.certFile),
    key: await readFile(certificate.keyFile),
  };
  const server = createServer(options, (socket) => socket.on('error', () => undefined).end());
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const isAddress = /^[0-9.]+$/.test(name);
  const socket = connect({
    port,
    host: '127.0.0.1',
    ca: await readFile(made.caFile),
    ...(isAddress ? {} : { servername: name }),
    // With an address, Node would check the one that it has connected to.
    ...(isAddress ? { checkServerIdentity: (_host, cert) => checkAddress(name, cert.subjectaltname ?? '') } : {}),
  });
  try {
    await once(socket, 'secureConnect');
    return 'verified';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  } finally {
    socket.destroy();
    await new Promise((done) => server.close(done));
  }
}

function checkAddress(address: string, names: string): Error | undefined {
  if (names.split(', ').includes(`IP Address:${address}`)) return undefined;
  return Object.assign(new Error('the address is not in the certificate'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}
