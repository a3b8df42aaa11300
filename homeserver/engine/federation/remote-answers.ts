/** Questions to the servers of a room, one after the other, and their answers: parsed and bounded. */
import { z } from 'zod';
import type { FederationClient, FederationRequest } from '../../../federation/client.ts';
import { isJsonObject } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import { askServer } from './ask.ts';

export const V1 = '/_matrix/federation/v1';
export const V2 = '/_matrix/federation/v2';
/** A big room takes its time; the person sees that it is being entered. In ms. */
export const JOIN_TIMEOUT_MS = 60_000;
/** The state of a room with a hundred thousand members has some sixty million bytes. */
export const WHOLE_STATE = { timeoutMs: JOIN_TIMEOUT_MS, maxBytes: 64 * 1024 * 1024, holdsEvents: true };
/** Most events of one answer. */
export const MAX_STATE_EVENTS = 50_000;

export const objectSchema = z.custom<JsonObject>(isJsonObject, 'must be an object');
/** Events that are still to be checked, each for itself. */
export const eventsSchema = z.array(z.custom<JsonValue>(() => true)).max(MAX_STATE_EVENTS);

/** Entering and knocking are wishes of somebody; all else the server does for rooms in which it has people. */
export async function ask(
  client: FederationClient,
  server: string,
  request: Omit<FederationRequest, 'destination'>,
): Promise<JsonObject> {
  return askServer(client, { destination: server, onBehalfOf: 'server', ...request });
}

/** Asks one server after the other until one gives what was asked for. @throws the last failure */
export async function firstThatAnswers<T>(
  servers: readonly string[],
  askOne: (server: string) => Promise<T>,
): Promise<T> {
  let failure: unknown = new MatrixError(404, 'M_NOT_FOUND', 'No server is known that could be asked.');
  for (const server of servers) {
    try {
      return await askOne(server);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** @throws MatrixError 502 for an answer that does not have the form */
export function parse<S extends z.ZodType>(schema: S, answer: JsonObject, server: string): z.output<S> {
  const parsed = schema.safeParse(answer);
  if (!parsed.success) throw badAnswer(server, 'the answer is malformed');
  return parsed.data;
}

/** What is thrown for an answer that can not be used. */
export function badAnswer(server: string, what: string): MatrixError {
  return new MatrixError(502, 'M_UNKNOWN', `${server} gave an answer that can not be used: ${what}.`, {
    organisation: server,
  });
}
