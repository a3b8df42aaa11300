/** A media worker that dies while requests wait for it: it is stopped first, so that it answers none of them. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { SfuMethod, SfuParams, SfuResult } from '../../sfu/protocol.ts';
import { handleRequest, requestHandlers } from '../../sfu/requests.ts';
import { BUILD_TIMEOUT, CAMERA, Instance, MICROPHONE, eventually, workerBin } from './support.ts';

const CONFERENCE = '!midway:luebeck.example';
const BERT = '@bert:luebeck.example/device';

describe('the death of a media worker in the middle of', () => {
  let instance: Instance;

  beforeAll(workerBin, BUILD_TIMEOUT);
  beforeEach(async () => {
    instance = await Instance.start('127.0.0.2');
    await ask('conference.open', { conferenceId: CONFERENCE });
  });
  afterEach(() => instance.close());

  function ask<M extends SfuMethod>(method: M, params: SfuParams<M>): Promise<SfuResult<M>> {
    return handleRequest(requestHandlers(instance.running.sfu), method, params) as Promise<SfuResult<M>>;
  }

  /** Over the line, so that the error is the one that the homeserver has. */
  const over = <M extends SfuMethod>(method: M, params: SfuParams<M>) => instance.client.request(method, params);
  const pid = (): number => instance.running.sfu.conference(CONFERENCE).worker.worker.pid;
  const refused = (promise: Promise<unknown>, code: string) =>
    expectAsync(promise).toBeRejectedWith(jasmine.objectContaining({ code }));
  const transport = (direction: 'send' | 'receive') =>
    ask('transport.create', { conferenceId: CONFERENCE, participantId: BERT, direction });

  /** Stops the worker, asks, and lets it die when the SFU has taken the request. */
  async function dies<T>(request: () => Promise<T>): Promise<T> {
    const dying = pid();
    process.kill(dying, 'SIGSTOP');
    const asked = request();
    asked.catch(() => undefined);
    // Answered without the worker, and after what was asked before.
    await refused(over('conference.close', { conferenceId: 'x' }), 'bad-request');
    process.kill(dying, 'SIGKILL');
    return asked;
  }

  async function opensAgain(): Promise<void> {
    await over('conference.open', { conferenceId: CONFERENCE });
    expect(instance.running.sfu.conference(CONFERENCE).snapshot()).toEqual({
      conferenceId: CONFERENCE,
      transports: [],
      producers: [],
      consumers: [],
      links: [],
    });
  }

  it('the opening of a conference fails it as lost, and it opens again', async () => {
    const other = '!second:luebeck.example';
    await refused(
      dies(() => over('conference.open', { conferenceId: other })),
      'worker-lost',
    );
    expect(instance.running.sfu.conferences.has(other)).toBeFalse();
    await over('conference.open', { conferenceId: other });
    await opensAgain();
  });

  it('the making of a transport fails it as lost', async () => {
    const params = { conferenceId: CONFERENCE, participantId: BERT, direction: 'send' } as const;
    await refused(
      dies(() => over('transport.create', params)),
      'worker-lost',
    );
    await opensAgain();
  });

  it('the making of a source fails it as lost', async () => {
    const { id: transportId } = await transport('send');
    const params = { transportId, source: 'microphone', rtpParameters: MICROPHONE, paused: false } as const;
    await refused(
      dies(() => over('producer.create', params)),
      'worker-lost',
    );
    await opensAgain();
  });

  it('the making of a consumer fails it as lost', async () => {
    const { id: transportId } = await transport('send');
    const { id: receiveId } = await transport('receive');
    const { producerId } = await ask('producer.create', {
      transportId,
      source: 'camera',
      rtpParameters: CAMERA,
      paused: false,
    });
    const { rtpCapabilities } = await ask('conference.open', { conferenceId: CONFERENCE });
    await refused(
      dies(() => over('consumer.create', { transportId: receiveId, producerId, rtpCapabilities })),
      'worker-lost',
    );
    await opensAgain();
  });

  it('the making of a link fails it as lost, and its id is free', async () => {
    const linkId = randomUUID();
    const params = { conferenceId: CONFERENCE, linkId, peer: 'hamburg.example' };
    await refused(
      dies(() => over('link.create', params)),
      'worker-lost',
    );
    await opensAgain();
    await over('link.create', params);
  });

  it('the proof of an address ends the link, of which nothing more is told than the loss', async () => {
    const linkId = randomUUID();
    await ask('link.create', { conferenceId: CONFERENCE, linkId, peer: 'hamburg.example' });
    const connecting = over('link.connect', {
      linkId,
      address: '127.0.0.99',
      port: 40_000,
      probePort: 40_001,
      srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: randomBytes(44).toString('base64') },
      probeKey: randomBytes(32).toString('base64'),
    });
    const failed = refused(connecting, 'not-found');
    await instance.hears('link.state');
    process.kill(pid(), 'SIGKILL');
    await failed;
    await instance.hears('conference.lost');
    expect(instance.notifications.map(({ name }) => name)).toEqual(['link.state', 'conference.lost']);
    await opensAgain();
  });

  it('the wait for first media answers that none came', async () => {
    const { id: transportId } = await transport('send');
    const { producerId } = await ask('producer.create', {
      transportId,
      source: 'microphone',
      rtpParameters: MICROPHONE,
      paused: false,
    });
    const waiting = over('producer.flowing', { producerId, withinMs: 10_000 });
    await refused(over('conference.close', { conferenceId: 'x' }), 'bad-request');
    process.kill(pid(), 'SIGKILL');
    expect(await waiting).toEqual({ flowing: false });
  });

  it('the statistics leaves it out of them', async () => {
    const { workers, links } = await dies(() => over('stats', {}));
    expect(workers).toEqual([]);
    expect(links).toEqual([]);
    await eventually(async () => (await over('stats', {})).workers.length === 1);
  });

  it('everything fails nothing twice: the loss is told once', async () => {
    await Promise.all(
      Array.from({ length: 5 }, (_, index) =>
        // The last one, for the SFU must have taken all of them when the worker dies.
        index === 4
          ? dies(() => over('transport.create', { conferenceId: CONFERENCE, participantId: BERT, direction: 'send' }))
          : over('transport.create', { conferenceId: CONFERENCE, participantId: BERT, direction: 'send' }),
      ).map((promise) => refused(promise, 'worker-lost')),
    );
    await instance.hears('conference.lost');
    await opensAgain();
    expect(instance.notifications.map(({ name }) => name)).toEqual(['conference.lost']);
  });

  it('the end of the SFU fails a conference that waits for a worker', async () => {
    process.kill(pid(), 'SIGKILL');
    await instance.hears('conference.lost');
    const { sfu } = instance.running;
    // Where the next worker is there already, it opens on that one and is closed with it.
    const opening = ask('conference.open', { conferenceId: CONFERENCE });
    const ended = expectAsync(opening).toBeRejected();
    await sfu.close();
    await ended;
    expect(sfu.conferences.size).toBe(0);
  });
});
