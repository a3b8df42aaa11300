/** Servers with a real database and the real routers of rooms and messages, that can ask each other. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { RequestHandler } from 'express';
import { FederationError } from '../../federation/client.ts';
import type { FederationClient, FederationRequest } from '../../federation/client.ts';
import { canonicalJson, isJsonObject, member } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import { KeyRing } from '../../federation/keyring.ts';
import { OutboundQueue } from '../../federation/outbound-queue.ts';
import { OwnKeys } from '../../federation/own-keys.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import type { SigningKey } from '../../federation/signing.ts';
import { signRequest } from '../../federation/x-matrix.ts';
import { Accounts } from '../../homeserver/accounts/accounts.ts';
import { requireSession } from '../../homeserver/accounts/require-session.ts';
import { Sessions } from '../../homeserver/accounts/sessions.ts';
import { Standing } from '../../homeserver/accounts/standing.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { errorHandler, unknownPath } from '../../homeserver/base/errors.ts';
import { federationApi, sendTransaction } from '../../homeserver/engine/federation/index.ts';
import { sqlKeyStore } from '../../homeserver/engine/federation/key-store.ts';
import { QueueSender, sqlQueueStore } from '../../homeserver/engine/federation/sender.ts';
import { unprovenLimit } from '../../homeserver/base/rate-limits.ts';
import { DEPTH } from '../../federation/json.ts';
import { jsonBody } from '../../homeserver/base/http.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { StoredInvitePermissions } from '../../homeserver/features/account-data/invite-permissions.ts';
import { Rooms } from '../../homeserver/engine/rooms/rooms.ts';
import { Notifier } from '../../homeserver/engine/stream/notifier.ts';
import { EVENT_INDEXES, makeFeatures } from '../../homeserver/app/features.ts';
import { Positions } from '../../homeserver/engine/stream/positions.ts';
import { ListTrust } from '../../homeserver/engine/trust/trust.ts';
import { testDatabase } from '../support/database.ts';

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A value inside of an answer: `at(body, 'chunk', 0, 'event_id')`; undefined when there is none. */
export function at(value: unknown, ...path: (string | number)[]): unknown {
  let inner = value;
  for (const key of path) inner = (inner as Record<string | number, unknown> | null | undefined)?.[key];
  return inner;
}

/** A list inside of an answer, with one member of each entry. */
export function each(value: unknown, list: string, ...path: (string | number)[]): unknown[] {
  return ((at(value, ...list.split('.')) ?? []) as unknown[]).map((entry) => at(entry, ...path));
}

export interface TestServer {
  readonly name: string;
  readonly url: string;
  readonly db: Database;
  readonly accounts: Accounts;
  readonly rooms: Rooms;
  readonly logged: string[];
  /** Makes an account. */
  person(localpart: string): Promise<Person>;
  /** Asks another server in the name of this one. */
  ask(server: string, path: string): Promise<{ json?: JsonObject; code?: string | undefined }>;
  close(): Promise<void>;
}

/** Somebody who is logged in. */
export interface Person {
  readonly userId: string;
  /** @param path below `/_matrix/client`, such as `/v3/publicRooms`; or a whole one that begins with `/_` */
  ask(method: string, path: string, body?: JsonObject): Promise<Answer>;
  /** Sends a message and answers its id. */
  say(roomId: string, content: JsonObject | string, type?: string): Promise<string>;
  createRoom(body?: JsonObject): Promise<string>;
  join(roomId: string): Promise<void>;
}

const servers = new Map<string, string>();
let transaction = 0;

/** Signed requests to the other servers of this process, without TLS. */
function plainClient(origin: string, key: SigningKey): Pick<FederationClient, 'request'> {
  return {
    async request({ destination, method, path, body }: FederationRequest): Promise<JsonObject> {
      const url = servers.get(destination);
      if (url === undefined) throw new FederationError('UNREACHABLE', destination, 'There is no such server.');
      const response = await fetch(url + path, {
        method,
        headers: { authorization: signRequest({ method, uri: path, origin, destination, content: body }, key) },
        ...(body === undefined ? {} : { body: canonicalJson(body) }),
      });
      const json: unknown = await response.json();
      if (!isJsonObject(json)) throw new FederationError('BAD_ANSWER', destination, 'No object.');
      const errcode = member(json, 'errcode');
      if (!response.ok) {
        throw new FederationError('REFUSED', destination, 'The server refused.', {
          status: response.status,
          errcode: typeof errcode === 'string' ? errcode : undefined,
        });
      }
      return json;
    },
  };
}

