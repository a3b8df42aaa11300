/**
 * `/_hansetag/federation/v1`: what other instances ask about organisations and links. Every request but the discovery
 * document is signed (`response.locals.origin` is the verified server); docs/federation.md has the messages.
 */
import express, { type Request, type RequestHandler, type Response, type Router } from 'express';
import { z } from 'zod';
import { idSchema } from '../../protocol/media.ts';
import { FederationError } from '../../federation/client.ts';
import { type SfuClient, SfuError } from '../../sfu/client.ts';
import { MatrixError } from '../base/errors.ts';
import { UNKNOWN_LINK } from '../base/names.ts';
import type { Conferences } from './conference/conferences.ts';
import type { Link } from './conference/link.ts';
import { LinkError } from './conference/link-error.ts';
import { sourceKey } from './conference/local-participant.ts';
import { participantIdOf } from './conference/membership.ts';
import { linkHalfSchema, liveMessageSchema, wantsSchema } from './conference/messages.ts';
import { DiscoveryError, type Organisations } from './organisations.ts';
import type { WaitingFeature } from './waiting/index.ts';
import { waitingMessageSchema } from './waiting/messages.ts';

/** A link request may overtake the membership event that justifies it: it waits this long for it, in ms. */
const PATIENCE_MS = 3_000;
const POLL_MS = 50;

export interface FederationRouterOptions {
  conferences: Conferences;
  waiting: Pick<WaitingFeature, 'take'>;
  sfu: SfuClient;
  organisations: Organisations;
  /** Codes of guest links. */
  links: Router;
  signed: RequestHandler;
}

export function meetingsFederationRouter(options: FederationRouterOptions): Router {
  const { conferences, waiting, sfu, organisations, links, signed } = options;
  const router = express.Router();

  /** The link of the asking instance in a conference that it takes part in, or the right refusal. */
  async function linkOf(request: Request, response: Response): Promise<{ link: Link; linkId: string }> {
    const origin = response.locals['origin'] as string;
    const roomId = roomIdOf(request);
    const linkId = idSchema.safeParse(request.params['linkId']).data;
    if (!linkId) throw new MatrixError(400, 'M_INVALID_PARAM', 'The link id is malformed.');
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const link = await conferences.linkOf(roomId, origin);
      if (link) return { link, linkId };
      if (performance.now() >= deadline) break;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new MatrixError(403, 'M_FORBIDDEN', 'There is no conference here with participants of both servers.');
  }

  router.get('/discovery', (_request, response) => {
    response.json(organisations.document(sfu.hello?.link));
  });

  router.use(links);

  router.put('/conference/:roomId/link/:linkId', signed, async (request, response) => {
    const half = linkHalfSchema.safeParse(request.body);
    if (!half.success) throw new MatrixError(400, 'M_BAD_JSON', 'The link request is malformed.');
    const { link, linkId } = await linkOf(request, response);
    response.json(await translated(() => link.accept(linkId, half.data)));
  });

  /** Whether the link is still there: asked regularly, so that each side knows of the end of the other. */
  router.get('/conference/:roomId/link/:linkId', signed, async (request, response) => {
    const { link, linkId } = await linkOf(request, response);
    await translated(async () => link.check(linkId));
    response.json({});
  });

  router.put('/conference/:roomId/link/:linkId/wants', signed, async (request, response) => {
    const wants = wantsSchema.safeParse(request.body);
    if (!wants.success) throw new MatrixError(400, 'M_BAD_JSON', 'The list of wanted sources is malformed.');
    const { link, linkId } = await linkOf(request, response);
    const keys = wants.data.wants.map((want) => sourceKey(participantIdOf(want.user_id, want.device_id), want.source));
    response.json({ sources: await translated(() => link.serve(linkId, [...new Set(keys)])) });
  });

  /** What the asking instance says of its participants, and what it asks for: answered at once. */
  router.put('/conference/:roomId/live', signed, async (request, response) => {
    const message = liveMessageSchema.safeParse(request.body);
    if (!message.success) throw new MatrixError(400, 'M_BAD_JSON', 'The live message is malformed.');
    const origin = response.locals['origin'] as string;
    response.json(await conferences.signals.onMessage(origin, roomIdOf(request), message.data));
  });

  /** Which of its people wait for a place in the conference. */
  router.put('/conference/:roomId/waiting', signed, async (request, response) => {
    const message = waitingMessageSchema.safeParse(request.body);
    if (!message.success) throw new MatrixError(400, 'M_BAD_JSON', 'The list of who waits is malformed.');
    const origin = response.locals['origin'] as string;
    response.json(await waiting.take(origin, roomIdOf(request), message.data));
  });

  router.delete('/conference/:roomId/link/:linkId', signed, async (request, response) => {
    const origin = response.locals['origin'] as string;
    const roomId = request.params['roomId'];
    const conference = typeof roomId === 'string' ? conferences.get(roomId) : undefined;
    const linkId = idSchema.safeParse(request.params['linkId']).data;
    if (linkId !== undefined) conference?.links.get(origin)?.closedByPeer(linkId);
    response.json({});
  });

  return router;
}

/** Of a malformed one there is no room. */
function roomIdOf(request: Request): string {
  return z.string().max(255).safeParse(request.params['roomId']).data ?? '';
}

/** What goes wrong with a link, as Matrix errors: faults of the asker are told as such, ours as passing. */
async function translated<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw linkRefusal(error);
  }
}

/** @returns what the asker is told of an error */
export function linkRefusal(error: unknown): unknown {
  if (error instanceof LinkError) {
    if (error.code === 'bad-address' || error.code === 'bad-node')
      return new MatrixError(400, 'M_INVALID_PARAM', error.message);
    return new MatrixError(404, UNKNOWN_LINK, error.message);
  }
  if (error instanceof DiscoveryError) {
    return new MatrixError(400, 'M_INVALID_PARAM', `Your server is not believed: ${error.message}.`);
  }
  if (error instanceof FederationError) {
    return new MatrixError(502, 'M_UNKNOWN', 'The discovery document of your server could not be fetched.');
  }
  if (error instanceof SfuError) {
    if (error.code === 'conflict') return new MatrixError(409, 'M_INVALID_PARAM', 'The link id is in use.');
    if (error.code === 'bad-request' || error.code === 'unsupported') {
      return new MatrixError(400, 'M_INVALID_PARAM', error.message);
    }
    return new MatrixError(503, 'M_UNKNOWN', 'The media server can not do this now.');
  }
  return error;
}
