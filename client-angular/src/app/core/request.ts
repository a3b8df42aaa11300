/** HTTP to the own homeserver: JSON out, JSON in, checked by a schema. */
import { z } from 'zod';
import { ApiError } from './api-error.ts';

const errorSchema = z.object({
  errcode: z.string().max(100),
  error: z.string().max(2_000).optional(),
  organisation: z.string().max(255).optional(),
  reference: z.string().max(64).optional(),
});

export interface RequestOptions {
  method?: 'GET' | 'POST' | 'DELETE';
  body?: unknown;
  accessToken?: string;
  signal?: AbortSignal;
}

/**
 * @param path same-origin path, already encoded
 * @throws ApiError also when the server can not be reached (`status` 0) or answers something else than agreed
 */
export async function requestJson<S extends z.ZodType>(
  schema: S,
  path: string,
  options: RequestOptions = {},
): Promise<z.output<S>> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: options.method ?? 'GET',
      headers: {
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(options.accessToken === undefined ? {} : { authorization: `Bearer ${options.accessToken}` }),
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
      credentials: 'same-origin',
    });
  } catch (error) {
    throw new ApiError(0, 'HT_UNREACHABLE', error instanceof Error ? error.message : 'unreachable');
  }
  const json: unknown = await response.json().catch(() => undefined);
  if (!response.ok) {
    const known = errorSchema.safeParse(json);
    if (!known.success) throw new ApiError(response.status, 'HT_UNKNOWN', `HTTP ${String(response.status)}`);
    const { errcode, error, organisation, reference } = known.data;
    throw new ApiError(response.status, errcode, error ?? errcode, organisation, reference);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new ApiError(response.status, 'HT_UNEXPECTED_ANSWER', parsed.error.message);
  return parsed.data;
}
