/** Device management in the client-server API. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import type { Device, Sessions } from './sessions.ts';
import type { Uia } from './uia.ts';
import { methods, MatrixError } from '../base/errors.ts';
import { deviceNameSchema } from './login-router.ts';
import { parameter, parseBody, requesterOf } from '../base/parse.ts';

export interface DevicesRouterOptions {
  readonly sessions: Sessions;
  readonly uia: Uia;
  readonly requireSession: RequestHandler;
}

const renameSchema = z.looseObject({ display_name: deviceNameSchema.optional() });
const deleteSchema = z.looseObject({ devices: z.array(z.string().max(255)).max(1000) });

/**
 * Mounted at `/_matrix/client/v3`.
 *
 * @see Matrix specification, client-server API, "Device Management"
 */
export function devicesRouter({ sessions, uia, requireSession }: DevicesRouterOptions): Router {
  const router = express.Router();
  router.use(['/devices', '/delete_devices'], requireSession);

  methods(router, '/devices', {
    get: async (_request, response) => {
      const { userId } = requesterOf(response);
      const devices = await sessions.devices(userId);
      response.json({ devices: devices.map((device) => describe(userId, device)) });
    },
  });

  methods(router, '/devices/:deviceId', {
    get: async (request, response) => {
      const deviceId = parameter(request, 'deviceId');
      const { userId } = requesterOf(response);
      const devices = await sessions.devices(userId);
      const device = devices.find((candidate) => candidate.deviceId === deviceId);
      if (!device) throw noDevice();
      response.json(describe(userId, device));
    },
    put: async (request, response) => {
      const { userId } = requesterOf(response);
      const deviceId = parameter(request, 'deviceId');
      const { display_name: name } = parseBody(renameSchema, request.body);
      const known =
        name === undefined
          ? (await sessions.devices(userId)).some((device) => device.deviceId === deviceId)
          : await sessions.rename(userId, deviceId, name);
      if (!known) throw noDevice();
      response.json({});
    },
    delete: async (request, response) => {
      const { userId } = requesterOf(response);
      const deviceId = parameter(request, 'deviceId');
      await uia.confirm(userId, {
        operation: `DELETE /devices/${deviceId}`,
        body: request.body,
        address: request.ip,
      });
      await sessions.end(userId, deviceId);
      response.json({});
    },
  });

  methods(router, '/delete_devices', {
    post: async (request, response) => {
      const { userId } = requesterOf(response);
      const { devices } = parseBody(deleteSchema, request.body);
      const operation = `POST /delete_devices ${[...devices].sort().join(' ')}`;
      await uia.confirm(userId, { operation, body: request.body, address: request.ip });
      for (const deviceId of new Set(devices)) await sessions.end(userId, deviceId);
      response.json({});
    },
  });

  return router;
}

function noDevice(): MatrixError {
  return new MatrixError(404, 'M_NOT_FOUND', 'No such device.');
}

/** Includes the user id, as in Synapse: older clients expect it. */
function describe(userId: string, { deviceId, displayName, lastSeenAt, lastSeenIp }: Device): Record<string, unknown> {
  return {
    device_id: deviceId,
    user_id: userId,
    ...(displayName === undefined ? {} : { display_name: displayName }),
    ...(lastSeenIp === undefined ? {} : { last_seen_ip: lastSeenIp }),
    last_seen_ts: lastSeenAt,
  };
}
