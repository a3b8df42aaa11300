/** Going on with the account of another organisation, at both ends: parse, call, answer. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { isServerName } from '../../federation/identifiers.ts';
import { elsewhereSchema, joinFromSchema } from '../../protocol/guest-links.ts';
import type { ElsewhereResult, JoinLinkResult } from '../../protocol/guest-links.ts';
import { notForGuests } from '../accounts/standing.ts';
import { MatrixError } from '../base/errors.ts';
import { parameter, parseBody, queryText, requesterOf } from '../base/parse.ts';
import { refusedByUs, type Trust, UntrustedError } from '../engine/trust/trust.ts';
import { type JoinFrom, redeemSchema } from './join-from.ts';
import type { LinkCodes } from './link-codes.ts';
import type { LinkEntry } from './link-entry.ts';
import type { Organisations } from './organisations.ts';

export interface JoinFromRouterOptions {
  readonly entry: Pick<LinkEntry, 'find'>;
  readonly codes: LinkCodes;
  readonly joinFrom: JoinFrom;
  readonly organisations: Pick<Organisations, 'info'>;
  readonly trust: Pick<Trust, 'settle'>;
  readonly requireSession: RequestHandler;
  /** Rate limit for requests without log-in, by address. */
  readonly limitAnonymous: RequestHandler;
}

/** Mounted at `/_hansetag/client/v1`. */
export function joinFromRouter(options: JoinFromRouterOptions): Router {
  const { entry, codes, joinFrom, organisations, trust, requireSession, limitAnonymous } = options;
  const router = express.Router();

  router.post('/links/:token/elsewhere', limitAnonymous, async (request, response) => {
    const token = parameter(request, 'token');
    const link = await entry.find(token);
    const { organisation, password } = parseBody(elsewhereSchema, request.body);
    const onward: ElsewhereResult = await codes.issue(link, token, organisation, password, request);
    response.json(onward);
  });

  /** Whose code it is, before somebody uses it. */
  router.get('/join-from', requireSession, async (request, response) => {
    if (requesterOf(response).guest) throw notForGuests();
    const server = queryText(request, 'server') ?? '';
    if (!isServerName(server)) throw new MatrixError(400, 'M_INVALID_PARAM', 'server is not a server name.');
    const decision = await trust.settle(server);
    if (!decision.trusted) throw refusedByUs(new UntrustedError(server, decision));
    response.json({ organisation: await organisations.info(server) });
  });

  router.post('/join-from', requireSession, async (request, response) => {
    const { userId, guest } = requesterOf(response);
    if (guest) throw notForGuests();
    const { server, code } = parseBody(joinFromSchema, request.body);
    const { roomId, waiting } = await joinFrom.join(userId, server, code);
    const result: JoinLinkResult = { roomId, ...(waiting ? { waiting } : {}) };
    response.json(result);
  });

  return router;
}

/** Mounted at `/_hansetag/federation/v1`. */
export function joinFromFederationRouter({ codes, signed }: { codes: LinkCodes; signed: RequestHandler }): Router {
  const router = express.Router();
  router.post('/links/redeem', signed, async (request, response) => {
    const body = redeemSchema.safeParse(request.body);
    if (!body.success) throw new MatrixError(400, 'M_BAD_JSON', 'The request is malformed.');
    const origin = response.locals['origin'] as string;
    const { roomId, go } = await codes.redeem(origin, body.data.code, body.data.user_id);
    response.json({ room_id: roomId, go });
  });
  return router;
}
