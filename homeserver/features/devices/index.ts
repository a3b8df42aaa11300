/** Devices: their keys, messages between them and backups of their keys, put together with their routers. */
import type { RequestHandler, Router } from 'express';
import type { UiaRequest } from '../../accounts/uia.ts';
import { dehydratedDeviceRouter } from './dehydrated-router.ts';
import { keyBackupRouter } from './key-backup-router.ts';
import { keysRouter } from './keys-router.ts';
import { devicesPart } from './sync-part.ts';
import type { SyncPart } from '../../engine/sync/part.ts';
import { toDevicePart } from './to-device-sync-part.ts';
import { toDeviceRouter } from './to-device-router.ts';
import { deviceRouter } from './federation-router.ts';
import type { Edus } from '../../engine/federation/edus.ts';
import { Devices } from './devices.ts';
import type { DevicesOptions } from './devices.ts';

export interface EncryptionOptions extends DevicesOptions {
  readonly edus: Edus;
  /** Asks a user to prove once more who they are. */
  readonly confirm: (userId: string, request: UiaRequest) => Promise<void>;
  readonly requireSession: RequestHandler;
  /** Rate limit for messages to devices, by user; after `requireSession`. */
  readonly limitToDevice: RequestHandler;
  /** Lets only signed requests of other servers pass. */
  readonly signed: RequestHandler;
}

export interface Encryption {
  readonly devices: Devices;
  /** Routers at `/_matrix/client/v3`. */
  readonly matrix: Router[];
  /** Routers at `/_matrix`. */
  readonly matrixRoot: Router[];
  /** Router at `/_matrix/federation`. */
  readonly federation: Router;
  /** Sections of `/sync`. */
  readonly parts: SyncPart[];
  close(): Promise<void>;
}

export function encryption(options: EncryptionOptions): Encryption {
  const { sessions, edus, confirm, requireSession, limitToDevice, signed } = options;
  const devices = new Devices(options);
  const { toDevice, changes, keys, remote, backups } = devices;
  const silence = sessions.onDeviceChange((userId, deviceId, change) =>
    devices.onDeviceChange(userId, deviceId, change),
  );
  edus.onDurable('m.device_list_update', (origin, content) => remote.onDeviceListUpdate(origin, content));
  edus.onDurable('m.signing_key_update', (origin, content) => remote.onSigningKeyUpdate(origin, content));
  edus.onDurable('m.direct_to_device', (origin, content) => toDevice.onDirectToDevice(origin, content));
  return {
    devices,
    matrix: [
      keysRouter({ devices, confirm, requireSession }),
      keyBackupRouter({ backups, requireSession }),
      toDeviceRouter({ toDevice, requireSession, limitToDevice }),
    ],
    matrixRoot: [dehydratedDeviceRouter({ dehydrated: devices.dehydrated, requireSession })],
    federation: deviceRouter({ devices, signed }),
    parts: [toDevicePart(toDevice), devicesPart(changes, keys)],
    async close() {
      silence();
      await devices.close();
    },
  };
}
