/**
 * Server-side backups of room keys.
 *
 * @see Matrix specification, client-server API, "Server-side key backups"
 */
import express from 'express';
import type { Request, RequestHandler, Router } from 'express';
import { backupSchema, sessionSchema, sessionsSchema, versionSchema } from './key-backups.ts';
import type { Backup, KeyBackups, Part } from './key-backups.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { parameter, parseBody, queryText, requesterOf } from '../../base/parse.ts';

export interface KeyBackupRouterOptions {
  readonly backups: KeyBackups;
  readonly requireSession: RequestHandler;
}

/** Mounted at `/_matrix/client/v3`. */
export function keyBackupRouter({ backups, requireSession }: KeyBackupRouterOptions): Router {
  const router = express.Router();
  router.use('/room_keys', requireSession);

  methods(router, '/room_keys/version', {
    get: async (_request, response) => {
      response.json(await backups.describe(requesterOf(response).userId));
    },
    post: async (request, response) => {
      const version = await backups.create(requesterOf(response).userId, parseBody(versionSchema, request.body));
      response.json({ version });
    },
  });

  methods(router, '/room_keys/version/:version', {
    get: async (request, response) => {
      response.json(await backups.describe(requesterOf(response).userId, parameter(request, 'version')));
    },
    put: async (request, response) => {
      const changes = parseBody(versionSchema, request.body);
      await backups.update(requesterOf(response).userId, parameter(request, 'version'), changes);
      response.json({});
    },
    delete: async (request, response) => {
      await backups.remove(requesterOf(response).userId, parameter(request, 'version'));
      response.json({});
    },
  });

  /** One of the three key endpoints: how its body is parsed, and its result formatted. */
  function keys(
    path: string,
    partOf: (request: Request) => Part,
    read: (body: unknown, part: Part) => Backup,
    show: (backup: Backup, part: Part) => object,
  ): void {
    methods(router, path, {
      get: async (request, response) => {
        const part = partOf(request);
        response.json(show(await backups.get(requesterOf(response).userId, versionOf(request), part), part));
      },
      put: async (request, response) => {
        const backup = read(request.body, partOf(request));
        response.json(await backups.put(requesterOf(response).userId, versionOf(request), backup));
      },
      delete: async (request, response) => {
        response.json(await backups.removeKeys(requesterOf(response).userId, versionOf(request), partOf(request)));
      },
    });
  }

  keys(
    '/room_keys/keys',
    () => ({}),
    (body) =>
      Object.fromEntries(
        Object.entries(parseBody(backupSchema, body).rooms).map(([roomId, { sessions }]) => [roomId, sessions]),
      ),
    (backup) => ({
      rooms: Object.fromEntries(Object.entries(backup).map(([roomId, sessions]) => [roomId, { sessions }])),
    }),
  );
  keys(
    '/room_keys/keys/:roomId',
    (request) => ({ roomId: parameter(request, 'roomId') }),
    (body, { roomId = '' }) => ({ [roomId]: parseBody(sessionsSchema, body).sessions }),
    (backup, { roomId = '' }) => ({ sessions: backup[roomId] ?? {} }),
  );
  keys(
    '/room_keys/keys/:roomId/:sessionId',
    (request) => ({ roomId: parameter(request, 'roomId'), sessionId: parameter(request, 'sessionId') }),
    (body, { roomId = '', sessionId = '' }) => ({ [roomId]: { [sessionId]: parseBody(sessionSchema, body) } }),
    (backup, { roomId = '', sessionId = '' }) => {
      const session = backup[roomId]?.[sessionId];
      if (!session) throw new MatrixError(404, 'M_NOT_FOUND', 'The backup has no such key.');
      return session;
    },
  );

  return router;
}

function versionOf(request: Request): string {
  const version = queryText(request, 'version');
  if (version === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', 'version is missing.');
  return version;
}
