/** Lets a request of another server pass when it is signed by it and the server is trusted. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import type { KeyLookup } from '../../federation/keyring.ts';
import { verifyRequest, XMatrixError } from '../../federation/x-matrix.ts';
import type { JsonObject } from '../../federation/json.ts';
import { MatrixError } from '../errors.ts';

export interface SignedRequestOptions {
  readonly serverName: string;
  readonly keyring: KeyLookup;
  readonly isTrusted: (server: string) => boolean;
  /** Told of every server that has just proven that it is up. */
  readonly onSeen: (server: string) => void;
}

/**
 * Middleware that sets `response.locals.origin` to the verified server name.
 *
 * The signature covers the URI as it was sent (`originalUrl`), not as Express decodes it, and the parsed body.
 *
 * @see Matrix specification, server-server API, "Request Authentication"
 */
export function signedRequest(options: SignedRequestOptions): RequestHandler {
  return async (request, response, next) => {
    const authorization = request.headers.authorization;
    if (authorization === undefined) throw new MatrixError(401, 'M_UNAUTHORIZED', 'The request is not signed.');
    const content = request.body as JsonObject | undefined;
    const bodyText: unknown = response.locals['bodyText'];
    let origin: string;
    try {
      origin = await verifyRequest(
        {
          method: request.method,
          uri: request.originalUrl,
          destination: options.serverName,
          authorization,
          ...(content === undefined ? {} : { content }),
          ...(typeof bodyText === 'string' ? { contentText: bodyText } : {}),
        },
        options.keyring,
      );
    } catch (error) {
      if (!(error instanceof XMatrixError)) throw error;
      throw new MatrixError(401, 'M_UNAUTHORIZED', error.message);
    }
    if (!options.isTrusted(origin)) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'This organisation does not federate with your server.');
    }
    options.onSeen(origin);
    response.locals['origin'] = origin;
    next();
  };
}

/**
 * A router that asks for a signed request on every path that it has. On the paths and not before the router, so that
 * an unknown path is answered as unknown and not as unsigned.
 */
export function signedRouter(signed: RequestHandler): Router {
  const router = express.Router();
  const route = router.route.bind(router);
  router.route = ((path: string) => route(path).all(signed)) as typeof router.route;
  return router;
}
