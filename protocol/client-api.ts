/**
 * The HTTP API that the web client uses besides the Matrix client API: `/_hansetag/client/v1/...`.
 * Errors are Matrix errors: `{ errcode, error }`, with `reference` where it helps, `organisation` and `organisation_name`
 * (server name and name to show) where another organisation failed, and `retry_after_ms` with `M_LIMIT_EXCEEDED`.
 */
import * as z from 'zod';
import { displayTitle } from './display-text.ts';
import { rulesSchema } from './modules/rules.ts';
import { rightSchema, roleSchema } from './rights.ts';
import { invitationResultSchema, organisationSchema } from './session.ts';
import { listOf, shownTimeSchema, timeSchema, timeZoneSchema } from './values.ts';

/** Pages that an organisation has to show; absent where it has none. */
export const legalSchema = z.object({
  imprint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .catch(undefined),
  privacy: z
    .url({ protocol: /^https?$/ })
    .optional()
    .catch(undefined),
});
export type Legal = z.infer<typeof legalSchema>;

/** `GET /info`, no authentication: what the log-in page shows. */
export const infoSchema = z.object({
  organisation: organisationSchema,
  version: z.string(),
  /** Ways to log in: by the identity provider, by a password. */
  login: z.object({ sso: z.boolean(), password: z.boolean() }),
  legal: legalSchema.default({}).catch({}),
});
export type Info = z.infer<typeof infoSchema>;

/** `GET /organisation`: the organisation of whoever asks, which is their tenant on an instance with tenants. */
export const ownOrganisationSchema = z.object({
  organisation: organisationSchema,
  legal: legalSchema.default({}).catch({}),
  /** What its tariff allows; what is absent is not limited. */
  limits: z.object({
    participants: z.number().int().optional(),
    /** Length of a meeting. */
    hours: z.number().optional(),
    /** Of all files of the organisation's people, in bytes. */
    storageBytes: z.number().int().optional(),
    /** Names of modules that are not there. */
    withoutModules: z.array(z.string()),
  }),
});
export type OwnOrganisation = z.infer<typeof ownOrganisationSchema>;

export const meetingSchema = z.object({
  roomId: z.string(),
  title: z.string(),
  /** Own membership: `invite` is an invitation to answer. */
  membership: z.enum(['join', 'invite']),
  role: roleSchema,
  /** Who invited or who owns it: user id and name. */
  host: z.object({ userId: z.string(), displayName: z.string(), organisation: z.string(), guest: z.boolean() }),
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

/** `POST /meetings` -> Meeting with `invitations`, one result per person, as `POST /meetings/:roomId/invitations` */
export const newMeetingSchema = z
  .object({
    title: z
      .string()
      .trim()
      .min(1)
      .max(200)
      .refine((title) => displayTitle(title) !== undefined, 'has no visible character'),
    startsAt: timeSchema.optional(),
    endsAt: timeSchema.optional(),
    timeZone: timeZoneSchema.optional(),
    /** Matrix ids to invite, as they were typed; each result is reported apart, also that of what is no id. */
    invite: z.array(z.string().max(1000)).max(100).default([]),
    /** Trying again with the same id gives the meeting that the first try has made. */
    transactionId: z.string().min(1).max(255).optional(),
  })
  .refine(({ startsAt = 0, endsAt = startsAt }) => endsAt >= startsAt, {
    path: ['endsAt'],
    message: 'is before the start',
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
      role: roleSchema,
      guest: z.boolean(),
    }),
  ),
  /** The asker's own invitations of the last hour that are on their way or failed after the answer. */
  invitations: listOf(invitationResultSchema),
  /** What the asker may do beyond taking part. */
  rights: listOf(rightSchema),
  rules: rulesSchema,
});
export type MeetingDetails = z.infer<typeof meetingDetailsSchema>;

/**
 * `POST /meetings/:roomId/invitations` -> one result per person, after a few seconds at most: what takes longer is
 * `pending`, and its end comes by the session as `invitation.finished`.
 */
export const inviteSchema = z.object({ userIds: z.array(z.string().max(1000)).min(1).max(100) });
export const inviteResultSchema = z.object({ results: listOf(invitationResultSchema) });
export type InviteResult = z.infer<typeof inviteResultSchema>;

/**
 * `PUT /meetings/:roomId/rules/:name`, with the value of that rule (`ruleSchemas` of protocol/modules/rules.ts) -> `{}`;
 * needs the right `set-rules`.
 */

/** `POST /meetings/:roomId/answer`: accept joins the room, decline leaves it. */
export const answerSchema = z.object({ answer: z.enum(['accept', 'decline']) });
