import { ortc } from 'mediasoup';
import {
  ROUTER_CODECS,
  capabilitiesToMediasoup,
  clientCapabilities,
  fromMediasoup,
  toMediasoup,
} from '../../sfu/codecs.ts';
import { CAMERA, MICROPHONE } from './support.ts';

const AUDIO_LEVEL = 'urn:ietf:params:rtp-hdrext:ssrc-audio-level';
const ORIENTATION = 'urn:3gpp:video-orientation';

describe('the codecs of conferences', () => {
  const router = ortc.generateRouterRtpCapabilities(ROUTER_CODECS);

  it('have payload types of their own, which are the same at both ends of a link', () => {
    const types = ROUTER_CODECS.map(({ preferredPayloadType }) => preferredPayloadType);
    expect(types).toEqual([100, 101, 103, 105, 107, 109]);
    const media = router.codecs?.filter(({ mimeType }) => !mimeType.endsWith('/rtx'));
    expect<unknown>(media?.map(({ preferredPayloadType }) => preferredPayloadType)).toEqual(types);
  });

  it('are what every browser has first: Opus, and VP8 before the others', () => {
    expect(ROUTER_CODECS.map(({ mimeType }) => mimeType).slice(0, 2)).toEqual(['audio/opus', 'video/VP8']);
  });

  it('can have packets of each video codec repeated', () => {
    const repeated = router.codecs?.flatMap(({ mimeType, parameters }) =>
      mimeType === 'video/rtx' ? [Number(parameters?.['apt'])] : [],
    );
    expect(repeated).toEqual(
      ROUTER_CODECS.flatMap(({ kind, preferredPayloadType }) => (kind === 'video' ? [preferredPayloadType ?? 0] : [])),
    );
  });

  it('are told to clients without the orientation of video, which the router itself knows', () => {
    const uris = (extensions: readonly { uri: string }[] = []) => extensions.map(({ uri }) => uri);
    expect(uris(router.headerExtensions)).toContain(ORIENTATION);
    const told = clientCapabilities(router);
    expect(uris(told.headerExtensions)).toEqual(uris(router.headerExtensions).filter((uri) => uri !== ORIENTATION));
    expect(told.codecs?.length).toBe(router.codecs?.length);
  });

  it('let a client that has none of our header extensions take part', () => {
    expect(clientCapabilities({ codecs: router.codecs }).headerExtensions).toBeUndefined();
    expect(capabilitiesToMediasoup({ codecs: [] })).toEqual({ codecs: [], headerExtensions: undefined });
    expect(toMediasoup(CAMERA).headerExtensions).toBeUndefined();
  });
});

describe('RTP parameters on their way to mediasoup', () => {
  it('lose header extensions that mediasoup does not know, and keep the others', () => {
    const unknown = { uri: 'urn:example:unknown', id: 2 };
    const { headerExtensions, ...others } = toMediasoup({
      ...MICROPHONE,
      headerExtensions: [{ uri: AUDIO_LEVEL, id: 1 }, unknown, { uri: '__proto__', id: 3 }],
    });
    expect(headerExtensions).toEqual([{ uri: AUDIO_LEVEL, id: 1 }]);
    expect({ ...others, headerExtensions }).toEqual(jasmine.objectContaining({ codecs: MICROPHONE.codecs }));
  });

  it('come back as they went', () => {
    expect(fromMediasoup(toMediasoup(MICROPHONE))).toEqual(MICROPHONE);
  });

  it('are not taken from mediasoup when they are not what the protocol says', () => {
    expect(() => fromMediasoup({ ...toMediasoup(CAMERA), codecs: [] })).toThrowError();
  });
});

describe('capabilities of a client on their way to mediasoup', () => {
  const opus = { kind: 'audio', mimeType: 'audio/opus', clockRate: 48000, channels: 2 } as const;

  it('have a payload type, which a client need not name', () => {
    const types = capabilitiesToMediasoup({ codecs: [opus, { ...opus, preferredPayloadType: 111 }] }).codecs?.map(
      ({ preferredPayloadType }) => preferredPayloadType,
    );
    expect(types).toEqual([0, 111]);
  });

  it('lose header extensions that mediasoup does not know', () => {
    const extension = (uri: string) => ({ kind: 'audio' as const, uri, preferredId: 1 });
    const { headerExtensions } = capabilitiesToMediasoup({
      headerExtensions: [extension('urn:example:unknown'), extension(AUDIO_LEVEL)],
    });
    expect(headerExtensions?.map(({ uri }) => uri as string)).toEqual([AUDIO_LEVEL]);
  });

  it('are enough to receive what they name, and nothing else', () => {
    const capabilities = capabilitiesToMediasoup({ codecs: [opus] });
    ortc.validateAndNormalizeRtpCapabilities(capabilities);
    const codecs = (kind: string) => ROUTER_CODECS.filter((codec) => codec.kind === kind);
    const consumable = (kind: string) => ({
      codecs: codecs(kind)
        .slice(0, 1)
        .map((codec) => ({ ...codec, payloadType: codec.preferredPayloadType ?? 0 })),
      headerExtensions: [],
      encodings: [{ ssrc: 1 }],
      rtcp: {},
    });
    expect(ortc.canConsume(consumable('audio'), capabilities)).toBeTrue();
    expect(ortc.canConsume(consumable('video'), capabilities)).toBeFalse();
  });
});
