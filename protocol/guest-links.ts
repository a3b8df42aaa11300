/**
 * The HTTP API of guest links, `/_hansetag/client/v1/...`: made and ended by those who may invite, used by whoever has
 * one. docs/protocol.md describes it.
 */
import * as z from 'zod';
import { legalSchema } from './client-api.ts';
import { displayName, displayTitle } from './display-text.ts';
import { organisationSchema } from './session.ts';
import { listOf, shownTimeSchema, timeSchema } from './values.ts';

/** Error codes about a link, with status 404 or 403. */
export const LINK_ERRORS = {
  /** 404: its time is over. */
  expired: 'HANSETAG_LINK_EXPIRED',
  /** 404: as many people as it is for have come by it. */
  usedUp: 'HANSETAG_LINK_USED_UP',
  /** 403: it takes its password, and there was none or another one. */
  password: 'HANSETAG_LINK_PASSWORD',
  /** 404: a one-time code that is not valid (any more). */
  code: 'HANSETAG_LINK_CODE',
  /** 404: the organisation that was named has no server here that people could go on with. */
  noOrganisation: 'HANSETAG_NO_ORGANISATION',
} as const;

/** Most uses that a link can be bounded to, and most characters of its purpose and of its password. */
export const MAX_LINK_USES = 10_000;
export const MAX_PURPOSE = 200;
export const MIN_LINK_PASSWORD = 8;
export const MAX_LINK_PASSWORD = 128;

/** `direct`: who comes by it enters. `waiting`: a moderator lets them in, whatever the meeting's own rule is. */
const modeSchema = z.enum(['direct', 'waiting']);
export type LinkMode = z.infer<typeof modeSchema>;

/** What the meeting's own rules make of guests: they stay out, wait until they are let in, or enter. */
const guestRuleSchema = z.enum(['no', 'wait', 'enter']);
export type GuestRule = z.infer<typeof guestRuleSchema>;

/** `POST /meetings/:roomId/links` -> a link. What is absent does not bound it. */
export const newLinkSchema = z.object({
  /** For whom or what it is; a link without a purpose is the meeting's usual one. */
  purpose: z
    .string()
    .trim()
    .min(1)
    .max(MAX_PURPOSE)
    .refine((text) => displayTitle(text) !== undefined, 'has no visible character')
    .optional(),
  /** Unix ms, in the future. */
  expiresAt: timeSchema.optional(),
  /** So many people may come in by it. */
  maxUses: z.number().int().min(1).max(MAX_LINK_USES).optional(),
  mode: modeSchema.default('direct'),
  /** Asked of everybody who comes by it; kept as a hash only. */
  password: z.string().min(MIN_LINK_PASSWORD).max(MAX_LINK_PASSWORD).optional(),
});
export type NewLink = z.input<typeof newLinkSchema>;

export const linkSchema = z.object({
  linkId: z.string(),
  /** Absent for a link whose secret the server cannot read again: made by an older build, or the server's key was lost. */
  url: z
    .url({ protocol: /^https?$/ })
    .optional()
    .catch(undefined),
  purpose: z.string().max(1000).optional().catch(undefined),
  /** User id of who made it. */
  createdBy: z.string(),
  createdAt: timeSchema.catch(0),
  expiresAt: shownTimeSchema,
  maxUses: z.number().int().min(1).optional().catch(undefined),
  /** People who came in by it, guests and others. */
  uses: z.number().int().min(0).catch(0),
  /** The guests among them. */
  guests: z.number().int().min(0).catch(0),
  mode: modeSchema.catch('direct'),
  /** Whether it asks for a password. */
  password: z.boolean().catch(false),
});
export type Link = z.infer<typeof linkSchema>;

/**
 * `GET /meetings/:roomId/links`: the links that were neither ended nor are over, the newest first, for those who may make
 * links. `DELETE /meetings/:roomId/links/:linkId?guests=keep|remove` ends one; `POST .../:linkId/replace` gives it a new
 * secret, so that the old one opens nothing any more, and answers as for a new link.
 */
export const linkListSchema = z.object({ links: listOf(linkSchema), guests: guestRuleSchema.catch('enter') });
export type LinkList = z.infer<typeof linkListSchema>;

/** What becomes of those who came by a link that is ended. */
export const endLinkSchema = z.object({ guests: z.enum(['keep', 'remove']).default('remove') });

/** `GET /links/:token`, no authentication: what the guest sees before entering. */
export const linkPreviewSchema = z.object({
  roomId: z.string(),
  title: z.string(),
  organisation: organisationSchema,
  legal: legalSchema.default({}).catch({}),
  startsAt: shownTimeSchema,
  /** Whether it asks for a password. */
  password: z.boolean().catch(false),
  /** What becomes of a guest who comes by it. */
  guests: guestRuleSchema.catch('enter'),
});
export type LinkPreview = z.infer<typeof linkPreviewSchema>;

/** An empty one is none. Longer ones are refused, as no link has one. */
const givenPassword = z.string().max(MAX_LINK_PASSWORD).optional();

/** `POST /links/:token/join`: as a guest (no authentication, `displayName`) or as the logged-in user. */
export const joinLinkSchema = z.object({
  displayName: z
    .string()
    .trim()
    .min(1)
    .max(100)
    .refine((name) => displayName(name) !== undefined, 'has no visible character')
    .optional(),
  password: givenPassword,
});
export const joinLinkResultSchema = z.object({
  roomId: z.string(),
  /** Who waits is in no room yet: see `conference.wait`. */
  waiting: z.boolean().optional().catch(undefined),
  /** Only for guests: their new session. */
  session: z
    .object({
      userId: z.string(),
      deviceId: z.string(),
      accessToken: z.string(),
      expiresInMs: z.number().int().optional(),
    })
    .optional(),
});
export type JoinLinkResult = z.infer<typeof joinLinkResultSchema>;

/**
 * `POST /links/:token/elsewhere`, no authentication: somebody has an account at another organisation, which is named by its
 * server name, a Matrix id or the address of its meetings. The answer's address leads to that organisation's client, with
 * a code that counts once, for two minutes, and for that organisation's server only; the link itself goes nowhere.
 */
export const elsewhereSchema = z.object({
  organisation: z.string().trim().min(1).max(1000),
  password: givenPassword,
});
export const elsewhereResultSchema = z.object({
  organisation: organisationSchema,
  url: z.url({ protocol: /^https?$/ }),
});
export type ElsewhereResult = z.infer<typeof elsewhereResultSchema>;

/**
 * `POST /join-from`, at the own organisation: redeems such a code at the organisation that gave it. The answer is that of
 * entering by a link. `GET /join-from?server=` says what that organisation is called before.
 */
export const joinFromSchema = z.object({
  server: z.string().min(1).max(255),
  code: z.string().regex(/^[\w-]{22,128}$/),
});
export const joinFromPreviewSchema = z.object({ organisation: organisationSchema });
