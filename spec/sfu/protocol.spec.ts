import { randomBytes } from 'node:crypto';
import {
  sfuErrorSchema,
  sfuNotifications,
  sfuRequests,
  type SfuMethod,
  type SfuNotificationName,
} from '../../sfu/protocol.ts';
import { CAMERA, MICROPHONE } from './support.ts';

const ROOM = '!room:luebeck.example';
const SRTP = { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: randomBytes(44).toString('base64') };
const FINGERPRINT = { algorithm: 'sha-256', value: Array.from({ length: 32 }, () => 'AB').join(':') };
const letters = (length: number) => 'x'.repeat(length);

/** Good parameters of a request, with bounds that are good and such that are not: of each parameter. */
interface Bounds {
  readonly good: Readonly<Record<string, unknown>>;
  readonly also?: Readonly<Record<string, readonly unknown[]>>;
  readonly bad: Readonly<Record<string, readonly unknown[]>>;
}

const ID = { bad: ['', letters(129), 'a b', 'ä', '../x', 7, null, undefined], also: ['x', letters(128), 'a:b_c.d-e'] };
const CONFERENCE_ID = { bad: ['', '!', letters(256), 7, null, undefined], also: ['!x', letters(255)] };
const PARTICIPANT = { bad: ['', letters(513), {}, undefined], also: ['x', letters(512)] };
const PORT = { bad: [0, 65536, -1, 4000.5, '4000', undefined], also: [1, 65535] };

const REQUESTS: Partial<Record<SfuMethod, Bounds>> = {
  hello: { good: { version: 1 }, also: { version: [2, -1] }, bad: { version: [1.5, '1', null, undefined] } },
  'conference.open': {
    good: { conferenceId: ROOM },
    also: { conferenceId: CONFERENCE_ID.also },
    bad: { conferenceId: CONFERENCE_ID.bad },
  },
  'transport.create': {
    good: { conferenceId: ROOM, participantId: 'anna', direction: 'send' },
    also: { participantId: PARTICIPANT.also, direction: ['receive'] },
    bad: { conferenceId: CONFERENCE_ID.bad, participantId: PARTICIPANT.bad, direction: ['both', '', undefined] },
  },
  'transport.connect': {
    good: { transportId: 't', dtlsParameters: { role: 'client', fingerprints: [FINGERPRINT] } },
    also: { transportId: ID.also, dtlsParameters: [{ fingerprints: Array.from({ length: 8 }, () => FINGERPRINT) }] },
    bad: {
      transportId: ID.bad,
      dtlsParameters: [
        {},
        { fingerprints: [] },
        { fingerprints: Array.from({ length: 9 }, () => FINGERPRINT) },
        { fingerprints: [{ ...FINGERPRINT, algorithm: 'md5' }] },
        { fingerprints: [{ ...FINGERPRINT, value: 'AB' }] },
        { role: 'none', fingerprints: [FINGERPRINT] },
      ],
    },
  },
  'producer.create': {
    good: { transportId: 't', source: 'camera', rtpParameters: CAMERA, paused: false },
    also: { source: ['screen', 'screen-audio', 'microphone'], rtpParameters: [MICROPHONE] },
    bad: {
      source: ['desktop', undefined],
      paused: ['false', 0, undefined],
      rtpParameters: [
        {},
        { ...CAMERA, codecs: [] },
        { ...CAMERA, codecs: Array.from({ length: 17 }, () => CAMERA.codecs[0]) },
        { ...CAMERA, encodings: Array.from({ length: 9 }, (_, ssrc) => ({ ssrc })) },
        { ...CAMERA, encodings: [{ ssrc: 2 ** 32 }] },
        { ...CAMERA, encodings: [{ ssrc: -1 }] },
        { ...CAMERA, encodings: [{ ssrc: 1, scalabilityMode: 'L0T1' }] },
        { ...CAMERA, codecs: [{ mimeType: 'text/plain', payloadType: 96, clockRate: 90000 }] },
        { ...CAMERA, codecs: [{ mimeType: 'video/VP8', payloadType: 128, clockRate: 90000 }] },
      ],
    },
  },
  'producer.flowing': {
    good: { producerId: 'p', withinMs: 0 },
    also: { withinMs: [10_000] },
    bad: { producerId: ID.bad, withinMs: [-1, 10_001, 0.5, '1', undefined] },
  },
  'consumer.create': {
    good: { transportId: 't', producerId: 'p', rtpCapabilities: {} },
    also: { layers: [{ spatialLayer: 0 }, { spatialLayer: 7, temporalLayer: 7 }], priority: [1, 255] },
    bad: {
      layers: [{}, { spatialLayer: 8 }, { spatialLayer: -1 }, { spatialLayer: 0, temporalLayer: 8 }],
      priority: [0, 256, 1.5, '1'],
      rtpCapabilities: [undefined, { codecs: Array.from({ length: 65 }, () => ({})) }, { codecs: [{}] }],
    },
  },
  'consumer.prefer': {
    good: { consumerId: 'c' },
    also: { priority: [1, 255], layers: [{ spatialLayer: 0 }] },
    bad: { consumerId: ID.bad, priority: [0, 256, 1.5], layers: [{ spatialLayer: 8 }, 3] },
  },
  'link.create': {
    good: { conferenceId: ROOM, linkId: 'l', peer: 'hamburg.example' },
    also: { peer: ['', letters(255)] },
    bad: { conferenceId: CONFERENCE_ID.bad, linkId: ID.bad, peer: [letters(256), undefined] },
  },
  'link.connect': {
    good: { linkId: 'l', address: '192.0.2.1', port: 40000, probePort: 40001, srtp: SRTP, probeKey: 'x' },
    also: { address: [letters(255)], port: PORT.also, probePort: PORT.also, probeKey: [letters(64)] },
    bad: {
      address: [letters(256), undefined],
      port: PORT.bad,
      probePort: PORT.bad,
      probeKey: [letters(65), undefined],
      srtp: [
        undefined,
        { ...SRTP, cryptoSuite: 'AES_CM_128_HMAC_SHA1_80' },
        { ...SRTP, keyBase64: randomBytes(43).toString('base64') },
        { ...SRTP, keyBase64: randomBytes(45).toString('base64') },
      ],
    },
  },
  'link.receive': {
    good: {
      linkId: 'l',
      participantId: 'otto',
      source: 'camera',
      remoteId: 'r',
      kind: 'video',
      rtpParameters: CAMERA,
      paused: false,
    },
    also: { participantId: PARTICIPANT.also, remoteId: ID.also },
    bad: {
      participantId: PARTICIPANT.bad,
      remoteId: ID.bad,
      kind: ['text', undefined],
      source: ['desktop'],
      paused: [undefined],
    },
  },
};

