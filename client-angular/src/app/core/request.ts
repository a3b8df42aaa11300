/** HTTP to the own homeserver: JSON out, JSON in, checked by a schema. What the server puts off is asked again. */
import { signal } from '@angular/core';
import * as z from 'zod';
import { ApiError } from './api-error.ts';

const errorSchema = z.object({
  errcode: z.string().max(100),
  error: z.string().max(2_000).optional(),
  organisation: z.string().max(255).optional().catch(undefined),
  organisation_name: z.string().max(256).optional().catch(undefined),
  untrusted: z.string().max(64).optional().catch(undefined),
  reference: z.string().max(64).optional().catch(undefined),
  retry_after_ms: z.number().min(0).max(86_400_000).optional().catch(undefined),
});

/** Without a word of the server a request that it put off is asked again after this time, in ms. */
const USUAL_WAIT_MS = 2_000;
/** Nobody is made to wait longer than this for an answer that may come; then the person decides. In ms. */
const LONGEST_WAIT_MS = 30_000;
const MAX_ATTEMPTS = 4;

const waiting = signal<readonly number[]>([]);
/** When requests that the server has put off are asked again, Unix ms: the frame of the page says so meanwhile. */
export const postponed = waiting.asReadonly();

export interface RequestOptions {
  method?: 'GET' | 'POST' | 'DELETE';
  body?: unknown;
  accessToken?: string;
  signal?: AbortSignal;
}

/**
 * A request that gets 429 was not acted on: it is sent again when the server says so, four times at most.
 *
 * @param path same-origin path, already encoded
 * @throws ApiError also when the server can not be reached (`status` 0) or answers something else than agreed
 */
export async function requestJson<S extends z.ZodType>(
  schema: S,
  path: string,
  options: RequestOptions = {},
): Promise<z.output<S>> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await requestOnce(schema, path, options);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 429 || attempt === MAX_ATTEMPTS) throw error;
      const waitMs = error.retryAfterMs ?? USUAL_WAIT_MS;
      if (waitMs > LONGEST_WAIT_MS) throw error;
      // Those who were put off together do not come back together.
      await pause(waitMs + Math.random() * Math.min(1_000, waitMs / 2));
      if (options.signal?.aborted) throw error;
    }
  }
}

async function pause(ms: number): Promise<void> {
  const until = Date.now() + ms;
  waiting.update((all) => [...all, until]);
  await new Promise((resolve) => setTimeout(resolve, ms));
  waiting.update((all) => all.filter((_, index) => index !== all.indexOf(until)));
}

async function requestOnce<S extends z.ZodType>(
  schema: S,
  path: string,
  options: RequestOptions,
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
  if (!response.ok) throw readError(response, json);
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new ApiError(response.status, 'HT_UNEXPECTED_ANSWER', parsed.error.message);
  return parsed.data;
}

function readError(response: Response, json: unknown): ApiError {
  const { status } = response;
  const known = errorSchema.safeParse(json);
  const header = retryAfter(response.headers.get('retry-after'));
  if (!known.success) {
    return new ApiError(status, 'HT_UNKNOWN', `HTTP ${String(status)}`, { retryAfterMs: header });
  }
  const {
    errcode,
    error,
    organisation,
    organisation_name: organisationName,
    reference,
    retry_after_ms,
    untrusted,
  } = known.data;
  const retryAfterMs = retry_after_ms ?? header;
  return new ApiError(status, errcode, error ?? errcode, {
    organisation,
    organisationName,
    untrusted,
    reference,
    retryAfterMs,
  });
}

/** @see RFC 9110, section 10.2.3: seconds, or a date */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
