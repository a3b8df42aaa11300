/** Push rules and pushers in the Matrix client-server API. */
import express from 'express';
import type { Request, RequestHandler, Router } from 'express';
import { z } from 'zod';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { KINDS } from './default-rules.ts';
import type { RuleKind } from './default-rules.ts';
import { MAX_PATTERN } from '../../base/glob.ts';
import { pusherSchema } from './pushers.ts';
import type { Pushers } from './pushers.ts';
import { actionsSchema } from './rules.ts';
import type { PushRules } from './rules.ts';
import { parameter, parseBody, queryText, requesterOf } from '../../base/parse.ts';

export interface PushRouterOptions {
  readonly rules: PushRules;
  readonly pushers: Pushers;
  /** Whether push gateways may use plain http. */
  readonly plainGateways: boolean;
  readonly requireSession: RequestHandler;
}

/** All fields of today's conditions are short strings, numbers or booleans. */
const condition = z.custom<JsonObject>(
  (value) =>
    isJsonObject(value) &&
    Object.entries(value).length <= 10 &&
    Object.entries(value).every(
      ([name, part]) =>
        name.length <= MAX_PATTERN &&
        typeof part !== 'object' &&
        !(typeof part === 'string' && part.length > MAX_PATTERN),
    ),
  `must be an object of short texts: at most ${String(MAX_PATTERN)} characters each`,
);
const ruleSchema = z.looseObject({
  actions: actionsSchema,
  conditions: z.array(condition).max(50).optional(),
  pattern: z.string().max(MAX_PATTERN).optional(),
});
const enabledSchema = z.looseObject({ enabled: z.boolean() });
const actionsBody = z.looseObject({ actions: actionsSchema });
const deletionSchema = z.looseObject({ app_id: z.string().max(64), pushkey: z.string().max(512), kind: z.null() });
const ACTIONS = ['notify', 'dont_notify', 'coalesce'];
const GATEWAY_PATH = '/_matrix/push/v1/notify';
const REQUIRED = ['pushkey', 'kind', 'app_id', 'app_display_name', 'device_display_name', 'lang', 'data'];

