/** The HTTPS server for other servers. */
import express from 'express';
import type { Express, RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import { errorHandler, unknownPath } from '../base/errors.ts';
import { plainJson, requestLog } from '../base/http.ts';

export interface FederationAppOptions {
  /** Addresses of reverse proxies whose `X-Forwarded-For` is believed. */
  readonly proxies: readonly string[];
  /** What other servers ask: `/_matrix/key`, `/_matrix/federation`, `/_hansetag/federation`. It reads bodies itself. */
  readonly federation: Router;
  /** Sees every request first. */
  readonly measure?: RequestHandler;
  readonly log: Logger;
}

export function federationApp({ proxies, federation, measure, log }: FederationAppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', 'simple');
  app.set('trust proxy', [...proxies]);
  if (measure) app.use(measure);
  app.use(plainJson, requestLog(log));
  app.use(federation);
  app.use(unknownPath, errorHandler(log));
  return app;
}
