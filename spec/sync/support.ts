/** A server with a real database and the real routers of rooms and of what is told to each person. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { RequestHandler } from 'express';
import type { FederationClient } from '../../federation/client.ts';
import type { JsonObject } from '../../federation/json.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { Accounts } from '../../homeserver/accounts/accounts.ts';
import { requireSession } from '../../homeserver/accounts/require-session.ts';
import { Sessions } from '../../homeserver/accounts/sessions.ts';
import { Standing } from '../../homeserver/accounts/standing.ts';
import { filterRouter } from '../../homeserver/accounts/filter-router.ts';
import { Filters } from '../../homeserver/accounts/filters.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { errorHandler, unknownPath } from '../../homeserver/base/errors.ts';
import { Edus } from '../../homeserver/engine/federation/edus.ts';
import { DEPTH } from '../../federation/json.ts';
import { jsonBody } from '../../homeserver/base/http.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { StoredInvitePermissions } from '../../homeserver/features/account-data/invite-permissions.ts';
import { Rooms } from '../../homeserver/engine/rooms/rooms.ts';
import { Notifier } from '../../homeserver/engine/stream/notifier.ts';
import { EVENT_INDEXES, makeFeatures } from '../../homeserver/app/features.ts';
import type { FeaturesDeps } from '../../homeserver/app/features.ts';
import { Positions } from '../../homeserver/engine/stream/positions.ts';
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

/** A list inside of an answer. */
export function list(value: unknown, ...path: (string | number)[]): Record<string, unknown>[] {
  return (at(value, ...path) ?? []) as Record<string, unknown>[];
}

export interface TestServer {
  readonly url: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly edus: Edus;
  /** Messages that went out to other servers. */
  readonly sent: { destinations: string[]; type: string; content: JsonObject }[];
  readonly logged: string[];
  /** Makes an account, or logs in with one more device. */
  person(localpart: string): Promise<Person>;
  close(): Promise<void>;
}

/** Somebody who is logged in. */
export interface Person {
  readonly userId: string;
  /** @param path below `/_matrix/client/v3`, such as `/sync` */
  ask(method: string, path: string, body?: JsonObject): Promise<Answer>;
  sync(query?: Record<string, string | JsonObject>): Promise<Readonly<Record<string, unknown>>>;
  /** Token of a sync up to now. */
  now(): Promise<string>;
  /** Sends a message and answers its id. */
  say(roomId: string, content: JsonObject | string, type?: string): Promise<string>;
  setState(roomId: string, type: string, content: JsonObject, key?: string): Promise<string>;
  createRoom(body?: JsonObject): Promise<string>;
  join(roomId: string): Promise<void>;
  leave(roomId: string): Promise<void>;
}

let transaction = 0;

export async function startServer(options: Partial<FeaturesDeps> = {}): Promise<TestServer> {
  const name = 'luebeck.example';
  const database = await testDatabase();
  const db = await openDatabase(database.url);
  await migrate(db);
  const logged: string[] = [];
  const log = createLog('trace', { write: (line) => void logged.push(line) });
  const accounts = new Accounts(db, name);
  const filters = new Filters(db, accounts);
  const sessions = new Sessions(db, accounts);
  const sessionRequired = requireSession(sessions);
  const positions = await Positions.open(db);
  const notifier = new Notifier();
  const sent: TestServer['sent'] = [];
  const sender = {
    write: () => undefined,
    durableEdu: () => Promise.resolve(),
    flush: () => undefined,
    edu: (destinations: Iterable<string>, type: string, content: JsonObject) => {
      sent.push({ destinations: [...destinations], type, content });
    },
  };
  const invitePermissions = new StoredInvitePermissions(db);
  const rooms = await Rooms.open({
    db,
    serverName: name,
    key: createSigningKey(generateSeed(), 'a'),
    sender,
    positions,
    notifier,
    profile: async (userId) => ({ displayname: await accounts.displayName(userId) }),
    rights: new Standing(accounts),
    indexes: EVENT_INDEXES,
    invitePermissions,
    log,
  });
  const unused = (): never => {
    throw new Error('No other server is asked here.');
  };
  const edus = new Edus(log);
  const free: RequestHandler = (_request, _response, next) => next();
  const features = makeFeatures({
    serverName: name,
    db,
    rooms,
    positions,
    notifier,
    sender,
    edus,
    invitePermissions,
    client: { request: unused } as unknown as FederationClient,
    profile: async (userId) => ({ displayname: await accounts.displayName(userId) }),
    userExists: (userId) => accounts.exists(userId),
    isGuest: (userId) => accounts.isGuest(userId),
    storedFilter: (userId, filterId) => filters.get(userId, filterId),
    requireSession: sessionRequired,
    limitSending: free,
    signed: unused,
    log,
    ...options,
  });
  await features.start();
  const app = express();
  app.set('query parser', 'simple');
  app.use(
    '/_matrix/client',
    jsonBody(() => ({ limit: 1024 * 1024, maxDepth: DEPTH.written })),
  );
  app.use('/_matrix/client/v3', filterRouter({ filters, requireSession: sessionRequired }), ...features.client);
  app.use(unknownPath, errorHandler(log));
  const server = createServer((request, response) => void app(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  return {
    url,
    db,
    rooms,
    edus,
    sent,
    logged,
    async person(localpart) {
      await accounts.logIn({ issuer: 'spec', subject: localpart, preferredUsername: localpart });
      const userId = `@${localpart}:${name}`;
      const { accessToken } = await sessions.create(userId);
      return person(url, userId, accessToken);
    },
    async close() {
      await features.close();
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
      const response = await fetch(`${url}/_matrix/client/v3${path}`, {
        method,
        headers: { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
    async sync(query = {}) {
      const parameters = new URLSearchParams();
      for (const [key, value] of Object.entries(query)) {
        parameters.set(key, typeof value === 'string' ? value : JSON.stringify(value));
      }
      const { status, body } = await self.ask('GET', `/sync?${parameters.toString()}`);
      if (status !== 200) throw new Error(`HTTP ${status}: ${JSON.stringify(body)}`);
      return body;
    },
    async now() {
      return String((await self.sync())['next_batch']);
    },
    async say(roomId, content, type = 'm.room.message') {
      const message = typeof content === 'string' ? { msgtype: 'm.text', body: content } : content;
      transaction += 1;
      return id(await self.ask('PUT', `/rooms/${roomId}/send/${type}/t${String(transaction)}`, message), 'event_id');
    },
    async setState(roomId, type, content, key = '') {
      const answer = await self.ask('PUT', `/rooms/${roomId}/state/${type}/${encodeURIComponent(key)}`, content);
      return id(answer, 'event_id');
    },
    async createRoom(body = {}) {
      return id(await self.ask('POST', '/createRoom', body), 'room_id');
    },
    async join(roomId) {
      id(await self.ask('POST', `/join/${encodeURIComponent(roomId)}`, {}), 'room_id');
    },
    async leave(roomId) {
      await self.ask('POST', `/rooms/${roomId}/leave`, {});
    },
  };
  return self;
}

function id({ status, body }: Answer, key: string): string {
  const value = body[key];
  if (status !== 200 || typeof value !== 'string') throw new Error(`HTTP ${status}: ${JSON.stringify(body)}`);
  return value;
}
