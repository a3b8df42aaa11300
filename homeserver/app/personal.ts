/** What is told to each person about their rooms: `/sync` and the subjects whose news it carries, put together. */
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import { AccountData } from '../features/account-data/account-data.ts';
import { Succession } from '../features/account-data/succession.ts';
import { accountDataPart } from '../features/account-data/sync-part.ts';
import type { Sessions } from '../accounts/sessions.ts';
import { accountDataRemovalRouter, accountDataRouter } from '../features/account-data/client-router.ts';
import { presenceRouter } from '../features/presence/client-router.ts';
import { receiptsRouter } from '../features/receipts/client-router.ts';
import { typingRouter } from '../features/typing/client-router.ts';
import { Presence } from '../features/presence/presence.ts';
import type { PresenceMode } from '../features/presence/presence.ts';
import { presencePart } from '../features/presence/sync-part.ts';
import { receiptsFromServers } from '../features/receipts/from-servers.ts';
import { Receipts } from '../features/receipts/receipts.ts';
import { receiptsPart } from '../features/receipts/sync-part.ts';
import { notificationsRouter } from '../features/push/notifications-router.ts';
import { pushRouter } from '../features/push/client-router.ts';
import { SafeFetch } from '../features/media/safe-fetch.ts';
import { Evaluator } from '../features/push/evaluator.ts';
import { Notifications } from '../features/push/notifications.ts';
import { PushSender } from '../features/push/push-sender.ts';
import type { Post } from '../features/push/push-sender.ts';
import { Pushers } from '../features/push/pushers.ts';
import { PushRules } from '../features/push/rules.ts';
import { pushPart } from '../features/push/sync-part.ts';
import { canonicalJson } from '../../federation/json.ts';
import { Typing } from '../features/typing/typing.ts';
import { ClientEvents } from '../engine/client/client-events.ts';
import type { Bundles } from '../engine/client/client-events.ts';
import { showFor } from '../engine/client/show.ts';
import { answers } from '../engine/sync/answers.ts';
import { eventStreamRouter } from '../engine/sync/event-stream.ts';
import type { SyncPart } from '../engine/sync/part.ts';
import { roomsPart } from '../engine/sync/rooms-part.ts';
import { syncRouter } from '../engine/sync/router.ts';
import type { Database } from '../database/database.ts';
import type { Edus } from '../engine/federation/edus.ts';
import type { InvitePermissions, InviteRule, Sender } from '../engine/rooms/ports.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { Notifier } from '../engine/stream/notifier.ts';
import type { Positions } from '../engine/stream/positions.ts';

export interface PersonalOptions {
  /** Their devices' settings go with them. */
  readonly sessions?: Pick<Sessions, 'onDeviceChange'> | undefined;
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly sender: Sender;
  readonly invitePermissions: Pick<InvitePermissions, 'rule'>;
  readonly edus: Edus;
  /** What others say about events. */
  readonly bundles?: Bundles;
  /** Whether people see who is there; off when not given. */
  readonly presence?: PresenceMode;
  /** How push gateways are reached. */
  readonly push?: {
    /** CIDR ranges that may be reached although they are not public. */
    readonly allowedRanges: readonly string[];
    readonly hosts?: ReadonlyMap<string, string>;
    /** PEM of authorities that are trusted besides the roots of Node. */
    readonly ca?: string | undefined;
  };
  /** Whether anybody may find the room in the list of public ones. */
  readonly isListed: (roomId: string) => Promise<boolean>;
  /** Parts of other subjects. */
  readonly parts: readonly SyncPart[];
  /** Whether a local user is a guest, who may keep less. */
  readonly isGuest: (userId: string) => Promise<boolean>;
  /** The JSON text of a stored filter. */
  readonly storedFilter: (userId: string, filterId: string) => Promise<string | undefined>;
  readonly requireSession: RequestHandler;
  readonly log: Logger;
}

