/** The codecs of conferences, and conversion of RTP parameters between our schemas and mediasoup. */
import { getSupportedRtpCapabilities } from 'mediasoup';
import type {
  RouterRtpCodecCapability,
  RtpCapabilities as MediasoupRtpCapabilities,
  RtpHeaderExtensionUri,
  RtpParameters as MediasoupRtpParameters,
} from 'mediasoup/types';
import {
  rtpCapabilitiesSchema,
  rtpParametersSchema,
  type RtpCapabilities,
  type RtpParameters,
} from '../protocol/media.ts';

/**
 * Codecs in order of preference. Every instance must support Opus and VP8, since sources cross links unchanged; the
 * payload types are fixed, so that a codec has the same one at both ends of a link.
 */
export const ROUTER_CODECS: RouterRtpCodecCapability[] = [
  { kind: 'audio', mimeType: 'audio/opus', preferredPayloadType: 100, clockRate: 48000, channels: 2 },
  { kind: 'video', mimeType: 'video/VP8', preferredPayloadType: 101, clockRate: 90000 },
  {
    kind: 'video',
    mimeType: 'video/VP9',
    preferredPayloadType: 103,
    clockRate: 90000,
    parameters: { 'profile-id': 0 },
  },
  h264('42e01f', 105),
  h264('42001f', 107),
  { kind: 'video', mimeType: 'video/AV1', preferredPayloadType: 109, clockRate: 90000 },
];

function h264(profileLevelId: string, preferredPayloadType: number): RouterRtpCodecCapability {
  return {
    kind: 'video',
    mimeType: 'video/H264',
    preferredPayloadType,
    clockRate: 90000,
    parameters: {
      'packetization-mode': 1,
      'profile-level-id': profileLevelId,
      'level-asymmetry-allowed': 1,
    },
  };
}

/**
 * With this extension some browsers send unrotated video plus its orientation, which other browsers and recorders
 * ignore.
 */
const VIDEO_ORIENTATION = 'urn:3gpp:video-orientation';

/** The RTP capabilities of a conference for clients. */
export function clientCapabilities(capabilities: MediasoupRtpCapabilities): RtpCapabilities {
  return rtpCapabilitiesSchema.parse({
    ...capabilities,
    headerExtensions: capabilities.headerExtensions?.filter(({ uri }) => uri !== VIDEO_ORIENTATION),
  });
}

const knownUris: ReadonlySet<string> = new Set(getSupportedRtpCapabilities().headerExtensions?.map(({ uri }) => uri));

function isKnownUri(uri: string): uri is RtpHeaderExtensionUri {
  return knownUris.has(uri);
}

/** Parsed RTP parameters for mediasoup, without unknown header extensions. */
export function toMediasoup(parameters: RtpParameters): MediasoupRtpParameters {
  const { headerExtensions, ...others } = parameters;
  return {
    ...others,
    headerExtensions: headerExtensions?.flatMap((extension) =>
      isKnownUri(extension.uri) ? [{ ...extension, uri: extension.uri }] : [],
    ),
  };
}

/** Parsed RTP capabilities for mediasoup, without unknown header extensions. */
export function capabilitiesToMediasoup(capabilities: RtpCapabilities): MediasoupRtpCapabilities {
  const { codecs, headerExtensions } = capabilities;
  return {
    codecs: codecs?.map((codec) => ({ ...codec, preferredPayloadType: codec.preferredPayloadType ?? 0 })),
    headerExtensions: headerExtensions?.flatMap((extension) =>
      isKnownUri(extension.uri) ? [{ ...extension, uri: extension.uri }] : [],
    ),
  };
}

/** RTP parameters made by mediasoup. */
export function fromMediasoup(parameters: MediasoupRtpParameters): RtpParameters {
  return rtpParametersSchema.parse(parameters);
}
