/** The engine, put together: rooms, streams of what is new, and the federation with other servers. */
import type { Logger } from 'pino';
import { FederationClient } from '../../federation/client.ts';
import type { FederationClientOptions } from '../../federation/client.ts';
import type { JsonObject } from '../../federation/json.ts';
import { KeyRing } from '../../federation/keyring.ts';
import { OutboundQueue } from '../../federation/outbound-queue.ts';
import type { SigningKey } from '../../federation/signing.ts';
import { unprovenLimit } from '../base/rate-limits.ts';
import type { Database } from '../database/database.ts';
import { federationApi, isRefusal, sendTransaction } from './federation/index.ts';
import type { FederationApi } from './federation/index.ts';
import { sqlKeyStore } from './federation/key-store.ts';
import { QueueSender, sqlQueueStore } from './federation/sender.ts';
import type { EventIndex, InvitePermissions, LocalRights, Sender } from './rooms/ports.ts';
import { Rooms } from './rooms/rooms.ts';
import { Notifier } from './stream/notifier.ts';
import { Positions } from './stream/positions.ts';

export interface EngineDeps {
  readonly serverName: string;
  /** Of the software, as other servers are told. */
  readonly version: string;
  readonly key: SigningKey;
  readonly db: Database;
  /** How other servers are reached, and which. */
  readonly federation: {
    /** PEM of the authorities that other servers' certificates are checked against; else the system's. */
    readonly ca: string | undefined;
    readonly hosts: ReadonlyMap<string, string>;
    /** CIDR ranges that may be reached although they are not public. */
    readonly allowedRanges: readonly string[];
    readonly notaries: readonly string[];
    readonly isTrusted: (server: string) => boolean;
  };
  readonly requireMayAsk: NonNullable<FederationClientOptions['requireMayAsk']>;
  readonly rateLimitFactor: number;
  readonly rights: LocalRights;
  /** Name and picture of a local user: `displayname`, `avatar_url`. */
  readonly profile: (userId: string) => Promise<JsonObject>;
  readonly userExists: (userId: string) => Promise<boolean>;
  readonly indexes: readonly EventIndex[];
  readonly invitePermissions: InvitePermissions;
  /** Told of an event or a message that another server refused for good. */
  readonly onDropped: (kind: 'pdu' | 'edu') => void;
  readonly log: Logger;
}

export interface Engine extends Omit<FederationApi, 'close'> {
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly client: FederationClient;
  readonly keyring: KeyRing;
  readonly sender: Sender;
  /** Takes up what a restart has interrupted; others must be able to ask for our keys by then. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export async function makeEngine(deps: EngineDeps): Promise<Engine> {
  const { serverName, key, db, log } = deps;
  const { ca, hosts, allowedRanges, notaries, isTrusted } = deps.federation;
  const client = new FederationClient({
    serverName,
    signingKey: key,
    discovery: { hostOverrides: hosts, allowedRanges },
    ...(ca === undefined ? {} : { ca }),
    isAllowed: isTrusted,
    requireMayAsk: deps.requireMayAsk,
  });
  const keyring = new KeyRing({
    serverName,
    ownKeys: [key],
    client,
    store: sqlKeyStore(db),
    isNeighbour: (server) => rooms.isNeighbour(server),
    notaries,
  });
  const queue = new OutboundQueue({
    store: sqlQueueStore(db),
    send: sendTransaction(client, serverName, () => rooms),
    isRefusal,
    onDropped: (_destination, kind) => deps.onDropped(kind),
    log,
  });
  const sender = new QueueSender(db, queue);
  const positions = await Positions.open(db);
  const notifier = new Notifier();
  const rooms = await Rooms.open({ ...deps, sender, positions, notifier });
  const unproven = unprovenLimit(deps.rateLimitFactor);
  const api = federationApi({ ...deps, keyring, client, queue, rooms, isTrusted, unproven });
  return {
    ...api,
    rooms,
    positions,
    notifier,
    client,
    keyring,
    sender,
    start: async () => {
      await queue.wakeAll();
      rooms.start();
    },
    close: async () => {
      await queue.close();
      api.close();
      rooms.close();
      await client.close();
    },
  };
}
