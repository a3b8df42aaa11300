/**
 * Where the identity provider says that somebody was logged out.
 *
 * @see OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8
 */
import express from 'express';
import type { Router } from 'express';
import type { Logger } from 'pino';
import { z } from 'zod';
import { methods } from '../../base/errors.ts';
import type { UnprovenLimit } from '../../base/rate-limits.ts';
import { LoginError } from '../login-error.ts';
import { LogoutTokenError, MAX_LOGOUT_TOKEN } from './logout-token.ts';
import type { Upstream } from './upstream.ts';

/** Below the public address. */
export const BACK_CHANNEL_PATH = '/_hansetag/client/v1/login/backchannel-logout';

export interface BackChannelRouterOptions {
  readonly upstream: Pick<Upstream, 'takeLogoutToken'>;
  /** Counts by address what proves nothing. The provider itself may log out everybody at once. */
  readonly unproven: Pick<UnprovenLimit, 'count' | 'demand'>;
  readonly log: Logger;
}

const form = z.object({ logout_token: z.string().min(1).max(MAX_LOGOUT_TOKEN) });

/** Mounted at the root of the client server, before bodies are read. */
export function backChannelRouter({ upstream, unproven, log }: BackChannelRouterOptions): Router {
  const router = express.Router();
  methods(router, BACK_CHANNEL_PATH, {
    post: [
      async (request, response, next) => {
        response.set('Cache-Control', 'no-store');
        await unproven.demand(request);
        next();
      },
      express.urlencoded({ extended: false, limit: MAX_LOGOUT_TOKEN + 1024, parameterLimit: 4 }),
      async (request, response) => {
        const { data } = form.safeParse(request.body);
        try {
          if (!data) throw new LogoutTokenError('The form has no logout_token.');
          await upstream.takeLogoutToken(data.logout_token);
        } catch (error) {
          if (error instanceof LogoutTokenError) {
            await unproven.count(request);
            log.info({ reason: error.message }, 'a log-out by the back channel was refused');
            response.status(400).json({ error: 'invalid_request', error_description: error.message });
            return;
          }
          if (!(error instanceof LoginError)) throw error;
          response.status(503).json({ error: 'temporarily_unavailable', error_description: error.message });
          return;
        }
        response.json({});
      },
    ],
  });
  return router;
}
