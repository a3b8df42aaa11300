/** Tells people in a conference what somebody has done to others. */
import { type ModerationAction, MOST_NAMES } from '../../../protocol/modules/moderation.ts';
import type { Conference } from './conference.ts';
import { notification } from './notification.ts';
import type { Giver, OrderDetails } from './order-details.ts';

interface Deed {
  /** Participant ids; who is not shown any more was told of before. */
  readonly targets: readonly string[];
  readonly by: Giver;
  readonly details?: OrderDetails;
}

/** Tells those who have neither given an order nor are meant by it who has done what to whom. */
export function tellOthers(
  conference: Conference,
  action: ModerationAction,
  { targets, by, details = {} }: Deed,
): void {
  const meant = new Set(targets);
  const names = new Map<string, string>();
  for (const { participantId, userId, displayName } of conference.participants()) {
    if (meant.has(participantId) && userId !== by.userId) names.set(userId, displayName);
  }
  if (names.size === 0) return;
  const told = notification('moderation.told', {
    action,
    by: by.displayName,
    organisation: by.organisation,
    ...details,
    whom: [...names.values()].slice(0, MOST_NAMES),
    count: names.size,
  });
  for (const local of conference.locals.values()) {
    if (!meant.has(local.participantId) && local.userId !== by.userId) local.notifier?.tell(told);
  }
}
