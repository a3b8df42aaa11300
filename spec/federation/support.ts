import type { KeyLookup } from '../../federation/keyring.ts';
import type { RoomVersion } from '../../federation/room-versions.ts';
import { roomVersion } from '../../federation/room-versions.ts';

/** A room version that must exist. */
export function version(id: string): RoomVersion {
  const found = roomVersion(id);
  if (found === undefined) throw new Error(`no room version ${id}`);
  return found;
}

/** A key lookup over a table `server keyId` -> public key, all valid at any time. */
export function keysOf(table: Record<string, string>): KeyLookup {
  return { key: (server, keyId) => Promise.resolve(table[`${server} ${keyId}`]) };
}

/** The error that a promise is rejected with, or undefined. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return error;
  }
}
