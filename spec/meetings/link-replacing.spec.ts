/**
 * A healthy link is replaced between two real media servers, with media that is counted packet by packet: what somebody at
 * the far end gets has no gap, and no sound twice. Requests between the instances are in this process.
 */
import { pino } from 'pino';
import { systemClock } from '../../homeserver/base/clock.ts';
import { Consumers } from '../../homeserver/meetings/conference/consumers.ts';
import { LocalParticipant, sourceKey } from '../../homeserver/meetings/conference/local-participant.ts';
import type { Notifier } from '../../homeserver/meetings/conference/notification.ts';
import type { NotificationData } from '../../protocol/session.ts';
import { LinkedPair, ROOM } from '../support/fakes/linked-pair.ts';
import { BUILD_TIMEOUT, eventually, Instance, openReceiver, PlainSource, workerBin } from '../sfu/support.ts';
import { RtpEndpoint, type RtpPacket } from '../worker/rtp.ts';

const BERT = '@bert:hamburg.example|DEVICE';
const ANNA = '@anna:luebeck.example|DEVICE';
const VOICE = sourceKey(BERT, 'microphone');
const PICTURE = sourceKey(BERT, 'camera');
/** A packet of each source is sent so often, in ms. */
const EVERY_MS = 20;
/** A camera sends a key frame so often by itself, in packets; a browser would send one when it is asked. */
const KEY_FRAME_EVERY = 20;
const LONGEST_GAP_MS = 200;

