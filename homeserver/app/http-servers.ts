/** The HTTP servers for clients and for other servers. The federation API is one definition, mounted in both. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import express from 'express';
import type { RequestHandler, Router } from 'express';
import type { FederationClient } from '../../federation/client.ts';
import type { Legal } from '../../protocol/client-api.ts';
import { accountRouter } from '../accounts/federation-router.ts';
import type { AccountRouterOptions } from '../accounts/federation-router.ts';
import { remoteProfile } from '../accounts/remote-profile.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Database } from '../database/database.ts';
import type { MeetingsFeature } from '../meetings/index.ts';
import { clientApp } from './client-app.ts';
import type { ClientAppOptions } from './client-app.ts';
import { federationApp } from './federation-app.ts';
import type { Features } from './features.ts';
import { isAnswering } from './health.ts';
import { staticClient } from './static-client.ts';

/** What is made here from the other dependencies. */
type Made = 'info' | 'features' | 'federation' | 'meetings' | 'measure' | 'databaseUp' | 'remoteProfile' | 'webClient';

export interface HttpServersDeps extends Omit<ClientAppOptions, Made>, AccountRouterOptions {
  readonly db: Database;
  readonly client: FederationClient;
  /** Display name and colour of the organisation. */
  readonly organisation: string;
  readonly colour: string;
  readonly legal: Legal;
  /** The software version. */
  readonly version: string;
  /** Folder with the built web client; without it none is served. */
  readonly clientDir: string | undefined;
  /** `/_matrix/key` and the federation of rooms; features are mounted into it. */
  readonly router: Router;
  readonly features: Features;
  readonly meetings: MeetingsFeature | undefined;
  readonly metrics: Metrics | undefined;
  readonly tls: TlsFiles;
}

/** PEM texts. */
export interface TlsFiles {
  /** The certificate chain for other servers, and its key. */
  readonly cert: string;
  readonly key: string;
  /** CAs for the certificates of other servers; the system's by default. */
  readonly ca: string | undefined;
}

/** @throws the system's error when a file cannot be read @throws the system's error when a file can not be read */
export async function readTlsFiles(files: {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string | undefined;
}): Promise<TlsFiles> {
  const { certFile, keyFile, caFile } = files;
  const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
  return { cert, key, ca: caFile === undefined ? undefined : await readFile(caFile, 'utf8') };
}

export interface HttpServers {
  readonly people: Server;
  readonly servers: Server;
}

/**
 * @throws the library's error when the certificate is invalid
 *
 * @throws the library's error when the certificate is none
 */
export function makeHttpServers(deps: HttpServersDeps): HttpServers {
  const { router, features, meetings, metrics, proxies, tls, log } = deps;
  router.use('/_matrix/federation', accountRouter(deps), ...features.federation);
  const federation = express.Router();
  federation.use(router);
  if (meetings) federation.use('/_hansetag/federation/v1', meetings.federation);
  const measure = (server: 'client' | 'federation'): { measure?: RequestHandler } =>
    metrics ? { measure: metrics.measure(server) } : {};
  const { meetings: _whole, ...others } = deps;
  const { serverName, organisation, colour, legal, version, provider, passwords, clientDir } = deps;
  const forPeople = clientApp({
    ...others,
    ...measure('client'),
    ...(meetings ? { meetings: meetings.client } : {}),
    ...(clientDir === undefined ? {} : { webClient: staticClient(clientDir) }),
    info: {
      organisation: { serverName, displayName: organisation, colour },
      version,
      login: { sso: provider !== undefined, password: passwords.login },
      legal,
    },
    databaseUp: () => isAnswering(deps.db),
    remoteProfile: (userId, field) => remoteProfile(deps.client, userId, field),
    federation,
  });
  const forServers = federationApp({ proxies, federation, ...measure('federation'), log });
  const people = createServer((request, response) => void forPeople(request, response));
  meetings?.attach(people);
  const servers = createSecureServer(
    { cert: tls.cert, key: tls.key },
    (request, response) => void forServers(request, response),
  );
  return { people, servers };
}
