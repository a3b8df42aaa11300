/** Authenticates requests of other servers: signed, and from a trusted server. */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import { DEPTH, isJsonObject } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { KeyLookup } from '../../../federation/keyring.ts';
import { lookUpKeys, claimOf, verifyClaim, XMatrixError } from '../../../federation/x-matrix.ts';
import { MatrixError } from '../../base/errors.ts';
import { bodyLength, readBody } from '../../base/http.ts';
import type { BodyRules } from '../../base/http.ts';
import { EVENTS_BODY_BYTES, SERVER_BODY_BYTES } from '../../base/limits.ts';
import { TRUST_REASON } from '../../base/names.ts';
import type { UnprovenLimit } from '../../base/rate-limits.ts';
import { textForPeer } from '../trust/trust.ts';
import type { Decision, Refusal, Trust } from '../trust/trust.ts';

export interface SignedRequestOptions {
  readonly serverName: string;
  readonly keyring: KeyLookup & { knows(server: string, keyId: string): Promise<boolean> };
  readonly trust: Pick<Trust, 'decision' | 'settle' | 'judgeKeys'>;
  /** Rate limit for requests whose sender is not authenticated. */
  readonly unproven: UnprovenLimit;
  /** Called for every authenticated request: the server is up. */
  readonly onSeen: (server: string) => void;
}

/** Paths whose bodies hold events. */
const HOLDS_EVENTS = /^\/_matrix\/federation\/v[12]\/(send|send_join|send_leave|send_knock|invite)\//;
/** One bad event must not make the rest of a transaction fail. */
const TRANSACTION = /^\/_matrix\/federation\/v1\/send\//;
/** A body up to this length may be read before the sender is authenticated, in bytes. */
const CHEAP_BODY = 64 * 1024;

/**
 * Middleware that reads the body and sets `response.locals.origin` to the verified server name.
 *
 * Nothing of the body is read before the sender is known to be trusted and its key is known; from an address with many
 * unauthenticated requests, only cheap bodies are read. The signature covers the URI as sent (`originalUrl`), not as
 * Express decodes it.
 *
 * @see Matrix specification, server-server API, "Request Authentication"
 */
export function signedRequest(options: SignedRequestOptions): RequestHandler {
  return async (request, response, next) => {
    try {
      response.locals['origin'] = await authenticated(options, request, response);
    } catch (error) {
      // An unread body would be parsed as the next request.
      if (!request.readableEnded) response.setHeader('Connection', 'close');
      await options.unproven.count(request);
      if (!(error instanceof XMatrixError)) throw error;
      throw new MatrixError(401, 'M_UNAUTHORIZED', error.message);
    }
    next();
  };
}

/** @returns the name of the server that sent the request @throws XMatrixError, MatrixError */
async function authenticated(options: SignedRequestOptions, request: Request, response: Response): Promise<string> {
  const { serverName, keyring, trust, unproven, onSeen } = options;
  const { authorization } = request.headers;
  if (authorization === undefined) throw new XMatrixError('MISSING', 'The request is not signed.');
  const claim = claimOf(authorization, serverName);
  const decision = trust.decision(claim.origin) ?? (await judged(options, request, claim.origin));
  // Whoever was refused for a key may sign with another one by now.
  if (!decision.trusted && decision.reason !== 'key-not-listed') throw untrusted(decision);
  const known = await Promise.all(claim.signatures.map(({ keyId }) => keyring.knows(claim.origin, keyId)));
  const isKnown = known.every(Boolean);
  if (!isKnown) await unproven.demand(request);
  const look = () => lookUpKeys(claim, keyring);
  const withKeys = await (isKnown ? look() : unproven.lookUp(request, look));
  const rules = rulesOf(request.originalUrl);
  if (bodyLength(request) > CHEAP_BODY) await unproven.demand(request);
  const { text, value } = await readBody(request, response, rules);
  if (value !== undefined && !isJsonObject(value))
    throw new MatrixError(400, 'M_BAD_JSON', 'The body must be a JSON object.');
  await verifyClaim(withKeys, {
    method: request.method,
    uri: request.originalUrl,
    destination: serverName,
    ...(value === undefined ? {} : { content: value satisfies JsonObject, contentText: text }),
  });
  const judgement = trust.judgeKeys(claim.origin, withKeys.signatures);
  const verdict = judgement instanceof Promise ? await judgement : judgement;
  if (!verdict.trusted) throw untrusted(verdict);
  onSeen(claim.origin);
  request.body = value;
  return claim.origin;
}

/** Anybody can claim to be any server: what it costs to judge one is limited for an address. */
async function judged({ trust, unproven }: SignedRequestOptions, request: Request, server: string): Promise<Decision> {
  await unproven.demand(request);
  return unproven.lookUp(request, async () => trust.settle(server));
}

function untrusted(refusal: Refusal): MatrixError {
  return new MatrixError(403, 'M_FORBIDDEN', textForPeer(refusal), { [TRUST_REASON]: refusal.reason });
}

function rulesOf(uri: string): BodyRules {
  const limit = HOLDS_EVENTS.test(uri) ? EVENTS_BODY_BYTES : SERVER_BODY_BYTES;
  return { limit, maxDepth: DEPTH.stored, anyNumbers: TRANSACTION.test(uri) };
}

/**
 * A router that requires a signed request on each of its paths. On the paths and not before the router, so that an
 * unknown path gets 404 and not 401.
 */
export function signedRouter(signed: RequestHandler): Router {
  const router = express.Router();
  const route = router.route.bind(router);
  router.route = ((path: string) => route(path).all(signed)) as typeof router.route;
  return router;
}
