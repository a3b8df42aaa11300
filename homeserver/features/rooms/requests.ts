/** Shared by the routers of rooms. */
import type { Request, Response } from 'express';
import { z } from 'zod';
import { isJsonObject } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import { requesterOf } from '../../base/parse.ts';
import { stickyOf } from '../../engine/client/sending.ts';
import type { ShowFor } from '../../engine/client/show.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';

export const objectSchema = z.custom<JsonObject>(isJsonObject, 'must be an object');
export const reasonSchema = z.looseObject({ reason: z.string().max(1000).optional() });
const redactionSchema = objectSchema.and(
  z.looseObject({ redacts: z.string().max(255).startsWith('$'), reason: z.string().max(1000).optional() }),
);

/** The content of a message event of a type. @see Matrix specification, client-server API, "Redactions" */
export function contentSchema(type: string): z.ZodType<JsonObject> {
  return type === 'm.room.redaction' ? redactionSchema : objectSchema;
}

/** Formats events for the requesting device. */
export function showTo(
  response: Response,
  showFor: ShowFor,
  ofState = false,
): (event: StoredEvent) => Promise<JsonObject> {
  const { userId, deviceId } = requesterOf(response);
  return showFor(userId, deviceId, ofState);
}

/** The sticky duration of a request, as part of the event. @throws MatrixError 400 @throws MatrixError 400 */
export function stickyFor(request: Request): { stickyMs?: number } {
  const stickyMs = stickyOf(request);
  return stickyMs === undefined ? {} : { stickyMs };
}

/** Identity servers are not used: third-party invites are refused. */
export function denyThirdParty(): MatrixError {
  return new MatrixError(
    403,
    'M_THREEPID_DENIED',
    'This server does not support invites by email address or phone number.',
  );
}
