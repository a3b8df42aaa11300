/** Puts the federation API of this homeserver together. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import { FederationError } from '../../../federation/client.ts';
import { wireForm } from '../../../federation/event.ts';
import type { FederationClient } from '../../../federation/client.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { KeyRing } from '../../../federation/keyring.ts';
import type { OutboundQueue } from '../../../federation/outbound-queue.ts';
import type { SigningKey } from '../../../federation/signing.ts';
import type { Database } from '../../database/database.ts';
import { methods } from '../../base/errors.ts';
import { every } from '../../base/every.ts';
import type { UnprovenLimit } from '../../base/rate-limits.ts';
import type { SigningKeyFile } from '../../base/signing-key-file.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Trust } from '../trust/trust.ts';
import { signedRequest, signedRouter } from './authenticate.ts';
import { Edus } from './edus.ts';
import { keyRouter } from './key-router.ts';
import { graphRouter } from './graph-router.ts';
import { membershipRouter, originOf, parameters } from './membership-router.ts';
import { FederatedGraph } from './remote-graph.ts';
import { FederatedMemberships } from './remote-memberships.ts';
import { Transactions } from './transactions.ts';

export interface FederationApiOptions {
  readonly serverName: string;
  readonly version: string;
  readonly key: SigningKey;
  /** Where that key comes from. */
  readonly signing: SigningKeyFile;
  readonly keyring: KeyRing;
  readonly client: FederationClient;
  readonly queue: OutboundQueue;
  readonly rooms: Rooms;
  /** Whether a user of this server exists. */
  readonly userExists: (userId: string) => Promise<boolean>;
  readonly db: Database;
  readonly trust: Trust;
  readonly unproven: UnprovenLimit;
  readonly log: Logger;
}

export interface FederationApi {
  /** Serves `/_matrix/key` and `/_matrix/federation`; its routes read their bodies themselves. */
  readonly router: Router;
  /** Requires a signed request of another server. */
  readonly signed: RequestHandler;
  readonly edus: Edus;
  close(): void;
}

const CLEAN_UP_MS = 60 * 60 * 1000;

export function federationApi(options: FederationApiOptions): FederationApi {
  const { serverName, key, keyring, rooms, userExists, db, log } = options;
  const edus = new Edus(log);
  const memberships = new FederatedMemberships(options);
  rooms.useRemote({ memberships, graph: new FederatedGraph(options) });
  const transactions = new Transactions({
    db,
    rooms,
    keyring,
    edus,
    joined: (roomId) => memberships.joined(roomId),
    log,
  });
  const signed = signedRequest({
    serverName,
    keyring,
    trust: options.trust,
    unproven: options.unproven,
    onSeen: (server) => options.queue.destinationIsUp(server),
  });
  const router = express.Router();

  router.use(keyRouter({ serverName, signing: options.signing, keyring, trust: options.trust }));
  methods(router, '/_matrix/federation/v1/version', {
    get: (_request, response) => {
      response.json({ server: { name: 'Hansetag', version: options.version } });
    },
  });

  const authenticated = signedRouter(signed);
  methods(authenticated, '/v1/send/:transactionId', {
    put: async (request, response) => {
      const { transactionId } = parameters(request, 'transactionId');
      response.json(await transactions.receive(originOf(response), transactionId, request.body));
    },
  });
  router.use(
    '/_matrix/federation',
    authenticated,
    membershipRouter({ serverName, key, keyring, rooms, userExists, signed }),
    graphRouter({ serverName, rooms, signed }),
  );

  const stopCleaning = every(CLEAN_UP_MS, () => transactions.cleanUp(), log, 'old transactions were not removed');
  const close = (): void => {
    stopCleaning();
    transactions.close();
  };
  return { router, signed, edus, close };
}

/**
 * Sends one transaction of the outbound queue.
 *
 * @param rooms from which the queued events are read
 */
export function sendTransaction(client: FederationClient, serverName: string, rooms: () => Rooms) {
  return async (
    destination: string,
    transactionId: string,
    { pdus, edus }: { pdus: JsonObject[]; edus: JsonObject[] },
  ): Promise<void> => {
    const events = await wireForms(rooms(), pdus);
    const body: JsonObject = { origin: serverName, origin_server_ts: Date.now(), pdus: events, edus };
    await client.request({
      destination,
      method: 'PUT',
      onBehalfOf: 'server',
      path: `/_matrix/federation/v1/send/${encodeURIComponent(transactionId)}`,
      body,
    });
  };
}

/** Queued events in their current form, that is without what was redacted meanwhile. */
async function wireForms(rooms: Rooms, queued: readonly JsonObject[]): Promise<JsonObject[]> {
  const ids = queued.map((item) => (isReference(item) ? item['event_id'] : '')).filter((id) => id !== '');
  const events = await rooms.events(ids);
  const forms: JsonObject[] = [];
  for (const item of queued) {
    const event = isReference(item) ? events.get(item['event_id']) : undefined;
    const version = event && (await rooms.version(event.roomId));
    if (event && version) forms.push(wireForm(event.pdu, version));
    // Whole events are in the queue from before it named them.
    else if (!isReference(item)) forms.push(item);
  }
  return forms;
}

function isReference(item: JsonObject): item is JsonObject & { event_id: string } {
  return typeof item['event_id'] === 'string' && Object.keys(item).length === 1;
}

/** Whether a server called a transaction malformed or too large, so that retrying is pointless. */
export function isRefusal(error: unknown): boolean {
  return error instanceof FederationError && (error.status === 400 || error.status === 413);
}
