/**
 * Key queries and claims for users of any server: local ones are looked up, others are requested from their servers.
 *
 * @see Matrix specification, client-server API, "Key Distribution"
 * @see Matrix specification, server-server API, "End-to-End Encryption"
 */
import type { Logger } from 'pino';
import { z } from 'zod';
import { FederationError } from '../../../federation/client.ts';
import { LIST_BYTES } from '../../../federation/client.ts';
import type { FederationClient } from '../../../federation/client.ts';
import { isUserId, serverOf } from '../../../federation/identifiers.ts';
import { isJsonObject } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import type { Visibility } from '../../engine/visibility.ts';
import { MatrixError } from '../../base/errors.ts';
import { publicKeyOf } from './cross-signing.ts';
import type { CrossSigning, SignedTarget, SigningKeys } from './cross-signing.ts';
import type { DeviceKeys } from './device-keys.ts';
import type { LocalDevices } from './local-devices.ts';
import type { RemoteLists } from './remote-lists.ts';
import { crossSigningKeySchema, deviceKeysSchema, remoteClaimSchema, remoteKeysSchema } from './schemas.ts';
import type { KeyClaim, KeyQuestion } from './schemas.ts';

export interface KeyQueriesOptions {
  readonly serverName: string;
  readonly keys: DeviceKeys;
  readonly crossSigning: CrossSigning;
  readonly remote: RemoteLists;
  readonly client: Pick<FederationClient, 'request'>;
  readonly devices: LocalDevices;
  /** Whether other servers get the display names of devices. */
  readonly tellNames: boolean;
  readonly visibility: Visibility;
  readonly log: Logger;
}

export interface KeyAnswer extends JsonObject {
  device_keys: { [userId: string]: JsonObject };
  master_keys: JsonObject;
  self_signing_keys: JsonObject;
}

/** Who reads the keys: a local user, or another server. */
export type Reader = { readonly userId: string } | { readonly server: string };

const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_TIMEOUT_MS = 20_000;
/** Device lists fetched from one server at once; for further users only keys are queried. */
const MAX_LISTS = 50;
/** Longest key with its signatures, as JSON. */
const keyObjectSchema = z.union([z.string().max(8192), z.custom<JsonObject>(isJsonObject)]);

export class KeyQueries {
  readonly #options: KeyQueriesOptions;

  constructor(options: KeyQueriesOptions) {
    this.#options = options;
  }

  /** Handles `/keys/query` of a local user. */
  async query(userId: string, { device_keys: wanted, timeout }: KeyQuestion): Promise<JsonObject> {
    const { local, byServer } = this.#split(wanted);
    const seen = await this.#options.visibility.seenBy(userId, Object.keys(local));
    const answer = await this.ofLocal(only(local, seen), { userId });
    // As for nobody.
    for (const unseen of Object.keys(local)) answer.device_keys[unseen] ??= {};
    const failures: JsonObject = {};
    const timeoutMs = patience(timeout);
    await Promise.all(
      [...byServer].map(async ([server, users]) => {
        try {
          await this.#ofServer(server, users, userId, timeoutMs, answer);
        } catch (error) {
          this.#options.log.info({ err: error, server }, 'device keys of another server could not be fetched');
          failures[server] = failure(server, error);
        }
      }),
    );
    return { ...answer, failures };
  }

  /** Keys of local users as the reader may see them; other users are ignored. */
  async ofLocal(wanted: KeyQuestion['device_keys'], reader: Reader): Promise<KeyAnswer> {
    const { keys, crossSigning, serverName } = this.#options;
    const userIds = Object.keys(wanted).filter((id) => isUserId(id) && serverOf(id) === serverName);
    const readerId = 'userId' in reader ? reader.userId : undefined;
    const [devices, signing, names] = await Promise.all([
      keys.ofUsers(userIds),
      crossSigning.ofUsers(userIds),
      readerId === undefined && !this.#options.tellNames ? undefined : this.#options.devices.of(userIds),
    ]);
    const answer = emptyAnswer();
    const targets: SignedTarget[] = [];
    for (const userId of userIds) {
      const ofUser: JsonObject = {};
      answer.device_keys[userId] = ofUser;
      const some = new Set(wanted[userId]);
      const present = devices.get(userId);
      if (!present) continue;
      for (const [deviceId, key] of present) {
        if (some.size > 0 && !some.has(deviceId)) continue;
        const name = names?.get(userId)?.get(deviceId);
        const shown: JsonObject = { ...key, unsigned: name === undefined ? {} : { device_display_name: name } };
        ofUser[deviceId] = shown;
        targets.push({ userId, id: deviceId, key: shown });
      }
    }
    for (const [userId, ofUser] of signing) targets.push(...addSigningKeys(answer, userId, ofUser, readerId));
    await crossSigning.addSignatures(readerId, targets);
    return answer;
  }

