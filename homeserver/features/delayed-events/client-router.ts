/** Delayed events in the Matrix client-server API. @see MSC4140 */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import type { DelayedEvents } from './delayed-events.ts';
import { methods } from '../../base/errors.ts';
import { parameter, parseBody, requesterOf } from '../../base/parse.ts';

export interface DelayedEventsRouterOptions {
  readonly delayedEvents: DelayedEvents;
  readonly requireSession: RequestHandler;
}

const PATH = '/client/unstable/org.matrix.msc4140/delayed_events';
const actionSchema = z.looseObject({ action: z.enum(['send', 'restart', 'cancel']) });

/** Mounted at `/_matrix`. The delay id is enough, without a session: another service may restart the delay. */
export function delayedEventsRouter({ delayedEvents, requireSession }: DelayedEventsRouterOptions): Router {
  const router = express.Router();

  methods(router, PATH, {
    get: [
      requireSession,
      async (_request, response) => {
        const events = await delayedEvents.list(requesterOf(response).userId);
        response.json({
          delayed_events: events.map((event) => ({
            delay_id: event.delayId,
            room_id: event.roomId,
            type: event.type,
            ...(event.stateKey === undefined ? {} : { state_key: event.stateKey }),
            delay: event.delayMs,
            running_since: event.runningSince,
            content: event.content,
          })),
        });
      },
    ],
  });
  methods(router, `${PATH}/:delayId`, {
    post: async (request, response) => {
      const { action } = parseBody(actionSchema, request.body);
      await delayedEvents.act(parameter(request, 'delayId'), action);
      response.json({});
    },
  });
  for (const action of ['send', 'restart', 'cancel'] as const) {
    methods(router, `${PATH}/:delayId/${action}`, {
      post: async (request, response) => {
        await delayedEvents.act(parameter(request, 'delayId'), action);
        response.json({});
      },
    });
  }

  return router;
}
