import type { FederationClient } from '../../federation/client.ts';
import { serverOf } from '../../federation/identifiers.ts';
import type { JsonObject } from '../../federation/json.ts';
import { askServer } from '../engine/federation/ask.ts';

/** Longest profile response: a profile has at most 64 KiB, which may be encoded less compactly. */
const MAX_PROFILE_BYTES = 128 * 1024;

/**
 * Fetches the profile of a remote user from their server.
 *
 * @param field fetch only this field
 * @throws MatrixError the other server's own error, or 502 when the request failed
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
