/** The watch over a link, on a clock of the spec: its transport and its probes are the spec's, and answer when it says so. */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { PipeTransport, Producer } from 'mediasoup/types';
import type { HeldProducer } from '../../sfu/host.ts';
import { Link, type LinkHost } from '../../sfu/link.ts';
import type { Asking } from '../../sfu/prober.ts';
import { ProbeWindow } from '../../sfu/probe-window.ts';
import type { SfuNotificationData, SfuParams } from '../../sfu/protocol.ts';
import { MICROPHONE } from './support.ts';

const KEY = randomBytes(44).toString('base64');
const TARGET: SfuParams<'link.connect'> = {
  linkId: 'link-1',
  address: '192.0.2.1',
  port: 40_000,
  probePort: 40_001,
  srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: KEY },
  probeKey: randomBytes(32).toString('base64'),
};

/** One of our sources, as it goes over the link. */
class SentConsumer extends EventEmitter {
  readonly kind = 'audio';
  readonly rtpParameters = MICROPHONE;
  readonly producerPaused = false;
  closed = false;
  paused = false;
  /** What a pause waits for. */
  pausing = Promise.resolve();

  async pause(): Promise<void> {
    await this.pausing;
    this.paused = true;
  }

  async resume(): Promise<void> {
    this.paused = false;
  }

  close(): void {
    this.closed = true;
  }
}

/** Our half of the pipe. */
class Pipe extends EventEmitter {
  readonly tuple = { localPort: 40_500 };
  readonly srtpParameters = { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: KEY };
  readonly connected: unknown[] = [];
  readonly sent: SentConsumer[] = [];
  connecting: Promise<void> = Promise.resolve();
  bytesReceived = 0;
  closed = false;

  async connect(to: unknown): Promise<void> {
    this.connected.push(to);
    await this.connecting;
  }

  async consume(): Promise<SentConsumer> {
    const consumer = new SentConsumer();
    this.sent.push(consumer);
    return consumer;
  }

  async getStats(): Promise<object[]> {
    return [{ bytesSent: 0, bytesReceived: this.bytesReceived }];
  }

  close(): void {
    this.closed = true;
  }
}

