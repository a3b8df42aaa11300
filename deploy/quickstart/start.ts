/**
 * `npm start`: the demonstration, until Ctrl-C. `--one` starts Lübeck only, `--port 9440` takes other ports, `--lan`
 * lets media listen at the machine's own address as well, `--keycloak` starts a real Keycloak, `--pki` lets the
 * organisations trust each other by certificates only.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DEFAULT_BASE_PORT, PASSWORD, PORTS } from './layout.ts';
import { startOrganisations } from './organisations.ts';
import type { Demo } from './organisations.ts';
import { duration, SetUpError, step } from './progress.mjs';

export { startOrganisations } from './organisations.ts';
export type { Demo, DemoOptions } from './organisations.ts';

/** One Ctrl-C may arrive as several signals: from the terminal, from npm, and from the process that started this one. */
const SAME_REQUEST_MS = 1000;
const LOWEST_PORT = 1024;
const HIGHEST_PORT = 65_535 - PORTS;

if (import.meta.main) await main();

async function main(): Promise<void> {
  const began = Date.now();
  let demo: Demo | undefined;
  let ending: number | undefined;
  const end = (): void => {
    if (ending !== undefined) return;
    ending = Date.now();
    if (demo === undefined) process.exit(130);
    console.log('\nEnding …');
    demo.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  const endOrExit = (): void => {
    // Asked again, it ends at once; the other processes see that and end by themselves.
    if (ending !== undefined && Date.now() - ending > SAME_REQUEST_MS) process.exit(130);
    end();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, endOrExit);
  // The process that set everything up wants it, or is gone.
  process.on('disconnect', end);
  try {
    const options = readOptions();
    await step('Start', async (progress) => {
      progress('databases, identity providers, SFUs, homeservers');
      demo = await startOrganisations({ ...options, log: (message) => console.log(message) });
      return undefined;
    });
    if (demo !== undefined) console.log(greeting(demo, Date.now() - began));
  } catch (error) {
    const isKnown = error instanceof Error && 'code' in error;
    console.error(`\n${isKnown ? error.message : String(error)}`);
    process.exit(1);
  }
}

function readOptions(): { basePort: number; one: boolean; lan: boolean; keycloak: boolean; pki: boolean } {
  let values: { one?: boolean; lan?: boolean; keycloak?: boolean; pki?: boolean; port?: string };
  try {
    ({ values } = parseArgs({
      options: {
        one: { type: 'boolean' },
        lan: { type: 'boolean' },
        keycloak: { type: 'boolean' },
        pki: { type: 'boolean' },
        port: { type: 'string' },
      },
    }));
  } catch (error) {
    throw new SetUpError(
      `${error instanceof Error ? error.message : ''}\nThere are --one, --lan, --keycloak, --pki and --port <number>.`,
    );
  }
  const given = values.port ?? process.env['HANSETAG_PORT'];
  const basePort = given === undefined || given === '' ? DEFAULT_BASE_PORT : Number(given);
  if (!Number.isInteger(basePort) || basePort < LOWEST_PORT || basePort > HIGHEST_PORT) {
    throw new SetUpError(`The port must be from ${String(LOWEST_PORT)} to ${String(HIGHEST_PORT)}.`);
  }
  const { one = false, lan = false, keycloak = false, pki = false } = values;
  return { basePort, one, lan, keycloak, pki };
}

function greeting({ organisations, dataDir, keycloakUrl, pkiUrl }: Demo, tookMs: number): string {
  const lines = organisations.map(({ name, url, people }) => {
    const users = people.map(({ user }) => user).join(', ');
    return `  ${name.padEnd(9)}${url.padEnd(32)}log in as ${users}`;
  });
  const example = organisations[0]?.people[0]?.matrixId ?? '';
  return `
Hansetag is ready (${duration(tookMs)}).

${lines.join('\n')}

  Everybody's password is ${PASSWORD}. People of the other organisation are invited by their Matrix id, such as
  ${example}. Data and logs are in ${dataDir}.
${keycloakUrl === undefined ? '' : `  Keycloak is administered at ${keycloakUrl} by admin with the same password.\n`}${pkiUrl === undefined ? '' : pkiNote(pkiUrl, dataDir)}${mediaNote(organisations)}

Ctrl-C ends everything; the next start finds the meetings again.`;
}

/** What is different when organisations have to prove who they are. */
function pkiNote(url: string, dataDir: string): string {
  return `  The organisations federate by certificate only: an authority of the demonstration has certified them, and says at
  ${url} whether a certificate is revoked. Certificates are in ${join(dataDir, 'pki')}.
`;
}

/** Who can reach what: what is open to the network is said, and what is not. */
function mediaNote(organisations: Demo['organisations']): string {
  const lanAddress = organisations[0]?.lanAddress;
  if (lanAddress === undefined) {
    return `
  Everything listens on this computer only. Firefox has no sound and no pictures then, because it does not use
  loopback addresses for media; Chromium and Chrome do. For Firefox: npm start -- --lan`;
  }
  const ports = organisations.map(({ webRtcPort, workers }) =>
    workers === 1 ? String(webRtcPort) : `${String(webRtcPort)}-${String(webRtcPort + workers - 1)}`,
  );
  return `
  OPEN TO THE NETWORK: media also listens at ${lanAddress}, ports ${ports.join(' and ')} (UDP and TCP), so that Firefox
  on this computer has sound and pictures. Nobody gets in by these ports without having joined by a page; pages, log-in
  and federation listen on this computer only, because browsers give camera and microphone to https and localhost only.`;
}
