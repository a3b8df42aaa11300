/** `/_hansetag/client/v1/meetings` and `/links`: parse, call, answer. The rules are in meetings.ts and guest-links.ts. */
import express from 'express';
import type { ErrorRequestHandler, RequestHandler, Router } from 'express';
import {
  answerSchema,
  inviteSchema,
  joinLinkSchema,
  newLinkSchema,
  newMeetingSchema,
} from '../../protocol/client-api.ts';
import { ruleNameSchema, ruleSchemas } from '../../protocol/modules/rules.ts';
import type { LinkList, Meeting, MeetingDetails } from '../../protocol/client-api.ts';
import type { Accounts } from '../accounts/accounts.ts';
import { cookie } from '../base/cookies.ts';
import { newSecret } from '../accounts/secrets.ts';
import type { Tenants } from '../accounts/tenants/tenants.ts';
import type { Sessions } from '../accounts/sessions.ts';
import { parameter, parseBody, requesterOf } from '../base/parse.ts';
import { MatrixError } from '../base/errors.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { GuestLink, GuestLinks } from './guest-links.ts';
import type { Inviting } from './inviting.ts';
import type { LinkEntry } from './link-entry.ts';
import type { MeetingTransactions } from './meeting-transactions.ts';
import type { Meetings } from './meetings.ts';
import type { Organisations } from './organisations.ts';
import type { Rights } from './rights.ts';
import type { MeetingRules } from './rules/meeting-rules.ts';

export interface MeetingsRouterOptions {
  meetings: Meetings;
  inviting: Inviting;
  transactions: MeetingTransactions;
  links: GuestLinks;
  entry: LinkEntry;
  rooms: Rooms;
  rights: Rights;
  rules: Pick<MeetingRules, 'set'>;
  accounts: Accounts;
  sessions: Sessions;
  organisations: Organisations;
  tenants: Pick<Tenants, 'organisationOf'>;
  publicUrl: string;
  requireSession: RequestHandler;
  /** Rate limit for requests without log-in, by address. */
  limitAnonymous: RequestHandler;
}

/** By what a browser is known again whose guest was banned. */
const BROWSER_COOKIE = 'hansetag_guest';

export function meetingsClientRouter(options: MeetingsRouterOptions): Router {
  const {
    meetings,
    inviting,
    transactions,
    links,
    entry,
    rooms,
    rights,
    rules,
    accounts,
    sessions,
    organisations,
    tenants,
    publicUrl,
    requireSession,
    limitAnonymous,
  } = options;
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
    if (answer === 'accept') {
      await rooms.join(userId, roomId);
      await rooms.whole(roomId);
    } else await rooms.leave(roomId, userId);
    response.json({});
  });

  router.post('/meetings/:roomId/links', requireSession, async (request, response) => {
    const { userId } = requesterOf(response);
    const roomId = parameter(request, 'roomId');
    const { expiresAt } = parseBody(newLinkSchema, request.body);
    await rights.require(roomId, userId, 'invite');
    const link = await links.create(roomId, userId, expiresAt);
    response.json({
      linkId: link.linkId,
      url: `${publicUrl}/join/${link.token}`,
      ...(link.expiresAt === undefined ? {} : { expiresAt: link.expiresAt }),
    });
  });

  router.get('/meetings/:roomId/links', requireSession, async (request, response) => {
    const roomId = parameter(request, 'roomId');
    await rights.require(roomId, requesterOf(response).userId, 'invite');
    const list: LinkList = {
      links: (await links.list(roomId)).map(({ linkId, createdBy, createdAt, expiresAt, guests }) => ({
        linkId,
        createdBy,
        createdAt,
        guests,
        ...(expiresAt === undefined ? {} : { expiresAt }),
      })),
    };
    response.json(list);
  });

  router.delete('/meetings/:roomId/links/:linkId', requireSession, async (request, response) => {
    const roomId = parameter(request, 'roomId');
    await rights.require(roomId, requesterOf(response).userId, 'invite');
    const linkId = parameter(request, 'linkId');
    if (!(await links.revoke(roomId, linkId))) {
      throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such link.');
    }
    // Nobody vouches any more for those who came by it.
    await Promise.allSettled((await links.entries(linkId)).map((userId) => rooms.leave(roomId, userId)));
    response.json({});
  });

  router.get('/links/:token', limitAnonymous, async (request, response) => {
    const link = await entry.find(parameter(request, 'token'));
    // Guests come to the organisation of whoever has made the link.
    const host = await tenants.organisationOf(link.createdBy);
    response.json({ roomId: link.roomId, ...(await meetings.title(link.roomId)), ...host });
  });

  router.post('/links/:token/join', limitAnonymous, async (request, response, next) => {
    const link = await entry.find(parameter(request, 'token'));
    const { displayName } = parseBody(joinLinkSchema, request.body);
    if (request.headers.authorization !== undefined) {
      response.locals['link'] = link;
      next();
      return;
    }
    if (!displayName) throw new MatrixError(400, 'M_MISSING_PARAM', 'Please say your name.');
    // No account is made for somebody whom the meeting does not let in.
    await entry.requireGuestsIn(link.roomId);
    const known = cookie(request, BROWSER_COOKIE);
    const browser = known !== undefined && /^[A-Za-z0-9_-]{22,64}$/.test(known) ? known : newSecret('');
    await entry.requireNoBan(link.roomId, browser);
    // For as long as the browser is open, and for links only.
    response.cookie(BROWSER_COOKIE, browser, {
      httpOnly: true,
      sameSite: 'strict',
      secure: publicUrl.startsWith('https:'),
      path: '/_hansetag/client/v1/links',
    });
    const userId = await accounts.createGuest(displayName, link.createdBy);
    await entry.enter(link, userId, browser);
    const session = await sessions.create(userId, { displayName: 'Guest' });
    response.json({
      roomId: link.roomId,
      session: {
        userId,
        deviceId: session.deviceId,
        accessToken: session.accessToken,
        ...(session.expiresInMs === undefined ? {} : { expiresInMs: session.expiresInMs }),
      },
    });
  });
  router.post('/links/:token/join', requireSession, async (_request, response) => {
    const link = response.locals['link'] as GuestLink;
    await entry.enter(link, requesterOf(response).userId);
    response.json({ roomId: link.roomId });
  });

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
