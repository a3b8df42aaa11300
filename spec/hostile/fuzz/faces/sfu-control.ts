/** The control socket of the SFU, as a homeserver that has gone mad uses it, and somebody without its secret. */
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import type { SfuMethod, SfuParams } from '../../../../sfu/protocol.ts';
import { SFU_PROTOCOL_VERSION } from '../../../../sfu/protocol.ts';
import { at } from '../../../support/homeservers.ts';
import { CAMERA, SECRET } from '../../../sfu/support.ts';
import type { Answered, Face } from '../face.ts';
import { frameInput, Line } from '../frames.ts';
import type { FrameInput } from '../frames.ts';
import { mutateText, RawJson } from '../mutate.ts';
import type { Target } from '../target-process.ts';

interface ControlInput {
  readonly frame?: FrameInput;
  /** Sent to the socket without the secret. */
  readonly stranger?: string;
}

const ROOM = '!room:localhost';
const FINGERPRINT = Array.from({ length: 32 }, () => 'AB').join(':');
const CAPABILITIES = new RawJson('{{capabilities}}') as unknown as SfuParams<'consumer.create'>['rtpCapabilities'];
const SRTP = { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: `${'A'.repeat(59)}=` } as const;
const UPGRADE = [
  'GET / HTTP/1.1',
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Authorization: Bearer nonsense',
  '',
  '',
].join('\r\n');

/** Good parameters of every request there is. */
const GOOD: { readonly [M in SfuMethod]: SfuParams<M> } = {
  hello: { version: SFU_PROTOCOL_VERSION },
  'conference.open': { conferenceId: '{{room}}' },
  'conference.close': { conferenceId: '{{other}}' },
  'transport.create': { conferenceId: '{{room}}', participantId: 'somebody', direction: 'send' },
  'transport.connect': {
    transportId: '{{transport}}',
    dtlsParameters: { role: 'client', fingerprints: [{ algorithm: 'sha-256', value: FINGERPRINT }] },
  },
  'transport.restartIce': { transportId: '{{transport}}' },
  'transport.close': { transportId: '{{transport}}' },
  'participant.close': { conferenceId: '{{room}}', participantId: 'nobody' },
  'producer.create': { transportId: '{{transport}}', source: 'camera', rtpParameters: CAMERA, paused: false },
  'producer.pause': { producerId: '{{producer}}' },
  'producer.resume': { producerId: '{{producer}}' },
  'producer.flowing': { producerId: '{{producer}}', withinMs: 0 },
  'producer.close': { producerId: '{{producer}}' },
  'consumer.create': {
    transportId: '{{receive}}',
    producerId: '{{producer}}',
    rtpCapabilities: CAPABILITIES,
    layers: { spatialLayer: 1, temporalLayer: 1 },
    priority: 1,
  },
  'consumer.resume': { consumerId: '{{consumer}}' },
  'consumer.replace': { consumerId: '{{consumer}}', oldConsumerId: '{{consumer}}' },
  'consumer.prefer': { consumerId: '{{consumer}}', layers: { spatialLayer: 0 }, priority: 255 },
  'consumer.close': { consumerId: '{{consumer}}' },
  'link.create': { conferenceId: '{{room}}', linkId: '{{new}}', peer: 'peer.example' },
  'link.connect': {
    linkId: '{{link}}',
    address: '127.0.0.9',
    port: 40_000,
    probePort: 40_001,
    srtp: SRTP,
    probeKey: Buffer.alloc(32).toString('base64'),
  },
  'link.send': { linkId: '{{link}}', producerId: '{{producer}}' },
  'link.unsend': { linkId: '{{link}}', producerId: '{{producer}}' },
  'link.receive': {
    linkId: '{{link}}',
    participantId: 'far',
    source: 'camera',
    remoteId: '{{new}}',
    kind: 'video',
    rtpParameters: CAMERA,
    paused: false,
  },
  'link.close': { linkId: '{{link}}' },
  stats: {},
};

export async function sfuControlFace(target: Target): Promise<Face<ControlInput>> {
  const { control } = target.place;
  const names = new Map<string, string>([
    ['room', ROOM],
    ['other', '!other:localhost'],
    ['capabilities', '{}'],
  ]);
  const line = new Line(`ws+unix:${control}:/`, { headers: { Authorization: `Bearer ${SECRET}` } }, () => ({
    method: 'hello',
    params: GOOD.hello,
  }));
  line.onFrame = (frame) => learn(names, frame);
  /** A conference that has one of each. */
  const mend = async (): Promise<void> => {
    try {
      await line.request('conference.close', { conferenceId: ROOM });
      await line.request('conference.open', { conferenceId: ROOM });
      await line.request('transport.create', { ...GOOD['transport.create'], conferenceId: ROOM });
      names.set('transport', names.get('made') ?? '');
      await line.request('producer.create', { ...GOOD['producer.create'], transportId: names.get('transport') });
      await line.request('transport.create', { conferenceId: ROOM, participantId: 'viewer', direction: 'receive' });
      names.set('receive', names.get('made') ?? '');
      const linkId = randomUUID();
      await line.request('link.create', { conferenceId: ROOM, linkId, peer: 'peer.example' });
      names.set('link', linkId);
    } catch {
      // The next one finds a new connection.
    }
  };
  await mend();
  return {
    make: (random) => {
      if (random.chance(0.03)) return { stranger: random.chance(0.5) ? UPGRADE : mutateText(random, UPGRADE) };
      return { frame: frameInput(random, GOOD, 1) };
    },
    send: async ({ frame, stranger }): Promise<Answered> => {
      if (frame) {
        names.set('new', randomUUID());
        return line.send(frame, names);
      }
      return asStranger(control, stranger ?? '');
    },
    mend,
    close: () => {
      line.close();
      return Promise.resolve();
    },
  };
}

async function asStranger(control: string, text: string): Promise<Answered> {
  const socket = connect(control);
  socket.on('error', () => undefined);
  const answer = await new Promise<string>((resolve) => {
    socket.once('data', (data) => resolve(String(data).slice(9, 12)));
    socket.once('close', () => resolve('closed'));
    socket.write(text, 'latin1', () => setTimeout(() => resolve('silent'), 150));
  });
  socket.destroy();
  return answer === '101' ? { kind: 'let in', fault: 'A stranger was let in.' } : { kind: `stranger: ${answer}` };
}

function learn(names: Map<string, string>, frame: unknown): void {
  const result = at(frame, 'result');
  const places: readonly (readonly [string, unknown])[] = [
    ['made', at(result, 'id')],
    ['producer', at(result, 'producerId')],
    ['consumer', at(result, 'consumerId')],
  ];
  for (const [name, value] of places) if (typeof value === 'string') names.set(name, value);
  const capabilities = at(result, 'rtpCapabilities');
  if (capabilities !== undefined) names.set('capabilities', JSON.stringify(capabilities));
}