const people = (count: number) => Array.from({ length: count }, () => 'anna');

describe('the control protocol of the SFU', () => {
  for (const [method, { good, also = {}, bad }] of Object.entries(REQUESTS)) {
    const { params } = sfuRequests[method as SfuMethod];

    it(`takes good parameters of ${method}, up to their bounds`, () => {
      expect(params.safeParse(good).success).toBeTrue();
      for (const [name, values] of Object.entries(also)) {
        for (const value of values) {
          const { success } = params.safeParse({ ...good, [name]: value });
          expect(success)
            .withContext(JSON.stringify([name, value]))
            .toBeTrue();
        }
      }
    });

    for (const [name, values] of Object.entries(bad)) {
      it(`refuses ${name} of ${method} when it is out of bounds, and names it`, () => {
        for (const value of values) {
          const { error } = params.safeParse({ ...good, [name]: value });
          expect([...new Set(error?.issues.map(({ path }) => path[0]))])
            .withContext(String(JSON.stringify(value)).slice(0, 80))
            .toEqual([name]);
        }
      });
    }
  }

  it('drops parameters that it does not know', () => {
    const { params } = sfuRequests['conference.open'];
    expect(params.parse({ conferenceId: ROOM, other: 1 })).toEqual({ conferenceId: ROOM });
  });

  it('takes an object as parameters and nothing else', () => {
    for (const [method, { params }] of Object.entries(sfuRequests)) {
      for (const value of [null, 'x', 7, []]) {
        expect(params.safeParse(value).success)
          .withContext(`${method} ${JSON.stringify(value)}`)
          .toBeFalse();
      }
    }
  });

  const NOTIFICATIONS: readonly (readonly [SfuNotificationName, object, object])[] = [
    ['speaking', { conferenceId: ROOM, participantIds: people(8) }, { participantIds: [''] }],
    ['speaking', { conferenceId: ROOM, participantIds: [] }, { participantIds: people(9) }],
    ['link.state', { linkId: 'l', conferenceId: ROOM, peer: 'x', state: 'weak', loss: 1 }, { loss: 1.1 }],
    ['link.state', { linkId: 'l', conferenceId: ROOM, peer: 'x', state: 'connected' }, { state: 'closed' }],
    ['transport.state', { transportId: 't', participantId: 'a', state: 'failed' }, { state: 'new' }],
    ['consumer.layers', { consumerId: 'c', transportId: 't', layers: null }, { layers: undefined }],
  ];
  NOTIFICATIONS.forEach(([name, good, bad], index) => {
    it(`has bounds for the notification ${name} (${String(index + 1)})`, () => {
      expect(sfuNotifications[name].safeParse(good).success).toBeTrue();
      expect(sfuNotifications[name].safeParse({ ...good, ...bad }).success).toBeFalse();
    });
  });

  it('has errors of known codes and bounded messages', () => {
    expect(sfuErrorSchema.safeParse({ code: 'exhausted', message: letters(1024) }).success).toBeTrue();
    expect(sfuErrorSchema.safeParse({ code: 'exhausted', message: letters(1025) }).success).toBeFalse();
    expect(sfuErrorSchema.safeParse({ code: 'teapot', message: '' }).success).toBeFalse();
  });
});
