import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { JsonObject } from '../../federation/json.ts';

const object = z.custom<JsonObject>((value) => typeof value === 'object' && value !== null);

const vectors = z.object({
  signing_key: z.object({ seed: z.string(), public_key: z.string(), key_id: z.string(), server_name: z.string() }),
  canonical_json: z.array(z.object({ in: z.string(), out: z.string() })),
  room_versions: z.record(
    z.string(),
    z.array(
      z.object({ name: z.string(), event_id: z.string(), room_id: z.string(), signed: object, redacted: object }),
    ),
  ),
  x_matrix: z.array(
    z.object({
      request: z.object({
        method: z.string(),
        uri: z.string(),
        origin: z.string(),
        destination: z.string(),
        content: object,
      }),
      signature: z.string(),
      header: z.string(),
    }),
  ),
});

/** Events, canonical JSON and one request, signed by an independent implementation. */
export const VECTORS = vectors.parse(
  JSON.parse(readFileSync(new URL('../vectors/matrix-events.json', import.meta.url), 'utf8')),
);
