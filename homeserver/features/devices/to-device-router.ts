/**
 * To-device messages in the client-server API.
 *
 * @see Matrix specification, client-server API, "Send-to-Device messaging"
 */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { sendToDeviceSchema } from './schemas.ts';
import type { ToDevice } from './to-device.ts';
import { methods } from '../../base/errors.ts';
import { parameter, parseBody, requesterOf } from '../../base/parse.ts';

export interface ToDeviceRouterOptions {
  readonly toDevice: ToDevice;
  readonly requireSession: RequestHandler;
  /** Rate limit by user; after `requireSession`. */
  readonly limitToDevice: RequestHandler;
}

/** Mounted at `/_matrix/client/v3`. */
export function toDeviceRouter({ toDevice, requireSession, limitToDevice }: ToDeviceRouterOptions): Router {
  const router = express.Router();
  router.use('/sendToDevice', requireSession, limitToDevice);

  methods(router, '/sendToDevice/:eventType/:transactionId', {
    put: async (request, response) => {
      const { messages } = parseBody(sendToDeviceSchema, request.body);
      const [type, transactionId] = [parameter(request, 'eventType'), parameter(request, 'transactionId')];
      await toDevice.send(requesterOf(response), type, transactionId, messages);
      response.json({});
    },
  });

  return router;
}
