/**
 * Keys for end-to-end encryption in the client-server API.
 *
 * @see Matrix specification, client-server API, "End-to-End Encryption"
 */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import type { UiaRequest } from '../../accounts/uia.ts';
import type { Devices } from './devices.ts';
import { claimSchema, querySchema, signaturesUploadSchema, signingUploadSchema, uploadSchema } from './schemas.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { parameter, parseBody, queryText, requesterOf } from '../../base/parse.ts';
import { sinceOf } from '../../engine/sync/since.ts';

export interface KeysRouterOptions {
  readonly devices: Devices;
  /** Re-authenticates a user. */
  readonly confirm: (userId: string, request: UiaRequest) => Promise<void>;
  readonly requireSession: RequestHandler;
}

/** Mounted at `/_matrix/client/v3`. */
export function keysRouter({ devices, confirm, requireSession }: KeysRouterOptions): Router {
  const router = express.Router();
  router.use('/keys', requireSession);

  const upload: RequestHandler = async (request, response) => {
    const { userId, deviceId } = requesterOf(response);
    const named = request.params['deviceId'] === undefined ? deviceId : parameter(request, 'deviceId');
    if (named !== deviceId)
      throw new MatrixError(400, 'M_INVALID_PARAM', 'device_id must be the device of this session.');
    await devices.uploadKeys(userId, deviceId, parseBody(uploadSchema, request.body));
    response.json({ one_time_key_counts: await devices.keys.counts(userId, deviceId) });
  };
  methods(router, '/keys/upload', { post: [upload] });
  // The form of early versions, which some clients still use.
  methods(router, '/keys/upload/:deviceId', { post: [upload] });

  methods(router, '/keys/query', {
    post: async (request, response) => {
      const question = parseBody(querySchema, request.body);
      response.json(await devices.queries.query(requesterOf(response).userId, question));
    },
  });

  methods(router, '/keys/claim', {
    post: async (request, response) => {
      response.json(await devices.queries.claim(requesterOf(response).userId, parseBody(claimSchema, request.body)));
    },
  });

  methods(router, '/keys/changes', {
    get: async (request, response) => {
      const [from, to] = [sinceOf(queryText(request, 'from')), sinceOf(queryText(request, 'to'))];
      if (from === undefined || to === undefined) {
        throw new MatrixError(400, 'M_MISSING_PARAM', 'from or to is missing.');
      }
      response.json(await devices.changes.between(requesterOf(response).userId, from, to));
    },
  });

  methods(router, '/keys/device_signing/upload', {
    post: async (request, response) => {
      const { userId } = requesterOf(response);
      const body = parseBody(signingUploadSchema, request.body);
      await devices.uploadSigningKeys(userId, body, () =>
        confirm(userId, {
          operation: 'POST /keys/device_signing/upload',
          body: request.body,
          address: request.ip,
        }),
      );
      response.json({});
    },
  });

  methods(router, '/keys/signatures/upload', {
    post: async (request, response) => {
      const body = parseBody(signaturesUploadSchema, request.body);
      response.json({ failures: await devices.uploadSignatures(requesterOf(response).userId, body) });
    },
  });

  return router;
}
