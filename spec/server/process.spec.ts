import 'reflect-metadata';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { COMPILED } from '../support/compiled.ts';
import { emptyDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { freePort } from '../support/ports.ts';

const MAIN = join(import.meta.dirname, '../../homeserver/main.ts');
const SECRET = 'a secret of the spec and of nobody else';

/** For two processes to start and end on a busy machine, in ms. */
const TWO_PROCESSES_MS = 120_000;

describe('The homeserver process', () => {
  let folder: string;
  let database: TestDatabase;
  let env: Record<string, string>;
  let clientUrl: string;
  let federationPort: number;
  let metricsPort: number;
  const started: ChildProcess[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-spec-process-'));
    database = await emptyDatabase();
    await writeCertificate();
    federationPort = await freePort();
    metricsPort = await freePort();
    const clientPort = await freePort();
    clientUrl = `http://127.0.0.1:${String(clientPort)}`;
    env = {
      HANSETAG_SERVER_NAME: 'hamburg.example',
      HANSETAG_ORGANISATION: 'Hansestadt Hamburg',
      HANSETAG_PUBLIC_URL: clientUrl,
      HANSETAG_CLIENT_LISTEN: `127.0.0.1:${String(clientPort)}`,
      HANSETAG_FEDERATION_LISTEN: `127.0.0.1:${String(federationPort)}`,
      HANSETAG_FEDERATION_CERT: join(folder, 'cert.pem'),
      HANSETAG_FEDERATION_KEY: join(folder, 'key.pem'),
      HANSETAG_METRICS_LISTEN: `127.0.0.1:${String(metricsPort)}`,
      DATABASE_URL: database.url,
      HANSETAG_OIDC_ISSUER: 'http://127.0.0.1:9/',
      HANSETAG_OIDC_CLIENT_ID: 'hansetag',
      HANSETAG_OIDC_CLIENT_SECRET: SECRET,
      HANSETAG_SFU_CONTROL: join(folder, 'no-sfu.sock'),
      HANSETAG_SFU_SECRET: SECRET,
      HANSETAG_SIGNING_KEY_FILE: join(folder, 'signing.key'),
    };
  });
  afterEach(async () => {
    for (const child of started.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });
  afterAll(async () => {
    await database.close();
    await rm(folder, { recursive: true });
  });

  async function writeCertificate(): Promise<void> {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: 'CN=hamburg.example',
      notAfter: new Date(Date.now() + 60 * 60 * 1000),
      signingAlgorithm: algorithm,
      keys,
    });
    const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
    await writeFile(join(folder, 'cert.pem'), certificate.toString('pem'));
    await writeFile(join(folder, 'key.pem'), x509.PemConverter.encode(der, 'PRIVATE KEY'));
  }

  function run(settings: Record<string, string>): { child: ChildProcess; output: () => string } {
    const child = spawn(process.execPath, [MAIN], {
      env: { ...COMPILED, ...settings },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    started.push(child);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    return { child, output: () => output };
  }

  async function ready(child: ChildProcess, output: () => string): Promise<void> {
    while (!output().includes('the homeserver is ready')) {
      if (child.exitCode !== null) throw new Error(`the homeserver has ended: ${output()}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async function ended(child: ChildProcess): Promise<unknown> {
    if (child.exitCode !== null) return child.exitCode;
    const [code] = (await once(child, 'exit')) as [unknown];
    return code;
  }

  it('says which settings are missing and ends', async () => {
    const { child, output } = run({});
    expect(await ended(child)).toBe(2);
    expect(output()).toContain('HANSETAG_SERVER_NAME is missing');
  });

  it('listens to people and to servers, and ends in order when asked', async () => {
    const { child, output } = run(env);
    await ready(child, output);
    const health = await fetch(`${clientUrl}/_hansetag/health`);
    expect(await health.json()).toEqual(jasmine.objectContaining({ status: 'degraded', database: 'up', sfu: 'down' }));
    const rooms = await fetch(`${clientUrl}/_matrix/client/v3/joined_rooms`);
    expect(rooms.status).toBe(401);
    const meetings = await fetch(`${clientUrl}/_hansetag/client/v1/meetings`);
    expect(meetings.status).toBe(401);

    const keys = await federationGet('/_matrix/key/v2/server');
    expect(keys['server_name']).toBe('hamburg.example');
    expect((await federationGet('/_matrix/federation/v1/send/1'))['errcode']).toBe('M_UNAUTHORIZED');
    expect((await federationGet('/_hansetag/federation/v1/discovery'))['server_name']).toBe('hamburg.example');
    expect((await federationGet('/_matrix/client/versions'))['errcode']).toBe('M_UNRECOGNIZED');

    const figures = await (await fetch(`http://127.0.0.1:${String(metricsPort)}/metrics`)).text();
    expect(figures).toContain(
      'hansetag_http_request_duration_seconds_count{server="client",method="GET",status="200"} 1',
    );
    expect((await fetch(`${clientUrl}/metrics`)).status).toBe(404);

    child.kill('SIGTERM');
    expect(await ended(child)).toBe(0);
    expect(output()).not.toContain(SECRET);
  });

  it('ends with the process that has started it when told so', async () => {
    const { child, output } = run({ ...env, HANSETAG_EXIT_WITH_PARENT: '1' });
    await ready(child, output);
    child.stdin?.end();
    expect(await ended(child)).toBe(0);
  });

  it(
    'runs as a plain homeserver with the required settings alone, several side by side',
    async () => {
      const servers = [];
      for (const name of ['bremen.example', 'kiel.example']) {
        const own = await emptyDatabase();
        const url = `http://127.0.0.1:${String(await freePort())}`;
        const { child, output } = run({
          HANSETAG_SERVER_NAME: name,
          HANSETAG_PUBLIC_URL: url,
          HANSETAG_CLIENT_LISTEN: new URL(url).host,
          HANSETAG_FEDERATION_LISTEN: `127.0.0.1:${String(await freePort())}`,
          HANSETAG_FEDERATION_CERT: join(folder, 'cert.pem'),
          HANSETAG_FEDERATION_KEY: join(folder, 'key.pem'),
          HANSETAG_SIGNING_KEY_FILE: join(folder, `${name}.key`),
          DATABASE_URL: own.url,
        });
        servers.push({ own, url, child, output });
      }
      for (const { own, url, child, output } of servers) {
        await ready(child, output);
        expect(await (await fetch(`${url}/_hansetag/health`)).json()).toEqual({
          status: 'ok',
          database: 'up',
          sfu: 'off',
          identityProvider: 'off',
        });
        expect(await (await fetch(`${url}/_matrix/client/v3/login`)).json()).toEqual({ flows: [] });
        expect((await fetch(`${url}/_hansetag/client/v1/meetings`)).status).toBe(404);
        child.kill('SIGTERM');
        expect(await ended(child)).toBe(0);
        await own.close();
      }
    },
    TWO_PROCESSES_MS,
  );

  it(
    'ends when it can not listen',
    async () => {
      const first = run(env);
      await ready(first.child, first.output);
      const second = run(env);
      expect(await ended(second.child)).toBe(1);
      expect(second.output()).toContain('EADDRINUSE');
    },
    TWO_PROCESSES_MS,
  );

  async function federationGet(path: string): Promise<Record<string, unknown>> {
    const options = { host: '127.0.0.1', port: federationPort, path, rejectUnauthorized: false };
    return await new Promise((resolve, reject) => {
      request(options, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve(JSON.parse(text) as Record<string, unknown>));
      })
        .on('error', reject)
        .end();
    });
  }
});