  /**
   * Claims one-time keys for new Olm sessions with devices, for a local user.
   *
   * @see DeviceKeys.claim
   * @returns `one_time_keys` and `failures`
   */
  async claim(userId: string, { one_time_keys: wanted, timeout }: KeyClaim): Promise<JsonObject> {
    const { local, byServer } = this.#split(wanted);
    const { keys, client, visibility, log } = this.#options;
    const claimed = await keys.claim(only(local, await visibility.seenBy(userId, Object.keys(local))));
    const failures: JsonObject = {};
    await Promise.all(
      [...byServer].map(async ([server, users]) => {
        try {
          const answer = await client.request({
            destination: server,
            method: 'POST',
            path: '/_matrix/federation/v1/user/keys/claim',
            body: { one_time_keys: users },
            timeoutMs: patience(timeout),
            maxBytes: LIST_BYTES,
          });
          Object.assign(claimed, checkedClaim(answer, users));
        } catch (error) {
          log.info({ err: error, server }, 'one-time keys of another server could not be claimed');
          failures[server] = failure(server, error);
        }
      }),
    );
    return { one_time_keys: claimed, failures };
  }

  /** Claims keys of local users for another server. */
  async claimLocal({ one_time_keys: wanted }: KeyClaim): Promise<JsonObject> {
    return { one_time_keys: await this.#options.keys.claim(this.#split(wanted).local) };
  }

  /** The master key of a user of any server. */
  async masterOf(userId: string, reader: string): Promise<JsonObject | undefined> {
    if (!isUserId(userId)) return undefined;
    const answer = await this.query(reader, { device_keys: { [userId]: [] } });
    const masters = answer['master_keys'];
    const key = isJsonObject(masters) ? masters[userId] : undefined;
    return isJsonObject(key) ? key : undefined;
  }

  async #ofServer(
    server: string,
    wanted: KeyQuestion['device_keys'],
    reader: string,
    timeoutMs: number,
    answer: KeyAnswer,
  ): Promise<void> {
    const { remote, log } = this.#options;
    const userIds = Object.keys(wanted);
    const [shared, known] = await Promise.all([remote.shared(userIds), remote.known(userIds)]);
    // Known keys are returned even if the server is down.
    await this.#ofLists([...known], wanted, reader, answer);
    // Device lists of which other servers send us updates are fetched in full.
    const asked = userIds.filter((userId) => shared.has(userId) && !known.has(userId)).slice(0, MAX_LISTS);
    const fetched: string[] = [];
    await Promise.all(
      asked.map(async (userId) => {
        try {
          await remote.ask(userId, { timeoutMs });
          fetched.push(userId);
        } catch (error) {
          if (error instanceof FederationError && error.code !== 'REFUSED' && error.code !== 'BAD_ANSWER') throw error;
          log.info({ err: error, server }, 'a device list could not be fetched; only its keys are queried');
        }
      }),
    );
    await this.#ofLists(fetched, wanted, reader, answer);
    const others = Object.fromEntries(
      Object.entries(wanted).filter(([userId]) => answer.device_keys[userId] === undefined),
    );
    if (Object.keys(others).length > 0) await this.#askKeys(server, others, reader, timeoutMs, answer);
  }

