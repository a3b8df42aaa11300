/** The servers of a soak: ours, each a process of its own, and stock Synapses; each with a way to each other. */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { z } from 'zod';
import { demoCertificates } from '../../deploy/demo-authority.ts';
import { ManagedProcess } from '../../deploy/quickstart/managed-process.ts';
import { startPostgres } from '../../deploy/postgres/embedded-postgres.ts';
import { startSynapse } from '../interop/synapse.ts';
import { freePorts } from '../support/homeservers.ts';
import { Line, listenFor, listenForAll } from './lines.ts';
import { errorsIn } from './synapse-log.ts';
import type { LoggedError } from './synapse-log.ts';

export interface SoakServer {
  readonly kind: 'ours' | 'synapse';
  /** Matrix server name. */
  readonly name: string;
  /** Where clients reach it. */
  readonly url: string;
  readonly database: pg.Pool;
  readonly logFile: string;
  readonly isUp: () => boolean;
  /** `kill -9`; it stays dead. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** What it did wrong: that it ended, and internal errors in its log. */
  faults(): LoggedError[];
}

export interface SoakServers {
  readonly servers: readonly SoakServer[];
  /** From the one to the other, by their numbers. */
  line(from: number, to: number): Line;
  readonly folder: string;
  close(): Promise<void>;
}

type Kind = SoakServer['kind'];
type Undo = (() => Promise<unknown> | void)[];

const ROOT = join(import.meta.dirname, '../..');
const HOSTS = ['hamburg.example', 'bremen.example', 'luebeck.example'];
const SHOWN_FAULTS = 20;
const WHOLE_LOG = 100_000_000;
/** pino's number of the level `error`. */
const ERROR_LEVEL = 50;
const LogLine = z.object({ level: z.number(), msg: z.string().optional(), err: z.unknown() });

