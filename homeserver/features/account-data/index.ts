/** Puts account data together: see engine/client/account-data-store.ts. */
import type { RequestHandler } from 'express';
import type { Logger } from 'pino';
import type { JsonObject } from '../../../federation/json.ts';
import type { Sessions } from '../../accounts/sessions.ts';
import type { Database } from '../../database/database.ts';
import type { CarriedOver } from '../../engine/client/account-data-store.ts';
import type { Feature } from '../../engine/feature.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Notifier } from '../../engine/stream/notifier.ts';
import type { Positions } from '../../engine/stream/positions.ts';
import { AccountData } from './account-data.ts';
import { accountDataRemovalRouter, accountDataRouter } from './client-router.ts';
import { Succession } from './succession.ts';
import { accountDataPart } from './sync-part.ts';

export interface AccountDataDeps {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly notifier: Notifier;
  /** Deletes the settings of a device with the device. */
  readonly sessions?: Pick<Sessions, 'onDeviceChange'> | undefined;
  /** Guests have a smaller quota. */
  readonly isGuest: (userId: string) => Promise<boolean>;
  /** Push rules, which clients find in account data and which are copied to the successor of a room. */
  readonly pushRules: CarriedOver & { content(userId: string): Promise<JsonObject> };
  readonly requireSession: RequestHandler;
  readonly log: Logger;
}

export interface AccountDataFeature extends Feature {
  readonly accountData: AccountData;
}

/** Account data types for one device, followed by its id: whether it makes a sound. @see MSC3890 */
const DEVICE_SETTINGS = ['org.matrix.msc3890.local_notification_settings.', 'm.local_notification_settings.'];

export function makeAccountData(deps: AccountDataDeps): AccountDataFeature {
  const { pushRules, requireSession } = deps;
  const accountData = new AccountData(deps);
  const succession = new Succession({ ...deps, accountData, rules: pushRules });
  const unheard = deps.sessions?.onDeviceChange(async (userId, deviceId, change) => {
    if (change !== 'deleted') return;
    for (const prefix of DEVICE_SETTINGS) await accountData.remove(userId, '', `${prefix}${deviceId}`);
  });
  return {
    accountData,
    client: [accountDataRouter({ accountData, pushRules: (userId) => pushRules.content(userId), requireSession })],
    matrix: [accountDataRemovalRouter({ accountData, requireSession })],
    syncParts: [accountDataPart(accountData)],
    close: async () => {
      unheard?.();
      await succession.close();
    },
  };
}
