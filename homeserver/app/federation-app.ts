/** The HTTPS server for other servers. */
import express from 'express';
import type { Express, RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import { errorHandler, unknownPath } from '../base/errors.ts';
import { plainJson, requestLog } from '../base/http.ts';

export interface FederationAppOptions {
  /** Addresses of reverse proxies whose `X-Forwarded-For` is believed. */
  readonly proxies: readonly string[];
  /** `/_matrix/key` and `/_matrix/federation`; its paths read their bodies themselves. */
  readonly federation: Router;
  /** Router at `/_hansetag/federation/v1`. */
  readonly meetings?: Router;
  /** Sees every request first. */
  readonly measure?: RequestHandler;
  readonly log: Logger;
}

export function federationApp({ proxies, federation, meetings, measure, log }: FederationAppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', 'simple');
  app.set('trust proxy', [...proxies]);
  if (measure) app.use(measure);
  app.use(plainJson, requestLog(log));
  app.use(federation);
  if (meetings) app.use('/_hansetag/federation/v1', meetings);
  app.use(unknownPath, errorHandler(log));
  return app;
}
