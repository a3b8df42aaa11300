import { z } from 'zod';
import { isJsonObject } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';

/**
 * Before room version 3 an event cites others as pairs of an id and hashes. Everywhere in this program it cites them by
 * ids, as in later versions; the hashes are kept aside in this member, for the event to be written as it was signed.
 */
export const HASHES_ASIDE = 'reference_hashes';

/**
 * How an event gets its id: from its server, which writes it into the event (before 3), or from its hash, in base64 (3)
 * or in URL-safe base64 (from 4). Where it is given, events cite others together with their hashes, and a redaction is
 * allowed or not when it is sent.
 */
export type EventIds = 'given' | 'base64' | 'base64url';

/** What the form of an event depends on: part of its room version. */
interface IdRules {
  readonly eventIds: EventIds;
}

const CITING = ['auth_events', 'prev_events'] as const;

/** More events than fit into one that cites them; old ones cite many. */
export const MAX_CITED = 2_000;
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
  .max(MAX_CITED);
const aside = z.object({
  auth_events: z.array(z.record(z.string(), z.string())),
  prev_events: z.array(z.record(z.string(), z.string())),
});

/**
 * The form in which servers exchange an event, and over which hashes and signatures go. For all but the oldest room
 * versions that is the event itself.
 */
export function wireForm<T extends JsonObject>(event: T, version: IdRules): JsonObject {
  if (version.eventIds !== 'given') return event;
  const { [HASHES_ASIDE]: kept, ...wire } = event as JsonObject;
  const hashes = aside.safeParse(kept).data;
  for (const name of CITING) {
    const ids = wire[name];
    if (Array.isArray(ids)) wire[name] = ids.map((id, index): JsonValue => [id, hashes?.[name][index] ?? {}]);
  }
  return wire;
}

/**
 * The form in which we keep an event that another server sent.
 *
 * @returns undefined when the event does not cite others as its room version wants it
 */
export function keptForm(wire: JsonObject, version: IdRules): JsonObject | undefined {
  if (version.eventIds !== 'given') return wire;
  const auth = pairs.safeParse(wire['auth_events']);
  const prev = pairs.safeParse(wire['prev_events']);
  if (!auth.success || !prev.success) return undefined;
  return {
    ...wire,
    auth_events: auth.data.map(([id]) => id),
    prev_events: prev.data.map(([id]) => id),
    [HASHES_ASIDE]: {
      auth_events: auth.data.map(([, hashes]) => hashes),
      prev_events: prev.data.map(([, hashes]) => hashes),
    },
  };
}
