/** Servers with a real database, real files and real signed requests over TLS. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import type { RequestHandler } from 'express';
import { demoCertificates } from '../../deploy/demo-authority.ts';
import { FederationClient } from '../../federation/client.ts';
import { KeyRing, serverKeysDocument } from '../../federation/keyring.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { Accounts } from '../../homeserver/accounts/accounts.ts';
import { requireSession } from '../../homeserver/accounts/require-session.ts';
import { Sessions } from '../../homeserver/accounts/sessions.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { errorHandler, unknownPath } from '../../homeserver/base/errors.ts';
import { signedRequest } from '../../homeserver/engine/federation/authenticate.ts';
import { unprovenLimit } from '../../homeserver/base/rate-limits.ts';
import { sqlKeyStore } from '../../homeserver/engine/federation/key-store.ts';
import { ListTrust } from '../../homeserver/engine/trust/trust.ts';
import { allowAnyOrigin, securityHeaders } from '../../homeserver/base/http.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { makeMedia } from '../../homeserver/features/media/index.ts';
import type { MediaConfig } from '../../homeserver/features/media/index.ts';
import type { Media } from '../../homeserver/features/media/media.ts';
import { testDatabase } from '../support/database.ts';

export interface TestServer {
  /** With the port of its federation address. */
  readonly name: string;
  readonly url: string;
  readonly db: Database;
  readonly media: Media;
  readonly client: FederationClient;
  /** Everything that other servers asked, method and path with query. */
  readonly asked: string[];
  readonly logged: string[];
  person(localpart: string): Promise<Person>;
  /** The files on disk, by their folder: those that are kept, and those that are on their way. */
  files(): Promise<{ blobs: number; incoming: number }>;
  close(): Promise<void>;
}

export interface Person {
  readonly userId: string;
  readonly token: string;
  /** @param path below `/_matrix`, or from `/_synapse` on */
  ask(method: string, path: string, init?: RequestInit): Promise<Response>;
  /** Sends a file and answers `server/mediaId`. */
  upload(bytes: Uint8Array | string, contentType?: string, fileName?: string): Promise<string>;
}

export interface Authority {
  readonly folder: string;
  /** PEM. */
  readonly ca: string;
}

/** An authority for certificates; remove its folder in the end. */
export async function authority(): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), 'hansetag-media-tls-'));
  const { caFile } = await demoCertificates(folder, []);
  return { folder, ca: await readFile(caFile, 'utf8') };
}

const free: RequestHandler = (_request, _response, next) => next();
const DEFAULTS = {
  maxBytes: 1024 * 1024,
  quotaBytes: 0,
  cacheBytes: 1024 ** 3,
  retentionDays: 0,
  unauthenticated: false,
  urlPreviews: true,
};

export interface StartOptions extends Partial<MediaConfig> {
  readonly allowedRanges?: readonly string[];
  readonly hosts?: ReadonlyMap<string, string>;
}

