/** Aliases and public rooms of other servers. */
import { z } from 'zod';
import { LIST_BYTES } from '../../../federation/client.ts';
import type { FederationClient } from '../../../federation/client.ts';
import { isRoomId, isServerName } from '../../../federation/identifiers.ts';
import { isJsonObject } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import { askServer } from '../../engine/federation/ask.ts';
import type { Resolved } from './directory.ts';
import type { PublicRoomsQuery } from './public-rooms.ts';

const V1 = '/_matrix/federation/v1';
const MAX_SERVERS = 100;
/** A user waits for the response in order to join. */
const ALIAS_TIMEOUT_MS = 15_000;

const resolvedSchema = z.looseObject({ room_id: z.string().max(255), servers: z.array(z.string()) });
const listSchema = z.looseObject({
  chunk: z.array(z.custom<JsonObject>(isJsonObject, 'must be an object')).max(1000),
  next_batch: z.string().max(1000).optional(),
  prev_batch: z.string().max(1000).optional(),
  total_room_count_estimate: z.number().optional(),
});

/**
 * Resolves an alias at another server. @throws MatrixError 404 M_NOT_FOUND, 502
 *
 * @throws MatrixError 404 M_NOT_FOUND, 502
 */
export async function remoteAlias(client: FederationClient, server: string, alias: string): Promise<Resolved> {
  const query = new URLSearchParams({ room_alias: alias });
  const answer = await askServer(client, {
    destination: server,
    method: 'GET',
    path: `${V1}/query/directory?${query.toString()}`,
    timeoutMs: ALIAS_TIMEOUT_MS,
  });
  const parsed = resolvedSchema.safeParse(answer);
  if (!parsed.success || !isRoomId(parsed.data.room_id)) throw malformed(server);
  return {
    roomId: parsed.data.room_id,
    servers: parsed.data.servers.slice(0, MAX_SERVERS).filter((name) => isServerName(name)),
  };
}

/** A page of the room directory of another server, as received. @throws MatrixError @throws MatrixError */
export async function remotePublicRooms(
  client: FederationClient,
  server: string,
  query: PublicRoomsQuery,
): Promise<JsonObject> {
  const { limit, since, filter } = query;
  const answer = await askServer(client, {
    destination: server,
    method: 'POST',
    path: `${V1}/publicRooms`,
    body: {
      ...(limit === undefined || limit === 0 ? {} : { limit }),
      ...(since === undefined ? {} : { since }),
      ...(isJsonObject(filter) ? { filter } : {}),
    },
    maxBytes: LIST_BYTES,
  });
  const parsed = listSchema.safeParse(answer);
  if (!parsed.success) throw malformed(server);
  return answer;
}

function malformed(server: string): MatrixError {
  return new MatrixError(502, 'M_UNKNOWN', `${server} sent an unusable response.`, { organisation: server });
}
