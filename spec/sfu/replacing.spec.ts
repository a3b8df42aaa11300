/** One consumer takes the place of another: the same source, received anew, to somebody who watches and hears it already. */
import { RtpEndpoint } from '../worker/rtp.ts';
import type { Source } from '../../protocol/media.ts';
import { BUILD_TIMEOUT, Instance, PlainSource, eventually, openReceiver, workerBin } from './support.ts';

const CONFERENCE = '!replacing:luebeck.example';
const BERT = '@bert:luebeck.example/device';
const ANNA = '@anna:luebeck.example/device';

describe('a consumer in the place of another one', () => {
  let instance: Instance;
  let receiver: RtpEndpoint;
  let receiveId: string;
  const endpoints: RtpEndpoint[] = [];

  beforeAll(async () => {
    await workerBin();
    instance = await Instance.start('127.0.0.2');
  }, BUILD_TIMEOUT);
  afterAll(() => instance.close());

  beforeEach(async () => {
    await instance.client.request('conference.open', { conferenceId: CONFERENCE });
    receiver = await endpoint();
    receiveId = await openReceiver(instance, { conferenceId: CONFERENCE, participantId: ANNA, endpoint: receiver });
  });
  afterEach(async () => {
    await instance.client.request('conference.close', { conferenceId: CONFERENCE });
    for (const each of endpoints.splice(0)) each.close();
  });

  async function endpoint(): Promise<RtpEndpoint> {
    const opened = await RtpEndpoint.open();
    endpoints.push(opened);
    return opened;
  }

  const publish = async (source: Source): Promise<PlainSource> =>
    PlainSource.open(instance, { conferenceId: CONFERENCE, participantId: BERT, source, endpoint: await endpoint() });

  async function consume({ producerId }: PlainSource): Promise<{ consumerId: string; ssrc: number }> {
    const { rtpCapabilities } = await instance.client.request('conference.open', { conferenceId: CONFERENCE });
    const made = await instance.client.request('consumer.create', {
      transportId: receiveId,
      producerId,
      rtpCapabilities,
    });
    return { consumerId: made.consumerId, ssrc: made.rtpParameters.encodings?.[0]?.ssrc ?? 0 };
  }

  const received = (ssrc: number): number => receiver.received.filter((packet) => packet.ssrc === ssrc).length;
  const consumers = (): string[] =>
    instance.running.sfu
      .conference(CONFERENCE)
      .snapshot()
      .consumers.map(({ consumerId }) => consumerId);

  it('is told when the first media of a producer has come, and not before', async () => {
    const source = await publish('microphone');
    const { producerId } = source;
    const ask = (withinMs: number) => instance.client.request('producer.flowing', { producerId, withinMs });
    expect(await ask(0)).toEqual({ flowing: false });
    const asked = ask(5_000);
    source.speak(Buffer.alloc(80));
    expect(await asked).toEqual({ flowing: true });
    expect(await ask(0)).toEqual({ flowing: true });
  });

  it('never lets sound through over both', async () => {
    const [before, after] = [await publish('microphone'), await publish('microphone')];
    const [old, next] = [await consume(before), await consume(after)];
    await instance.client.request('consumer.resume', { consumerId: old.consumerId });
    const talking = setInterval(() => {
      before.speak(Buffer.alloc(80, 1));
      after.speak(Buffer.alloc(80, 2));
    }, 5);
    try {
      await eventually(() => received(old.ssrc) > 3);
      expect(received(next.ssrc)).toBe(0);
      await instance.client.request('consumer.replace', { consumerId: next.consumerId, oldConsumerId: old.consumerId });
      await eventually(() => received(next.ssrc) > 10);
    } finally {
      clearInterval(talking);
    }
    const order = receiver.received.map(({ ssrc }) => ssrc);
    expect(order.lastIndexOf(old.ssrc)).toBeLessThan(order.indexOf(next.ssrc));
    expect(consumers()).toEqual([next.consumerId]);
  });

  it('lets the old picture through until the first key frame of the new one', async () => {
    const [before, after] = [await publish('camera'), await publish('camera')];
    const [old, next] = [await consume(before), await consume(after)];
    let keyFrames = false;
    let frames = 0;
    const showing = setInterval(() => {
      frames += 1;
      before.show(frames % 10 === 1);
      after.show(keyFrames);
    }, 10);
    try {
      await instance.client.request('consumer.resume', { consumerId: old.consumerId });
      await eventually(() => received(old.ssrc) > 3);
      const replaced = instance.client.request('consumer.replace', {
        consumerId: next.consumerId,
        oldConsumerId: old.consumerId,
      });
      const soFar = received(old.ssrc);
      await eventually(() => received(old.ssrc) > soFar + 20);
      expect(received(next.ssrc)).toBe(0);
      expect(consumers().length).toBe(2);
      keyFrames = true;
      await replaced;
      await eventually(() => received(next.ssrc) > 3);
    } finally {
      clearInterval(showing);
    }
    expect(consumers()).toEqual([next.consumerId]);
  });

  it('waits for no picture of a source that is paused', async () => {
    const [before, after] = [await publish('camera'), await publish('camera')];
    const [old, next] = [await consume(before), await consume(after)];
    await instance.client.request('producer.pause', { producerId: after.producerId });
    await instance.client.request('consumer.replace', { consumerId: next.consumerId, oldConsumerId: old.consumerId });
    expect(consumers()).toEqual([next.consumerId]);
  });

  it('begins also where the old one has ended already', async () => {
    const source = await publish('microphone');
    const next = await consume(source);
    await instance.client.request('consumer.replace', { consumerId: next.consumerId, oldConsumerId: 'gone' });
    source.speak(Buffer.alloc(80));
    await receiver.receive(1);
  });
});
