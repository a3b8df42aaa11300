/**
 * The HTTP API that the web client uses besides the Matrix client API: `/_hansetag/client/v1/...`.
 * Errors are Matrix errors: `{ errcode, error }`, with `organisation` and `reference` where they help.
 */
import { z } from 'zod';
import { organisationSchema } from './session.ts';

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
  startsAt: z.number().int().optional(),
  endsAt: z.number().int().optional(),
  /** IANA zone of the organiser. */
  timeZone: z.string().optional(),
  createdAt: z.number().int(),
  /** Participants in the conference right now. */
  liveCount: z.number().int(),
  /** Server names of organisations with members. */
  organisations: z.array(organisationSchema),
});
export type Meeting = z.infer<typeof meetingSchema>;

/** `GET /meetings` */
export const meetingListSchema = z.object({ meetings: z.array(meetingSchema) });

/** `POST /meetings` -> Meeting */
export const newMeetingSchema = z.object({
  title: z.string().trim().min(1).max(200),
  startsAt: z.number().int().optional(),
  endsAt: z.number().int().optional(),
  timeZone: z.string().max(64).optional(),
  /** Matrix ids to invite; each result is reported apart. */
  invite: z.array(z.string().max(255)).max(100).default([]),
});
export type NewMeeting = z.input<typeof newMeetingSchema>;

/** `GET /meetings/:roomId` -> Meeting and its people. */
export const meetingDetailsSchema = meetingSchema.extend({
  members: z.array(
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
export const newLinkSchema = z.object({ expiresAt: z.number().int().optional() });
export const linkSchema = z.object({ linkId: z.string(), url: z.string(), expiresAt: z.number().int().optional() });
export type Link = z.infer<typeof linkSchema>;

/** `GET /links/:token`, no authentication: what the guest sees before entering. */
export const linkPreviewSchema = z.object({
  roomId: z.string(),
  title: z.string(),
  organisation: organisationSchema,
  startsAt: z.number().int().optional(),
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
