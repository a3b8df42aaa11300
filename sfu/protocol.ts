/**
 * The control protocol between a homeserver and its SFU: a WebSocket over a unix socket (or loopback TCP), the
 * homeserver being the client. Requests are answered once; notifications are ordered.
 *
 * The SFU holds no rules of meetings. It knows conferences, transports, producers, consumers and links, each with
 * the labels that the homeserver gave it, so that a restarted homeserver finds everything again in the snapshot.
 * Media goes on while no homeserver is connected, for `ORPHAN_GRACE_MS`; then everything is closed, because access
 * to the SFU exists only as long as sessions do.
 */
import { z } from 'zod';
import {
  dtlsParametersSchema,
  iceParametersSchema,
  idSchema,
  layersSchema,
  rtpCapabilitiesSchema,
  rtpParametersSchema,
  sourceSchema,
  srtpParametersSchema,
  transportOptionsSchema,
} from '../protocol/media.ts';
import { SESSION_MAX_FRAME } from '../protocol/session.ts';

export const SFU_PROTOCOL_VERSION = 1;
/**
 * A request may be this long, in bytes: twice a frame of a client, whose parameters are what is longest in it. All of it
 * is parsed at once, while media of others waits to be set up.
 */
export const MAX_REQUEST_BYTES = 2 * SESSION_MAX_FRAME;
/** How long media goes on without a homeserver, in milliseconds. */
export const ORPHAN_GRACE_MS = 60_000;

/** Waits that a request may ask for are shorter than the time that it has, in milliseconds. */
const MAX_FLOW_WAIT_MS = 10_000;

/** A conference is named by its Matrix room id. */
export const conferenceIdSchema = z.string().min(2).max(255);
const participantId = z.string().min(1).max(512);
const kind = z.enum(['audio', 'video']);
const empty = z.object({});
const port = z.number().int().min(1).max(65535);

/** A producer in a conference: of a local participant, or received over a link. */
export const producerStateSchema = z.object({
  producerId: idSchema,
  participantId,
  source: sourceSchema,
  kind,
  paused: z.boolean(),
  /** The WebRTC transport of a local participant. */
  transportId: idSchema.optional(),
  /** The link it comes over, and the sender's name for it. */
  linkId: idSchema.optional(),
  remoteId: idSchema.optional(),
});
export type ProducerState = z.infer<typeof producerStateSchema>;

export const snapshotSchema = z.object({
  conferences: z.array(
    z.object({
      conferenceId: conferenceIdSchema,
      transports: z.array(z.object({ transportId: idSchema, participantId, direction: z.enum(['send', 'receive']) })),
      producers: z.array(producerStateSchema),
      consumers: z.array(
        z.object({ consumerId: idSchema, producerId: idSchema, transportId: idSchema, paused: z.boolean() }),
      ),
      links: z.array(
        z.object({
          linkId: idSchema,
          peer: z.string(),
          connected: z.boolean(),
          /** Producers sent over the link. */
          sending: z.array(idSchema),
        }),
      ),
    }),
  ),
});
export type SfuSnapshot = z.infer<typeof snapshotSchema>;

