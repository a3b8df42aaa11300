/** Requests to the servers of a room, one after the other, and their responses: parsed and bounded. */
import { z } from 'zod';
import type { FederationClient, FederationRequest } from '../../../federation/client.ts';
import { isJsonObject } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import { askServer } from './ask.ts';

export const V1 = '/_matrix/federation/v1';
export const V2 = '/_matrix/federation/v2';
/** Large rooms take long to join; the client shows that the join is in progress. In ms. */
export const JOIN_TIMEOUT_MS = 60_000;
/** The state of a room with 100,000 members takes some 60 MB. */
export const WHOLE_STATE = { timeoutMs: JOIN_TIMEOUT_MS, maxBytes: 64 * 1024 * 1024, holdsEvents: true };
/** Most events in one response. */
export const MAX_STATE_EVENTS = 50_000;

export const objectSchema = z.custom<JsonObject>(isJsonObject, 'must be an object');
/** Events that are checked one by one afterwards. */
export const eventsSchema = z.array(z.custom<JsonValue>(() => true)).max(MAX_STATE_EVENTS);

/** Joins and knocks are sent on behalf of a person; all else the server does for the rooms that it is in. */
export async function ask(
  client: FederationClient,
  server: string,
  request: Omit<FederationRequest, 'destination'>,
): Promise<JsonObject> {
  return askServer(client, { destination: server, onBehalfOf: 'server', ...request });
}

/** Tries one server after the other until one succeeds. @throws the last failure */
export async function firstThatAnswers<T>(
  servers: readonly string[],
  askOne: (server: string) => Promise<T>,
): Promise<T> {
  let failure: unknown = new MatrixError(404, 'M_NOT_FOUND', 'No server is known that can be asked.');
  for (const server of servers) {
    try {
      return await askOne(server);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** @throws MatrixError 502 for a malformed response */
export function parse<S extends z.ZodType>(schema: S, answer: JsonObject, server: string): z.output<S> {
  const parsed = schema.safeParse(answer);
  if (!parsed.success) throw badAnswer(server, 'the response is malformed');
  return parsed.data;
}

/** The error for an unusable response. */
export function badAnswer(server: string, what: string): MatrixError {
  return new MatrixError(502, 'M_UNKNOWN', `${server} sent an unusable response: ${what}.`, {
    organisation: server,
  });
}