/** @param host name without port, which leads to 127.0.0.1 */
export async function startServer(
  host: string,
  { folder, ca }: Authority,
  options: StartOptions = {},
): Promise<TestServer> {
  const { allowedRanges = ['127.0.0.0/8'], hosts = new Map(), ...config } = options;
  const database = await testDatabase();
  const db = await openDatabase(database.url);
  await migrate(db);
  const dataFolder = await mkdtemp(join(tmpdir(), 'hansetag-media-'));
  const logged: string[] = [];
  const log = createLog('trace', { write: (line) => void logged.push(line) });

  const { certificates } = await demoCertificates(folder, [{ host, address: '127.0.0.1' }]);
  const [certificate] = certificates;
  if (certificate === undefined) throw new Error('no certificate');
  const [cert, tlsKey] = await Promise.all([readFile(certificate.certFile), readFile(certificate.keyFile)]);
  const forServers = express();
  const federationServer = createHttpsServer(
    { cert, key: tlsKey },
    (request, response) => void forServers(request, response),
  );
  const name = `${host}:${String(await listen(federationServer))}`;

  const key = createSigningKey(generateSeed(), 'a');
  const overrides = new Map([
    ...['luebeck.example', 'hamburg.example', 'peer.example'].map((known) => [known, '127.0.0.1'] as const),
    ...hosts,
  ]);
  const client = new FederationClient({
    serverName: name,
    signingKey: key,
    discovery: { hostOverrides: overrides, allowedRanges: ['127.0.0.0/8'] },
    ca,
  });
  const keyring = new KeyRing({ serverName: name, ownKeys: [key], client, store: sqlKeyStore(db) });
  const accounts = new Accounts(db, name);
  const sessions = new Sessions(db, accounts);
  const repository = await makeMedia({
    serverName: name,
    config: { ...DEFAULTS, ...config, folder: dataFolder },
    db,
    client,
    web: { allowedRanges, hostOverrides: overrides, ca },
    requireSession: requireSession(sessions),
    isGuest: (userId) => accounts.isGuest(userId),
    requireMayAskWeb: () => Promise.resolve(),
    takeUploaded: () => Promise.resolve(),
    signed: signedRequest({
      serverName: name,
      keyring,
      trust: new ListTrust(name, undefined),
      unproven: unprovenLimit(0),
      onSeen: () => undefined,
    }),
    limitUploads: free,
    limitAnonymous: free,
    log,
  });

  const asked: string[] = [];
  forServers.set('query parser', 'simple');
  forServers.use((request, _response, next) => {
    asked.push(`${request.method} ${request.originalUrl}`);
    next();
  });
  forServers.get('/_matrix/key/v2/server', (_request, response) => {
    response.json(serverKeysDocument({ serverName: name, keys: [key], validForMs: 3_600_000 }));
  });
  forServers.use('/_matrix/federation', ...(repository.federation ?? []));
  forServers.use(unknownPath, errorHandler(log));

  const forPeople = express();
  forPeople.set('query parser', 'simple');
  forPeople.use(securityHeaders('http://127.0.0.1'), allowAnyOrigin);
  forPeople.use('/_matrix', ...(repository.matrix ?? []));
  forPeople.use('/_synapse/admin', ...(repository.admin ?? []));
  forPeople.use(unknownPath, errorHandler(log));
  const clientServer = createServer((request, response) => void forPeople(request, response));
  const url = `http://127.0.0.1:${String(await listen(clientServer))}`;

  return {
    name,
    url,
    db,
    media: repository.media,
    client,
    asked,
    logged,
    async person(localpart) {
      await accounts.logIn({ issuer: 'spec', subject: localpart, preferredUsername: localpart });
      const userId = `@${localpart}:${name}`;
      return person(url, userId, (await sessions.create(userId)).accessToken);
    },
    async files() {
      const [blobs, incoming] = await Promise.all(
        ['blobs', 'incoming'].map((part) => countFiles(join(dataFolder, part))),
      );
      return { blobs: blobs ?? 0, incoming: incoming ?? 0 };
    },
    async close() {
      repository.close();
      await client.close();
      await Promise.all([close(clientServer), close(federationServer)]);
      await db.close();
      await Promise.all([database.close(), rm(dataFolder, { recursive: true })]);
    },
  };
}

function person(url: string, userId: string, token: string): Person {
  const self: Person = {
    userId,
    token,
    ask: (method, path, init = {}) =>
      fetch(`${url}${path.startsWith('/_synapse/') ? '' : '/_matrix'}${path}`, {
        redirect: 'manual',
        ...init,
        method,
        headers: { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string> | undefined) },
      }),
    async upload(bytes, contentType, fileName) {
      const query = fileName === undefined ? '' : `?filename=${encodeURIComponent(fileName)}`;
      const answer = await self.ask('POST', `/media/v3/upload${query}`, {
        body: Buffer.from(bytes),
        ...(contentType === undefined ? {} : { headers: { 'content-type': contentType } }),
      });
      return mediaOf(await json(answer));
    },
  };
  return self;
}

/** `server/mediaId` of an answer with `content_uri`. */
export function mediaOf(body: Readonly<Record<string, unknown>>): string {
  const [, found] = /^mxc:\/\/([^/]+\/[A-Za-z0-9_-]+)$/.exec(String(body['content_uri'])) ?? [];
  if (found === undefined) throw new Error(`no content_uri: ${JSON.stringify(body)}`);
  return found;
}

export async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>;
}

/** Status and Matrix error code. */
export async function refusal(response: Response | Promise<Response>): Promise<[number, unknown]> {
  const settled = await response;
  return [settled.status, (await json(settled))['errcode']];
}

export async function bytes(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

/** Listens on a free port of 127.0.0.1 and answers it. */
export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

export async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

async function countFiles(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).length;
}
