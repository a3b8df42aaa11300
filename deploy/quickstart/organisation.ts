/** One organisation of the demonstration: its database, identity provider, SFU and homeserver. */
import { randomBytes } from 'node:crypto';
import { get } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { DemoCertificate } from '../demo-authority.ts';
import { startPostgres } from '../postgres/embedded-postgres.ts';
import type { Postgres } from '../postgres/embedded-postgres.ts';
import { isRoot } from '../postgres/identity.ts';
import { makePassage, ROOT } from './folders.ts';
import { layout } from './layout.ts';
import type { OrganisationLayout } from './layout.ts';
import { ManagedProcess } from './managed-process.ts';
import { QUIET, SMALL_HEAP } from './node-options.ts';

export interface OrganisationOptions {
  readonly basePort: number;
  readonly dataDir: string;
  readonly socketDir: string;
  readonly workerBin: string;
  readonly caFile: string;
  readonly certificate: DemoCertificate;
  /** Keycloak and the secret that this organisation's realm knows; without it a light provider is started. */
  readonly keycloak?: { readonly process: ManagedProcess; readonly clientSecret: string } | undefined;
  /** Settings by which the organisation trusts others; without them it trusts all. */
  readonly trust?: Readonly<Record<string, string>> | undefined;
  /** Additional environment of homeserver and SFU. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: (message: string) => void;
}

export interface Organisation extends OrganisationLayout {
  /** Address of media, as in the ICE candidates of its SFU. */
  readonly mediaAddress: string;
  readonly homeserver: ManagedProcess;
  readonly sfu: ManagedProcess;
  readonly identityProvider: ManagedProcess;
  /** For tests that look into the database. */
  readonly databaseUrl: string;
  /** Folder with a log file for each process. */
  readonly logDir: string;
  stop(): Promise<void>;
}

const CLIENT_ID = 'hansetag';
const CALLBACK_PATH = '/_hansetag/client/v1/login/callback';
const HEALTH_PATH = '/_hansetag/health';
const ANSWER_PATIENCE_MS = 3_000;
const END_WITH_PARENT = new URL('end-with-parent.mjs', import.meta.url).href;
/** Of our own environment, what processes get. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'NODE_COMPILE_CACHE'];

/**
 * Starts all processes of an organisation and resolves when its homeserver is healthy.
 *
 * @throws ProcessError or PostgresError; what was started before is ended then
 */
