/** Who am I, and with which devices. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import type { Device, Sessions } from '../accounts/sessions.ts';
import { methods, MatrixError } from '../errors.ts';
import { parameter, requesterOf } from './parse.ts';

export interface AccountRouterOptions {
  readonly sessions: Sessions;
  readonly requireSession: RequestHandler;
}

/** Mounted at `/_matrix/client/v3`. */
export function accountRouter({ sessions, requireSession }: AccountRouterOptions): Router {
  const router = express.Router();
  router.use(['/account', '/devices'], requireSession);

  methods(router, '/account/whoami', {
    get: (_request, response) => {
      const { userId, deviceId, guest } = requesterOf(response);
      response.json({ user_id: userId, device_id: deviceId, is_guest: guest });
    },
  });

  methods(router, '/devices', {
    get: async (_request, response) => {
      const devices = await sessions.devices(requesterOf(response).userId);
      response.json({ devices: devices.map(describe) });
    },
  });

  methods(router, '/devices/:deviceId', {
    get: async (request, response) => {
      const deviceId = parameter(request, 'deviceId');
      const devices = await sessions.devices(requesterOf(response).userId);
      const device = devices.find((candidate) => candidate.deviceId === deviceId);
      if (!device) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such device.');
      response.json(describe(device));
    },
  });

  return router;
}

function describe({ deviceId, displayName, lastSeenAt }: Device): Record<string, unknown> {
  return {
    device_id: deviceId,
    ...(displayName === undefined ? {} : { display_name: displayName }),
    last_seen_ts: lastSeenAt,
  };
}
