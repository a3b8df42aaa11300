import type { FederationClient } from '../../federation/client.ts';
import { serverOf } from '../../federation/identifiers.ts';
import type { JsonObject } from '../../federation/json.ts';
import { askServer } from '../engine/federation/ask.ts';

/** A profile has at most 64 KiB, in whatever way it is written. */
const MAX_PROFILE_BYTES = 128 * 1024;

/**
 * The profile that somebody has at their own server.
 *
 * @param field only this one
 * @throws MatrixError what the server refused with, or 502 when it could not be asked
 * @see Matrix specification, server-server API, "Querying for information"
 */
export async function remoteProfile(client: FederationClient, userId: string, field?: string): Promise<JsonObject> {
  const query = new URLSearchParams({ user_id: userId, ...(field === undefined ? {} : { field }) });
  return askServer(client, {
    destination: serverOf(userId),
    method: 'GET',
    path: `/_matrix/federation/v1/query/profile?${query.toString()}`,
    anyNumbers: true,
    maxBytes: MAX_PROFILE_BYTES,
  });
}
