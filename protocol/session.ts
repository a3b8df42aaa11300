/**
 * The session protocol: one WebSocket between a client and its own homeserver, at `/_hansetag/client/v1/session`.
 * docs/protocol.md describes it; these schemas are the source of the types on both sides.
 *
 * A client sends requests, the server answers each once and sends notifications numbered from 1. After a drop the
 * client says the number of the last notification it has seen and gets the rest, or learns that it must join anew.
 */
import * as z from 'zod';
import {
  dtlsParametersSchema,
  iceParametersSchema,
  idSchema,
  layersSchema,
  rtpCapabilitiesSchema,
  rtpParametersSchema,
  sourceSchema,
  transportOptionsSchema,
} from './media.ts';
import {
  participantIdSchema,
  roomIdSchema as roomId,
  serverNameSchema as serverName,
  userIdSchema as userId,
} from './ids.ts';
import * as modules from './modules/list.ts';
import { endForSchema } from './modules/moderation.ts';
import { rightSchema, roleSchema } from './rights.ts';
import type { NotificationOf } from './rpc.ts';
import { colourSchema, listOf, timeSchema } from './values.ts';
import * as waiting from './waiting.ts';

/** Version of this protocol. A server refuses another major version with `unsupported-version`. */
export const SESSION_VERSION = 1;
/** Largest frame either side accepts, in bytes. */
export const SESSION_MAX_FRAME = 256 * 1024;
/** How long a dropped session keeps its place in the conference, in milliseconds. */
export const SESSION_GRACE_MS = 6_000;

/** One source of a participant as others see it. */
export const sourceStateSchema = z.object({
  source: sourceSchema,
  paused: z.boolean(),
  /** The meeting's rules do not let the person send it, and it is not taken from the person's organisation. */
  refused: z.boolean().optional(),
});

export const participantSchema = z.object({
  participantId: participantIdSchema,
  userId,
  deviceId: z.string().max(255),
  /** Safe to show (display-text.ts), as every name and title that the server hands out. */
  displayName: z.string().max(256),
  /** Server name of the participant's organisation. */
  organisation: serverName,
  role: roleSchema,
  /** Entered by a link, without an account: the organisation does not vouch for the name. True for guest moderators, too. */
  guest: z.boolean(),
  /** Unix time in ms; the same for as long as the participant stays. */
  joinedAt: timeSchema.catch(0),
  sources: z.array(sourceStateSchema).max(4),
  /** False while the participant's organisation has not said yet what is sent: `sources` then says nothing at all. */
  sourcesKnown: z.boolean().optional(),
  /** `reconnecting` while the participant's session is inside its grace period. */
  presence: z.enum(['here', 'reconnecting']),
  signals: modules.signalsSchema,
});
export type Participant = z.infer<typeof participantSchema>;

export const organisationSchema = z.object({
  serverName,
  displayName: z.string().max(256),
  /** Colour of the organisation's mark. */
  colour: colourSchema.catch('#5f6b6d'),
  /**
   * Why the own organisation talks with it: it is the own one; everybody is trusted (`open`); it stands on the own list
   * (`listed`); a certificate vouches for it (`certificate`). Absent where it is not trusted, or nobody asked.
   */
  trust: z.enum(['own', 'open', 'listed', 'certificate']).optional().catch(undefined),
});
export type Organisation = z.infer<typeof organisationSchema>;

export const linkStateSchema = z.object({
  organisation: serverName,
  state: z.enum(['connecting', 'connected', 'weak', 'interrupted']),
  /** Unix time in ms since when this state holds. */
  since: timeSchema.catch(0),
  roundTripMs: z.number().min(0).max(3_600_000).optional().catch(undefined),
  /** Share of link probes lost in the last 10 s, 0 to 1. */
  loss: z.number().min(0).max(1).optional(),
  /** The hop that fails, when interrupted. */
  hop: z.enum(['federation', 'media']).optional(),
});
export type LinkState = z.infer<typeof linkStateSchema>;

/** An organisation in the meeting that the own one does not trust: its people are not connected. */
export const untrustedOrganisationSchema = z.object({
  organisation: serverName,
  /** Why: see docs/protocol.md. A client that does not know it says so in general. */
  reason: z.string().max(64),
  /** Those of its people who are in the meeting, at most 50. */
  people: listOf(z.object({ userId, displayName: z.string().max(256) })),
  /** How many these are altogether. */
  count: z.number().int().min(0),
});
export type UntrustedOrganisation = z.infer<typeof untrustedOrganisationSchema>;

/** What becomes of one invitation. `pending`: the other server has not answered yet, the delivery goes on. */
export const invitationOutcomeSchema = z.enum([
  'invited',
  'pending',
  'already-invited',
  'already-member',
  'self',
  'bad-id',
  'no-such-person',
  'banned',
  'refused',
  'untrusted',
  'unreachable',
  'failed',
]);
export type InvitationOutcome = z.infer<typeof invitationOutcomeSchema>;