export async function startOrganisation(plan: OrganisationLayout, options: OrganisationOptions): Promise<Organisation> {
  const { log } = options;
  const folder = makePassage(join(options.dataDir, plan.key));
  const logDir = makePassage(join(folder, 'log'));
  const database = await keepPostgres({
    dataDir: join(folder, 'postgres'),
    // As root, only a folder outside of our own sockets can be PostgreSQL's.
    socketDir: isRoot() ? join(folder, 'socket') : join(options.socketDir, `${plan.key}-pg`),
    onRestart: () => log(`The database of ${plan.name} has ended; it is started again.`),
  });
  const clientSecret = options.keycloak?.clientSecret ?? randomBytes(32).toString('base64url');
  const sfuSecret = randomBytes(32).toString('base64url');
  const sfuControl = join(options.socketDir, `${plan.key}-sfu`);

  const process = (title: string, file: string, more: ProcessSettings) =>
    new ManagedProcess({
      name: `${title} of ${plan.name}`,
      cwd: ROOT,
      args: [...(more.nodeOptions ?? QUIET), ...more.args],
      env: { NODE_COMPILE_CACHE: join(options.dataDir, 'compile-cache'), ...inherited(), ...more.env },
      logFile: join(logDir, `${file}.log`),
      isReady: more.isReady,
      log,
    });
  const identityProvider =
    options.keycloak?.process ??
    process('identity provider', 'identity-provider', {
      args: ['deploy/identity-provider/main.ts'],
      env: {
        HANSETAG_IDP_ISSUER: plan.issuer,
        HANSETAG_IDP_ORGANISATION: plan.name,
        HANSETAG_IDP_REDIRECT_URI: `${plan.url}${CALLBACK_PATH}`,
        HANSETAG_IDP_CLIENT_ID: CLIENT_ID,
        HANSETAG_IDP_CLIENT_SECRET: clientSecret,
        HANSETAG_IDP_PEOPLE: plan.people.map(({ user, name }) => `${user}=${name}`).join(','),
        HANSETAG_IDP_KEY_FILE: join(folder, 'identity-provider-key.json'),
      },
      isReady: () => answers(new URL(`${plan.issuer}/.well-known/openid-configuration`)),
    });
  const sfu = process('SFU', 'sfu', {
    args: ['--import', END_WITH_PARENT, 'sfu/main.ts'],
    env: {
      HANSETAG_SFU_CONTROL: sfuControl,
      HANSETAG_SFU_SECRET: sfuSecret,
      HANSETAG_SFU_LISTEN_IP: plan.address,
      ...(plan.lanAddress === undefined ? {} : { HANSETAG_SFU_CLIENT_IPS: plan.lanAddress }),
      HANSETAG_SFU_WEBRTC_PORT: String(plan.webRtcPort),
      HANSETAG_SFU_LINK_PORTS: plan.linkPorts,
      HANSETAG_SFU_PROBE_PORT: String(plan.probePort),
      HANSETAG_SFU_WORKERS: String(plan.workers),
      HANSETAG_SFU_WORKER_BIN: options.workerBin,
      ...options.env,
    },
    isReady: () => accepts(sfuControl),
  });
  const homeserver = process('homeserver', 'homeserver', {
    args: ['homeserver/main.ts'],
    nodeOptions: SMALL_HEAP,
    env: {
      HANSETAG_SERVER_NAME: plan.serverName,
      HANSETAG_ORGANISATION: plan.name,
      HANSETAG_COLOUR: plan.colour,
      HANSETAG_PUBLIC_URL: plan.url,
      HANSETAG_CLIENT_LISTEN: `127.0.0.1:${String(plan.clientPort)}`,
      HANSETAG_FEDERATION_LISTEN: `${plan.address}:${String(plan.federationPort)}`,
      HANSETAG_FEDERATION_CERT: options.certificate.certFile,
      HANSETAG_FEDERATION_KEY: options.certificate.keyFile,
      HANSETAG_FEDERATION_CA: options.caFile,
      HANSETAG_FEDERATION_HOSTS: hostsOf(options.basePort),
      HANSETAG_FEDERATION_ALLOWED_RANGES: '127.0.0.0/8',
      ...(options.trust ?? { HANSETAG_TRUST: 'open' }),
      DATABASE_URL: database.url,
      HANSETAG_OIDC_ISSUER: plan.issuer,
      HANSETAG_OIDC_CLIENT_ID: CLIENT_ID,
      HANSETAG_OIDC_CLIENT_SECRET: clientSecret,
      HANSETAG_SFU_CONTROL: sfuControl,
      HANSETAG_SFU_SECRET: sfuSecret,
      HANSETAG_CLIENT_DIR: join(ROOT, 'dist/client/browser'),
      HANSETAG_SIGNING_KEY_FILE: join(folder, 'signing.key'),
      HANSETAG_EXIT_WITH_PARENT: '1',
      ...options.env,
    },
    // The name is known to browsers only; others have to be told where it is.
    isReady: () => answers(new URL(HEALTH_PATH, `http://127.0.0.1:${String(plan.clientPort)}`), new URL(plan.url).host),
  });

  async function stop(): Promise<void> {
    await homeserver.stop();
    await Promise.all([sfu.stop(), options.keycloak ? undefined : identityProvider.stop()]);
    await database.stop();
  }
  try {
    await Promise.all([sfu.start(), options.keycloak ? undefined : identityProvider.start()]);
    await homeserver.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    ...plan,
    mediaAddress: plan.address,
    homeserver,
    sfu,
    identityProvider,
    databaseUrl: database.url,
    logDir,
    stop,
  };
}

interface ProcessSettings {
  readonly nodeOptions?: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly isReady: () => Promise<boolean>;
}

interface KeptPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

/** A PostgreSQL that is started again when it dies. */
async function keepPostgres(options: {
  dataDir: string;
  socketDir: string;
  onRestart: () => void;
}): Promise<KeptPostgres> {
  let running: Postgres = await startPostgres(options);
  let stopping = false;
  let restarting: Promise<void> = Promise.resolve();
  const keep = ({ ended }: Postgres): void => {
    const restart = (): void => {
      if (stopping) return;
      options.onRestart();
      // Without its data an organisation can do nothing: where this fails it is as if this process had failed.
      restarting = startPostgres(options).then((next) => {
        running = next;
        keep(next);
      });
    };
    ended.then(restart, restart);
  };
  keep(running);
  return {
    url: running.url,
    stop: async () => {
      stopping = true;
      await restarting;
      await running.stop();
    },
  };
}

function hostsOf(basePort: number): string {
  return Object.values(layout(basePort))
    .map(({ host, address }) => `${host}=${address}`)
    .join(',');
}

export function inherited(): Record<string, string> {
  const pairs = INHERITED.map((name) => [name, process.env[name]] as const);
  return Object.fromEntries(pairs.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

/** Whether a GET is answered with 200. */
export function answers(url: URL, host = url.host): Promise<boolean> {
  return new Promise((done) => {
    const request = get(url, { headers: { host }, timeout: ANSWER_PATIENCE_MS, agent: false }, (response) => {
      response.resume();
      done(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => done(false));
  });
}

/** Whether somebody accepts connections at a unix socket. */
function accepts(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path, () => {
      socket.destroy();
      done(true);
    });
    socket.on('error', () => done(false));
  });
}
