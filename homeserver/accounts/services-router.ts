/** Endpoints for further services: OpenID tokens, and services that this server does not have. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { OPENID_LIFE_S } from './openid-tokens.ts';
import type { OpenIdTokens } from './openid-tokens.ts';
import { methods, MatrixError } from '../base/errors.ts';
import { parameter, requesterOf } from '../base/parse.ts';

export interface ServicesRouterOptions {
  readonly serverName: string;
  readonly openIdTokens: OpenIdTokens;
  readonly requireSession: RequestHandler;
  readonly limitLogin: RequestHandler;
}

/** Mounted at `/_matrix/client/v3`. */
export function servicesRouter(options: ServicesRouterOptions): Router {
  const { serverName, openIdTokens, requireSession, limitLogin } = options;
  const router = express.Router();

  // Matrix specification, client-server API, "OpenID"
  methods(router, '/user/:userId/openid/request_token', {
    post: [
      limitLogin,
      requireSession,
      async (request, response) => {
        const { userId } = requesterOf(response);
        if (parameter(request, 'userId') !== userId) {
          throw new MatrixError(403, 'M_FORBIDDEN', 'You can only request OpenID tokens for yourself.');
        }
        response.set('Cache-Control', 'no-store');
        response.json({
          access_token: await openIdTokens.issue(userId),
          token_type: 'Bearer',
          matrix_server_name: serverName,
          expires_in: OPENID_LIFE_S,
        });
      },
    ],
  });

  // Legacy one-to-one calls work without a TURN server, or clients use MatrixRTC.
  methods(router, '/voip/turnServer', {
    get: [requireSession, (_request, response) => void response.json({})],
  });

  // Accounts here have no email addresses or phone numbers.
  methods(router, '/account/3pid', {
    get: [requireSession, (_request, response) => void response.json({ threepids: [] })],
    post: [requireSession, denyThirdParty],
  });
  methods(router, '/account/3pid/:action', {
    post: [
      requireSession,
      (request, response) => {
        const action = parameter(request, 'action');
        if (action === 'add' || action === 'bind') denyThirdParty();
        if (action !== 'delete' && action !== 'unbind') throw new MatrixError(404, 'M_UNRECOGNIZED', 'No such path.');
        response.json({ id_server_unbind_result: 'no-support' });
      },
    ],
  });
  for (const path of ['/register', '/account/password', '/account/3pid']) {
    methods(router, `${path}/:medium/requestToken`, { post: [limitLogin, denyThirdParty] });
  }
  methods(router, '/register/m.login.registration_token/validity', {
    get: [limitLogin, (_request, response) => void response.json({ valid: false })],
  });

  // There are no bridges (third-party networks).
  methods(router, '/thirdparty/protocols', {
    get: [requireSession, (_request, response) => void response.json({})],
  });
  methods(router, '/thirdparty/protocol/:protocol', {
    get: [
      requireSession,
      () => {
        throw new MatrixError(404, 'M_NOT_FOUND', 'This server has no bridges to third-party networks.');
      },
    ],
  });
  methods(router, '/thirdparty/:kind{/:protocol}', {
    get: [requireSession, (_request, response) => void response.json([])],
  });

  return router;
}

function denyThirdParty(): never {
  throw new MatrixError(403, 'M_THREEPID_DENIED', 'This server does not use email addresses or phone numbers.');
}