describe('A healthy link between two media servers that is replaced', () => {
  let hamburg: Instance;
  let luebeck: Instance;
  let pair: LinkedPair;
  let bert: { voice: PlainSource; picture: PlainSource };
  let anna: LocalParticipant;
  let consumers: Consumers;
  let ear: RtpEndpoint;
  let sending: NodeJS.Timeout;
  const endpoints: RtpEndpoint[] = [];
  const added: NotificationData<'consumer.added'>[] = [];
  const removed: string[] = [];
  let sent = 0;

  beforeAll(async () => {
    await workerBin();
    [hamburg, luebeck] = [await Instance.start('127.0.0.2'), await Instance.start('127.0.0.3')];
    pair = new LinkedPair(systemClock, [hamburg.client, luebeck.client]);
    for (const { client } of [hamburg, luebeck]) await client.request('conference.open', { conferenceId: ROOM });
    const open = async (source: 'microphone' | 'camera'): Promise<PlainSource> =>
      PlainSource.open(hamburg, { conferenceId: ROOM, participantId: BERT, source, endpoint: await endpoint() });
    bert = { voice: await open('microphone'), picture: await open('camera') };
    await listen();
    pair.publish(pair.opens, VOICE, bert.voice.producerId);
    pair.publish(pair.opens, PICTURE, bert.picture.producerId);
    sending = setInterval(() => {
      sent += 1;
      bert.voice.speak(Buffer.alloc(80, sent & 0xff));
      bert.picture.show(sent % KEY_FRAME_EVERY === 1);
    }, EVERY_MS);
    pair.opens.link.ensure();
    pair.waits.link.ensure();
  }, BUILD_TIMEOUT);

  afterAll(async () => {
    clearInterval(sending);
    anna.end();
    pair.close();
    for (const each of endpoints) each.close();
    await hamburg.close();
    await luebeck.close();
  });

  async function endpoint(): Promise<RtpEndpoint> {
    const opened = await RtpEndpoint.open();
    endpoints.push(opened);
    return opened;
  }

  /** Anna receives all of Bert, as the homeserver makes it and a client answers. */
  async function listen(): Promise<void> {
    const { conference } = pair.waits;
    ear = await endpoint();
    const { rtpCapabilities } = await luebeck.client.request('conference.open', { conferenceId: ROOM });
    const notifier: Notifier = {
      notify: (name, data) => {
        if (name === 'consumer.removed') removed.push((data as NotificationData<'consumer.removed'>).consumerId);
        if (name !== 'consumer.added') return;
        const consumer = data as NotificationData<'consumer.added'>;
        added.push(consumer);
        // A client makes its side, and says so.
        consumers.ready(anna, [consumer.consumerId]).catch(fail);
      },
      tell: () => undefined,
      attached: true,
      ended: false,
    };
    anna = new LocalParticipant({
      participantId: ANNA,
      userId: '@anna:luebeck.example',
      deviceId: 'DEVICE',
      guest: false,
      displayName: 'Anna',
      joinedAt: 0,
      state: { kind: 'here', hold: { release: () => undefined }, notifier },
    });
    anna.media.receive = await openReceiver(luebeck, { conferenceId: ROOM, participantId: ANNA, endpoint: ear });
    anna.media.rtpCapabilities = rtpCapabilities;
    anna.wants.set(VOICE, { participantId: BERT, source: 'microphone' });
    anna.wants.set(PICTURE, { participantId: BERT, source: 'camera' });
    consumers = new Consumers({
      sfu: luebeck.client,
      log: pino({ level: 'silent' }),
      producer: (key) => conference.received.get(key),
    });
    luebeck.client.on('consumer.closed', ({ consumerId }) => consumers.closed(anna, consumerId));
    conference.changeOver = async (key) => {
      consumers.reconcile(anna);
      await consumers.changedOver(anna, key);
    };
  }

  const ssrcs = (source: string): number[] =>
    added.filter((each) => each.source === source).map(({ rtpParameters }) => rtpParameters.encodings?.[0]?.ssrc ?? 0);
  const packetsOf = (source: string): RtpPacket[] => {
    const own = new Set(ssrcs(source));
    return ear.received.filter(({ ssrc }) => own.has(ssrc));
  };
  /** The number of a packet when it was sent, of which one byte is left. */
  const numberOf = (source: string, { payload }: RtpPacket): number =>
    payload[source === 'camera' ? payload.length - 1 : 0] ?? 0;

  async function replace(): Promise<void> {
    const before = pair.opens.link.linkId;
    const links = (): (string | undefined)[] => [pair.opens.link.linkId, pair.waits.link.linkId];
    pair.opens.link.reopen();
    await eventually(() => links().every((linkId) => linkId !== undefined && linkId !== before), 'another link');
    await eventually(
      () => [hamburg, luebeck].every(({ running }) => running.sfu.conference(ROOM).links.size === 1),
      'one link',
    );
  }

  it('brings every picture and every sound, and no sound over both', async () => {
    await eventually(() => packetsOf('camera').length > 30 && packetsOf('microphone').length > 30, 'media');
    for (let n = 0; n < 3; n += 1) {
      // Not too often.
      await new Promise((resolve) => setTimeout(resolve, 1_200));
      ear.received.length = 0;
      await replace();
      const [voices, pictures] = [ssrcs('microphone'), ssrcs('camera')];
      expect(voices.length).toBe(n + 2);
      expect(pictures.length).toBe(n + 2);
      const newest = voices.at(-1) ?? 0;
      await eventually(() => ear.received.filter(({ ssrc }) => ssrc === newest).length > 20, 'sound over the new link');
      await eventually(() => ear.received.some(({ ssrc }) => ssrc === pictures.at(-1)), 'a picture over the new link');
      const order = packetsOf('microphone').map(({ ssrc }) => ssrc);
      expect(order.lastIndexOf(voices.at(-2) ?? 0)).toBeLessThan(order.indexOf(newest));
      for (const source of ['microphone', 'camera']) {
        const gap = longestGap(packetsOf(source).map((packet) => numberOf(source, packet)));
        expect(gap * EVERY_MS)
          .withContext(source)
          .toBeLessThanOrEqual(LONGEST_GAP_MS);
      }
      // All earlier consumers have been ended.
      await eventually(() => removed.length === 2 * (n + 1), 'the end of earlier consumers');
    }
  }, 60_000);
});

/** How many numbers are missing at once at most, in a row that counts up to 255 and over. Some may come twice. */
function longestGap(numbers: readonly number[]): number {
  let longest = 0;
  let [newest] = numbers;
  for (const number of numbers) {
    const ahead = (number - (newest ?? number) + 256) % 256;
    // What is behind was sent over the other link as well.
    if (ahead >= 128) continue;
    longest = Math.max(longest, ahead - 1);
    newest = number;
  }
  return longest;
}
