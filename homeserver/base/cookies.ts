import { parse } from 'cookie';
import type { Request } from 'express';

/** One cookie of a request. `Response.cookie` of Express writes them with the same library. */
export function cookie(request: Request, name: string): string | undefined {
  return parse(request.headers.cookie ?? '')[name];
}
