import { z } from 'zod';
import { isJsonObject } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';

/**
 * Before room version 3, an event references others as pairs of an id and hashes. In memory and in the database it
 * references them by ids, as in later versions; this member keeps the hashes, so that the event can be written as it was
 * signed.
 */
export const REFERENCE_HASHES = 'reference_hashes';

/**
 * How an event gets its id: from its server, in `event_id` (before 3), or from its hash, in base64 (3) or in URL-safe
 * base64 (from 4). With given ids, events reference others together with their hashes, and the auth rules check a
 * redaction when it is sent.
 */
export type EventIds = 'given' | 'base64' | 'base64url';

/** The part of a room version on which the wire form of events depends. */
interface IdRules {
  readonly eventIds: EventIds;
}

const CITING = ['auth_events', 'prev_events'] as const;

/** More references than fit into an event of today's size; old events have many. */
export const MAX_REFERENCES = 2_000;
const MAX_HASHES = 20;

const pairs = z
  .array(
    z.tuple([
      z.string(),
      z
        .custom<object>((hashes) => isJsonObject(hashes) && Object.keys(hashes).length <= MAX_HASHES)
        .pipe(z.record(z.string().max(32), z.string().max(100))),
    ]),
  )
  .max(MAX_REFERENCES);
const aside = z.object({
  auth_events: z.array(z.record(z.string(), z.string())),
  prev_events: z.array(z.record(z.string(), z.string())),
});

/**
 * The form in which servers exchange an event, and which hashes and signatures cover. From room version 3 on, that is the
 * event itself.
 */
export function wireForm<T extends JsonObject>(event: T, version: IdRules): JsonObject {
  if (version.eventIds !== 'given') return event;
  const { [REFERENCE_HASHES]: kept, ...wire } = event as JsonObject;
  const hashes = aside.safeParse(kept).data;
  for (const name of CITING) {
    const ids = wire[name];
    if (Array.isArray(ids)) wire[name] = ids.map((id, index): JsonValue => [id, hashes?.[name][index] ?? {}]);
  }
  return wire;
}

/**
 * The form in which we keep an event from another server.
 *
 * @returns undefined when the event does not reference others as its room version requires
 */
export function storedForm(wire: JsonObject, version: IdRules): JsonObject | undefined {
  if (version.eventIds !== 'given') return wire;
  const auth = pairs.safeParse(wire['auth_events']);
  const prev = pairs.safeParse(wire['prev_events']);
  if (!auth.success || !prev.success) return undefined;
  return {
    ...wire,
    auth_events: auth.data.map(([id]) => id),
    prev_events: prev.data.map(([id]) => id),
    [REFERENCE_HASHES]: {
      auth_events: auth.data.map(([, hashes]) => hashes),
      prev_events: prev.data.map(([, hashes]) => hashes),
    },
  };
}
