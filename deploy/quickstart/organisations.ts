/** The demonstration: two organisations on this machine, each with all of its processes. */
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { demoCertificates } from '../demo-authority.ts';
import { workerBinary } from '../worker/build.mjs';
import { defaultDataDir, makePassage, makeSocketDir, ROOT } from './folders.ts';
import {
  DEFAULT_BASE_PORT,
  findLanAddress,
  isFree,
  keycloakUrl,
  layout,
  listenAddresses,
  ORGANISATION_KEYS,
  pkiPort,
} from './layout.ts';
import type { OrganisationKey, OrganisationLayout } from './layout.ts';
import { tryLock } from './lock.mjs';
import { startOrganisation } from './organisation.ts';
import type { Organisation } from './organisation.ts';
import { demoKeycloak } from './demo-keycloak.ts';
import { demoPki } from './demo-pki.ts';
import type { DemoPki } from './demo-pki.ts';
import type { DemoKeycloak } from './demo-keycloak.ts';
import { SetUpError } from './progress.mjs';

export interface DemoOptions {
  /** The first of 200 ports; default 8440. `freeBasePort` finds one for tests. */
  readonly basePort?: number;
  /** Where data is kept. As root, everybody must be able to enter the folders above it. */
  readonly dataDir?: string;
  /** Media is reached at the machine's own address as well: it is open to the network then. */
  readonly lan?: boolean;
  /** Only Lübeck. */
  readonly one?: boolean;
  /** Only these. */
  readonly only?: readonly OrganisationKey[];
  /** One real Keycloak with a realm for each organisation, in place of their light identity providers. */
  readonly keycloak?: boolean;
  /** The organisations trust each other by certificates of an authority that is made for them. */
  readonly pki?: boolean;
  /** Additional environment of homeserver and SFU of an organisation. */
  readonly env?: Partial<Record<OrganisationKey, Readonly<Record<string, string>>>>;
  /** Gets what happens while it runs, such as the restart of a process. */
  readonly log?: (message: string) => void;
}

export interface Demo {
  readonly organisations: readonly Organisation[];
  readonly dataDir: string;
  /** Where Keycloak is, if there is one. */
  readonly keycloakUrl?: string;
  /** Where the authority says what is revoked, if there is one. */
  readonly pkiUrl?: string;
  /** Ends all processes. May be called more than once. */
  stop(): Promise<void>;
}

/** Processes of a demonstration that was killed need a moment until they are gone, in ms. */
const PORT_PATIENCE_MS = 15_000;
const POLL_MS = 200;

/**
 * Starts the organisations and resolves when all can be used.
 *
 * @throws SetUpError when a port or the data is in use by somebody else; ProcessError, PostgresError
 */
export async function startOrganisations(options: DemoOptions = {}): Promise<Demo> {
  const { basePort = DEFAULT_BASE_PORT, env = {}, log = () => undefined } = options;
  const lanAddress = options.lan === true ? findLanAddress() : undefined;
  if (options.lan === true && lanAddress === undefined) {
    throw new SetUpError('--lan needs an IPv4 address of this machine in a network; there is none.');
  }
  const keys = options.only ?? (options.one === true ? ['luebeck' as const] : ORGANISATION_KEYS);
  const provider = options.keycloak === true ? 'keycloak' : 'light';
  const dataDir = makePassage(resolve(options.dataDir ?? defaultDataDir(basePort, provider)));
  const unlock = await tryLock(join(dataDir, 'running.lock'));
  if (typeof unlock === 'number') {
    throw new SetUpError(
      `It is running already, as process ${String(unlock)}. A second one at the same time needs other ports: ` +
        `npm start -- --port ${String(basePort + 1000)}`,
    );
  }
  const socketDir = makeSocketDir(dataDir);
  const plans = layout(basePort, lanAddress, provider);
  const chosen = keys.map((key) => plans[key]);
  const organisations: Organisation[] = [];
  let keycloak: DemoKeycloak | undefined;
  let pki: DemoPki | undefined;
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    (stopping ??= Promise.all(organisations.map((organisation) => organisation.stop())).then(async () => {
      await keycloak?.process.stop();
      await pki?.close();
      rmSync(socketDir, { recursive: true, force: true });
      await unlock();
    }));
  try {
    await portsFree(chosen, basePort, options.pki === true);
    const servers = Object.values(plans);
    const { caFile, certificates } = await demoCertificates(join(dataDir, 'authority'), servers);
    const workerBin = await workerBinary({ mediasoupDir: join(ROOT, 'node_modules/mediasoup') });
    if (provider === 'keycloak') {
      keycloak = await demoKeycloak({ plans: chosen, basePort, dataDir, log });
      await keycloak.process.start();
    }
    if (options.pki === true) pki = await demoPki({ plans: chosen, basePort, dataDir });
    const results = await Promise.allSettled(
      chosen.map(async (plan) => {
        const certificate = certificates[servers.indexOf(plan)];
        if (certificate === undefined) throw new Error(`there is no certificate for ${plan.host}`);
        const shared = { basePort, dataDir, socketDir, workerBin, caFile, log, keycloak: keycloak?.of(plan.key) };
        return startOrganisation(plan, { ...shared, certificate, trust: pki?.of(plan.key), env: env[plan.key] ?? {} });
      }),
    );
    for (const result of results) if (result.status === 'fulfilled') organisations.push(result.value);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    organisations,
    dataDir,
    stop,
    ...(keycloak ? { keycloakUrl: keycloakUrl(basePort) } : {}),
    ...(pki ? { pkiUrl: pki.url } : {}),
  };
}

async function portsFree(plans: readonly OrganisationLayout[], basePort: number, withPki: boolean): Promise<void> {
  const pki = withPki ? [{ host: '127.0.0.1', port: pkiPort(basePort) }] : [];
  const addresses = [...plans.flatMap(listenAddresses), ...pki];
  for (const deadline = Date.now() + PORT_PATIENCE_MS; ; await new Promise((done) => setTimeout(done, POLL_MS))) {
    const free = await Promise.all(addresses.map(isFree));
    const taken = addresses.filter((_, index) => free[index] !== true);
    if (taken.length === 0) return;
    if (Date.now() > deadline) {
      const list = taken.map(({ host, port }) => `${host}:${String(port)}`).join(', ');
      throw new SetUpError(
        `In use by another program: ${list}\nOther ports can be chosen: npm start -- --port ${String(basePort + 1000)}`,
      );
    }
  }
}
