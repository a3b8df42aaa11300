/** `/_hansetag/client/v1/meetings`: parse, call, answer. The rules are in meetings.ts; links have a router of their own. */
import express from 'express';
import type { ErrorRequestHandler, RequestHandler, Router } from 'express';
import { answerSchema, inviteSchema, newMeetingSchema } from '../../protocol/client-api.ts';
import { ruleNameSchema, ruleSchemas } from '../../protocol/modules/rules.ts';
import type { Meeting, MeetingDetails } from '../../protocol/client-api.ts';
import type { WaitingReason } from '../../protocol/waiting.ts';
import { parameter, parseBody, requesterOf } from '../base/parse.ts';
import { MatrixError } from '../base/errors.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { Inviting } from './inviting.ts';
import type { MeetingTransactions } from './meeting-transactions.ts';
import type { Meetings } from './meetings.ts';
import type { Organisations } from './organisations.ts';
import type { Rights } from './rights.ts';
import type { MeetingRules } from './rules/meeting-rules.ts';
import type { WaitingFeature } from './waiting/index.ts';

export interface MeetingsRouterOptions {
  meetings: Meetings;
  inviting: Inviting;
  waiting: Pick<WaitingFeature, 'accept'> & {
    /** Why somebody has to wait. */
    reason(roomId: string, userId: string): Promise<WaitingReason | undefined>;
  };
  transactions: MeetingTransactions;
  /** Guest links. */
  links: readonly Router[];
  rooms: Rooms;
  rights: Rights;
  rules: Pick<MeetingRules, 'set'>;
  organisations: Organisations;
  requireSession: RequestHandler;
}

export function meetingsClientRouter(options: MeetingsRouterOptions): Router {
  const { meetings, inviting, waiting, transactions, links, rooms, rights, rules, organisations, requireSession } =
    options;
  const router = express.Router();

  router.get('/meetings', requireSession, async (_request, response) => {
    response.json({ meetings: await meetings.list(requesterOf(response).userId) });
  });

  router.post('/meetings', requireSession, async (request, response) => {
    const { userId } = requesterOf(response);
    await rights.requireMake(userId);
    const { invite, transactionId, ...plan } = parseBody(newMeetingSchema, request.body);
    const roomId = await transactions.once(userId, transactionId, () => meetings.create(userId, plan));
    await meetings.enter(userId, roomId);
    const invitations = await inviting.invite(userId, roomId, invite);
    const meeting: Meeting = await meetings.details(userId, roomId);
    response.json({ ...meeting, invitations });
  });

  router.get('/meetings/:roomId', requireSession, async (request, response) => {
    const { userId } = requesterOf(response);
    const roomId = parameter(request, 'roomId');
    const invitations = inviting.late(userId, roomId);
    const details: MeetingDetails = { ...(await meetings.details(userId, roomId)), invitations };
    response.json(details);
  });

  router.put('/meetings/:roomId/rules/:name', requireSession, async (request, response) => {
    const name = ruleNameSchema.safeParse(parameter(request, 'name'));
    if (!name.success) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such rule.');
    const value = parseBody(ruleSchemas[name.data], request.body);
    await rules.set(parameter(request, 'roomId'), requesterOf(response).userId, name.data, value);
    response.json({});
  });

  router.post('/meetings/:roomId/invitations', requireSession, async (request, response) => {
    const { userId } = requesterOf(response);
    const roomId = parameter(request, 'roomId');
    const { userIds } = parseBody(inviteSchema, request.body);
    await rights.require(roomId, userId, 'invite');
    response.json({ results: await inviting.invite(userId, roomId, userIds) });
  });

  router.post('/meetings/:roomId/answer', requireSession, async (request, response) => {
    const { userId } = requesterOf(response);
    const roomId = parameter(request, 'roomId');
    const { answer } = parseBody(answerSchema, request.body);
    if ((await rooms.membership(roomId, userId)) !== 'invite') {
      throw new MatrixError(404, 'M_NOT_FOUND', 'There is no invitation to answer.');
    }
    // In a meeting where everybody waits the join comes when a moderator admits them.
    if (answer === 'accept' && (await waiting.reason(roomId, userId))) {
      await waiting.accept(roomId, userId);
      response.json({ waiting: true });
      return;
    }
    if (answer === 'accept') {
      await rooms.join(userId, roomId);
      await rooms.whole(roomId);
    } else await rooms.leave(roomId, userId);
    response.json({});
  });

  router.use(...links);
  router.use(withOrganisationName(organisations));
  return router;
}

/** People are told the name of the organisation that failed, not of its server. Errors are answered elsewhere. */
function withOrganisationName(organisations: Organisations): ErrorRequestHandler {
  return (error: unknown, _request, _response, next) => {
    const server = error instanceof MatrixError ? error.extra['organisation'] : undefined;
    if (!(error instanceof MatrixError) || typeof server !== 'string') return next(error);
    const { status, errcode, message, extra } = error;
    const name = organisations.known(server).displayName;
    next(new MatrixError(status, errcode, message, { ...extra, organisation_name: name }));
  };
}
