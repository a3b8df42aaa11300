/** Dehydrated devices in the client-server API. @see MSC3814 */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { noDevice } from './dehydrated.ts';
import type { DehydratedDevices } from './dehydrated.ts';
import { dehydratedSchema } from './schemas.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { parameter, parseBody, requesterOf } from '../../base/parse.ts';

export interface DehydratedDeviceRouterOptions {
  readonly dehydrated: DehydratedDevices;
  readonly requireSession: RequestHandler;
}

const PATH = '/client/unstable/org.matrix.msc3814.v1/dehydrated_device';
const pageSchema = z.looseObject({ next_batch: z.string().max(20).nullish() });

/** Mounted at `/_matrix`. */
export function dehydratedDeviceRouter({ dehydrated, requireSession }: DehydratedDeviceRouterOptions): Router {
  const router = express.Router();
  router.use(PATH, requireSession);

  methods(router, PATH, {
    get: async (_request, response) => {
      const device = await dehydrated.find(requesterOf(response).userId);
      if (!device) throw noDevice();
      response.json(device);
    },
    put: async (request, response) => {
      const upload = parseBody(dehydratedSchema, request.body);
      await dehydrated.put(requesterOf(response).userId, upload);
      response.json({ device_id: upload.device_id });
    },
    delete: async (_request, response) => {
      response.json({ device_id: await dehydrated.end(requesterOf(response).userId) });
    },
  });

  methods(router, `${PATH}/:deviceId/events`, {
    post: async (request, response) => {
      const { next_batch: token } = parseBody(pageSchema, request.body);
      const after = token === undefined || token === null ? 0 : positionOf(token);
      const deviceId = parameter(request, 'deviceId');
      const { events, position } = await dehydrated.events(requesterOf(response).userId, deviceId, after);
      response.json({ events, next_batch: `d${String(position)}` });
    },
  });

  return router;
}

function positionOf(token: string): number {
  const match = /^d([0-9]{1,15})$/.exec(token);
  if (!match) throw new MatrixError(400, 'M_INVALID_PARAM', 'next_batch is malformed.');
  return Number(match[1]);
}
