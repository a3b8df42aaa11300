/**
 * Those that are compared: a pair of our homeservers, one of another state of them, and one of Synapse. Each server has a
 * database of its own.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { Authority } from '../../../deploy/authority/authority.ts';
import { Responder } from '../../../deploy/authority/responder.ts';
import { demoCertificates } from '../../../deploy/demo-authority.ts';
import type { DemoCertificate } from '../../../deploy/demo-authority.ts';
import { ManagedProcess } from '../../../deploy/quickstart/managed-process.ts';
import type * as ownOptions from '../../../deploy/quickstart/node-options.ts';
import { startPostgres } from '../../../deploy/postgres/embedded-postgres.ts';
import { startSynapse } from '../../interop/synapse.ts';
import { freePorts } from '../../support/homeservers.ts';
import { LoadClient } from './http.ts';

export interface Server {
  readonly client: LoadClient;
  /** Resident memory of its process now, in MiB. */
  memoryMib(): number;
}

/** Two servers of the same make that federate with each other. */
export interface Contender {
  readonly name: 'ours' | 'before' | 'synapse';
  readonly first: Server;
  readonly second: Server;
}

export interface Contenders {
  readonly kinds: readonly Contender[];
  close(): Promise<void>;
}

interface Files {
  readonly folder: string;
  readonly caFile: string;
  readonly certificate: DemoCertificate;
  /** Settings of trust by certificate, or none. */
  readonly trust: Readonly<Record<string, string>>;
}

interface Running extends Server {
  stop(): Promise<void>;
}

const ROOT = join(import.meta.dirname, '../../..');
const CONNECTIONS = 64;

/**
 * Starts two servers of each kind. PostgreSQL is durable: what is acknowledged is on disk.
 *
 * @param against the folder of another checkout of this repository, with its packages, which is `before`
 * @param pki whether ours judge each other by certificates
 * @throws Error
 */
