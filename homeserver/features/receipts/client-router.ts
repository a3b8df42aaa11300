/** Receipts and read markers in the Matrix client-server API. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { methods, MatrixError } from '../../base/errors.ts';
import type { ReceiptKind, Receipts } from './receipts.ts';
import { parameter, parseBody, requesterOf } from '../../base/parse.ts';

export interface ReceiptsRouterOptions {
  readonly receipts: Receipts;
  readonly requireSession: RequestHandler;
}

const eventId = z
  .string()
  .max(255)
  .regex(/^[^\0]*$/, 'has a NUL')
  .optional();
const markersSchema = z.looseObject({ 'm.fully_read': eventId, 'm.read': eventId, 'm.read.private': eventId });
const receiptSchema = z.looseObject({ thread_id: z.unknown().optional() });
const KINDS: readonly string[] = ['m.read', 'm.read.private'] satisfies ReceiptKind[];

/** Mounted at `/_matrix/client/v3`. */
export function receiptsRouter({ receipts, requireSession }: ReceiptsRouterOptions): Router {
  const router = express.Router();

  methods(router, '/rooms/:roomId/receipt/:kind/:eventId', {
    post: [
      requireSession,
      async (request, response) => {
        const { userId } = requesterOf(response);
        const [roomId, kind, id] = [
          parameter(request, 'roomId'),
          parameter(request, 'kind'),
          parameter(request, 'eventId'),
        ];
        const { thread_id: threadId } = parseBody(receiptSchema, request.body);
        if (threadId !== undefined && (typeof threadId !== 'string' || !/^[^\0]{1,255}$/.test(threadId))) {
          throw new MatrixError(400, 'M_INVALID_PARAM', 'thread_id must be a non-empty string.');
        }
        if (kind === 'm.fully_read') {
          if (threadId !== undefined) {
            throw new MatrixError(400, 'M_INVALID_PARAM', 'A fully read marker cannot have a thread_id.');
          }
          await receipts.mark(roomId, userId, id);
        } else if (isKind(kind)) {
          await receipts.read({ roomId, userId, kind, threadId, eventId: id });
        } else {
          throw new MatrixError(400, 'M_INVALID_PARAM', 'Unknown receipt type.');
        }
        response.json({});
      },
    ],
  });

  methods(router, '/rooms/:roomId/read_markers', {
    post: [
      requireSession,
      async (request, response) => {
        const { userId } = requesterOf(response);
        const roomId = parameter(request, 'roomId');
        const body = parseBody(markersSchema, request.body);
        for (const kind of ['m.read', 'm.read.private'] as const) {
          const id = body[kind];
          if (id !== undefined) await receipts.read({ roomId, userId, kind, threadId: undefined, eventId: id });
        }
        const marked = body['m.fully_read'];
        if (marked !== undefined) await receipts.mark(roomId, userId, marked);
        response.json({});
      },
    ],
  });

  return router;
}

function isKind(kind: string): kind is ReceiptKind {
  return KINDS.includes(kind);
}
