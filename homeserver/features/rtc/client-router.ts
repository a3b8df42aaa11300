/** MatrixRTC transports for other Matrix clients. @see MSC4143 */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { methods } from '../../base/errors.ts';

/** Mounted at `/_matrix`. The list is empty: this homeserver's SFU only accepts its own clients. */
export function rtcRouter({ requireSession }: { readonly requireSession: RequestHandler }): Router {
  const router = express.Router();
  for (const path of ['/client/v1/rtc/transports', '/client/unstable/org.matrix.msc4143/rtc/transports']) {
    methods(router, path, {
      get: [requireSession, (_request, response) => void response.json({ rtc_transports: [] })],
    });
  }
  return router;
}
