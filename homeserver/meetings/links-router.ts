/** Guest links in `/_hansetag/client/v1`: parse, call, answer. The rules are in guest-links.ts and link-entry.ts. */
import express from 'express';
import type { Request, RequestHandler, Router } from 'express';
import { endLinkSchema, joinLinkSchema, newLinkSchema } from '../../protocol/guest-links.ts';
import type { JoinLinkResult, Link, LinkList, LinkPreview } from '../../protocol/guest-links.ts';
import { newSecret } from '../accounts/secrets.ts';
import type { Sessions } from '../accounts/sessions.ts';
import type { Tenants } from '../accounts/tenants/tenants.ts';
import { cookie } from '../base/cookies.ts';
import { MatrixError } from '../base/errors.ts';
import { parameter, parseBody, requesterOf } from '../base/parse.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { GuestLink, GuestLinks, ListedLink } from './guest-links.ts';
import type { LinkEntry, Shown } from './link-entry.ts';
import type { LinkPasswords } from './link-passwords.ts';
import type { Meetings } from './meetings.ts';
import type { Rights } from './rights.ts';

export interface LinksRouterOptions {
  readonly meetings: Pick<Meetings, 'title'>;
  readonly links: GuestLinks;
  readonly entry: LinkEntry;
  readonly passwords: Pick<LinkPasswords, 'hash'>;
  readonly rooms: Rooms;
  readonly rights: Rights;
  readonly sessions: Sessions;
  readonly tenants: Pick<Tenants, 'organisationOf'>;
  readonly publicUrl: string;
  readonly requireSession: RequestHandler;
  /** Rate limit for requests without log-in, by address. */
  readonly limitAnonymous: RequestHandler;
  /** A link of a room was ended: who came by it may wait no more. */
  ended(roomId: string): void;
}

/** By what a browser is known again whose guest was banned. */
const BROWSER_COOKIE = 'hansetag_guest';

export function linksRouter(options: LinksRouterOptions): Router {
  const { meetings, links, entry, passwords, rooms, rights, sessions, tenants, publicUrl } = options;
  const { requireSession, limitAnonymous } = options;
  const router = express.Router();

  const shownBy = (request: Request, password: string | undefined): Shown => ({ password, address: request.ip });

  router.post('/meetings/:roomId/links', requireSession, async (request, response) => {
    const { userId } = requesterOf(response);
    const roomId = parameter(request, 'roomId');
    const { password, ...settings } = parseBody(newLinkSchema, request.body);
    await rights.require(roomId, userId, 'invite');
    if (settings.expiresAt !== undefined && settings.expiresAt <= Date.now()) {
      throw new MatrixError(400, 'M_BAD_JSON', 'expiresAt: is over');
    }
    const passwordHash = password === undefined ? undefined : await passwords.hash(password);
    // Somebody may have lost the right meanwhile.
    await rights.require(roomId, userId, 'invite');
    response.json(shown(await links.create(roomId, userId, { ...settings, passwordHash }), publicUrl));
  });

  router.get('/meetings/:roomId/links', requireSession, async (request, response) => {
    const roomId = parameter(request, 'roomId');
    await rights.require(roomId, requesterOf(response).userId, 'invite');
    const list: LinkList = {
      links: (await links.list(roomId)).map((link) => shown(link, publicUrl)),
      guests: await entry.guestRule(roomId),
    };
    response.json(list);
  });

  router.post('/meetings/:roomId/links/:linkId/replace', requireSession, async (request, response) => {
    const roomId = parameter(request, 'roomId');
    await rights.require(roomId, requesterOf(response).userId, 'invite');
    const link = await links.replace(roomId, parameter(request, 'linkId'));
    if (!link) throw noSuchLink();
    response.json(shown(link, publicUrl));
  });

  router.delete('/meetings/:roomId/links/:linkId', requireSession, async (request, response) => {
    const roomId = parameter(request, 'roomId');
    const { guests } = parseBody(endLinkSchema, request.query);
    await rights.require(roomId, requesterOf(response).userId, 'invite');
    const linkId = parameter(request, 'linkId');
    if (!(await links.revoke(roomId, linkId, guests))) throw noSuchLink();
    // Nobody vouches any more for those who came by it.
    if (guests === 'remove') {
      await Promise.allSettled((await links.entries(linkId)).map((userId) => rooms.leave(roomId, userId)));
    }
    options.ended(roomId);
    response.json({});
  });

  router.get('/links/:token', limitAnonymous, async (request, response) => {
    const link = await entry.find(parameter(request, 'token'));
    await entry.requireUses(link);
    // Guests come to the organisation of whoever has made the link.
    const host = await tenants.organisationOf(link.createdBy);
    const preview: LinkPreview = {
      roomId: link.roomId,
      ...(await meetings.title(link.roomId)),
      ...host,
      password: link.passwordHash !== undefined,
      guests: await entry.guestRule(link.roomId, link),
    };
    response.json(preview);
  });

  router.post('/links/:token/join', limitAnonymous, async (request, response, next) => {
    const link = await entry.find(parameter(request, 'token'));
    const { displayName, password } = parseBody(joinLinkSchema, request.body);
    if (request.headers.authorization !== undefined) {
      response.locals['link'] = link;
      next();
      return;
    }
    if (!displayName) throw new MatrixError(400, 'M_MISSING_PARAM', 'Please say your name.');
    const known = cookie(request, BROWSER_COOKIE);
    const browser = known !== undefined && /^[A-Za-z0-9_-]{22,64}$/.test(known) ? known : newSecret('');
    // For as long as the browser is open, and for links only.
    response.cookie(BROWSER_COOKIE, browser, {
      httpOnly: true,
      sameSite: 'strict',
      secure: publicUrl.startsWith('https:'),
      path: '/_hansetag/client/v1/links',
    });
    const { userId, waiting } = await entry.enterAsGuest(link, displayName, browser, shownBy(request, password));
    const session = await sessions.create(userId, { displayName: 'Guest' });
    const result: JoinLinkResult = {
      roomId: link.roomId,
      ...(waiting ? { waiting } : {}),
      session: {
        userId,
        deviceId: session.deviceId,
        accessToken: session.accessToken,
        ...(session.expiresInMs === undefined ? {} : { expiresInMs: session.expiresInMs }),
      },
    };
    response.json(result);
  });
  router.post('/links/:token/join', requireSession, async (request, response) => {
    const link = response.locals['link'] as GuestLink;
    const { password } = parseBody(joinLinkSchema, request.body);
    const { waiting } = await entry.enterAs(link, requesterOf(response).userId, shownBy(request, password));
    const result: JoinLinkResult = { roomId: link.roomId, ...(waiting ? { waiting } : {}) };
    response.json(result);
  });

  return router;
}

/** A link as those see it who may make links. */
function shown(link: ListedLink, publicUrl: string): Link {
  const { linkId, token, purpose, createdBy, createdAt, expiresAt, maxUses, uses, guests, mode, passwordHash } = link;
  return {
    linkId,
    createdBy,
    createdAt,
    uses,
    guests,
    mode,
    password: passwordHash !== undefined,
    ...(token === undefined ? {} : { url: `${publicUrl}/join/${token}` }),
    ...(purpose === undefined ? {} : { purpose }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(maxUses === undefined ? {} : { maxUses }),
  };
}

function noSuchLink(): MatrixError {
  return new MatrixError(404, 'M_NOT_FOUND', 'There is no such link.');
}
