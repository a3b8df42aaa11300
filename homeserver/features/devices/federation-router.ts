/**
 * Devices and keys of local users, for other servers.
 *
 * @see Matrix specification, server-server API, "Device Management" and "End-to-End Encryption"
 */
import type { RequestHandler, Router } from 'express';
import { parameter, parseBody } from '../../base/parse.ts';
import type { Devices } from './devices.ts';
import { claimSchema, querySchema } from './schemas.ts';
import { methods } from '../../base/errors.ts';
import { signedRouter } from '../../engine/federation/authenticate.ts';
import { originOf } from '../../engine/federation/membership-router.ts';

export interface DeviceRouterOptions {
  readonly devices: Devices;
  readonly signed: RequestHandler;
}

/** Mounted at `/_matrix/federation`. */
export function deviceRouter({ devices, signed }: DeviceRouterOptions): Router {
  const router = signedRouter(signed);

  methods(router, '/v1/user/devices/:userId', {
    get: async (request, response) => {
      response.json(await devices.listFor(originOf(response), parameter(request, 'userId')));
    },
  });

  methods(router, '/v1/user/keys/query', {
    post: async (request, response) => {
      const { device_keys: wanted } = parseBody(querySchema, request.body);
      response.json(await devices.queries.ofLocal(wanted, { server: originOf(response) }));
    },
  });

  methods(router, '/v1/user/keys/claim', {
    post: async (request, response) => {
      response.json(await devices.queries.claimLocal(parseBody(claimSchema, request.body)));
    },
  });

  return router;
}
