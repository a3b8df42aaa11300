/** Stock Synapse servers for tests: an unchanged release with a fresh database, TLS verified in both directions. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clientOf, freePorts } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { synapsePython } from './synapse-install.ts';

export interface SynapseOptions {
  /** Certificate for the host, and the authority of the others. */
  readonly tls: TestFederation['tls'];
  /** Host in the server name, `localhost` if it is not given. Whoever asks it finds it at 127.0.0.1. */
  readonly host?: string;
  /** Its whole name, when others reach it through a proxy. */
  readonly name?: string;
  /** A PostgreSQL database; without it, SQLite. */
  readonly database?: { readonly host: string; readonly user: string; readonly name: string };
  /** Settings of Synapse instead of, or beside, those below. */
  readonly settings?: object;
}

export interface Synapse extends TestHomeserver {
  readonly pid: number | undefined;
  /** Where it listens for other servers, at 127.0.0.1. */
  readonly federationPort: number;
  readonly logFile: string;
  /** The end of what it logged: the last so many characters. */
  logEnd(characters?: number): string;
  kill(): Promise<void>;
  close(): Promise<void>;
}

const START_PATIENCE_MS = 90_000;
const STOP_PATIENCE_MS = 15_000;
const POLL_MS = 200;
const SHOWN_LOG = 4_000;

/** Synapse ends when its standard input closes, that is when we have ended in whatever way. */
const PROGRAM = `
import os, sys, threading
def guard():
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)
threading.Thread(target=guard, daemon=True).start()
from synapse.app.homeserver import main
main()
`;

/** Starts a Synapse at a free port of 127.0.0.1 under the name `host:port`. */
export async function startSynapse(options: SynapseOptions): Promise<Synapse> {
  const { tls, host = 'localhost', database, settings: others = {} } = options;
  const python = await synapsePython();
  const folder = mkdtempSync(join(tmpdir(), 'hansetag-synapse-'));
  const [federationPort = 0, clientPort = 0] = await freePorts(2);
  const serverName = options.name ?? `${host}:${String(federationPort)}`;
  const url = `http://127.0.0.1:${String(clientPort)}`;
  const configFile = join(folder, 'homeserver.yaml');
  const logFile = join(folder, 'synapse.log');
  // JSON is YAML as well.
  const settings = { folder, serverName, url, federationPort, clientPort, tls, database };
  writeFileSync(configFile, JSON.stringify({ ...config(settings), ...others }));
  writeFileSync(join(folder, 'log.yaml'), JSON.stringify(LOGGING));

  let child: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();

  async function start(): Promise<void> {
    if (child) return;
    const log = openSync(logFile, 'a');
    const started = spawn(python, ['-c', PROGRAM, '-c', configFile], {
      cwd: folder,
      env: { PATH: process.env['PATH'], PYTHONUNBUFFERED: '1' },
      stdio: ['pipe', log, log],
      detached: true,
    });
    closeSync(log);
    started.stdin?.on('error', () => undefined);
    child = started;
    exited = new Promise((resolve) => {
      started.once('error', () => resolve());
      started.once('exit', () => {
        if (child === started) child = undefined;
        resolve();
      });
    });
    for (const deadline = Date.now() + START_PATIENCE_MS; ; await new Promise((done) => setTimeout(done, POLL_MS))) {
      const ready = await fetch(`${url}/health`).then(
        (response) => response.ok,
        () => false,
      );
      if (ready) return;
      if (child !== started || Date.now() > deadline) throw new Error(`Synapse does not start:\n${logEnd()}`);
    }
  }
  async function end(signal: NodeJS.Signals): Promise<void> {
    const ending = child;
    if (!ending) return;
    ending.kill(signal);
    const late = setTimeout(() => ending.kill('SIGKILL'), STOP_PATIENCE_MS);
    await exited;
    clearTimeout(late);
  }
  function logEnd(characters = SHOWN_LOG): string {
    return readFileSync(logFile, 'utf8').slice(-characters);
  }

  const close = async (): Promise<void> => {
    await end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    serverName,
    federationPort,
    url,
    ...clientOf(url),
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    close,
    logFile,
    logEnd,
    get pid() {
      return child?.pid;
    },
  };
}

interface Settings extends SynapseOptions {
  readonly folder: string;
  readonly serverName: string;
  readonly url: string;
  readonly federationPort: number;
  readonly clientPort: number;
}

const UNLIMITED = { per_second: 100_000, burst_count: 100_000 };
const LOGGING = {
  version: 1,
  formatters: { plain: { format: '%(asctime)s %(name)s %(levelname)s %(request)s %(message)s' } },
  filters: { context: { '()': 'synapse.logging.context.LoggingContextFilter', request: '' } },
  handlers: { out: { class: 'logging.StreamHandler', formatter: 'plain', filters: ['context'] } },
  root: { level: 'WARNING', handlers: ['out'] },
  disable_existing_loggers: false,
};

/** What a public server has, but for limits of rates, and for peers on the loopback device. */
function config({ folder, serverName, url, federationPort, clientPort, tls, database }: Settings): object {
  return {
    server_name: serverName,
    public_baseurl: `${url}/`,
    pid_file: join(folder, 'synapse.pid'),
    listeners: [
      {
        port: federationPort,
        tls: true,
        type: 'http',
        bind_addresses: ['127.0.0.1'],
        resources: [{ names: ['federation', 'keys'] }],
      },
      {
        port: clientPort,
        tls: false,
        type: 'http',
        bind_addresses: ['127.0.0.1'],
        resources: [{ names: ['client', 'media'] }],
      },
    ],
    tls_certificate_path: tls.certFile,
    tls_private_key_path: tls.keyFile,
    federation_custom_ca_list: [tls.caFile],
    ip_range_blacklist: [],
    federation_ip_range_blacklist: [],
    trusted_key_servers: [],
    suppress_key_server_warning: true,
    database: database
      ? {
          name: 'psycopg2',
          allow_unsafe_locale: true,
          args: { user: database.user, dbname: database.name, host: database.host, cp_min: 5, cp_max: 10 },
        }
      : { name: 'sqlite3', args: { database: join(folder, 'homeserver.db') } },
    log_config: join(folder, 'log.yaml'),
    media_store_path: join(folder, 'media'),
    signing_key_path: join(folder, 'signing.key'),
    registration_shared_secret: 'of a test',
    macaroon_secret_key: 'of a test',
    form_secret: 'of a test',
    enable_registration: true,
    allow_public_rooms_over_federation: true,
    room_list_publication_rules: [{ action: 'allow' }],
    enable_registration_without_verification: true,
    bcrypt_rounds: 4,
    report_stats: false,
    presence: { enabled: true },
    experimental_features: { msc4140_enabled: true },
    max_event_delay_duration: '1h',
    // An outage of a test is short; so are the waits after it.
    federation: {
      destination_min_retry_interval: '1s',
      destination_max_retry_interval: '4s',
      destination_retry_multiplier: 2,
    },
    rc_message: UNLIMITED,
    rc_registration: UNLIMITED,
    rc_login: { address: UNLIMITED, account: UNLIMITED, failed_attempts: UNLIMITED },
    rc_admin_redaction: UNLIMITED,
    rc_joins: { local: UNLIMITED, remote: UNLIMITED },
    rc_joins_per_room: UNLIMITED,
    rc_invites: { per_room: UNLIMITED, per_user: UNLIMITED, per_issuer: UNLIMITED },
    rc_room_creation: UNLIMITED,
    rc_federation: { window_size: 1000, sleep_limit: 100_000, sleep_delay: 1, reject_limit: 100_000, concurrent: 1000 },
  };
}
