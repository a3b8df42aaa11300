/** One Keycloak for the organisations of the demonstration, with a realm for each. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { keycloakInstallation } from '../keycloak/installation.ts';
import type { RealmPlan } from '../keycloak/realm.ts';
import { writeWhole } from './drafts.mjs';
import { makePassage, ROOT } from './folders.ts';
import { keycloakUrl, PASSWORD } from './layout.ts';
import type { OrganisationKey, OrganisationLayout } from './layout.ts';
import { ManagedProcess } from './managed-process.ts';
import { answers, inherited } from './organisation.ts';
import { QUIET } from './node-options.ts';

export interface DemoKeycloak {
  readonly process: ManagedProcess;
  of(key: OrganisationKey): { readonly process: ManagedProcess; readonly clientSecret: string };
}

/** A first start makes the tables and the realms. */
const PATIENCE_MS = 300_000;

/**
 * Prepares Keycloak and the process that it runs in, which is not started yet.
 *
 * @throws SetUpError when something is missing
 */
export async function demoKeycloak(options: {
  readonly plans: readonly OrganisationLayout[];
  readonly basePort: number;
  readonly dataDir: string;
  readonly log: (message: string) => void;
}): Promise<DemoKeycloak> {
  const { plans, basePort, dataDir, log } = options;
  await keycloakInstallation('file', (words) => log(`Keycloak: ${words}.`));
  const folder = makePassage(join(dataDir, 'keycloak'));
  const secrets = new Map<OrganisationKey, string>();
  // The realm is made once and knows the secret from then on.
  for (const { key } of plans) secrets.set(key, await keptSecret(join(folder, `${key}-client-secret`)));
  const secretOf = (key: OrganisationKey): string => secrets.get(key) ?? '';
  const realms = plans.map((plan) => realmPlan(plan, secretOf(plan.key)));
  const { hostname, port } = new URL(keycloakUrl(basePort));
  const managed = new ManagedProcess({
    name: 'Keycloak',
    cwd: ROOT,
    args: [...QUIET, 'deploy/keycloak/main.ts'],
    env: {
      ...inherited(),
      ...ofInstallation(),
      HANSETAG_KEYCLOAK_FOLDER: folder,
      HANSETAG_KEYCLOAK_HOST: hostname,
      HANSETAG_KEYCLOAK_PORT: port,
      HANSETAG_KEYCLOAK_ADMIN_PASSWORD: PASSWORD,
      HANSETAG_KEYCLOAK_REALMS: JSON.stringify(realms),
    },
    logFile: join(folder, 'start.log'),
    isReady: async () => {
      const ready = await Promise.all(
        plans.map(({ issuer }) => answers(new URL(`${issuer}/.well-known/openid-configuration`))),
      );
      return ready.every(Boolean);
    },
    patienceMs: PATIENCE_MS,
    log,
  });
  return { process: managed, of: (key) => ({ process: managed, clientSecret: secretOf(key) }) };
}

/** What decides which installation is used. */
function ofInstallation(): Record<string, string> {
  const names = ['HANSETAG_CACHE', 'XDG_CACHE_HOME', 'HANSETAG_KEYCLOAK_HOME', 'JAVA_HOME'];
  const pairs = names.map((name) => [name, process.env[name]] as const);
  return Object.fromEntries(pairs.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

function realmPlan({ key, name, url, people }: OrganisationLayout, clientSecret: string): RealmPlan {
  return {
    name: key,
    organisation: name,
    publicUrl: url,
    clientSecret,
    people: people.map(({ user, name: fullName, password }) => {
      const [firstName = '', ...rest] = fullName.split(' ');
      return { user, firstName, lastName: rest.join(' '), password, email: `${user}@${key}.example` };
    }),
  };
}

async function keptSecret(file: string): Promise<string> {
  if (!existsSync(file)) await writeWhole(file, randomBytes(32).toString('base64url'));
  return readFile(file, 'utf8');
}