/** Mounted at `/_matrix/client/v3`. */
export function pushRouter({ rules, pushers, plainGateways, requireSession }: PushRouterOptions): Router {
  const router = express.Router();
  router.use(['/pushrules', '/pushers'], requireSession);

  methods(router, '/pushrules', {
    get: async (request, response) => {
      if (!request.path.endsWith('/')) unknownRules();
      response.json(await rules.content(requesterOf(response).userId));
    },
    put: unknownRules,
    delete: unknownRules,
  });
  methods(router, '/pushrules/global', {
    get: async (request, response) => {
      if (!request.path.endsWith('/')) unknownRules();
      response.json(await rules.of(requesterOf(response).userId));
    },
    put: unknownRules,
    delete: unknownRules,
  });
  methods(router, '/pushrules/global/:kind', {
    get: async (request, response) => {
      const kind = kindOf(request);
      if (!request.path.endsWith('/')) unknownRules();
      response.json((await rules.of(requesterOf(response).userId))[kind]);
    },
    put: unknownRules,
    delete: unknownRules,
  });
  methods(router, '/pushrules/global/:kind/:ruleId', {
    get: async (request, response) => {
      response.json(await rules.rule(requesterOf(response).userId, kindOf(request), parameter(request, 'ruleId')));
    },
    put: async (request, response) => {
      const { userId } = requesterOf(response);
      const [kind, id] = [kindOf(request), parameter(request, 'ruleId')];
      if (id.startsWith('.'))
        throw new MatrixError(400, 'M_INVALID_PARAM', 'Rule ids that start with a dot are reserved for the server.');
      if (/[/\\]/.test(id)) throw new MatrixError(400, 'M_INVALID_PARAM', 'A rule id must not contain slashes.');
      const body = parseBody(ruleSchema, request.body);
      checkActions(body.actions);
      if (kind === 'content' && body.pattern === undefined) {
        throw new MatrixError(400, 'M_MISSING_PARAM', 'pattern: is missing');
      }
      const isConditional = kind === 'override' || kind === 'underride';
      await rules.put(
        userId,
        kind,
        id,
        {
          actions: body.actions,
          ...(isConditional ? { conditions: body.conditions ?? [] } : {}),
          ...(kind === 'content' ? { pattern: body.pattern } : {}),
        },
        { before: queryText(request, 'before'), after: queryText(request, 'after') },
      );
      response.json({});
    },
    delete: async (request, response) => {
      await rules.remove(requesterOf(response).userId, kindOf(request), parameter(request, 'ruleId'));
      response.json({});
    },
  });
  methods(router, '/pushrules/global/:kind/:ruleId/enabled', {
    get: async (request, response) => {
      const { userId } = requesterOf(response);
      const { enabled } = await rules.rule(userId, kindOf(request), parameter(request, 'ruleId'));
      response.json({ enabled });
    },
    put: async (request, response) => {
      const { userId } = requesterOf(response);
      const { enabled } = parseBody(enabledSchema, request.body);
      await rules.change(userId, kindOf(request), parameter(request, 'ruleId'), { enabled });
      response.json({});
    },
  });
  methods(router, '/pushrules/global/:kind/:ruleId/actions', {
    get: async (request, response) => {
      const { userId } = requesterOf(response);
      const { actions } = await rules.rule(userId, kindOf(request), parameter(request, 'ruleId'));
      response.json({ actions });
    },
    put: async (request, response) => {
      const { userId } = requesterOf(response);
      const { actions } = parseBody(actionsBody, request.body);
      checkActions(actions);
      await rules.change(userId, kindOf(request), parameter(request, 'ruleId'), { actions });
      response.json({});
    },
  });

  router.use('/pushrules', unknownRules);

  methods(router, '/pushers', {
    get: async (_request, response) => {
      const list = await pushers.of(requesterOf(response).userId);
      response.json({ pushers: list.map((pusher) => pusher.data) });
    },
  });
  methods(router, '/pushers/set', {
    post: async (request, response) => {
      const { userId, deviceId } = requesterOf(response);
      const body: unknown = request.body;
      if (!isJsonObject(body)) throw new MatrixError(400, 'M_BAD_JSON', 'A pusher must be an object.');
      if (member(body, 'kind') === null) {
        const { app_id: appId, pushkey } = parseBody(deletionSchema, body);
        await pushers.remove(userId, appId, pushkey);
        response.json({});
        return;
      }
      const missing = REQUIRED.filter((name) => !Object.hasOwn(body, name));
      if (missing.length > 0) throw new MatrixError(400, 'M_MISSING_PARAM', `Missing: ${missing.join(', ')}.`);
      const { append, ...pusher } = parseBody(pusherSchema.extend({ append: z.boolean().default(false) }), body);
      checkGateway(pusher.kind, pusher.data, plainGateways);
      await pushers.put(userId, deviceId, pusher, !append);
      response.json({});
    },
  });

  return router;
}

/** As Synapse refuses them. */
function unknownRules(): never {
  throw new MatrixError(400, 'M_UNRECOGNIZED', 'There are no push rules at this path.');
}

function kindOf(request: Request): RuleKind {
  const kind = KINDS.find((known) => known === parameter(request, 'kind'));
  if (!kind) throw new MatrixError(404, 'M_NOT_FOUND', 'Unknown kind of push rule.');
  return kind;
}

function checkActions(actions: z.output<typeof actionsSchema>): void {
  for (const action of actions) {
    const isKnown =
      typeof action === 'string' ? ACTIONS.includes(action) : typeof member(action, 'set_tweak') === 'string';
    if (!isKnown) throw new MatrixError(400, 'M_INVALID_PARAM', 'Unknown push rule action.');
  }
}

function checkGateway(kind: string, data: JsonObject, plain: boolean): void {
  if (kind === 'email')
    throw new MatrixError(400, 'M_INVALID_PARAM', 'This server does not send notifications by email.');
  // Other kinds are stored for clients that know them, but get no notifications.
  if (kind !== 'http') return;
  const address = member(data, 'url');
  if (typeof address !== 'string') throw new MatrixError(400, 'M_MISSING_PARAM', 'data.url is missing.');
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const isWeb = url?.protocol === 'https:' || (plain && url?.protocol === 'http:');
  if (url?.pathname !== GATEWAY_PATH || !isWeb || url.username !== '' || url.password !== '' || address.length > 2000) {
    throw new MatrixError(400, 'M_INVALID_PARAM', `data.url must be an https URL with the path ${GATEWAY_PATH}.`);
  }
}
