/** Puts devices together: keys, to-device messages and key backups, with their routers. */
import type { RequestHandler } from 'express';
import type { UiaRequest } from '../../accounts/uia.ts';
import { dehydratedDeviceRouter } from './dehydrated-router.ts';
import { keyBackupRouter } from './key-backup-router.ts';
import { keysRouter } from './keys-router.ts';
import { devicesPart } from './sync-part.ts';
import type { Feature } from '../../engine/feature.ts';
import { toDevicePart } from './to-device-sync-part.ts';
import { toDeviceRouter } from './to-device-router.ts';
import { deviceRouter } from './federation-router.ts';
import type { Edus } from '../../engine/federation/edus.ts';
import { Devices } from './devices.ts';
import type { DevicesOptions } from './devices.ts';

export interface DevicesDeps extends DevicesOptions {
  readonly edus: Edus;
  /** Re-authenticates a user. */
  readonly confirm: (userId: string, request: UiaRequest) => Promise<void>;
  readonly requireSession: RequestHandler;
  /** Rate limit for to-device messages, by user; after `requireSession`. */
  readonly limitToDevice: RequestHandler;
  /** Requires a signed request of another server. */
  readonly signed: RequestHandler;
}

export function makeDevices(deps: DevicesDeps): Feature {
  const { sessions, edus, confirm, requireSession, limitToDevice, signed } = deps;
  const devices = new Devices(deps);
  const { toDevice, changes, keys, remote, backups } = devices;
  const silence = sessions.onDeviceChange((userId, deviceId, change) =>
    devices.onDeviceChange(userId, deviceId, change),
  );
  edus.onDurable('m.device_list_update', (origin, content) => remote.onDeviceListUpdate(origin, content));
  edus.onDurable('m.signing_key_update', (origin, content) => remote.onSigningKeyUpdate(origin, content));
  edus.onDurable('m.direct_to_device', (origin, content) => toDevice.onDirectToDevice(origin, content));
  return {
    client: [
      keysRouter({ devices, confirm, requireSession }),
      keyBackupRouter({ backups, requireSession }),
      toDeviceRouter({ toDevice, requireSession, limitToDevice }),
    ],
    matrix: [dehydratedDeviceRouter({ dehydrated: devices.dehydrated, requireSession })],
    federation: [deviceRouter({ devices, signed })],
    syncParts: [toDevicePart(toDevice), devicesPart(changes, keys)],
    async close() {
      silence();
      await devices.close();
    },
  };
}
