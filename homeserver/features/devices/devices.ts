/** The interface to devices: their keys, to-device messages, and notifications of changes. */
import type { Logger } from 'pino';
import type { FederationClient } from '../../../federation/client.ts';
import { isUserId, serverOf } from '../../../federation/identifiers.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import type { Sessions } from '../../accounts/sessions.ts';
import type { Database, Tx } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import { every } from '../../base/every.ts';
import type { Sender } from '../../engine/rooms/ports.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import { ALL_VISIBLE } from '../../engine/visibility.ts';
import type { Visibility } from '../../engine/visibility.ts';
import type { Notifier } from '../../engine/stream/notifier.ts';
import type { Positions } from '../../engine/stream/positions.ts';
import { ChangedLists } from './changed-lists.ts';
import { CrossSigning, publicKeyOf } from './cross-signing.ts';
import { DehydratedDevices } from './dehydrated.ts';
import { DeviceKeys } from './device-keys.ts';
import { DeviceLists } from './device-lists.ts';
import { KeyBackups } from './key-backups.ts';
import { KeyQueries } from './key-queries.ts';
import { LocalDevices } from './local-devices.ts';
import { RemoteLists } from './remote-lists.ts';
import type { SignaturesUpload, SigningUpload, Upload } from './schemas.ts';
import { ToDevice } from './to-device.ts';

export interface DevicesOptions {
  readonly db: Database;
  readonly serverName: string;
  readonly rooms: Pick<Rooms, 'events' | 'onEvent' | 'onServers' | 'joinedServers' | 'joinedLocalUsers' | 'movedAfter'>;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly sender: Sender;
  readonly client: Pick<FederationClient, 'request'>;
  readonly sessions: Sessions;
  /** Without it, everybody may know of everybody. */
  readonly visibility?: Visibility;
  /** Whether a local user is suspended. */
  readonly isSuspended: (userId: string) => Promise<boolean>;
  /**
   * @throws MatrixError when the requesting user must not send anything to that server
   *
   * @throws MatrixError when nobody of that server is to hear of whoever is served now
   */
  readonly requireMayReach: (server: string) => Promise<void>;
  /** Called when messages are dropped because a device has too many queued. */
  readonly onDropped?: (messages: number) => void;
  readonly log: Logger;
  /** Whether other servers get the display names of devices; off by default. */
  readonly tellNames?: boolean;
  /** Pause before a failed request to another server is retried, in ms. */
  readonly retryMs?: number;
}

const CLEAN_UP_MS = 60 * 60 * 1000;

export class Devices {
  readonly #options: DevicesOptions;
  readonly #local: LocalDevices;
  readonly #crossSigning: CrossSigning;
  readonly #ends: (() => void)[] = [];
  /** Background tasks. */
  readonly #pending = new Set<Promise<void>>();
  readonly keys: DeviceKeys;
  readonly lists: DeviceLists;
  readonly changes: ChangedLists;
  readonly remote: RemoteLists;
  readonly queries: KeyQueries;
  readonly toDevice: ToDevice;
  readonly backups: KeyBackups;
  readonly dehydrated: DehydratedDevices;