/** A server that answers what it likes. */
export async function startPeer(
  name: string,
  answer: (path: string) => unknown,
): Promise<{ readonly asked: string[]; close(): Promise<void> }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '');
    asked.push(path);
    request.resume();
    response.end(JSON.stringify(answer(path)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.set(name, `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`);
  return {
    asked,
    async close() {
      servers.delete(name);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export async function startServer(name: string): Promise<TestServer> {
  const database = await testDatabase();
  const db = await openDatabase(database.url);
  await migrate(db);
  const logged: string[] = [];
  const log = createLog('trace', { write: (line) => void logged.push(line) });
  const accounts = new Accounts(db, name);
  const sessions = new Sessions(db, accounts);
  const sessionRequired = requireSession(sessions);
  const positions = await Positions.open(db);
  const notifier = new Notifier();
  const key = createSigningKey(generateSeed(), 'a');
  // Only `request` is used of the client.
  const client = plainClient(name, key) as FederationClient;
  const keyring = new KeyRing({ serverName: name, ownKeys: [key], client, store: sqlKeyStore(db) });
  const queue = new OutboundQueue({ store: sqlQueueStore(db), send: sendTransaction(client, name, () => rooms), log });
  const sender = new QueueSender(db, queue);
  const invitePermissions = new StoredInvitePermissions(db);
  const rooms = await Rooms.open({
    db,
    serverName: name,
    key,
    sender,
    positions,
    notifier,
    profile: async (userId) => ({ displayname: await accounts.displayName(userId) }),
    rights: new Standing(accounts),
    indexes: EVENT_INDEXES,
    invitePermissions,
    log,
  });
  const federation = federationApi({
    serverName: name,
    version: '1',
    key,
    signing: { keys: OwnKeys.of(key), look: () => Promise.resolve() },
    keyring,
    client,
    queue,
    rooms,
    userExists: (userId) => accounts.exists(userId),
    db,
    trust: new ListTrust(name, undefined),
    unproven: unprovenLimit(0),
    log,
  });
  const free: RequestHandler = (_request, _response, next) => next();
  const features = makeFeatures({
    serverName: name,
    db,
    rooms,
    positions,
    notifier,
    client,
    sender,
    edus: federation.edus,
    invitePermissions,
    profile: async (userId) => ({ displayname: await accounts.displayName(userId) }),
    userExists: (userId) => accounts.exists(userId),
    isGuest: (userId) => accounts.isGuest(userId),
    storedFilter: () => Promise.resolve(undefined),
    requireSession: sessionRequired,
    limitSending: free,
    signed: federation.signed,
    log,
  });
  await features.start();
  const app = express();
  app.set('query parser', 'simple');
  app.use(
    '/_matrix/client',
    jsonBody(() => ({ limit: 1024 * 1024, maxDepth: DEPTH.written })),
  );
  app.use('/_matrix/client/v3', ...features.client);
  app.use('/_synapse/admin', ...features.admin);
  app.use('/_matrix', ...features.matrix, (_request, _response, next) => next());
  federation.router.use('/_matrix/federation', ...features.federation);
  app.use(federation.router);
  app.use(unknownPath, errorHandler(log));
  const server = createServer((request, response) => void app(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  servers.set(name, url);

  return {
    name,
    url,
    db,
    accounts,
    rooms,
    logged,
    async person(localpart) {
      await accounts.logIn({ issuer: 'spec', subject: localpart, preferredUsername: localpart });
      const userId = `@${localpart}:${name}`;
      const { accessToken } = await sessions.create(userId);
      return person(url, userId, accessToken);
    },
    async ask(destination, path) {
      try {
        return { json: await client.request({ destination, method: 'GET', path }) };
      } catch (error) {
        if (error instanceof FederationError) return { code: error.errcode };
        throw error;
      }
    },
    async close() {
      servers.delete(name);
      await features.close();
      federation.close();
      await queue.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await db.close();
      await database.close();
    },
  };
}

function person(url: string, userId: string, token: string): Person {
  const self: Person = {
    userId,
    async ask(method, path, body) {
      const response = await fetch(path.startsWith('/_') ? url + path : `${url}/_matrix/client${path}`, {
        method,
        headers: { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
    async say(roomId, content, type = 'm.room.message') {
      const message = typeof content === 'string' ? { msgtype: 'm.text', body: content } : content;
      transaction += 1;
      const path = `/v3/rooms/${encodeURIComponent(roomId)}/send/${type}/t${String(transaction)}`;
      const answer = await self.ask('PUT', path, message);
      return id(answer, 'event_id');
    },
    async createRoom(body = {}) {
      return id(await self.ask('POST', '/v3/createRoom', body), 'room_id');
    },
    async join(roomId) {
      id(await self.ask('POST', `/v3/join/${encodeURIComponent(roomId)}`, {}), 'room_id');
    },
  };
  return self;
}

function id({ status, body }: Answer, key: string): string {
  const value = body[key];
  if (status !== 200 || typeof value !== 'string') throw new Error(`HTTP ${status}: ${JSON.stringify(body)}`);
  return value;
}
