/** Puts the engine together: rooms, streams and federation. */
import type { Logger } from 'pino';
import { FederationClient } from '../../federation/client.ts';
import type { FederationClientOptions } from '../../federation/client.ts';
import type { JsonObject } from '../../federation/json.ts';
import { KeyRing } from '../../federation/keyring.ts';
import { OutboundQueue } from '../../federation/outbound-queue.ts';
import { unprovenLimit } from '../base/rate-limits.ts';
import type { SigningKeyFile } from '../base/signing-key-file.ts';
import type { Database } from '../database/database.ts';
import { federationApi, isRefusal, sendTransaction } from './federation/index.ts';
import type { FederationApi } from './federation/index.ts';
import { sqlKeyStore } from './federation/key-store.ts';
import { QueueSender, sqlQueueStore } from './federation/sender.ts';
import type { EventIndex, InvitePermissions, LocalRights, Sender } from './rooms/ports.ts';
import { Rooms } from './rooms/rooms.ts';
import { Notifier } from './stream/notifier.ts';
import { Positions } from './stream/positions.ts';
import { makeTrust } from './trust/index.ts';
import type { Trust, TrustSettings } from './trust/index.ts';
import { makeOwnTrust } from './trust/own.ts';
import type { OrganisationFiles, OwnStatement } from './trust/own-statement.ts';

export interface EngineDeps {
  readonly serverName: string;
  /** The software version, as announced to other servers. */
  readonly version: string;
  readonly signing: SigningKeyFile;
  /** The certificate that vouches for this server, if there is one. */
  readonly organisationFiles: OrganisationFiles | undefined;
  readonly db: Database;
  /** Which other servers we federate with, and how they are reached. */
  readonly federation: {
    /** PEM of the CAs for the certificates of other servers; the system's by default. */
    readonly ca: string | undefined;
    readonly hosts: ReadonlyMap<string, string>;
    /** CIDR ranges that may be connected to although they are not public. */
    readonly allowedRanges: readonly string[];
    readonly notaries: readonly string[];
    readonly trust: TrustSettings;
  };
  readonly requireMayAsk: NonNullable<FederationClientOptions['requireMayAsk']>;
  readonly rateLimitFactor: number;
  readonly rights: LocalRights;
  /** Display name and avatar of a local user: `displayname`, `avatar_url`. */
  readonly profile: (userId: string) => Promise<JsonObject>;
  readonly userExists: (userId: string) => Promise<boolean>;
  readonly indexes: readonly EventIndex[];
  readonly invitePermissions: InvitePermissions;
  /** Called when another server refuses an event or EDU permanently. */
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
  readonly ownStatement: OwnStatement | undefined;
  readonly trust: Trust;
  /** Resumes what a restart interrupted; our keys must be reachable by then. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export async function makeEngine(deps: EngineDeps): Promise<Engine> {
  const { serverName, db, log } = deps;
  const key = deps.signing.keys;
  const own = await makeOwnTrust(deps);
  const { ca, hosts, allowedRanges, notaries } = deps.federation;
  const trust = await makeTrust({
    ...deps,
    ...deps.federation,
    settings: deps.federation.trust,
    client: () => client,
    isNeighbour: (server) => rooms.isNeighbour(server),
  });
  const client: FederationClient = new FederationClient({
    serverName,
    signingKey: key,
    discovery: { hostOverrides: hosts, allowedRanges },
    ...(ca === undefined ? {} : { ca }),
    requireTrusted: (server, isExempt) => trust.requireTrusted(server, isExempt),
    requireMayAsk: deps.requireMayAsk,
  });
  const keyring = new KeyRing({
    serverName,
    get ownKeys() {
      return key.published();
    },
    get ownOldKeys() {
      return key.old();
    },
    client,
    store: sqlKeyStore(db),
    isNeighbour: (server) => rooms.isNeighbour(server),
    notaries,
  });
  const queue = new OutboundQueue({
    store: sqlQueueStore(db),
    send: sendTransaction(client, serverName, () => rooms),
    isRefusal,
    isHeld: (destination) => trust.decision(destination)?.trusted === false,
    onDropped: (_destination, kind) => deps.onDropped(kind),
    log,
  });
  const sender = new QueueSender(db, queue);
  const positions = await Positions.open(db);
  const notifier = new Notifier();
  const rooms: Rooms = await Rooms.open({ ...deps, key, sender, positions, notifier, trust });
  const unproven = unprovenLimit(deps.rateLimitFactor);
  const api = federationApi({ ...deps, key, keyring, client, queue, rooms, trust, unproven });
  api.router.use(own.router);
  trust.onChanged((server, { trusted }) => {
    if (!trusted) return;
    queue.destinationIsUp(server);
    queue.wake(server);
  });
  return {
    ...api,
    rooms,
    positions,
    notifier,
    client,
    keyring,
    sender,
    ownStatement: own.statement,
    trust,
    start: async () => {
      trust.start();
      await queue.wakeAll();
      rooms.start();
    },
    close: async () => {
      own.close();
      trust.close();
      await queue.close();
      api.close();
      rooms.close();
      await client.close();
    },
  };
}
