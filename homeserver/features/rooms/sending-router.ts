/** Sending and redacting events. */
import express from 'express';
import type { Request, Response, Router } from 'express';
import { methods } from '../../base/errors.ts';
import { parameter, parseBody, requesterOf } from '../../base/parse.ts';
import { delayOf } from '../../engine/client/sending.ts';
import type { DelayedSending } from '../../engine/client/sending.ts';
import type { NewEvent, Rooms } from '../../engine/rooms/rooms.ts';
import { contentSchema, reasonSchema, stickyFor } from './requests.ts';

export interface SendingRouterOptions {
  readonly rooms: Rooms;
  readonly delayedEvents: DelayedSending;
}

export function sendingRouter({ rooms, delayedEvents }: SendingRouterOptions): Router {
  const router = express.Router();

  methods(router, '/rooms/:roomId/send/:eventType/:transactionId', {
    put: async (request, response) => {
      const { userId, deviceId } = requesterOf(response);
      const roomId = parameter(request, 'roomId');
      const draft = {
        type: parameter(request, 'eventType'),
        content: parseBody(contentSchema(parameter(request, 'eventType')), request.body),
        transactionId: parameter(request, 'transactionId'),
        deviceId,
        ...stickyFor(request),
      };
      const delay = delayOf(request);
      if (delay !== undefined) {
        response.json({ delay_id: await delayedEvents.add(roomId, userId, draft, delay) });
        return;
      }
      const event = await rooms.send(roomId, userId, draft);
      response.json({ event_id: event.eventId });
    },
  });

  // Without a transaction id, a retry cannot be told from a new message; old clients do this all the same.
  methods(router, '/rooms/:roomId/send/:eventType', {
    post: async (request, response) => {
      const event = await rooms.send(parameter(request, 'roomId'), requesterOf(response).userId, {
        type: parameter(request, 'eventType'),
        content: parseBody(contentSchema(parameter(request, 'eventType')), request.body),
      });
      response.json({ event_id: event.eventId });
    },
  });

  async function redact(
    request: Request,
    response: Response,
    once: Pick<NewEvent, 'transactionId' | 'deviceId'>,
  ): Promise<void> {
    const { reason } = parseBody(reasonSchema, request.body);
    const redacts = parameter(request, 'eventId');
    const event = await rooms.send(parameter(request, 'roomId'), requesterOf(response).userId, {
      type: 'm.room.redaction',
      content: reason === undefined ? { redacts } : { redacts, reason },
      ...once,
    });
    response.json({ event_id: event.eventId });
  }
  methods(router, '/rooms/:roomId/redact/:eventId/:transactionId', {
    put: (request, response) =>
      redact(request, response, {
        transactionId: parameter(request, 'transactionId'),
        deviceId: requesterOf(response).deviceId,
      }),
  });
  methods(router, '/rooms/:roomId/redact/:eventId', { post: (request, response) => redact(request, response, {}) });

  return router;
}
