/** The session WebSocket of clients, most of them inside a conference. */
import type { Method, Params } from '../../../../protocol/session.ts';
import { SESSION_VERSION } from '../../../../protocol/session.ts';
import { at, clientOf } from '../../../support/homeservers.ts';
import { CAMERA, MICROPHONE } from '../../../sfu/support.ts';
import type { Answered, Face } from '../face.ts';
import { frameInput, Line } from '../frames.ts';
import type { FrameInput } from '../frames.ts';
import { RawJson } from '../mutate.ts';
import { named } from '../route-inputs.ts';
import type { Target } from '../target-process.ts';
import { World } from '../world.ts';

const LINES = 10;
const FINGERPRINT = Array.from({ length: 32 }, () => 'AB').join(':');
const CAPABILITIES = new RawJson('{{capabilities}}') as unknown as Params<'media.watch'>['rtpCapabilities'];

/** Good parameters of every request there is. */
const GOOD: { readonly [M in Method]: Params<M> } = {
  hello: { version: SESSION_VERSION, accessToken: '{{access}}', resume: { sessionId: '{{session}}', lastSeq: 0 } },
  ping: {},
  'conference.join': {
    roomId: '{{room}}',
    keepMedia: { send: '{{send}}', receive: '{{receive}}', consumers: ['{{consumer}}'] },
  },
  'conference.leave': {},
  'conference.wait': { roomId: '{{room}}' },
  'conference.stop-waiting': {},
  'alone.stay': {},
  'media.open': {},
  'media.connect': {
    transportId: '{{send}}',
    dtlsParameters: { role: 'client', fingerprints: [{ algorithm: 'sha-256', value: FINGERPRINT }] },
  },
  'media.restart-ice': { transportId: '{{send}}' },
  'media.publish': { transportId: '{{send}}', source: 'camera', rtpParameters: CAMERA, paused: false },
  'media.pause': { source: 'camera' },
  'media.resume': { source: 'camera' },
  'media.unpublish': { source: 'microphone' },
  'media.watch': {
    transportId: '{{receive}}',
    rtpCapabilities: CAPABILITIES,
    watch: [{ participantId: '{{participant}}', source: 'camera', width: 640, height: 360, priority: 3 }],
  },
  'media.ready': { consumerIds: ['{{consumer}}'] },
  'chat.send': { roomId: '{{room}}', transactionId: '{{txn}}', body: 'hello' },
  'chat.history': { roomId: '{{room}}', before: '{{token}}', limit: 10 },
  'hands.raise': {},
  'hands.lower': { participantId: '{{participant}}' },
  'hands.lower-all': {},
  'hands.switch': { enabled: true },
  'reactions.send': { reaction: 'clap' },
  'reactions.switch': { enabled: true },
  'rules.set': { rule: 'microphone', value: { restricted: false, allow: ['{{user}}'] } },
  'moderation.mute': { participantIds: ['{{participant}}'] },
  'moderation.camera-off': { participantIds: ['{{participant}}'] },
  'moderation.stop-share': { participantIds: ['{{participant}}'] },
  'moderation.ask-unmute': { participantIds: ['{{participant}}'] },
  'moderation.lower-hands': { participantIds: ['{{participant}}'] },
  'moderation.send-to-waiting': { participantIds: ['{{participant}}'] },
  'moderation.remove': { participantIds: ['{{participant}}'] },
  'moderation.ban': { participantIds: ['{{participant}}'] },
  'moderation.rename': { participantId: '{{participant}}', displayName: 'Gast' },
  'moderation.end': { for: 'guests' },
  'roles.set': { userId: '{{user}}', role: 'participant' },
  'waiting.admit': { userIds: ['{{user}}'] },
  'waiting.admit-all': {},
  'waiting.refuse': { userIds: ['{{user}}'] },
  'organisations.shut-out': { serverName: 'kiel.example' },
  'organisations.let-in': { serverName: 'kiel.example' },
  'organisations.list-shut-out': {},
};
/** The same, so that sound and picture are both there. */
const SOUND = { transportId: '{{send}}', source: 'microphone', rtpParameters: MICROPHONE, paused: true };

export async function sessionFace(target: Target): Promise<Face<FrameInput>> {
  const world = new World(target);
  const { url } = target.homeserver;
  const { ask } = clientOf(url);
  let transactions = 0;
  const lines: { line: Line; names: Map<string, string> }[] = [];
  const tokenOf = new Map<number, string>();

  const logIn = async (): Promise<void> => {
    await world.people(['user', 'other']);
    for (let index = 0; index < LINES; index += 1) {
      const { userId } = world.person(index % 2 === 0 ? 'user' : 'other');
      const answer = await ask('POST', 'client/v3/login', {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: userId },
        password: 'a long enough password',
        device_id: `DEVICE${String(index)}`,
      });
      tokenOf.set(index, String(at(answer.body, 'access_token')));
    }
  };
  const enter = async (): Promise<void> => {
    for (const { line, names } of lines) {
      for (const [name, value] of world.names) names.set(name, value);
      await line.request('conference.join', { roomId: names.get('room') }).catch(() => undefined);
      const sound = named(JSON.stringify(SOUND), names);
      await line.request('media.publish', JSON.parse(sound)).catch(() => undefined);
    }
  };

  await logIn();
  await world.room(['user', 'other']);
  for (let index = 0; index < LINES; index += 1) {
    const names = new Map<string, string>([['capabilities', '{}']]);
    const greeting = (): object => ({
      method: 'hello',
      params: { version: SESSION_VERSION, accessToken: tokenOf.get(index) },
    });
    const line = new Line(`${url.replace(/^http/, 'ws')}/_hansetag/client/v1/session`, {}, greeting);
    line.onFrame = (frame) => learn(names, frame);
    lines.push({ line, names });
  }
  await enter();

  return {
    make: (random) => frameInput(random, GOOD, LINES),
    send: async (input): Promise<Answered> => {
      const { line, names } = lines[input.connection] ?? {};
      if (!line || !names) return { kind: 'no connection' };
      names.set('txn', String((transactions += 1)));
      names.set('access', tokenOf.get(input.connection) ?? '');
      return line.send(input, names);
    },
    mend: async () => {
      await world.people(['user', 'other']);
      await enter();
    },
    close: () => {
      for (const { line } of lines) line.close();
      return Promise.resolve();
    },
  };
}

/** What later inputs name. */
function learn(names: Map<string, string>, frame: unknown): void {
  const places: readonly (readonly [string, unknown])[] = [
    ['session', at(frame, 'result', 'sessionId')],
    ['send', at(frame, 'result', 'media', 'send', 'id') ?? at(frame, 'result', 'send', 'id')],
    ['receive', at(frame, 'result', 'media', 'receive', 'id') ?? at(frame, 'result', 'receive', 'id')],
    ['participant', at(frame, 'result', 'participants', 0, 'participantId')],
    ['consumer', at(frame, 'data', 'consumerId')],
    ['token', at(frame, 'result', 'next')],
  ];
  for (const [name, value] of places) if (typeof value === 'string') names.set(name, value);
  const capabilities = at(frame, 'result', 'media', 'rtpCapabilities');
  if (capabilities !== undefined) names.set('capabilities', JSON.stringify(capabilities));
}
