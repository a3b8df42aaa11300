/** Clients with keys for end-to-end encryption, as far as a server looks at them. */
import { createSigningKey, generateSeed, signJson } from '../../federation/signing.ts';
import type { SigningKey } from '../../federation/signing.ts';
import type { JsonObject } from '../../federation/json.ts';
import { at } from '../support/homeservers.ts';
import type { TestHomeserver, TestUser } from '../support/homeservers.ts';

export interface Device extends TestUser {
  readonly deviceId: string;
  /** Syncs from a token, at once or waiting. */
  sync(since?: string, timeoutMs?: number): Promise<unknown>;
  /** Token of a sync up to now. */
  now(): Promise<string>;
}

const PASSWORD = 'a long enough password';
let transaction = 0;

/** Registers somebody and knows the device. */
export async function register(server: TestHomeserver, localpart: string): Promise<Device> {
  return withDevice(await server.register(localpart));
}

/** Logs somebody in with one more device. */
export async function logIn(server: TestHomeserver, user: TestUser, deviceId?: string): Promise<Device> {
  const { body } = await server.ask('POST', 'client/v3/login', {
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: user.userId },
    password: PASSWORD,
    ...(deviceId === undefined ? {} : { device_id: deviceId }),
  });
  const token = String(at(body, 'access_token'));
  return withDevice({
    userId: user.userId,
    token,
    ask: (method, path, content) => server.ask(method, path, content, token),
    must: async (method, path, content) => {
      const answer = await server.ask(method, path, content, token);
      if (answer.status !== 200) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
      return answer.body;
    },
  });
}

export const password = (user: TestUser, session: unknown): JsonObject => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: user.userId },
  password: PASSWORD,
  session: String(session),
});

async function withDevice(user: TestUser): Promise<Device> {
  const deviceId = String(at(await user.must('GET', 'client/v3/account/whoami'), 'device_id'));
  const device: Device = {
    ...user,
    deviceId,
    async sync(since, timeoutMs = 0) {
      const query = new URLSearchParams({ timeout: String(timeoutMs), ...(since === undefined ? {} : { since }) });
      return user.must('GET', `client/v3/sync?${query.toString()}`);
    },
    async now() {
      return String(at(await device.sync(), 'next_batch'));
    },
  };
  return device;
}

/** A key of an account or device that signs. */
export function signingKey(): SigningKey {
  return createSigningKey(generateSeed(), 'x');
}

/** Identity keys of a device, signed by itself. */
export function deviceKeys({ userId, deviceId }: Device, key: SigningKey = signingKey()): JsonObject {
  return sign(
    {
      user_id: userId,
      device_id: deviceId,
      algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
      keys: { [`ed25519:${deviceId}`]: key.publicKey, [`curve25519:${deviceId}`]: signingKey().publicKey },
    },
    userId,
    `ed25519:${deviceId}`,
    key,
  );
}

export function crossSigningKey(userId: string, usage: string, key: SigningKey): JsonObject {
  return { user_id: userId, usage: [usage], keys: { [`ed25519:${key.publicKey}`]: key.publicKey } };
}

/** Signs an object with a key that goes by another name. */
export function sign(object: JsonObject, userId: string, keyId: string, key: SigningKey): JsonObject {
  return signJson(object, userId, { ...key, keyId, sign: (data) => key.sign(data) });
}

/** One-time keys `signed_curve25519:<id>`. */
export function oneTimeKeys(...ids: string[]): JsonObject {
  return Object.fromEntries(ids.map((id) => [`signed_curve25519:${id}`, { key: `key ${id}`, signatures: {} }]));
}

export async function upload(device: Device, body: JsonObject): Promise<unknown> {
  return device.must('POST', 'client/v3/keys/upload', body);
}

export async function query(device: Device, ...userIds: string[]): Promise<unknown> {
  return device.must('POST', 'client/v3/keys/query', {
    device_keys: Object.fromEntries(userIds.map((id) => [id, []])),
  });
}

export async function claim(device: Device, of: Device, algorithm = 'signed_curve25519'): Promise<unknown> {
  const answer = await device.must('POST', 'client/v3/keys/claim', {
    one_time_keys: { [of.userId]: { [of.deviceId]: algorithm } },
  });
  return at(answer, 'one_time_keys', of.userId, of.deviceId);
}

export async function sendTo(
  device: Device,
  messages: JsonObject,
  { type = 'm.test', txn = `t${String(++transaction)}` } = {},
): Promise<void> {
  await device.must('PUT', `client/v3/sendToDevice/${type}/${txn}`, { messages });
}

export async function createRoom(device: Device, body: JsonObject = { preset: 'public_chat' }): Promise<string> {
  return String(at(await device.must('POST', 'client/v3/createRoom', body), 'room_id'));
}

export async function join(device: Device, roomId: string, via?: TestHomeserver): Promise<void> {
  const query = via === undefined ? '' : `?via=${encodeURIComponent(via.serverName)}`;
  await device.must('POST', `client/v3/join/${encodeURIComponent(roomId)}${query}`, {});
}

export async function leave(device: Device, roomId: string): Promise<void> {
  await device.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/leave`, {});
}

/** Syncs until an answer is as wanted; answers it. @throws Error after some seconds */
export async function syncUntil(
  device: Device,
  since: string,
  wanted: (answer: unknown) => boolean,
): Promise<{ answer: unknown; next: string }> {
  const deadline = Date.now() + 8_000;
  let next = since;
  for (;;) {
    const answer = await device.sync(next, 500);
    next = String(at(answer, 'next_batch'));
    if (wanted(answer)) return { answer, next };
    if (Date.now() > deadline) throw new Error(`It was not told; the last answer was ${JSON.stringify(answer)}`);
  }
}

/** Whether somebody is in a part of `device_lists`. */
export function lists(section: 'changed' | 'left', userId: string): (answer: unknown) => boolean {
  return (answer) => {
    const users = at(answer, 'device_lists', section);
    return Array.isArray(users) && users.includes(userId);
  };
}