export interface Personal {
  readonly accountData: AccountData;
  readonly clientEvents: ClientEvents;
  /** Routers at `/_matrix/client/v3`. */
  readonly matrix: Router[];
  /** Routers at `/_matrix`. */
  readonly matrixRoot: Router[];
  /** Takes up what was to be told before a restart. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Account data about a device, named after it: whether it makes a sound. @see MSC3890 */
const DEVICE_SETTINGS = ['org.matrix.msc3890.local_notification_settings.', 'm.local_notification_settings.'];
const PRUNE_MS = 6 * 3_600_000;
const GATEWAY_TIMEOUT_MS = 20_000;
const MAX_GATEWAY_ANSWER = 64 * 1024;

/** The way to push gateways, which clients name: not into our own network. */
function gateway({ push }: PersonalOptions): Post {
  const fetch = new SafeFetch({
    allowedRanges: push?.allowedRanges ?? [],
    ...(push?.hosts === undefined ? {} : { hostOverrides: push.hosts }),
    ...(push?.ca === undefined ? {} : { ca: push.ca }),
    timeoutMs: GATEWAY_TIMEOUT_MS,
  });
  return (url, body) => fetch.post(url, canonicalJson(body), MAX_GATEWAY_ANSWER);
}

export function personal(options: PersonalOptions): Personal {
  const { db, rooms, positions, notifier, requireSession } = options;
  const accountData = new AccountData({ db, positions, notifier, isGuest: options.isGuest });
  const clientEvents = new ClientEvents(db, rooms, options.bundles);
  const ignored = (userId: string): Promise<ReadonlySet<string>> => accountData.ignored(userId);
  const inviteRule = (userId: string, inviter: string): Promise<InviteRule> =>
    options.invitePermissions.rule(userId, inviter);
  const rules = new PushRules(accountData);
  const succession = new Succession({ ...options, accountData, rules });
  const unheard = options.sessions?.onDeviceChange(async (userId, deviceId, change) => {
    if (change !== 'deleted') return;
    for (const prefix of DEVICE_SETTINGS) await accountData.remove(userId, '', `${prefix}${deviceId}`);
  });
  const notifications = new Notifications(db);
  const pushers = new Pushers(options);
  const pushSender = new PushSender({ rooms, pushers, notifications, post: gateway(options), log: options.log });
  const evaluator = new Evaluator({
    ...options,
    rules,
    notifications,
    ignored,
    inviteRule,
    knownIgnored: (userId) => accountData.knownIgnored(userId),
    prepareIgnored: (userIds) => accountData.prepareIgnored(userIds),
    onNotices: (userIds) => pushSender.wake(userIds),
  });
  const pruning = setInterval(() => void notifications.prune().catch(() => undefined), PRUNE_MS).unref();
  const typing = new Typing({ ...options, ignored });
  const receipts = new Receipts({
    ...options,
    accountData,
    onRead: async (receipt, position) => {
      await notifications.read(receipt.userId, receipt.roomId, receipt.threadId, position);
      pushSender.read(receipt.userId);
    },
  });
  receiptsFromServers(options.edus, rooms, receipts);
  const presence = new Presence({ ...options, mode: options.presence ?? 'off' });
  const common: SyncPart[] = [
    // First, as it makes the entries of the rooms.
    roomsPart({ db, rooms, clientEvents, ignored, inviteRule }),
    accountDataPart(accountData),
    typing.part(),
    receiptsPart(receipts),
    presencePart(presence, rooms),
  ];
  const counts = pushPart({ accountData, rules, notifications, evaluator });
  const parts = [...common, ...options.parts, counts];
  const waiting = { rooms, positions, notifier };
  return {
    accountData,
    clientEvents,
    matrix: [
      syncRouter({
        answers: answers({ ...waiting, parts }),
        parts,
        present: (userId, state) => presence.syncs(userId, state),
        storedFilter: options.storedFilter,
        requireSession,
      }),
      eventStreamRouter({
        rooms,
        // It has no place for messages to a device; to read them for it would take them from the device.
        answers: answers({ ...waiting, parts: [...common, counts] }),
        newest: () => positions.current,
        present: (userId) => presence.syncs(userId, 'online'),
        isListed: options.isListed,
        showFor: showFor(db, rooms),
        requireSession,
      }),
      accountDataRouter({ accountData, pushRules: (userId) => rules.content(userId), requireSession }),
      typingRouter({ typing, rooms, requireSession }),
      receiptsRouter({ receipts, requireSession }),
      presenceRouter({ presence, rooms, requireSession }),
      pushRouter({ rules, pushers, plainGateways: (options.push?.allowedRanges ?? []).length > 0, requireSession }),
      notificationsRouter({ rooms, notifications, clientEvents, requireSession }),
    ],
    matrixRoot: [accountDataRemovalRouter({ accountData, requireSession })],
    start: () => pushSender.start(),
    close: async () => {
      unheard?.();
      clearInterval(pruning);
      typing.close();
      presence.close();
      await succession.close();
      await evaluator.close();
      await pushSender.close();
    },
  };
}
