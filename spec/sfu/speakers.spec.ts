/** Who speaks in a conference: the media worker's part is played by the spec, which says whose voice is loud. */
import { EventEmitter } from 'node:events';
import type { Producer } from 'mediasoup/types';
import { Conference } from '../../sfu/conference.ts';
import type { SfuContext } from '../../sfu/host.ts';
import type { Source } from '../../protocol/media.ts';
import type { PoolWorker } from '../../sfu/workers.ts';

const ROOM = '!room:luebeck.example';

describe('the speakers of a conference', () => {
  let conference: Conference;
  let observer: EventEmitter & { addProducer: jasmine.Spy };
  let router: { closed: boolean };
  let told: unknown[];

  beforeEach(async () => {
    told = [];
    observer = Object.assign(new EventEmitter(), { addProducer: jasmine.createSpy().and.resolveTo() });
    const made = {
      closed: false,
      close: () => {
        made.closed = true;
      },
      createAudioLevelObserver: async () => observer,
    };
    router = made;
    const worker = { worker: { createRouter: async () => made } } as unknown as PoolWorker;
    const context = { notify: (name: string, data: unknown) => told.push([name, data]) } as unknown as SfuContext;
    conference = await Conference.open(ROOM, worker, context);
  });

  async function hold(id: string, participantId: string, source: Source = 'microphone'): Promise<EventEmitter> {
    const producer = Object.assign(new EventEmitter(), { id, close: () => undefined });
    await conference.hold(producer as unknown as Producer, { participantId, source });
    return producer;
  }

  /** The loudest first. */
  const loud = (...ids: string[]) =>
    observer.emit(
      'volumes',
      ids.map((id) => ({ producer: { id }, volume: -20 })),
    );
  const speaking = (...participantIds: string[]) => ['speaking', { conferenceId: ROOM, participantIds }];

  it('are those with a loud microphone, loudest first', async () => {
    await hold('a', 'anna');
    await hold('b', 'bert');
    loud('b', 'a');
    expect(told).toEqual([speaking('bert', 'anna')]);
  });

  it('are looked for among microphones only', async () => {
    await hold('a', 'anna');
    for (const source of ['camera', 'screen', 'screen-audio'] as const) await hold(source, 'anna', source);
    expect(observer.addProducer.calls.allArgs()).toEqual([[{ producerId: 'a' }]]);
  });

  it('are told when they change, and not again while they stay the same', async () => {
    await hold('a', 'anna');
    await hold('b', 'bert');
    loud('a', 'b');
    loud('a', 'b');
    loud('b', 'a');
    observer.emit('silence');
    observer.emit('silence');
    expect(told).toEqual([speaking('anna', 'bert'), speaking('bert', 'anna'), speaking()]);
  });

  it('are each there once, also with two microphones', async () => {
    await hold('a1', 'anna');
    await hold('b', 'bert');
    await hold('a2', 'anna');
    loud('a2', 'b', 'a1');
    expect(told).toEqual([speaking('anna', 'bert')]);
  });

  it('are not those whose microphone has ended', async () => {
    await hold('a', 'anna');
    await hold('b', 'bert');
    conference.closeProducer('a');
    loud('a', 'b');
    expect(told).toEqual([speaking('bert')]);
  });

  it('are told of no more when the conference has ended', async () => {
    await hold('a', 'anna');
    router.closed = true;
    loud('a');
    expect(told).toEqual([]);
  });

  it('have their microphones told as closed when their transport ends, but not after the conference', async () => {
    const [first, second] = [await hold('a', 'anna'), await hold('b', 'bert')];
    first.emit('transportclose');
    expect(told).toEqual([['producer.closed', { conferenceId: ROOM, producerId: 'a' }]]);
    expect([...conference.producers.keys()]).toEqual(['b']);
    conference.close();
    second.emit('transportclose');
    expect(told.length).toBe(1);
  });
});