  async #ofLists(
    userIds: readonly string[],
    wanted: KeyQuestion['device_keys'],
    reader: string,
    answer: KeyAnswer,
  ): Promise<void> {
    if (userIds.length === 0) return;
    const { remote, crossSigning } = this.#options;
    const [devices, signing] = await Promise.all([remote.devices(userIds), crossSigning.ofUsers(userIds)]);
    const targets: SignedTarget[] = [];
    for (const userId of userIds) {
      const some = new Set(wanted[userId]);
      const present = [...(devices.get(userId) ?? [])].filter(([id]) => some.size === 0 || some.has(id));
      answer.device_keys[userId] = Object.fromEntries(present);
      targets.push(...addSigningKeys(answer, userId, signing.get(userId) ?? {}, undefined));
    }
    await crossSigning.addSignatures(reader, targets);
  }

  async #askKeys(
    server: string,
    wanted: KeyQuestion['device_keys'],
    reader: string,
    timeoutMs: number,
    answer: KeyAnswer,
  ): Promise<void> {
    const { client, crossSigning } = this.#options;
    const given = remoteKeysSchema.parse(
      await client.request({
        destination: server,
        method: 'POST',
        path: '/_matrix/federation/v1/user/keys/query',
        body: { device_keys: wanted },
        timeoutMs,
        maxBytes: LIST_BYTES,
      }),
    );
    const targets: SignedTarget[] = [];
    for (const userId of Object.keys(wanted)) {
      const devices: JsonObject = {};
      for (const [deviceId, value] of Object.entries(own(given.device_keys, userId) ?? {})) {
        const key = deviceKeysSchema.safeParse(value);
        if (key.success && key.data.user_id === userId && key.data.device_id === deviceId) {
          devices[deviceId] = key.data as JsonObject;
        }
      }
      answer.device_keys[userId] = devices;
      const signing: SigningKeys = {};
      for (const [usage, values] of [
        ['master', given.master_keys],
        ['self_signing', given.self_signing_keys],
      ] as const) {
        const key = crossSigningKeySchema.safeParse(own(values, userId));
        if (key.success && key.data.user_id === userId && key.data.usage.includes(usage)) {
          signing[usage] = key.data as JsonObject;
        }
      }
      targets.push(...addSigningKeys(answer, userId, signing, undefined));
    }
    await crossSigning.addSignatures(reader, targets);
  }

  /** Splits a query by the servers of the users. Invalid user ids are ignored. */
  #split<T>(wanted: Record<string, T>): { local: Record<string, T>; byServer: Map<string, Record<string, T>> } {
    const local: Record<string, T> = {};
    const byServer = new Map<string, Record<string, T>>();
    for (const [userId, value] of Object.entries(wanted)) {
      if (!isUserId(userId)) continue;
      const server = serverOf(userId);
      const users = server === this.#options.serverName ? local : (byServer.get(server) ?? {});
      users[userId] = value;
      if (users !== local) byServer.set(server, users);
    }
    return { local, byServer };
  }
}

function only<T>(wanted: Record<string, T>, userIds: ReadonlySet<string>): Record<string, T> {
  return Object.fromEntries(Object.entries(wanted).filter(([userId]) => userIds.has(userId)));
}

function emptyAnswer(): KeyAnswer {
  return { device_keys: {}, master_keys: {}, self_signing_keys: {} };
}

/** @returns the master key, to which further signatures may be added */
function addSigningKeys(
  answer: KeyAnswer,
  userId: string,
  { master, self_signing: selfSigning, user_signing: userSigning }: SigningKeys,
  reader: string | undefined,
): SignedTarget[] {
  if (selfSigning) answer.self_signing_keys[userId] = selfSigning;
  // The user-signing key is only for its owner: it reveals whom they trust.
  if (userSigning && reader === userId) answer['user_signing_keys'] = { [userId]: userSigning };
  if (!master) return [];
  answer.master_keys[userId] = master;
  const id = publicKeyOf(master)?.key;
  return id === undefined ? [] : [{ userId, id, key: master }];
}

/** The claimed keys, at most one for each requested device. */
function checkedClaim(answer: JsonObject, wanted: KeyClaim['one_time_keys']): JsonObject {
  const given = remoteClaimSchema.parse(answer).one_time_keys;
  const claimed: JsonObject = {};
  for (const [userId, devices] of Object.entries(wanted)) {
    const ofUser: JsonObject = {};
    for (const [deviceId, algorithm] of Object.entries(devices)) {
      for (const [name, value] of Object.entries(own(own(given, userId), deviceId) ?? {})) {
        const key = keyObjectSchema.safeParse(value);
        if (!name.startsWith(`${algorithm}:`) || !key.success) continue;
        ofUser[deviceId] = { [name]: key.data };
        break;
      }
    }
    if (Object.keys(ofUser).length > 0) claimed[userId] = ofUser;
  }
  return claimed;
}

function own<T>(values: Record<string, T> | undefined, key: string): T | undefined {
  return values !== undefined && Object.hasOwn(values, key) ? values[key] : undefined;
}

function patience(timeout: number | null | undefined): number {
  return Math.min(Math.max(timeout ?? DEFAULT_TIMEOUT_MS, 1), MAX_TIMEOUT_MS);
}

function failure(server: string, error: unknown): JsonValue {
  // No request was sent.
  if (error instanceof MatrixError) return { status: error.status, errcode: error.errcode, message: error.message };
  return { status: 503, errcode: 'M_UNREACHABLE', message: `${server} can not be reached or failed.` };
}
