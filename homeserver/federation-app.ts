/** The HTTPS server for other servers. */
import express from 'express';
import type { Express, RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import { errorHandler, unknownPath } from './errors.ts';
import { FEDERATION_BODY_LIMIT, jsonBody, plainJson, requestLog } from './http.ts';

export interface FederationAppOptions {
  /** `/_matrix/key` and `/_matrix/federation`. */
  readonly federation: Router;
  /** Router at `/_hansetag/federation/v1`. */
  readonly meetings?: Router;
  /** Sees every request first. */
  readonly measure?: RequestHandler;
  readonly log: Logger;
}

/** One bad event of a transaction must not spoil the others. */
function isTransaction(path: string): boolean {
  return path.startsWith('/_matrix/federation/v1/send/');
}

export function federationApp({ federation, meetings, measure, log }: FederationAppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', 'simple');
  if (measure) app.use(measure);
  app.use(plainJson, requestLog(log), jsonBody(FEDERATION_BODY_LIMIT, isTransaction));
  app.use(federation);
  if (meetings) app.use('/_hansetag/federation/v1', meetings);
  app.use(unknownPath, errorHandler(log));
  return app;
}