/** Starts them. @param kinds in their order @throws Error */
export async function startServers(kinds: readonly Kind[]): Promise<SoakServers> {
  const folder = mkdtempSync(join(tmpdir(), 'hansetag-soak-'));
  chmodSync(folder, 0o755);
  const undo: Undo = [() => rmSync(folder, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (let step = undo.pop(); step; step = undo.pop()) await step();
  };
  try {
    const socketDir = join(folder, 'socket');
    const postgres = await startPostgres({ dataDir: join(folder, 'data'), socketDir, durable: false });
    undo.push(() => postgres.stop());
    const hosts = kinds.map((_, index) => HOSTS[index] ?? `h${String(index)}.example`);
    const { caFile, certificates } = await demoCertificates(
      join(folder, 'authority'),
      hosts.map((host) => ({ host, address: '127.0.0.1' })),
    );
    const ports = await freePorts(kinds.length * 2);
    // Synapse chooses its ports itself, so it is started first; it knows the others by names alone.
    const lines = new Map<string, Line>();
    const plans = kinds.map((kind, index) => ({
      kind,
      index,
      /** From there, for one that asks a proxy, by the name of the other server. */
      ways: new Map<string, Line>(),
      host: hosts[index] ?? '',
      files: certificates[index] ?? { certFile: '', keyFile: '' },
      federationPort: ports[index * 2] ?? 0,
      clientPort: ports[index * 2 + 1] ?? 0,
    }));
    const servers: (SoakServer & { readonly port: number })[] = [];
    for (const plan of plans.toSorted((a, b) => Number(b.kind === 'synapse') - Number(a.kind === 'synapse'))) {
      const database = await newDatabase(postgres.url, `soak_${String(plan.index)}`);
      undo.push(() => database.end());
      if (plan.kind === 'synapse') {
        const proxy = await listenForAll(plan.ways, '127.0.0.1');
        undo.push(() => proxy.close());
        const synapse = await startSynapse({
          tls: { caFile, ...plan.files },
          host: plan.host,
          database: { host: socketDir, user: 'hansetag', name: `soak_${String(plan.index)}` },
          settings: {
            https_proxy: proxy.url,
            presence: { enabled: false },
            trusted_key_servers: plans
              .filter(({ kind }) => kind === 'ours')
              .map(({ host, federationPort }) => ({ server_name: `${host}:${String(federationPort)}` })),
          },
        });
        const port = Number(synapse.serverName.split(':')[1]);
        const shall = { live: true };
        servers[plan.index] = {
          kind: 'synapse',
          name: synapse.serverName,
          url: synapse.url,
          database,
          port,
          logFile: synapse.logFile,
          isUp: () => synapse.pid !== undefined,
          kill: async () => {
            shall.live = false;
            await synapse.kill();
          },
          start: async () => {
            await synapse.start();
            shall.live = true;
          },
          stop: () => synapse.close(),
          faults: () => [
            ...(shall.live && synapse.pid === undefined ? [{ text: 'it has ended', eventIds: [] }] : []),
            ...errorsIn(synapse.logEnd(WHOLE_LOG)),
          ],
        };
      } else {
        const names = plans.map(({ kind, host, federationPort, index }) =>
          kind === 'synapse' ? (servers[index]?.name ?? '') : `${host}:${String(federationPort)}`,
        );
        servers[plan.index] = ours({
          ...plan,
          names,
          caFile,
          folder,
          kinds,
          hosts,
          database,
          postgresUrl: postgres.url,
        });
      }
      undo.push(() => servers[plan.index]?.stop());
    }
    for (const [from, here] of servers.entries()) {
      for (const [to, there] of servers.entries()) {
        if (from === to) continue;
        const line = new Line({ host: '127.0.0.1', port: there.port });
        lines.set(`${String(from)} ${String(to)}`, line);
        if (here.kind === 'synapse') plans[from]?.ways.set(there.name, line);
        else undo.push(await listenFor(line, wayAddress(from, to), there.port));
      }
    }
    for (const server of servers) if (server.kind === 'ours') await server.start();
    return {
      servers,
      folder,
      close,
      line: (from, to) => {
        const line = lines.get(`${String(from)} ${String(to)}`);
        if (!line) throw new Error('There is no such line.');
        return line;
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The address on the loopback device at which one server finds the way to another. */
function wayAddress(from: number, to: number): string {
  return `127.0.${String(from + 1)}.${String(to + 1)}`;
}

interface OurPlan {
  /** Of all servers. */
  readonly names: readonly string[];
  readonly index: number;
  readonly host: string;
  readonly hosts: readonly string[];
  readonly files: { readonly certFile: string; readonly keyFile: string };
  readonly caFile: string;
  readonly folder: string;
  readonly federationPort: number;
  readonly clientPort: number;
  readonly database: pg.Pool;
  readonly postgresUrl: string;
}

/** One of ours, as docs/configuration.md says. */
function ours(plan: OurPlan & { kinds: readonly Kind[] }): SoakServer & { port: number } {
  const { index, host, hosts, folder, federationPort, clientPort } = plan;
  const url = `http://127.0.0.1:${String(clientPort)}`;
  const name = `${host}:${String(federationPort)}`;
  const logFile = join(folder, `${host}.log`);
  const crashes: string[] = [];
  const process = new ManagedProcess({
    name: host,
    cwd: ROOT,
    args: ['--disable-warning=ExperimentalWarning', 'homeserver/main.ts'],
    env: {
      HANSETAG_SERVER_NAME: name,
      HANSETAG_PUBLIC_URL: url,
      HANSETAG_CLIENT_LISTEN: `127.0.0.1:${String(clientPort)}`,
      HANSETAG_FEDERATION_LISTEN: `127.0.0.1:${String(federationPort)}`,
      HANSETAG_FEDERATION_CERT: plan.files.certFile,
      HANSETAG_FEDERATION_KEY: plan.files.keyFile,
      HANSETAG_FEDERATION_CA: plan.caFile,
      HANSETAG_FEDERATION_HOSTS: hosts
        .flatMap((other, to) => (to === index ? [] : [`${other}=${wayAddress(index, to)}`]))
        .join(','),
      HANSETAG_FEDERATION_ALLOWED_RANGES: '127.0.0.0/8',
      // Lines are cut between two at a time: the third one vouches.
      HANSETAG_KEY_NOTARIES: plan.names.join(','),
      HANSETAG_SIGNING_KEY_FILE: join(folder, `${host}.key`),
      HANSETAG_MEDIA_DIR: join(folder, `${host}-media`),
      HANSETAG_REGISTRATION: '1',
      HANSETAG_PASSWORD_COST: '10',
      HANSETAG_RATE_LIMITS: 'off',
      HANSETAG_LOG_LEVEL: 'info',
      HANSETAG_EXIT_WITH_PARENT: '1',
      DATABASE_URL: databaseUrl(plan.postgresUrl, `soak_${String(index)}`),
    },
    logFile,
    isReady: () =>
      fetch(`${url}/_matrix/client/versions`).then(
        (response) => response.ok,
        () => false,
      ),
    // It is told only of ends that nobody wanted.
    log: (message) => crashes.push(message),
  });
  return {
    kind: 'ours',
    name,
    url,
    port: federationPort,
    database: plan.database,
    logFile,
    isUp: () => process.pid !== undefined,
    kill: async () => {
      process.kill('SIGKILL', { stayDead: true });
      await process.stop();
    },
    start: () => process.start(),
    stop: () => process.stop(),
    faults: () => [...crashes, ...ourErrors(logFile)].map((text) => ({ text, eventIds: [] })),
  };
}

/** What stands in the log as an error: every answer 500 does. */
function ourErrors(logFile: string): string[] {
  const errors = readFileSync(logFile, 'utf8')
    .split('\n')
    .flatMap((line) => {
      // A killed process may leave half of a line.
      const parsed = LogLine.safeParse(jsonOf(line));
      if (!parsed.success) return line.startsWith('{') || line === '' ? [] : [line.slice(0, 300)];
      return parsed.data.level < ERROR_LEVEL ? [] : [`${parsed.data.msg ?? ''} ${JSON.stringify(parsed.data.err)}`];
    });
  return errors.slice(0, SHOWN_FAULTS);
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

async function newDatabase(url: string, name: string): Promise<pg.Pool> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`);
  } finally {
    await client.end();
  }
  const pool = new pg.Pool({ connectionString: databaseUrl(url, name), max: 2 });
  // At the end the database is stopped before the last of its idle connections.
  pool.on('error', () => undefined);
  return pool;
}

function databaseUrl(url: string, name: string): string {
  return url.replace('/hansetag?', `/${name}?`);
}
