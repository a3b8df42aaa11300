/** What clients receive: the halves in the media worker are played by the spec, on a clock of its own. */
import { EventEmitter } from 'node:events';
import type { Consumer } from 'mediasoup/types';
import { consume, prefer, replace, type ConsumerHost, type HeldConsumer } from '../../sfu/consumers.ts';
import { SfuError } from '../../sfu/errors.ts';
import type { SfuParams } from '../../sfu/protocol.ts';
import type { ClientTransport } from '../../sfu/transports.ts';
import { CAMERA } from './support.ts';

/** A consumer that writes down what is done to it. */
class Received extends EventEmitter {
  readonly id: string;
  readonly kind: 'audio' | 'video';
  readonly rtpParameters = CAMERA;
  readonly observer = new EventEmitter();
  producerPaused = false;
  closed = false;
  readonly done: string[];

  constructor(id: string, kind: 'audio' | 'video', done: string[]) {
    super();
    this.id = id;
    this.kind = kind;
    this.done = done;
  }

  async resume(): Promise<void> {
    this.done.push(`resume ${this.id}`);
  }

  async setPriority(priority: number): Promise<void> {
    this.done.push(`priority ${String(priority)}`);
  }

  async setPreferredLayers(layers: object): Promise<void> {
    this.done.push(`layers ${JSON.stringify(layers)}`);
  }

  async enableTraceEvent(types: string[]): Promise<void> {
    this.done.push(`trace ${types.join()}`);
  }

  close(): void {
    this.closed = true;
    this.done.push(`close ${this.id}`);
    this.observer.emit('close');
  }
}

