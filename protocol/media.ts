/**
 * Media parameters as they cross a boundary: client to homeserver, homeserver to SFU, SFU to SFU.
 * The shapes are those of mediasoup 3 (RtpParameters, DtlsParameters ...), bounded in size, so that nothing
 * unparsed reaches the media worker.
 */
import * as z from 'zod';
import { dictionaryOf } from './values.ts';

/** What a participant sends. */
export const sourceSchema = z.enum(['microphone', 'camera', 'screen', 'screen-audio']);
export type Source = z.infer<typeof sourceSchema>;

/** The media kind that belongs to each source. */
export const KIND_OF_SOURCE: Readonly<Record<Source, 'audio' | 'video'>> = {
  microphone: 'audio',
  camera: 'video',
  screen: 'video',
  'screen-audio': 'audio',
};

/** An opaque identifier made by us (UUIDs and the like). */
export const idSchema = z.string().regex(/^[A-Za-z0-9_.:-]{1,128}$/);

const token = z.string().min(1).max(64);
const fmtpParameters = dictionaryOf(
  z.string().max(64),
  z.union([z.string().max(512), z.number(), z.boolean(), z.null()]),
  64,
);
const rtcpFeedback = z.object({ type: token, parameter: z.string().max(64).optional() });
const ssrc = z.number().int().min(0).max(0xffffffff);

const codec = z.object({
  mimeType: z.string().regex(/^(audio|video)\/[A-Za-z0-9._-]{1,32}$/),
  payloadType: z.number().int().min(0).max(127),
  clockRate: z.number().int().min(1).max(1_000_000),
  channels: z.number().int().min(1).max(8).optional(),
  parameters: fmtpParameters.optional(),
  rtcpFeedback: z.array(rtcpFeedback).max(32).optional(),
});

const headerExtension = z.object({
  uri: z.string().min(1).max(256),
  id: z.number().int().min(1).max(255),
  encrypt: z.boolean().optional(),
  parameters: fmtpParameters.optional(),
});

const encoding = z.object({
  ssrc: ssrc.optional(),
  rid: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,16}$/)
    .optional(),
  codecPayloadType: z.number().int().min(0).max(127).optional(),
  rtx: z.object({ ssrc }).optional(),
  dtx: z.boolean().optional(),
  scalabilityMode: z
    .string()
    .regex(/^[LS][1-9]T[1-9](_KEY(_SHIFT)?)?h?$/)
    .optional(),
  scaleResolutionDownBy: z.number().min(1).max(64).optional(),
  maxBitrate: z.number().int().min(0).max(1_000_000_000).optional(),
  maxFramerate: z.number().min(0).max(1000).optional(),
  active: z.boolean().optional(),
  adaptivePtime: z.boolean().optional(),
  priority: token.optional(),
  networkPriority: token.optional(),
});

/** RTP parameters of a producer or consumer (mediasoup `RtpParameters`). */
export const rtpParametersSchema = z.object({
  mid: z.string().max(16).optional(),
  codecs: z.array(codec).min(1).max(16),
  headerExtensions: z.array(headerExtension).max(32).optional(),
  encodings: z.array(encoding).max(8).optional(),
  rtcp: z
    .object({
      cname: z.string().max(256).optional(),
      reducedSize: z.boolean().optional(),
      mux: z.boolean().optional(),
    })
    .optional(),
  msid: z.string().max(256).optional(),
});
export type RtpParameters = z.infer<typeof rtpParametersSchema>;

const codecCapability = z.object({
  kind: z.enum(['audio', 'video']),
  mimeType: codec.shape.mimeType,
  preferredPayloadType: z.number().int().min(0).max(127).optional(),
  clockRate: codec.shape.clockRate,
  channels: codec.shape.channels,
  parameters: fmtpParameters.optional(),
  rtcpFeedback: z.array(rtcpFeedback).max(32).optional(),
});

/** What a receiving device or a router can take (mediasoup `RtpCapabilities`). */
export const rtpCapabilitiesSchema = z.object({
  codecs: z.array(codecCapability).max(64).optional(),
  headerExtensions: z
    .array(
      z.object({
        kind: z.enum(['audio', 'video']),
        uri: z.string().min(1).max(256),
        preferredId: z.number().int().min(1).max(255),
        preferredEncrypt: z.boolean().optional(),
        direction: z.enum(['sendrecv', 'sendonly', 'recvonly', 'inactive']).optional(),
      }),
    )
    .max(64)
    .optional(),
});
export type RtpCapabilities = z.infer<typeof rtpCapabilitiesSchema>;

/** DTLS role and certificate fingerprints (RFC 8122). An empty list once crashed a worker, hence min(1). */
export const dtlsParametersSchema = z.object({
  role: z.enum(['auto', 'client', 'server']).optional(),
  fingerprints: z
    .array(
      z.object({
        algorithm: z.enum(['sha-1', 'sha-224', 'sha-256', 'sha-384', 'sha-512']),
        value: z.string().regex(/^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){15,63}$/),
      }),
    )
    .min(1)
    .max(8),
});
export type DtlsParameters = z.infer<typeof dtlsParametersSchema>;

export const iceParametersSchema = z.object({
  usernameFragment: z.string().min(1).max(256),
  password: z.string().min(1).max(256),
  iceLite: z.boolean().optional(),
});

export const iceCandidateSchema = z.object({
  foundation: z.string().max(64),
  priority: z.number().int(),
  address: z.string().max(255),
  ip: z.string().max(255).optional(),
  protocol: z.enum(['udp', 'tcp']),
  port: z.number().int().min(1).max(65535),
  type: z.enum(['host', 'srflx', 'prflx', 'relay']),
  tcpType: z.enum(['active', 'passive', 'so']).optional(),
});

/** Everything a client needs to make its side of a WebRTC transport. */
export const transportOptionsSchema = z.object({
  id: idSchema,
  iceParameters: iceParametersSchema,
  iceCandidates: z.array(iceCandidateSchema).max(32),
  dtlsParameters: dtlsParametersSchema,
});
export type TransportOptions = z.infer<typeof transportOptionsSchema>;

/** SRTP key of one direction of a link: AEAD-AES-256-GCM, 32 bytes key and 12 bytes salt (RFC 7714), base64. */
export const srtpParametersSchema = z.object({
  cryptoSuite: z.literal('AEAD_AES_256_GCM'),
  keyBase64: z.string().regex(/^[A-Za-z0-9+/]{59}=$/),
});

/** Simulcast or SVC layers, 0 the lowest. */
export const layersSchema = z.object({
  spatialLayer: z.number().int().min(0).max(7),
  temporalLayer: z.number().int().min(0).max(7).optional(),
});
export type Layers = z.infer<typeof layersSchema>;