describe('the watch over a link', () => {
  let link: Link;
  let pipe: Pipe;
  let now: number;
  let told: SfuNotificationData<'link.state'>[];
  let producers: Map<string, HeldProducer>;
  let window: ProbeWindow;
  let questions: number;
  /** Whether the peer answers, at once. */
  let answers: boolean;
  let probed: string[];
  let proven: Promise<boolean>;
  let conference: { ended: boolean };

  beforeEach(async () => {
    jasmine.clock().install();
    now = 1000;
    spyOn(performance, 'now').and.callFake(() => now);
    pipe = new Pipe();
    told = [];
    producers = new Map();
    window = new ProbeWindow();
    questions = 0;
    answers = true;
    probed = [];
    proven = Promise.resolve(true);
    const asking = {
      window,
      ask: () => {
        questions += 1;
        window.asked(String(questions), now);
        if (answers) window.answered(String(questions), now);
      },
      proven: async () => {
        const proof = await proven;
        if (proof) asking.ask();
        return proof;
      },
    };
    const host = {
      id: '!room:luebeck.example',
      ended: false,
      links: new Map<string, Link>(),
      producers,
      producer: (id: string) => producers.get(id),
      router: { createPipeTransport: async () => pipe as unknown as PipeTransport },
      context: {
        config: { listenIp: '127.0.0.1', linkPorts: { min: 40_000, max: 40_999 } },
        prober: {
          add: (id: string) => probed.push(`add ${id}`),
          remove: (id: string) => probed.push(`remove ${id}`),
          asking: (_id: string, { ip, port }: { ip: string; port: number }) => {
            probed.push(`ask ${ip}:${String(port)}`);
            return asking as unknown as Asking;
          },
        },
        notify: (_name: string, data: SfuNotificationData<'link.state'>) => told.push(data),
      },
    };
    conference = host;
    link = await Link.open(host as unknown as LinkHost, {
      conferenceId: host.id,
      linkId: 'link-1',
      peer: 'hamburg.example',
    });
  });
  afterEach(() => {
    link.close();
    jasmine.clock().uninstall();
  });

  /** Everything that was begun comes to its end, without timers. */
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  async function seconds(count: number): Promise<void> {
    for (let second = 0; second < count; second += 1) {
      now += 1000;
      jasmine.clock().tick(1000);
      await settled();
    }
  }

  const states = () => told.map(({ state }) => state);
  /** A source of ours, or one that the peer sends. */
  function source(id: string, linkId?: string, paused = false): void {
    producers.set(id, { participantId: 'p', source: 'microphone', linkId, producer: { paused } as Producer });
  }

  it('answers probes from the beginning, and asks none before the link is connected', async () => {
    expect(probed).toEqual(['add link-1']);
    await seconds(5);
    expect(questions).toBe(0);
    expect(told).toEqual([]);
  });

  it('has the address proven before the pipe is connected to it', async () => {
    let prove: (proof: boolean) => void = () => undefined;
    proven = new Promise((resolve) => (prove = resolve));
    const connecting = link.connect(TARGET);
    await settled();
    expect(probed).toEqual(['add link-1', 'ask 192.0.2.1:40001']);
    expect(pipe.connected).toEqual([]);
    prove(true);
    await connecting;
    expect(pipe.connected).toEqual([{ ip: '192.0.2.1', port: 40_000, srtpParameters: TARGET.srtp }]);
    expect(link.connected).toBeTrue();
    expect(states()).toEqual(['connecting', 'connected']);
  });

  it('does not connect the pipe without a proof, and lets it be tried again', async () => {
    proven = Promise.resolve(false);
    await expectAsync(link.connect(TARGET)).toBeRejectedWith(jasmine.objectContaining({ code: 'not-found' }));
    expect(pipe.connected).toEqual([]);
    expect(link.connected).toBeFalse();
    proven = Promise.resolve(true);
    await link.connect(TARGET);
    expect(link.connected).toBeTrue();
  });

  it('lets it be tried again when the pipe refuses, and watches nothing meanwhile', async () => {
    pipe.connecting = Promise.reject(new Error('wrong key'));
    await expectAsync(link.connect(TARGET)).toBeRejectedWithError('wrong key');
    const before = questions;
    await seconds(3);
    expect(questions).toBe(before);
    pipe.connecting = Promise.resolve();
    await link.connect(TARGET);
    expect(states().at(-1)).toBe('connected');
  });

  it('is there once', async () => {
    const first = link.connect(TARGET);
    await expectAsync(link.connect(TARGET)).toBeRejectedWith(jasmine.objectContaining({ code: 'conflict' }));
    await first;
    await expectAsync(link.connect(TARGET)).toBeRejectedWith(jasmine.objectContaining({ code: 'conflict' }));
    await seconds(1);
    expect(questions).withContext('the proof, and one in the second').toBe(2);
  });

  it('tells nothing of a link that is closed while the name of its peer is looked up', async () => {
    const connecting = link.connect({ ...TARGET, address: 'localhost' });
    link.close();
    await expectAsync(connecting).toBeRejectedWith(jasmine.objectContaining({ code: 'not-found' }));
    expect(told).toEqual([]);
    expect(probed).toEqual(['add link-1', 'remove link-1']);
  });

  it('does not connect the pipe of a link that is closed while its address is proven', async () => {
    let prove: (proof: boolean) => void = () => undefined;
    proven = new Promise((resolve) => (prove = resolve));
    const connecting = link.connect(TARGET);
    await settled();
    link.close();
    prove(true);
    await expectAsync(connecting).toBeRejectedWith(jasmine.objectContaining({ code: 'not-found' }));
    expect(pipe.connected).toEqual([]);
  });

  it('tells how the link is every five seconds while that stays the same', async () => {
    await link.connect(TARGET);
    await seconds(4);
    expect(told.length).toBe(2);
    await seconds(6);
    expect(states()).toEqual(['connecting', 'connected', 'connected', 'connected']);
    expect(told.at(-1)).toEqual({
      linkId: 'link-1',
      conferenceId: '!room:luebeck.example',
      peer: 'hamburg.example',
      state: 'connected',
      roundTripMs: 0,
      loss: 0,
    });
  });

  it('tells an interruption at once, and its end', async () => {
    await link.connect(TARGET);
    answers = false;
    await seconds(3);
    expect(states()).toEqual(['connecting', 'connected', 'interrupted']);
    answers = true;
    await seconds(1);
    expect(states().at(-1)).not.toBe('interrupted');
  });

  it('takes media that comes for a sign of life', async () => {
    await link.connect(TARGET);
    answers = false;
    for (let second = 0; second < 5; second += 1) {
      pipe.bytesReceived += 100;
      await seconds(1);
    }
    expect(states()).not.toContain('interrupted');
    expect(states()).toContain('weak');
  });

  it('misses media of the peer after five seconds, and not that of a source that is paused', async () => {
    await link.connect(TARGET);
    source('paused', 'link-1', true);
    source('ours');
    source('of another link', 'link-2');
    await seconds(8);
    expect(states()).not.toContain('weak');
    source('theirs', 'link-1');
    await seconds(7);
    expect(states().at(-1)).toBe('weak');
    expect(link.receiving).toBe(2);
  });

  it('stops what is sent after ten seconds without an answer, refuses more, and goes on with the next answer', async () => {
    await link.connect(TARGET);
    source('ours');
    source('more');
    await link.send('ours');
    const [consumer] = pipe.sent;
    answers = false;
    await seconds(9);
    expect(consumer?.paused).toBeFalse();
    await seconds(1);
    expect(consumer?.paused).toBeTrue();
    await expectAsync(link.send('more')).toBeRejectedWith(jasmine.objectContaining({ code: 'conflict' }));
    answers = true;
    await seconds(1);
    expect(consumer?.paused).toBeFalse();
    await link.send('more');
    expect(link.sending).toEqual(['ours', 'more']);
  });

  it('leaves nothing stopped when the answer comes while it still stops what is sent', async () => {
    await link.connect(TARGET);
    source('first');
    source('second');
    await link.send('first');
    await link.send('second');
    const [first, second] = pipe.sent;
    let paused = (): void => undefined;
    if (first) first.pausing = new Promise((resolve) => (paused = resolve));
    answers = false;
    await seconds(10);
    answers = true;
    await seconds(1);
    paused();
    await settled();
    expect(second?.paused).toBeFalse();
  });

  it('forgets what has ended by itself', async () => {
    source('ours');
    await link.send('ours');
    pipe.sent[0]?.emit('producerclose');
    expect(link.sending).toEqual([]);
  });

  it('ends with the link, once', async () => {
    await link.connect(TARGET);
    link.close();
    link.close();
    expect(probed.filter((what) => what === 'remove link-1').length).toBe(1);
    expect(pipe.closed).toBeTrue();
    expect(link.connected).toBeFalse();
    const before = [questions, told.length];
    await seconds(10);
    expect([questions, told.length]).toEqual(before);
  });

  it('tells nothing of a conference that has ended', async () => {
    await link.connect(TARGET);
    const before = told.length;
    conference.ended = true;
    await seconds(10);
    expect(told.length).toBe(before);
  });
});