describe('a consumer', () => {
  let done: string[];
  let told: { name: string; data: unknown }[];
  let asked: unknown[];
  let made: Received;
  let host: { ended: boolean; consumers: Map<string, HeldConsumer> };
  let conference: ConsumerHost;
  let transport: { closed: boolean };
  let client: ClientTransport;
  let direction: 'send' | 'receive';
  let kind: 'audio' | 'video';
  let known: boolean;

  beforeEach(() => {
    jasmine.clock().install();
    done = [];
    told = [];
    asked = [];
    direction = 'receive';
    kind = 'video';
    known = true;
    made = new Received('new', 'video', done);
    const parts = {
      ended: false,
      consumers: new Map<string, HeldConsumer>(),
      context: { notify: (name: string, data: unknown) => told.push({ name, data }) },
      router: { canConsume: () => known },
      producer: (id: string) => {
        if (id !== 'p') throw new SfuError('not-found', 'no such producer in the conference');
        return { producer: { kind } };
      },
      closeConsumer: (id: string) => {
        parts.consumers.get(id)?.consumer.close();
        parts.consumers.delete(id);
      },
    };
    const half = {
      closed: false,
      consume: async (options: object) => {
        asked.push(options);
        return made;
      },
    };
    transport = half;
    host = parts;
    conference = parts as unknown as ConsumerHost;
    client = {
      id: 't',
      get direction() {
        return direction;
      },
      transport: half,
    } as unknown as ClientTransport;
  });
  afterEach(() => {
    jasmine.clock().uninstall();
  });

  const make = (wish: Partial<SfuParams<'consumer.create'>> = {}) =>
    consume(conference, client, { transportId: 't', producerId: 'p', rtpCapabilities: { codecs: [] }, ...wish });
  const refused = (promise: Promise<unknown>, code: string) =>
    expectAsync(promise).toBeRejectedWith(jasmine.objectContaining({ code }));
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  describe('that is made', () => {
    it('begins paused, with the layers and the priority that are wished for', async () => {
      const result = await make({ layers: { spatialLayer: 1 }, priority: 7 });
      expect(asked).toEqual([
        jasmine.objectContaining({ producerId: 'p', paused: true, preferredLayers: { spatialLayer: 1 } }),
      ]);
      expect(done).toEqual(['priority 7']);
      expect(result).toEqual({ consumerId: 'new', kind: 'video', rtpParameters: CAMERA, producerPaused: false });
      expect([...host.consumers.keys()]).toEqual(['new']);
    });

    it('has no layers where it is sound', async () => {
      kind = 'audio';
      await make({ layers: { spatialLayer: 1 } });
      expect(asked).toEqual([jasmine.objectContaining({ preferredLayers: undefined })]);
      expect(done).toEqual([]);
    });

    it('needs a transport to receive, a source that is there, and its codec', async () => {
      await refused(make({ producerId: 'none' }), 'not-found');
      known = false;
      await refused(make(), 'unsupported');
      direction = 'send';
      await refused(make(), 'bad-request');
      expect(asked).toEqual([]);
    });

    it('is closed again when its transport, or the conference, has ended meanwhile', async () => {
      const first = make();
      transport.closed = true;
      await refused(first, 'not-found');
      transport.closed = false;
      const second = make();
      host.ended = true;
      await refused(second, 'not-found');
      expect(done).toEqual(['close new', 'close new']);
      expect(host.consumers.size).toBe(0);
    });
  });

  describe('that is there', () => {
    beforeEach(async () => {
      await make();
    });

    it('ends with its source, which is told', () => {
      made.emit('producerclose');
      expect(host.consumers.size).toBe(0);
      expect(told).toEqual([{ name: 'consumer.closed', data: { consumerId: 'new', transportId: 't' } }]);
    });

    it('ends with its transport, which is not told', () => {
      made.emit('transportclose');
      expect(host.consumers.size).toBe(0);
      expect(told).toEqual([]);
    });

    it('ends with the conference, which is not told', () => {
      host.ended = true;
      made.emit('producerclose');
      expect(host.consumers.size).toBe(0);
      expect(told).toEqual([]);
    });

    it('tells which layers it sends, and when it sends none', () => {
      made.emit('layerschange', { spatialLayer: 1, temporalLayer: 2 });
      made.emit('layerschange', undefined);
      expect(told.map(({ data }) => (data as { layers: unknown }).layers)).toEqual([
        { spatialLayer: 1, temporalLayer: 2 },
        null,
      ]);
    });

    it('takes wishes one by one', async () => {
      const held = { consumer: made as unknown as Consumer, transportId: 't' };
      await prefer(held, {});
      await prefer(held, { layers: { spatialLayer: 0 } });
      await prefer(held, { priority: 255 });
      expect(done).toEqual(['layers {"spatialLayer":0}', 'priority 255']);
    });
  });

  describe('that replaces another one', () => {
    let old: Received;

    beforeEach(() => {
      old = new Received('old', 'video', done);
      host.consumers.set('old', { consumer: old as unknown as Consumer, transportId: 't' });
      host.consumers.set('new', { consumer: made as unknown as Consumer, transportId: 't' });
    });

    const begin = (consumer: Received, oldId = 'old') => replace(conference, consumer as unknown as Consumer, oldId);
    /** … and the worker has measured the layers of the new source. */
    const beginAfterFlow = async (consumer: Received): Promise<{ replacing: Promise<void> }> => {
      const replacing = begin(consumer);
      await settled();
      jasmine.clock().tick(400);
      await settled();
      return { replacing };
    };
    const nothingWaits = () => {
      const listeners = made.listenerCount('trace') + made.listenerCount('producerpause');
      expect(listeners + made.observer.listenerCount('close')).toBe(0);
    };

    it('as sound begins when the old one has ended', async () => {
      made = new Received('new', 'audio', done);
      await begin(made);
      expect(done).toEqual(['close old', 'resume new']);
    });

    it('as a picture is not resumed before its layers can be known', async () => {
      const replacing = begin(made);
      await settled();
      jasmine.clock().tick(399);
      await settled();
      expect(done).toEqual([]);
      jasmine.clock().tick(1);
      await settled();
      expect(done).toEqual(['trace keyframe', 'resume new']);
      made.close();
      await replacing;
      nothingWaits();
    });

    it('as a picture that ends before is not resumed, and the old one goes as well', async () => {
      const replacing = begin(made);
      await settled();
      made.close();
      await replacing;
      expect(done).toEqual(['close new', 'close old']);
      nothingWaits();
    });

    it('as a picture lets the old one go on until the client has had the time to show its first key frame', async () => {
      const { replacing } = await beginAfterFlow(made);
      expect(done).toEqual(['trace keyframe', 'resume new']);
      made.emit('trace', { type: 'keyframe' });
      await settled();
      expect(done.slice(2)).toEqual(['trace ']);
      jasmine.clock().tick(799);
      await settled();
      expect(old.closed).toBeFalse();
      jasmine.clock().tick(1);
      await replacing;
      expect(done.slice(3)).toEqual(['close old']);
      nothingWaits();
    });

    it('as a picture that has begun and ends is not waited for any longer', async () => {
      const { replacing } = await beginAfterFlow(made);
      made.emit('trace', { type: 'keyframe' });
      await settled();
      made.close();
      await replacing;
      expect(old.closed).toBeTrue();
      nothingWaits();
    });

    it('as a picture waits for three seconds at most for its first key frame', async () => {
      const { replacing } = await beginAfterFlow(made);
      jasmine.clock().tick(2_999);
      await settled();
      expect(done).toEqual(['trace keyframe', 'resume new']);
      jasmine.clock().tick(1);
      await settled();
      jasmine.clock().tick(800);
      await replacing;
      expect(old.closed).toBeTrue();
      nothingWaits();
    });

    it('waits for no picture of a source that is paused before its layers are known', async () => {
      const replacing = begin(made);
      await settled();
      made.producerPaused = true;
      made.emit('producerpause');
      await replacing;
      expect(done).toEqual(['close old', 'resume new']);
      nothingWaits();
    });

    it('waits for no picture of a source that is paused, before or meanwhile', async () => {
      const { replacing } = await beginAfterFlow(made);
      made.producerPaused = true;
      made.emit('producerpause');
      await replacing;
      expect(old.closed).toBeTrue();
      nothingWaits();
      done.length = 0;
      await begin(made, 'gone');
      expect(done).toEqual(['resume new']);
    });

    it('asks nothing more of one that has ended meanwhile', async () => {
      const { replacing } = await beginAfterFlow(made);
      made.close();
      await replacing;
      expect(done).toEqual(['trace keyframe', 'resume new', 'close new', 'close old']);
      nothingWaits();
    });

    it('is not itself the other one, and goes on', async () => {
      for (const consumer of [made, new Received('new', 'audio', done)]) {
        await refused(begin(consumer, 'new'), 'bad-request');
      }
      expect(done).toEqual([]);
      expect([...host.consumers.keys()]).toEqual(['old', 'new']);
    });
  });
});
