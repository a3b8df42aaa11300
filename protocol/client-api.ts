/**
 * The HTTP API that the web client uses besides the Matrix client API: `/_hansetag/client/v1/...`.
 * Errors are Matrix errors: `{ errcode, error }`, with `organisation` and `reference` where they help.
 */
import { z } from 'zod';
import { organisationSchema } from './session.ts';
import { listOf, shownTimeSchema, timeSchema } from './values.ts';

/** `GET /info`, no authentication: what the log-in page shows. */
export const infoSchema = z.object({
  organisation: organisationSchema,
  version: z.string(),
  /** Ways to log in: by the identity provider, by a password. */
  login: z.object({ sso: z.boolean(), password: z.boolean() }),
});
export type Info = z.infer<typeof infoSchema>;

export const meetingSchema = z.object({
  roomId: z.string(),
  title: z.string(),
  /** Own membership: `invite` is an invitation to answer. */
  membership: z.enum(['join', 'invite']),
  role: z.enum(['owner', 'moderator', 'participant', 'guest']),
  /** Who invited or who owns it: user id and name. */
  host: z.object({ userId: z.string(), displayName: z.string(), organisation: z.string() }),
  /** Planned start and end, Unix ms; absent for ad-hoc and permanent meetings. */
  startsAt: shownTimeSchema,
  endsAt: shownTimeSchema,
  /** IANA zone of the organiser. */
  timeZone: z.string().max(64).optional().catch(undefined),
  /** 0 when the host's server states no time that can be shown. */
  createdAt: timeSchema.catch(0),
  /** Participants in the conference right now. */
  liveCount: z.number().int().min(0).catch(0),
  /** Organisations with members. */
  organisations: listOf(organisationSchema),
});
export type Meeting = z.infer<typeof meetingSchema>;

/** `GET /meetings` */
export const meetingListSchema = z.object({ meetings: listOf(meetingSchema) });

/** `POST /meetings` -> Meeting */
export const newMeetingSchema = z.object({
  title: z.string().trim().min(1).max(200),
  startsAt: timeSchema.optional(),
  endsAt: timeSchema.optional(),
  timeZone: z.string().max(64).optional(),
  /** Matrix ids to invite; each result is reported apart. */
  invite: z.array(z.string().max(255)).max(100).default([]),
});
export type NewMeeting = z.input<typeof newMeetingSchema>;

/** `GET /meetings/:roomId` -> Meeting and its people. */
export const meetingDetailsSchema = meetingSchema.extend({
  members: listOf(
    z.object({
      userId: z.string(),
      displayName: z.string(),
      organisation: z.string(),
      membership: z.enum(['join', 'invite', 'knock']),
      role: z.enum(['owner', 'moderator', 'participant', 'guest']),
    }),
  ),
  /** True when the asker may invite and make guest links. */
  canInvite: z.boolean(),
});
export type MeetingDetails = z.infer<typeof meetingDetailsSchema>;

/** `POST /meetings/:roomId/invitations` -> one result per person. */
export const inviteSchema = z.object({ userIds: z.array(z.string().max(255)).min(1).max(100) });
export const inviteResultSchema = z.object({
  results: z.array(
    z.object({
      userId: z.string(),
      ok: z.boolean(),
      /** True: the other server has not answered yet; the invitation is delivered as soon as it does. */
      pending: z.boolean().optional(),
      errcode: z.string().optional(),
      error: z.string().optional(),
      organisation: z.string().optional(),
    }),
  ),
});
export type InviteResult = z.infer<typeof inviteResultSchema>;

/** `POST /meetings/:roomId/answer`: accept joins the room, decline leaves it. */
export const answerSchema = z.object({ answer: z.enum(['accept', 'decline']) });

/** `POST /meetings/:roomId/links` -> a guest link. `DELETE /meetings/:roomId/links/:linkId` revokes it at once. */
export const newLinkSchema = z.object({ expiresAt: timeSchema.optional() });
export const linkSchema = z.object({
  linkId: z.string(),
  url: z.url({ protocol: /^https?$/ }),
  expiresAt: shownTimeSchema,
});
export type Link = z.infer<typeof linkSchema>;

/** `GET /links/:token`, no authentication: what the guest sees before entering. */
export const linkPreviewSchema = z.object({
  roomId: z.string(),
  title: z.string(),
  organisation: organisationSchema,
  startsAt: shownTimeSchema,
});
export type LinkPreview = z.infer<typeof linkPreviewSchema>;

/** `POST /links/:token/join`: as a guest (no authentication, `displayName`) or as the logged-in user. */
export const joinLinkSchema = z.object({ displayName: z.string().trim().min(1).max(100).optional() });
export const joinLinkResultSchema = z.object({
  roomId: z.string(),
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