export const invitationResultSchema = z.object({
  /** The id as it was typed. */
  userId: z.string(),
  outcome: invitationOutcomeSchema,
  /** The person is invited now: `invited` and `already-invited`. */
  ok: z.boolean(),
  /** Matrix error code and English text behind `refused` and `failed`, for the help desk. */
  errcode: z.string().optional(),
  error: z.string().optional(),
  /** With `untrusted`: why, as in `untrustedOrganisationSchema`. */
  reason: z.string().max(64).optional(),
  /** The person's organisation, when it is another one: server name, and the name to show. */
  organisation: serverName.optional(),
  organisationName: z.string().max(256).optional(),
});
export type InvitationResult = z.infer<typeof invitationResultSchema>;

/** Router capabilities and both transports; given on join and after a media restart. */
export const mediaOpenedSchema = z.object({
  rtpCapabilities: rtpCapabilitiesSchema,
  send: transportOptionsSchema,
  receive: transportOptionsSchema,
});
export type MediaOpened = z.infer<typeof mediaOpenedSchema>;

export const conferenceSnapshotSchema = z.object({
  roomId,
  title: z.string().max(512),
  /** What this participant may do beyond taking part. */
  rights: listOf(rightSchema),
  me: participantIdSchema,
  participants: listOf(participantSchema),
  organisations: listOf(organisationSchema),
  links: listOf(linkStateSchema),
  untrusted: listOf(untrustedOrganisationSchema).default([]),
  /** Absent when `keepMedia` was asked for and the transports are still alive. */
  media: mediaOpenedSchema.optional(),
  modules: modules.snapshotsSchema,
});
export type ConferenceSnapshot = z.infer<typeof conferenceSnapshotSchema>;

const empty = z.object({});

/** One wanted source. The list given to `media.watch` is the whole of what the client wants. */
export const watchSchema = z.object({
  participantId: participantIdSchema,
  source: sourceSchema,
  /** Size of the tile in device pixels; decides the simulcast layer. Absent for sound. */
  width: z.number().int().min(1).max(8192).optional(),
  height: z.number().int().min(1).max(8192).optional(),
  /** Higher is served first when bandwidth is short (mediasoup consumer priority). */
  priority: z.number().int().min(1).max(255).optional(),
});
export type Watch = z.infer<typeof watchSchema>;

/** Every request a client may send: parameters and result. */
export const requests = {
  /** First request on a new WebSocket. */
  hello: {
    params: z.object({
      version: z.number().int(),
      accessToken: z.string().min(1).max(4096),
      resume: z.object({ sessionId: idSchema, lastSeq: z.number().int().min(0) }).optional(),
    }),
    result: z.object({
      sessionId: idSchema,
      userId,
      deviceId: z.string(),
      displayName: z.string(),
      organisation: organisationSchema,
      /** True: the missing notifications follow, nothing else to do. False: join the conference anew. */
      resumed: z.boolean(),
      guest: z.boolean(),
    }),
  },
  ping: { params: empty, result: empty },
  'conference.join': {
    params: z.object({
      roomId,
      /** Transports the client still has and would like to keep (after a restart of the homeserver). */
      keepMedia: z
        .object({
          send: idSchema,
          receive: idSchema,
          /** Consumers the client has; the server closes the others. */
          consumers: z.array(idSchema).max(200),
        })
        .optional(),
    }),
    result: conferenceSnapshotSchema,
  },
  'conference.leave': { params: empty, result: empty },
  ...waiting.requests,
  /** New transports, after `media.restart` or when the client's own failed. Old ones of this participant are closed. */
  'media.open': { params: empty, result: mediaOpenedSchema },
  'media.connect': {
    params: z.object({ transportId: idSchema, dtlsParameters: dtlsParametersSchema }),
    result: empty,
  },
  'media.restart-ice': {
    params: z.object({ transportId: idSchema }),
    result: z.object({ iceParameters: iceParametersSchema }),
  },
  'media.publish': {
    params: z.object({
      transportId: idSchema,
      source: sourceSchema,
      rtpParameters: rtpParametersSchema,
      paused: z.boolean(),
    }),
    result: z.object({ producerId: idSchema }),
  },
  'media.pause': { params: z.object({ source: sourceSchema }), result: empty },
  'media.resume': { params: z.object({ source: sourceSchema }), result: empty },
  'media.unpublish': { params: z.object({ source: sourceSchema }), result: empty },
  /**
   * Declares the whole set of sources wanted over a transport to receive. Consumers come as `consumer.added` when the
   * media is there. `not-found`: the participant's transports are others by now; what they want is declared for them.
   */
  'media.watch': {
    params: z.object({
      transportId: idSchema,
      rtpCapabilities: rtpCapabilitiesSchema,
      watch: z.array(watchSchema).max(100),
    }),
    result: empty,
  },
  /** The client has made its consumers; the server resumes them (server consumers start paused). */
  'media.ready': { params: z.object({ consumerIds: z.array(idSchema).min(1).max(100) }), result: empty },
  ...modules.requests,
} as const;
export type Method = keyof typeof requests;
export type Params<M extends Method> = z.infer<(typeof requests)[M]['params']>;
export type Result<M extends Method> = z.infer<(typeof requests)[M]['result']>;

