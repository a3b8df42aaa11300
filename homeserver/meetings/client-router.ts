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
import type { LinkList, Meeting, MeetingDetails } from '../../protocol/client-api.ts';
import type { Accounts } from '../accounts/accounts.ts';
import { cookie } from '../base/cookies.ts';
import { newSecret } from '../accounts/secrets.ts';
import type { Sessions } from '../accounts/sessions.ts';
import type { Standing } from '../accounts/standing.ts';
import { parameter, parseBody, requesterOf } from '../base/parse.ts';
import { MatrixError } from '../base/errors.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import { letsGuestsIn } from './conference/admission.ts';
import type { GuestLink, GuestLinks } from './guest-links.ts';
import type { Inviting } from './inviting.ts';
import type { MeetingTransactions } from './meeting-transactions.ts';
import type { Meetings } from './meetings.ts';
import type { Organisations } from './organisations.ts';
import type { Rights } from './rights.ts';

export interface MeetingsRouterOptions {
  meetings: Meetings;
  inviting: Inviting;
  transactions: MeetingTransactions;
  links: GuestLinks;
  rooms: Rooms;
  rights: Rights;
  accounts: Accounts;
  sessions: Sessions;
  standing: Pick<Standing, 'isGood'>;
  organisations: Organisations;
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
    rooms,
    rights,
    accounts,
    sessions,
    standing,
    organisations,
    publicUrl,
    requireSession,
    limitAnonymous,
  } = options;
  const router = express.Router();

  const foundLink = async (token: string): Promise<GuestLink> => {
    const link = token.length <= 64 ? await links.find(token) : undefined;
    // It lets people in by the right of who made it.
    if (!link || !(await standing.isGood(link.createdBy))) {
      throw new MatrixError(404, 'M_NOT_FOUND', 'This link is not valid (any more). Ask for a new one.');
    }
    return link;
  };

  router.get('/meetings', requireSession, async (_request, response) => {
    response.json({ meetings: await meetings.list(requesterOf(response).userId) });
  });

  router.post('/meetings', requireSession, async (request, response) => {
    const { userId, guest } = requesterOf(response);
    if (guest) throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests can not create meetings.');
    const { invite, transactionId, ...plan } = parseBody(newMeetingSchema, request.body);
    const roomId = await transactions.once(userId, transactionId, () => meetings.create(userId, plan));
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
    const link = await foundLink(parameter(request, 'token'));
    response.json({ roomId: link.roomId, ...(await meetings.title(link.roomId)), organisation: organisations.own });
  });

  const requireGuestsIn = async (roomId: string): Promise<void> => {
    if (await letsGuestsIn(rooms, roomId)) return;
    throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'This meeting does not let guests in.');
  };

  /**
   * Who was banned as a guest does not come in anew with the same browser. Another browser is another person to us: a
   * link is for whoever has it, and only its end shuts everybody out.
   */
  const requireNoBan = async (roomId: string, browser: string | undefined): Promise<void> => {
    if (browser === undefined) return;
    for (const userId of await links.ofBrowser(roomId, browser)) {
      if ((await rooms.membership(roomId, userId)) !== 'ban') continue;
      throw new MatrixError(403, 'M_FORBIDDEN', 'You have been removed from this meeting.');
    }
  };

  /** Enters by link: the link's maker invites, so that the room's own rules let the person in. */
  const enter = async (link: GuestLink, userId: string, browser?: string): Promise<void> => {
    const guest = await accounts.isGuest(userId);
    if (guest) {
      await requireGuestsIn(link.roomId);
      await links.noteEntry(link.linkId, userId, browser);
    }
    if ((await rooms.membership(link.roomId, userId)) === 'join') return;
    if ((await rooms.membership(link.roomId, userId)) !== 'invite') {
      await rooms.invite(link.roomId, link.createdBy, userId);
    }
    await rooms.join(userId, link.roomId);
    // Whoever revoked the link meanwhile may not have found the guest in the room yet.
    if (!guest || (await links.isValid(link.linkId))) return;
    await rooms.leave(link.roomId, userId);
    throw new MatrixError(404, 'M_NOT_FOUND', 'This link is not valid (any more). Ask for a new one.');
  };

  router.post('/links/:token/join', limitAnonymous, async (request, response, next) => {
    const link = await foundLink(parameter(request, 'token'));
    const { displayName } = parseBody(joinLinkSchema, request.body);
    if (request.headers.authorization !== undefined) {
      response.locals['link'] = link;
      next();
      return;
    }
    if (!displayName) throw new MatrixError(400, 'M_MISSING_PARAM', 'Please say your name.');
    // No account is made for somebody whom the meeting does not let in.
    await requireGuestsIn(link.roomId);
    const known = cookie(request, BROWSER_COOKIE);
    const browser = known !== undefined && /^[A-Za-z0-9_-]{22,64}$/.test(known) ? known : newSecret('');
    await requireNoBan(link.roomId, browser);
    // For as long as the browser is open, and for links only.
    response.cookie(BROWSER_COOKIE, browser, {
      httpOnly: true,
      sameSite: 'strict',
      secure: publicUrl.startsWith('https:'),
      path: '/_hansetag/client/v1/links',
    });
    const userId = await accounts.createGuest(displayName);
    await enter(link, userId, browser);
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
    await enter(link, requesterOf(response).userId);
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
