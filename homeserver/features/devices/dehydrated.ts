/**
 * Dehydrated devices: receive messages while no other device of the user is logged in. Such a device has no usable
 * access token; a client with the user's secrets rehydrates it and reads its messages.
 *
 * @see MSC3814
 */
import { canonicalJson } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Sessions } from '../../accounts/sessions.ts';
import type { Database, Tx } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import { DEHYDRATED_DATA_BYTES } from '../../base/limits.ts';
import { readObject } from './device-keys.ts';
import type { DehydratedUpload, Upload } from './schemas.ts';
import type { ToDevice } from './to-device.ts';

export interface DehydratedDevicesOptions {
  readonly db: Database;
  readonly sessions: Sessions;
  readonly toDevice: ToDevice;
  readonly uploadKeys: (userId: string, deviceId: string, upload: Upload) => Promise<void>;
}

export class DehydratedDevices {
  readonly #options: DehydratedDevicesOptions;

  constructor(options: DehydratedDevicesOptions) {
    this.#options = options;
  }

  /**
   * Replaces the dehydrated device of a user. @throws MatrixError 400, or 413 when it is too large
   *
   * @throws MatrixError 400, or 413 for too large
   */
  async put(userId: string, upload: DehydratedUpload): Promise<void> {
    const { db, sessions, uploadKeys } = this.#options;
    const { device_id: deviceId, device_data: data, device_keys: keys } = upload;
    if (keys.user_id !== userId || keys.device_id !== deviceId) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'The device keys belong to another user or device.');
    }
    const text = canonicalJson(data);
    if (Buffer.byteLength(text) > DEHYDRATED_DATA_BYTES) {
      throw new MatrixError(413, 'M_TOO_LARGE', 'The dehydrated device is too large.');
    }
    const old = await this.find(userId);
    const devices = await sessions.devices(userId);
    if (old?.device_id !== deviceId && devices.some((device) => device.deviceId === deviceId)) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'This device is logged in. Use another device id.');
    }
    if (old) await sessions.end(userId, old.device_id);
    // Its token is given to nobody.
    await sessions.create(userId, { deviceId, displayName: upload.initial_device_display_name ?? undefined });
    try {
      await uploadKeys(userId, deviceId, upload);
      await db.query(
        `INSERT INTO dehydrated_devices (user_id, device_id, data) VALUES ($1, $2, $3)
         ON CONFLICT (user_id) DO UPDATE SET device_id = excluded.device_id, data = excluded.data`,
        [userId, deviceId, text],
      );
    } catch (error) {
      await sessions.end(userId, deviceId);
      throw error;
    }
  }

  async find(userId: string): Promise<{ device_id: string; device_data: JsonObject } | undefined> {
    const [row] = await this.#options.db.query<{ device_id: string; data: string }>(
      'SELECT device_id, data FROM dehydrated_devices WHERE user_id = $1',
      [userId],
    );
    return row && { device_id: row.device_id, device_data: readObject(row.data) };
  }

  /**
   * Deletes the dehydrated device of a user. @returns its id @throws MatrixError 404
   *
   * @returns its id
   * @throws MatrixError 404
   */
  async end(userId: string): Promise<string> {
    const device = await this.find(userId);
    if (!device) throw noDevice();
    await this.#options.sessions.end(userId, device.device_id);
    return device.device_id;
  }

  /**
   * A page of the messages that it received. They are kept until the device is deleted. @throws MatrixError 403 for
   * another device
   *
   * @throws MatrixError 403 for another device
   */
  async events(userId: string, deviceId: string, after: number): Promise<{ events: JsonObject[]; position: number }> {
    if ((await this.find(userId))?.device_id !== deviceId) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'This is not your dehydrated device.');
    }
    return this.#options.toDevice.page(userId, deviceId, after);
  }

  /** Deletes the dehydrated data of a device. */
  async remove(tx: Tx, userId: string, deviceId: string): Promise<void> {
    await this.#options.db.query(
      'DELETE FROM dehydrated_devices WHERE user_id = $1 AND device_id = $2',
      [userId, deviceId],
      tx,
    );
  }
}

export function noDevice(): MatrixError {
  return new MatrixError(404, 'M_NOT_FOUND', 'There is no dehydrated device.');
}
