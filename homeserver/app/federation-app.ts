/** The HTTPS server for other servers. */
import express from 'express';
import type { Express, RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import { errorHandler, unknownPath } from '../base/errors.ts';
import { plainJson, requestLog } from '../base/http.ts';

export interface FederationAppOptions {
  /** IP addresses of reverse proxies whose `X-Forwarded-For` is trusted. */
  readonly proxies: readonly string[];
  /** The federation API: `/_matrix/key`, `/_matrix/federation`, `/_hansetag/federation`. Reads its bodies itself. */
  readonly federation: Router;
  /** Middleware before all others. */
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
