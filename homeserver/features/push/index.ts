/** Puts push rules, notifications and pushers together. */
import type { RequestHandler } from 'express';
import type { Logger } from 'pino';
import { canonicalJson } from '../../../federation/json.ts';
import { every } from '../../base/every.ts';
import { SafeFetch } from '../../base/safe-fetch.ts';
import type { Database } from '../../database/database.ts';
import type { ClientEvents } from '../../engine/client/client-events.ts';
import type { IgnoredUsers, AccountDataStore } from '../../engine/client/account-data-store.ts';
import type { Feature } from '../../engine/feature.ts';
import type { InvitePermissions } from '../../engine/rooms/ports.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Positions } from '../../engine/stream/positions.ts';
import { pushRouter } from './client-router.ts';
import { Evaluator } from './evaluator.ts';
import { notificationsRouter } from './notifications-router.ts';
import { Notifications } from './notifications.ts';
import { PushSender } from './push-sender.ts';
import type { Post } from './push-sender.ts';
import { Pushers } from './pushers.ts';
import { PushRules } from './rules.ts';
import { pushPart } from './sync-part.ts';

/** How push gateways are reached. */
export interface PushConfig {
  /** CIDR ranges that may be connected to although they are not public. */
  readonly allowedRanges: readonly string[];
  readonly hosts?: ReadonlyMap<string, string>;
  /** PEM of CAs that are trusted besides those of Node. */
  readonly ca?: string | undefined;
}

export interface PushDeps {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly accountData: AccountDataStore & IgnoredUsers;
  readonly clientEvents: ClientEvents;
  readonly invitePermissions: Pick<InvitePermissions, 'rule'>;
  readonly push?: PushConfig;
  readonly requireSession: RequestHandler;
  readonly log: Logger;
}

export interface PushFeature extends Feature {
  readonly rules: PushRules;
  /** A user has read a room or thread up to a position: clears notifications up to there. */
  read(userId: string, roomId: string, threadId: string | undefined, position: number): Promise<void>;
}

const PRUNE_MS = 6 * 3_600_000;
const GATEWAY_TIMEOUT_MS = 20_000;
const MAX_GATEWAY_ANSWER = 64 * 1024;

/** Access to push gateways, whose URLs come from clients: not into our own network. */
function gateway(push: PushConfig | undefined): Post {
  const fetch = new SafeFetch({
    allowedRanges: push?.allowedRanges ?? [],
    ...(push?.hosts === undefined ? {} : { hostOverrides: push.hosts }),
    ...(push?.ca === undefined ? {} : { ca: push.ca }),
    timeoutMs: GATEWAY_TIMEOUT_MS,
  });
  return (url, body) => fetch.post(url, canonicalJson(body), MAX_GATEWAY_ANSWER);
}

export function makePush(deps: PushDeps): PushFeature {
  const { db, rooms, accountData, clientEvents, requireSession, log } = deps;
  const rules = new PushRules(accountData);
  const notifications = new Notifications(db);
  const pushers = new Pushers(deps);
  const sender = new PushSender({ rooms, pushers, notifications, post: gateway(deps.push), log });
  const evaluator = new Evaluator({
    ...deps,
    rules,
    notifications,
    ignored: (userId) => accountData.ignored(userId),
    inviteRule: (userId, inviter) => deps.invitePermissions.rule(userId, inviter),
    knownIgnored: (userId) => accountData.knownIgnored(userId),
    prepareIgnored: (userIds) => accountData.prepareIgnored(userIds),
    onNotices: (userIds) => sender.wake(userIds),
  });
  const stopPruning = every(PRUNE_MS, () => notifications.prune(), log, 'old notifications were not removed');
  const plainGateways = (deps.push?.allowedRanges ?? []).length > 0;
  return {
    rules,
    client: [
      pushRouter({ rules, pushers, plainGateways, requireSession }),
      notificationsRouter({ rooms, notifications, clientEvents, requireSession }),
    ],
    syncParts: [pushPart({ accountData, rules, notifications, evaluator })],
    read: async (userId, roomId, threadId, position) => {
      await notifications.read(userId, roomId, threadId, position);
      sender.read(userId);
    },
    start: () => sender.start(),
    close: async () => {
      stopPruning();
      await evaluator.close();
      await sender.close();
    },
  };
}
