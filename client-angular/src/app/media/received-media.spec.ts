import { type Incoming, mediaKey, ReceivedMedia, type RemoteMedia } from './received-media.ts';
import type { Source } from '../../../../protocol/media.ts';

const BERT = '@bert:luebeck.example|DEVICE';

class FakeConsumer implements Incoming {
  readonly id: string;
  closed = false;
  framesDecoded = 0;
  packetsReceived = 0;

  constructor(id: string) {
    this.id = id;
  }

  close(): void {
    this.closed = true;
  }

  getStats(): Promise<RTCStatsReport> {
    const { framesDecoded, packetsReceived } = this;
    const entry = { type: 'inbound-rtp', framesDecoded, packetsReceived };
    return Promise.resolve(new Map([['in', entry]]) as unknown as RTCStatsReport);
  }
}

describe('What is received', () => {
  let received: ReceivedMedia;
  let told: ReadonlyMap<string, RemoteMedia>;

  beforeEach(() => {
    told = new Map();
    received = new ReceivedMedia((media) => (told = media));
  });

  const media = (consumerId: string, source: Source): RemoteMedia => ({
    consumerId,
    participantId: BERT,
    source,
    track: {} as MediaStreamTrack,
    weak: false,
  });
  const shown = (source: Source): string | undefined => told.get(mediaKey(BERT, source))?.consumerId;
  /** Longer than the time between two looks at what a consumer brings. */
  const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));

  it('goes on with the earlier picture until the new one has been decoded', async () => {
    const [old, next] = [new FakeConsumer('old'), new FakeConsumer('next')];
    await received.add(old, media('old', 'camera'));
    const changed = received.add(next, media('next', 'camera'));
    await moment();
    expect(shown('camera')).toBe('old');
    expect(old.closed).toBeFalse();
    next.framesDecoded = 1;
    await changed;
    expect(shown('camera')).toBe('next');
    expect(old.closed).toBeTrue();
  });

  it('has one sound for each source at every moment', async () => {
    const [old, next] = [new FakeConsumer('old'), new FakeConsumer('next')];
    await received.add(old, media('old', 'microphone'));
    const changed = received.add(next, media('next', 'microphone'));
    next.packetsReceived = 4;
    await moment();
    expect(shown('microphone')).toBe('old');
    next.packetsReceived = 5;
    await changed;
    expect([...told.values()].map(({ consumerId }) => consumerId)).toEqual(['next']);
    expect(old.closed).toBeTrue();
  });

  it('keeps the last picture when the server ends the earlier one first', async () => {
    const next = new FakeConsumer('next');
    await received.add(new FakeConsumer('old'), media('old', 'camera'));
    const changed = received.add(next, media('next', 'camera'));
    expect(received.remove('old')).toBeTrue();
    expect(shown('camera')).toBe('old');
    next.framesDecoded = 1;
    await changed;
    expect(shown('camera')).toBe('next');
  });

  it('ends when both have been ended', async () => {
    await received.add(new FakeConsumer('old'), media('old', 'camera'));
    const changed = received.add(new FakeConsumer('next'), media('next', 'camera'));
    received.remove('old');
    received.remove('next');
    await changed;
    expect(shown('camera')).toBeUndefined();
    expect(received.consumerIds).toEqual([]);
  });

  it('stays with the earlier one when the new one is taken back', async () => {
    await received.add(new FakeConsumer('old'), media('old', 'camera'));
    const changed = received.add(new FakeConsumer('next'), media('next', 'camera'));
    received.remove('next');
    await changed;
    expect(shown('camera')).toBe('old');
  });

  it('shows the newest when a third comes before the second has brought anything', async () => {
    const [second, third] = [new FakeConsumer('second'), new FakeConsumer('third')];
    await received.add(new FakeConsumer('first'), media('first', 'camera'));
    const passedOver = received.add(second, media('second', 'camera'));
    const changed = received.add(third, media('third', 'camera'));
    await passedOver;
    expect(second.closed).toBeTrue();
    third.framesDecoded = 1;
    await changed;
    expect(shown('camera')).toBe('third');
  });

  it('does not know what it never got', () => {
    expect(received.remove('nothing')).toBeFalse();
  });
});