/** Every notification a server may send. */
export const notifications = {
  'participant.joined': participantSchema,
  'participant.changed': participantSchema,
  'participant.left': z.object({
    participantId: participantIdSchema,
    reason: z.enum(['left', 'lost', 'removed', 'ended']),
  }),
  'organisation.seen': organisationSchema,
  'link.changed': linkStateSchema,
  /** All of them, in place of what was told before. */
  'organisations.untrusted': z.object({ organisations: listOf(untrustedOrganisationSchema) }),
  /** Loudest first; empty when nobody speaks. At most every 300 ms. */
  speaking: z.object({ participantIds: z.array(participantIdSchema).max(8) }),
  'consumer.added': z.object({
    consumerId: idSchema,
    participantId: participantIdSchema,
    source: sourceSchema,
    producerId: idSchema,
    kind: z.enum(['audio', 'video']),
    rtpParameters: rtpParametersSchema,
    producerPaused: z.boolean(),
  }),
  'consumer.removed': z.object({ consumerId: idSchema }),
  /** `layers` null: the line is too weak for any layer. */
  'consumer.layers': z.object({ consumerId: idSchema, layers: layersSchema.nullable() }),
  /** The media of this conference was lost on the SFU; open it again with `media.open`, publish and watch again. */
  'media.restart': z.object({ reason: z.enum(['worker-died', 'sfu-lost', 'moved']) }),
  /** The own SFU can not be reached by the homeserver right now, or can again. */
  'media.service': z.object({ available: z.boolean() }),
  ...waiting.notifications,
  ...modules.notifications,
  /** Title of the running meeting and what this participant may do in it. Sent whole when either changes. */
  'conference.changed': z.object({ roomId, title: z.string().max(512), rights: listOf(rightSchema) }),
  /** The end of an invitation of this user that was `pending`. */
  'invitation.finished': invitationResultSchema.extend({ roomId }),
  /** The client's own place in the conference has ended. */
  'conference.ended': z.object({
    /** `waiting`: sent back to wait. `time-limit`: the meeting's time is over. */
    reason: z.enum([
      'left',
      'removed',
      'banned',
      'waiting',
      'ended',
      'time-limit',
      'alone',
      'signed-out',
      'joined-elsewhere',
    ]),
    /** Who has done it, where somebody did it by an order: a name that is safe to show. */
    by: z.string().max(256).optional(),
    /** That person's organisation. */
    organisation: serverName.optional(),
    /** For whom the meeting was ended, with the reason `ended`. */
    for: endForSchema.optional(),
  }),
  /** Meetings or invitations changed: fetch `GET /_hansetag/client/v1/meetings` again. */
  'meetings.changed': empty,
} as const;
export type NotificationName = keyof typeof notifications;
export type NotificationData<N extends NotificationName> = z.infer<(typeof notifications)[N]>;
export type Notification = NotificationOf<typeof notifications>;

/** Machine-readable reasons. The client has a sentence in each language for every code. */
export const errorCodeSchema = z.enum([
  'bad-request',
  'unsupported-version',
  'unauthorised',
  'forbidden',
  'not-found',
  'not-in-conference',
  /** The person has no place in the conference before a moderator admits them, or before there is room: wait. */
  'must-wait',
  'conflict',
  'too-many-requests',
  'too-large',
  'sfu-unavailable',
  'organisation-unreachable',
  'organisation-untrusted',
  'time-limit',
  'internal',
]);
export type ErrorCode = z.infer<typeof errorCodeSchema>;

export const protocolErrorSchema = z.object({
  code: errorCodeSchema,
  /** English, for logs and the help desk; never shown alone. */
  message: z.string(),
  /** Server name of the organisation where it failed, when not the own, and the name to show. */
  organisation: z.string().optional(),
  organisationName: z.string().max(256).optional(),
  /** With `organisation-untrusted`: why, as in `untrustedOrganisationSchema`. */
  reason: z.string().max(64).optional(),
  /** With `too-many-requests`: how long to wait before trying again, in ms. */
  retryAfterMs: z.number().int().min(0).optional(),
  /** Short code for the help desk: finds the line in the server's log. */
  reference: z.string().optional(),
});
export type ProtocolError = z.infer<typeof protocolErrorSchema>;

/** Client to server. */
export const requestFrameSchema = z.object({
  id: z.number().int().min(1),
  method: z.enum(Object.keys(requests) as [Method, ...Method[]]),
  params: z.unknown(),
});

/** Server to client: an answer (`id`) or a notification (`seq`). */
export const serverFrameSchema = z.union([
  z.object({ id: z.number().int(), result: z.unknown() }),
  z.object({ id: z.number().int(), error: protocolErrorSchema }),
  z.object({ seq: z.number().int().min(1), notification: z.string(), data: z.unknown() }),
]);
