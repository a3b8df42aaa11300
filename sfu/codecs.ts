/** What a conference can carry, and RTP parameters between our schemas and mediasoup. */
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
 * Codecs in the order of our preference. Opus and VP8 are what every instance has to know, since a source crosses
 * links unchanged; the payload types are fixed so that the same codec has the same one at both ends of a link.
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

/** With it some browsers send unrotated video with a note, which others and recorders show the wrong way up. */
const VIDEO_ORIENTATION = 'urn:3gpp:video-orientation';

/** What clients are told that a conference can carry. */
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

/** Parsed RTP parameters for mediasoup, without header extensions that it does not know. */
export function toMediasoup(parameters: RtpParameters): MediasoupRtpParameters {
  const { headerExtensions, ...others } = parameters;
  return {
    ...others,
    headerExtensions: headerExtensions?.flatMap((extension) =>
      isKnownUri(extension.uri) ? [{ ...extension, uri: extension.uri }] : [],
    ),
  };
}

/** Parsed capabilities for mediasoup, without header extensions that it does not know. */
export function capabilitiesToMediasoup(capabilities: RtpCapabilities): MediasoupRtpCapabilities {
  const { codecs, headerExtensions } = capabilities;
  return {
    codecs: codecs?.map((codec) => ({ ...codec, preferredPayloadType: codec.preferredPayloadType ?? 0 })),
    headerExtensions: headerExtensions?.flatMap((extension) =>
      isKnownUri(extension.uri) ? [{ ...extension, uri: extension.uri }] : [],
    ),
  };
}

/** RTP parameters that mediasoup made. */
export function fromMediasoup(parameters: MediasoupRtpParameters): RtpParameters {
  return rtpParametersSchema.parse(parameters);
}