export async function startContenders(
  names: readonly Contender['name'][],
  against = ROOT,
  pki = false,
): Promise<Contenders> {
  const folder = mkdtempSync(join(tmpdir(), 'hansetag-bench-'));
  chmodSync(folder, 0o755);
  const undo: (() => Promise<void>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (let step = undo.pop(); step; step = undo.pop()) await step();
  };
  try {
    const postgres = await startPostgres({ dataDir: join(folder, 'data'), socketDir: join(folder, 'socket') });
    undo.push(() => postgres.stop());
    const { caFile, certificates } = await demoCertificates(join(folder, 'authority'), [
      { host: 'localhost', address: '127.0.0.1' },
    ]);
    const [certificate] = certificates;
    if (!certificate) throw new Error('There is no certificate.');
    const files = { folder, caFile, certificate, trust: pki ? await organisation(folder, undo) : {} };
    const start = async (run: (database: string) => Promise<Running>, database: string): Promise<Running> => {
      await createDatabase(postgres.url, database);
      const server = await run(database);
      undo.push(async () => {
        await server.client.close();
        await server.stop();
      });
      return server;
    };
    const runs = {
      ours: (database: string) => startOurs(files, postgres.url, database, ROOT),
      before: (database: string) => startOurs(files, postgres.url, database, against),
      synapse: (database: string) => startTheirs(files, join(folder, 'socket'), database),
    };
    const kinds: Contender[] = [];
    for (const name of names) {
      kinds.push({ name, first: await start(runs[name], `${name}_1`), second: await start(runs[name], `${name}_2`) });
    }
    return { kinds, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A certificate for all of ours, which are on one host, and the settings with which they believe it. */
async function organisation(folder: string, undo: (() => Promise<void>)[]): Promise<Readonly<Record<string, string>>> {
  const responder = await Responder.start();
  undo.push(() => responder.close());
  const root = await Authority.root({ url: responder.url, now: Date.now, name: 'C=DE, O=Bench, CN=Root' });
  responder.serve(root);
  const { chainPem, keyPem } = await root.organisation({ host: 'localhost' });
  const files = { anchors: root.pem, certificate: chainPem, key: keyPem };
  const fileOf = (name: string): string => join(folder, `organisation-${name}.pem`);
  for (const [name, pem] of Object.entries(files)) writeFileSync(fileOf(name), pem, { mode: 0o600 });
  return {
    HANSETAG_TRUST: 'pki',
    HANSETAG_TRUST_ANCHORS: fileOf('anchors'),
    HANSETAG_ORGANISATION_CERT: fileOf('certificate'),
    HANSETAG_ORGANISATION_KEY: fileOf('key'),
  };
}

/** One of ours, as docs/configuration.md of its checkout says. */
async function startOurs(
  { folder, caFile, certificate, trust }: Files,
  postgresUrl: string,
  name: string,
  root: string,
): Promise<Running> {
  const [federationPort = 0, clientPort = 0] = await freePorts(2);
  const url = `http://127.0.0.1:${String(clientPort)}`;
  const server = new ManagedProcess({
    name,
    cwd: root,
    args: [...(await nodeOptions(root, name)), 'homeserver/main.ts'],
    env: {
      NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
      ...(process.env['PATH'] === undefined ? {} : { PATH: process.env['PATH'] }),
      HANSETAG_SERVER_NAME: `localhost:${String(federationPort)}`,
      HANSETAG_PUBLIC_URL: url,
      HANSETAG_CLIENT_LISTEN: `127.0.0.1:${String(clientPort)}`,
      HANSETAG_FEDERATION_LISTEN: `127.0.0.1:${String(federationPort)}`,
      HANSETAG_FEDERATION_CERT: certificate.certFile,
      HANSETAG_FEDERATION_KEY: certificate.keyFile,
      HANSETAG_FEDERATION_CA: caFile,
      HANSETAG_FEDERATION_HOSTS: 'localhost=127.0.0.1',
      HANSETAG_FEDERATION_ALLOWED_RANGES: '127.0.0.0/8',
      HANSETAG_SIGNING_KEY_FILE: join(folder, `${name}.key`),
      HANSETAG_MEDIA_DIR: join(folder, `${name}-media`),
      HANSETAG_REGISTRATION: '1',
      // Hashes of passwords are no part of the load; Synapse's are as cheap.
      HANSETAG_PASSWORD_COST: '10',
      HANSETAG_RATE_LIMITS: 'off',
      HANSETAG_LOG_LEVEL: 'warn',
      HANSETAG_EXIT_WITH_PARENT: '1',
      DATABASE_URL: databaseUrl(postgresUrl, name),
      // Another state may not know them yet.
      ...(root === ROOT ? trust : {}),
    },
    logFile: join(folder, `${name}.log`),
    isReady: () =>
      fetch(`${url}/_matrix/client/versions`).then(
        (response) => response.ok,
        () => false,
      ),
    log: (message) => console.error(message),
  });
  await server.start();
  // The first start fills the cache of compiled code; a server in operation has one.
  await server.restart();
  return {
    client: new LoadClient(url, CONNECTIONS),
    memoryMib: () => residentMib(server.pid),
    stop: () => server.stop(),
  };
}

/** Those of docs/configuration.md, and more to look for what costs time: HANSETAG_BENCH_NODE_OPTIONS. */
async function nodeOptions(root: string, name: string): Promise<string[]> {
  const { SMALL_HEAP } = (await import(
    pathToFileURL(join(root, 'deploy/quickstart/node-options.ts')).href
  )) as typeof ownOptions;
  const given = process.env['HANSETAG_BENCH_NODE_OPTIONS'] ?? '';
  const more = given.split(' ').filter((option) => option !== '');
  return [...SMALL_HEAP, ...more.map((option) => option.replace('%s', name))];
}

async function startTheirs({ caFile, certificate }: Files, host: string, name: string): Promise<Running> {
  const server = await startSynapse({
    tls: { caFile, ...certificate },
    database: { host, user: 'hansetag', name },
    // Ours has it off unless it is switched on.
    settings: { presence: { enabled: false } },
  });
  return {
    client: new LoadClient(server.url, CONNECTIONS),
    memoryMib: () => residentMib(server.pid),
    stop: () => server.close(),
  };
}

async function createDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`);
  } finally {
    await client.end();
  }
}

function databaseUrl(url: string, name: string): string {
  return url.replace('/hansetag?', `/${name}?`);
}

function residentMib(pid: number | undefined): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  return Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]) / 1024;
}
