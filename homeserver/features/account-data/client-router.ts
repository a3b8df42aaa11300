/** Account data and tags in the Matrix client-server API. */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { SERVER_TYPES } from './account-data.ts';
import type { AccountData } from './account-data.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { TAG_BYTES } from '../../base/limits.ts';
import { parameter, requesterOf } from '../../base/parse.ts';

export interface AccountDataRouterOptions {
  readonly accountData: AccountData;
  /** The push rules that the server stores and serves as `m.push_rules`. */
  readonly pushRules: (userId: string) => Promise<JsonObject>;
  readonly requireSession: RequestHandler;
}

const TAGS = 'm.tag';

const PATHS = ['/user/:userId/account_data/:type', '/user/:userId/rooms/:roomId/account_data/:type'];

/** Mounted at `/_matrix/client/v3`. */
export function accountDataRouter({ accountData, pushRules, requireSession }: AccountDataRouterOptions): Router {
  const router = express.Router();

  function contentOf(request: Request): JsonObject {
    const body: unknown = request.body;
    if (!isJsonObject(body)) throw new MatrixError(400, 'M_BAD_JSON', 'The content must be an object.');
    return body;
  }

  for (const path of PATHS) {
    methods(router, path, {
      get: [
        requireSession,
        async (request, response) => {
          const userId = ownerOf(request, response);
          const [roomId, type] = [roomOf(request), parameter(request, 'type')];
          const content =
            type === 'm.push_rules' && roomId === ''
              ? await pushRules(userId)
              : await accountData.get(userId, roomId, type);
          if (!content) throw new MatrixError(404, 'M_NOT_FOUND', 'No account data of this type.');
          response.json(content);
        },
      ],
      put: [
        requireSession,
        async (request, response) => {
          const userId = ownerOf(request, response);
          const [roomId, type] = [roomOf(request), parameter(request, 'type')];
          refuseServerType(type);
          await accountData.put(userId, roomId, type, contentOf(request));
          response.json({});
        },
      ],
    });
  }

  const tagsOf = (content: JsonObject | undefined): JsonObject => {
    const tags = member(content, 'tags');
    return isJsonObject(tags) ? tags : {};
  };
  methods(router, '/user/:userId/rooms/:roomId/tags', {
    get: [
      requireSession,
      async (request, response) => {
        const userId = ownerOf(request, response);
        response.json({ tags: tagsOf(await accountData.get(userId, roomOf(request), TAGS)) });
      },
    ],
  });
  methods(router, '/user/:userId/rooms/:roomId/tags/:tag', {
    put: [
      requireSession,
      async (request, response) => {
        const userId = ownerOf(request, response);
        const [tag, content] = [parameter(request, 'tag'), contentOf(request)];
        if (Buffer.byteLength(tag) > TAG_BYTES) throw new MatrixError(400, 'M_INVALID_PARAM', 'The tag is too long.');
        await accountData.update(userId, roomOf(request), TAGS, (data) => ({
          ...data,
          tags: { ...tagsOf(data), [tag]: content },
        }));
        response.json({});
      },
    ],
    delete: [
      requireSession,
      async (request, response) => {
        const userId = ownerOf(request, response);
        const tag = parameter(request, 'tag');
        await accountData.update(userId, roomOf(request), TAGS, (data) => {
          const { [tag]: _gone, ...tags } = tagsOf(data);
          return { ...data, tags };
        });
        response.json({});
      },
    ],
  });

  return router;
}

/** Deletes account data: syncs get it once more, with empty content. @see MSC3391 */
export function accountDataRemovalRouter(
  options: Pick<AccountDataRouterOptions, 'accountData' | 'requireSession'>,
): Router {
  const router = express.Router();
  for (const path of PATHS) {
    methods(router, `/client/unstable/org.matrix.msc3391${path}`, {
      delete: [
        options.requireSession,
        async (request, response) => {
          const userId = ownerOf(request, response);
          const [roomId, type] = [roomOf(request), parameter(request, 'type')];
          refuseServerType(type);
          await options.accountData.remove(userId, roomId, type);
          response.json({});
        },
      ],
    });
  }
  return router;
}

function ownerOf(request: Request, response: Response): string {
  const { userId } = requesterOf(response);
  if (parameter(request, 'userId') !== userId)
    throw new MatrixError(403, 'M_FORBIDDEN', 'You may only access your own account data.');
  return userId;
}

/** '' when the path has no room. */
function roomOf(request: Request): string {
  if (request.params['roomId'] === undefined) return '';
  const roomId = parameter(request, 'roomId');
  if (!roomId.startsWith('!')) throw new MatrixError(400, 'M_INVALID_PARAM', 'The room id is malformed.');
  return roomId;
}

function refuseServerType(type: string): void {
  if (SERVER_TYPES.includes(type)) {
    throw new MatrixError(405, 'M_BAD_JSON', `${type} is managed by the server. Use its own endpoint to change it.`);
  }
}