export const sfuRequests = {
  hello: {
    params: z.object({ version: z.number().int() }),
    result: z.object({
      /** New for each start of the SFU process. */
      instanceId: idSchema,
      workers: z.number().int(),
      /** Where peers' SFUs send link media and probes to. */
      link: z.object({ address: z.string(), minPort: port, maxPort: port, probePort: port }),
      snapshot: snapshotSchema,
    }),
  },
  /** Opens the conference on the least loaded worker; a no-op when it is open. */
  'conference.open': {
    params: z.object({ conferenceId: conferenceIdSchema }),
    result: z.object({ rtpCapabilities: rtpCapabilitiesSchema }),
  },
  'conference.close': { params: z.object({ conferenceId: conferenceIdSchema }), result: empty },
  'transport.create': {
    params: z.object({
      conferenceId: conferenceIdSchema,
      participantId,
      direction: z.enum(['send', 'receive']),
    }),
    result: transportOptionsSchema,
  },
  'transport.connect': {
    params: z.object({ transportId: idSchema, dtlsParameters: dtlsParametersSchema }),
    result: empty,
  },
  'transport.restartIce': {
    params: z.object({ transportId: idSchema }),
    result: z.object({ iceParameters: iceParametersSchema }),
  },
  'transport.close': { params: z.object({ transportId: idSchema }), result: empty },
  /** Ends every transport that bears the participant's label, those included that are being made. Idempotent. */
  'participant.close': { params: z.object({ conferenceId: conferenceIdSchema, participantId }), result: empty },
  'producer.create': {
    params: z.object({
      transportId: idSchema,
      source: sourceSchema,
      rtpParameters: rtpParametersSchema,
      paused: z.boolean(),
    }),
    result: z.object({ producerId: idSchema }),
  },
  'producer.pause': { params: z.object({ producerId: idSchema }), result: empty },
  'producer.resume': { params: z.object({ producerId: idSchema }), result: empty },
  'producer.close': { params: z.object({ producerId: idSchema }), result: empty },
  /** Answered when the first media of a producer has come, and with `false` when none has come in time. */
  'producer.flowing': {
    params: z.object({ producerId: idSchema, withinMs: z.number().int().min(0).max(MAX_FLOW_WAIT_MS) }),
    result: z.object({ flowing: z.boolean() }),
  },
  /** Created paused; resume it when the client has its own side. */
  'consumer.create': {
    params: z.object({
      transportId: idSchema,
      producerId: idSchema,
      rtpCapabilities: rtpCapabilitiesSchema,
      layers: layersSchema.optional(),
      priority: z.number().int().min(1).max(255).optional(),
    }),
    result: z.object({
      consumerId: idSchema,
      kind,
      rtpParameters: rtpParametersSchema,
      producerPaused: z.boolean(),
    }),
  },
  'consumer.resume': { params: z.object({ consumerId: idSchema }), result: empty },
  /**
   * Resumes a consumer in the place of another one, which is closed: of sound before the new one begins, so that it is
   * never heard twice; of a picture when the new one has brought a key frame, or has not for too long.
   */
  'consumer.replace': { params: z.object({ consumerId: idSchema, oldConsumerId: idSchema }), result: empty },
  'consumer.prefer': {
    params: z.object({
      consumerId: idSchema,
      layers: layersSchema.optional(),
      priority: z.number().int().min(1).max(255).optional(),
    }),
    result: empty,
  },
  'consumer.close': { params: z.object({ consumerId: idSchema }), result: empty },
  /** Own half of a link: a PipeTransport with SRTP and RTX that sends nothing before `link.connect`. */
  'link.create': {
    params: z.object({ conferenceId: conferenceIdSchema, linkId: idSchema, peer: z.string().max(255) }),
    result: z.object({
      port,
      srtp: srtpParametersSchema,
      /** 32 random bytes, base64: authenticates the probes that this side answers. */
      probeKey: z.string().max(64),
    }),
  },
  /**
   * Connects to the peer's half. `address` and `probePort` come from the peer's signed discovery document; before any
   * media is sent the address must have answered a keyed probe, so that no third party can be made a target.
   */
  'link.connect': {
    params: z.object({
      linkId: idSchema,
      address: z.string().max(255),
      port,
      probePort: port,
      srtp: srtpParametersSchema,
      probeKey: z.string().max(64),
    }),
    result: empty,
  },
  /** Sends a producer over the link: a no-op returning the same answer when it is being sent. */
  'link.send': {
    params: z.object({ linkId: idSchema, producerId: idSchema }),
    result: z.object({ kind, rtpParameters: rtpParametersSchema, paused: z.boolean() }),
  },
  'link.unsend': { params: z.object({ linkId: idSchema, producerId: idSchema }), result: empty },
  /** Receives a source of the peer; gives it a local producer id. */
  'link.receive': {
    params: z.object({
      linkId: idSchema,
      participantId,
      source: sourceSchema,
      /** The sender's name for the source: a label, given back in the snapshot. */
      remoteId: idSchema,
      kind,
      rtpParameters: rtpParametersSchema,
      paused: z.boolean(),
    }),
    result: z.object({ producerId: idSchema }),
  },
  'link.close': { params: z.object({ linkId: idSchema }), result: empty },
  /** Bytes and packets per link and per worker, for metrics and tests. */
  stats: {
    params: empty,
    result: z.object({
      workers: z.array(
        z.object({ pid: z.number().int(), cpuMs: z.number(), memoryBytes: z.number(), consumers: z.number().int() }),
      ),
      links: z.array(
        z.object({
          linkId: idSchema,
          conferenceId: conferenceIdSchema,
          peer: z.string(),
          bytesSent: z.number(),
          bytesReceived: z.number(),
          sending: z.number().int(),
          receiving: z.number().int(),
          roundTripMs: z.number().optional(),
          loss: z.number().optional(),
        }),
      ),
    }),
  },
} as const;
export type SfuMethod = keyof typeof sfuRequests;
export type SfuParams<M extends SfuMethod> = z.infer<(typeof sfuRequests)[M]['params']>;
export type SfuResult<M extends SfuMethod> = z.infer<(typeof sfuRequests)[M]['result']>;

export const sfuNotifications = {
  /** A worker died; these conferences and all in them are gone. The worker was replaced: open them again. */
  'conference.lost': z.object({ conferenceIds: z.array(conferenceIdSchema) }),
  /** ICE or DTLS of a client's transport failed or closed. */
  'transport.state': z.object({
    transportId: idSchema,
    participantId,
    state: z.enum(['connected', 'disconnected', 'failed', 'closed']),
  }),
  /** A producer has ended by itself (its transport or link closed). */
  'producer.closed': z.object({ conferenceId: conferenceIdSchema, producerId: idSchema }),
  'consumer.closed': z.object({ consumerId: idSchema, transportId: idSchema }),
  'consumer.layers': z.object({ consumerId: idSchema, transportId: idSchema, layers: layersSchema.nullable() }),
  /** Loudest first, at most every 300 ms; empty when silent. */
  speaking: z.object({ conferenceId: conferenceIdSchema, participantIds: z.array(participantId).max(8) }),
  'link.state': z.object({
    linkId: idSchema,
    conferenceId: conferenceIdSchema,
    peer: z.string(),
    state: z.enum(['connecting', 'connected', 'weak', 'interrupted']),
    roundTripMs: z.number().optional(),
    loss: z.number().min(0).max(1).optional(),
  }),
} as const;
export type SfuNotificationName = keyof typeof sfuNotifications;
export type SfuNotificationData<N extends SfuNotificationName> = z.infer<(typeof sfuNotifications)[N]>;

/** Errors by code: what the homeserver can react to. */
export const sfuErrorSchema = z.object({
  code: z.enum(['bad-request', 'not-found', 'conflict', 'unsupported', 'worker-lost', 'exhausted', 'internal']),
  message: z.string().max(1024),
});
export type SfuErrorBody = z.infer<typeof sfuErrorSchema>;