  constructor(options: DevicesOptions) {
    const { db, serverName, rooms, client, positions, log, visibility = ALL_VISIBLE } = options;
    this.#options = options;
    this.#local = new LocalDevices(db, serverName);
    this.keys = new DeviceKeys(db);
    this.#crossSigning = new CrossSigning(db, this.keys);
    this.lists = new DeviceLists(options);
    this.changes = new ChangedLists(db, rooms, this.lists.newest);
    this.remote = new RemoteLists({
      db,
      serverName,
      client,
      positions,
      lists: this.lists,
      crossSigning: this.#crossSigning,
      log,
      ...(options.retryMs === undefined ? {} : { retryMs: options.retryMs }),
    });
    this.queries = new KeyQueries({
      serverName,
      keys: this.keys,
      crossSigning: this.#crossSigning,
      remote: this.remote,
      client,
      devices: this.#local,
      tellNames: options.tellNames === true,
      visibility,
      log,
    });
    this.toDevice = new ToDevice({ ...options, visibility, devices: this.#local });
    this.backups = new KeyBackups(db);
    this.dehydrated = new DehydratedDevices({
      ...options,
      toDevice: this.toDevice,
      uploadKeys: (userId, deviceId, upload) => this.uploadKeys(userId, deviceId, upload),
    });
    this.#ends.push(
      rooms.onEvent((event) => this.#onEvent(event)),
      rooms.onServers((roomId, servers) => {
        this.#begin(this.#onServers(roomId, servers), 'devices were not announced to other servers');
      }),
    );
    const cleanUp = (): Promise<unknown> => Promise.all([this.toDevice.cleanUp(), this.lists.cleanUp()]);
    this.#ends.push(every(CLEAN_UP_MS, cleanUp, log, 'expired device data was not removed'));
    this.remote.start();
    this.#begin(this.#endOrphans(), 'data of deleted devices was not removed');
  }

  /** Stops background work. */
  async close(): Promise<void> {
    for (const end of this.#ends) end();
    await Promise.all([this.remote.close(), ...this.#pending]);
  }

  /** Stores keys of a device and announces them. @throws MatrixError 400 */
  async uploadKeys(userId: string, deviceId: string, upload: Upload): Promise<void> {
    await this.lists.change(userId, (note) =>
      this.keys.upload(userId, deviceId, upload, async (tx) => {
        await note.changed(tx);
        const content = await this.#described(userId, deviceId, tx);
        if ('keys' in content) await note.device(tx, deviceId, content);
      }),
    );
  }

  /**
   * Stores cross-signing keys of a user. @throws MatrixError @see CrossSigning.upload
   *
   * @throws MatrixError
   * @see CrossSigning.upload
   */
  async uploadSigningKeys(userId: string, upload: SigningUpload, confirm: () => Promise<void>): Promise<void> {
    await this.lists.change(userId, (note) =>
      this.#crossSigning.upload(userId, upload, confirm, async (tx, usages) => {
        await note.changed(tx);
        if (usages.some((usage) => usage !== 'user_signing')) {
          await note.signingKeys(tx, await this.#publicSigningKeys(userId, tx));
        }
      }),
    );
  }

  /** Stores signatures made by a user. @returns the failures @returns the failures */
  async uploadSignatures(userId: string, upload: SignaturesUpload): Promise<JsonObject> {
    const masters = new Map<string, JsonObject | undefined>();
    for (const target of Object.keys(upload)) {
      if (target !== userId) masters.set(target, await this.queries.masterOf(target, userId));
    }
    const { failures } = await this.lists.change(userId, (note) =>
      this.#crossSigning.sign(userId, upload, masters, async (tx, signed) => {
        if (signed.devices.length > 0 || signed.ownMaster) await note.changed(tx);
        if (signed.others.length > 0) await note.changedFor(tx, signed.others);
        for (const deviceId of new Set(signed.devices)) {
          const content = await this.#described(userId, deviceId, tx);
          if ('keys' in content) await note.device(tx, deviceId, content);
        }
        if (signed.ownMaster) await note.signingKeys(tx, await this.#publicSigningKeys(userId, tx));
      }),
    );
    return failures;
  }

  /** A device of a local user was added, renamed or deleted. */
  async onDeviceChange(userId: string, deviceId: string, change: 'new' | 'renamed' | 'deleted'): Promise<void> {
    const { db } = this.#options;
    await this.lists.change(userId, (note) =>
      db.transaction(async (tx) => {
        await note.changed(tx);
        if (change === 'deleted') {
          await this.toDevice.remove(tx, userId, deviceId);
          await this.keys.remove(tx, userId, deviceId);
          await this.dehydrated.remove(tx, userId, deviceId);
          await note.device(tx, deviceId, { deleted: true });
        } else {
          // The change is announced in any case; the name itself only if names are shared.
          await note.device(tx, deviceId, await this.#described(userId, deviceId, tx));
        }
      }),
    );
  }

  /** The device list of a local user for another server. @throws MatrixError 404 @throws MatrixError 404 */
  async listFor(server: string, userId: string): Promise<JsonObject> {
    if (!isUserId(userId) || serverOf(userId) !== this.#options.serverName) {
      throw new MatrixError(404, 'M_NOT_FOUND', 'No such user on this server.');
    }
    // Read first: if the devices change meanwhile, the next EDU has a higher `stream_id`.
    const streamId = await this.lists.streamId(userId);
    const answer = await this.queries.ofLocal({ [userId]: [] }, { server });
    const master = answer.master_keys[userId];
    const selfSigning = answer.self_signing_keys[userId];
    return {
      user_id: userId,
      stream_id: streamId,
      devices: Object.entries(answer.device_keys[userId] ?? {}).map(([deviceId, keys]) => ({
        device_id: deviceId,
        keys,
        ...named(keys),
      })),
      ...(master === undefined ? {} : { master_key: master }),
      ...(selfSigning === undefined ? {} : { self_signing_key: selfSigning }),
    };
  }

  async #publicSigningKeys(userId: string, tx: Parameters<CrossSigning['put']>[0]): Promise<JsonObject> {
    const { master, self_signing: selfSigning } = (await this.#crossSigning.ofUsers([userId], tx)).get(userId) ?? {};
    const id = publicKeyOf(master)?.key;
    if (master && id !== undefined)
      await this.#crossSigning.addSignatures(undefined, [{ userId, id, key: master }], tx);
    return {
      ...(master === undefined ? {} : { master_key: master }),
      ...(selfSigning === undefined ? {} : { self_signing_key: selfSigning }),
    };
  }

  #onEvent(event: StoredEvent): void {
    const userId = event.pdu.type === 'm.room.member' ? event.pdu.state_key : undefined;
    if (userId === undefined || !this.lists.isLocal(userId)) return;
    const announced = this.lists.announceTo(event, () => this.#allDevices(userId));
    this.#begin(announced, 'devices were not announced to other servers');
  }

  /** Servers turned out to be in a room: they missed changes since our users joined. */
  async #onServers(roomId: string, servers: readonly string[]): Promise<void> {
    for (const userId of await this.#options.rooms.joinedLocalUsers(roomId)) {
      await this.lists.announce(userId, servers, () => this.#allDevices(userId));
    }
  }

  /** Devices may have been deleted right before a crash. */
  async #endOrphans(): Promise<void> {
    for (const { userId, deviceId } of await this.#local.orphans()) {
      await this.onDeviceChange(userId, deviceId, 'deleted');
    }
  }

  /** Starts a background task. */
  #begin(task: Promise<void>, failure: string): void {
    const running = task
      .catch((error: unknown) => this.#options.log.warn({ err: error }, failure))
      .finally(() => this.#pending.delete(running));
    this.#pending.add(running);
  }

  /** A device's part of an EDU about it: its keys, if any, and its name, if names are shared. */
  async #described(userId: string, deviceId: string, tx: Tx): Promise<JsonObject> {
    const keys = (await this.keys.ofUsers([userId], tx)).get(userId)?.get(deviceId);
    if (keys) await this.#crossSigning.addSignatures(undefined, [{ userId, id: deviceId, key: keys }], tx);
    const names = this.#options.tellNames === true ? (await this.#local.of([userId], tx)).get(userId) : undefined;
    return { ...(keys === undefined ? {} : { keys }), ...this.#name(names?.get(deviceId)) };
  }

  /** All devices of a user, including those without keys, each with its part of an EDU. */
  async #allDevices(userId: string): Promise<Map<string, JsonObject>> {
    const names = (await this.#local.of([userId])).get(userId) ?? new Map<string, string | undefined>();
    const answer = await this.queries.ofLocal({ [userId]: [] }, { server: this.#options.serverName });
    const keys = new Map(Object.entries(answer.device_keys[userId] ?? {}));
    const ids = new Set([...names.keys(), ...keys.keys()]);
    return new Map(
      [...ids].map((id): [string, JsonObject] => {
        const own = keys.get(id);
        return [id, { ...(own === undefined ? {} : { keys: own }), ...this.#name(names.get(id)) }];
      }),
    );
  }

  #name(name: string | undefined): JsonObject {
    return this.#options.tellNames !== true || name === undefined ? {} : { device_display_name: name };
  }
}

/** The display name next to the keys of a device, if names are shared. */
function named(keys: JsonValue): JsonObject {
  const unsigned = isJsonObject(keys) ? member(keys, 'unsigned') : undefined;
  const name = isJsonObject(unsigned) ? member(unsigned, 'device_display_name') : undefined;
  return typeof name === 'string' ? { device_display_name: name } : {};
}
