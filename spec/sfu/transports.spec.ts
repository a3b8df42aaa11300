/** What is told of a client's transport, whose ICE and DTLS are played by the spec. */
import { EventEmitter } from 'node:events';
import type { DtlsParameters } from '../../protocol/media.ts';
import { Conference } from '../../sfu/conference.ts';
import type { SfuContext } from '../../sfu/host.ts';
import { ClientTransport } from '../../sfu/transports.ts';
import type { PoolWorker } from '../../sfu/workers.ts';
import { MICROPHONE } from './support.ts';

const ROOM = '!room:luebeck.example';
const FINGERPRINT = { algorithm: 'sha-256', value: Array.from({ length: 32 }, () => 'AB').join(':') } as const;
const DTLS: DtlsParameters = { role: 'client', fingerprints: [FINGERPRINT] };

/** The half of a transport that is in the media worker. */
class WebRtc extends EventEmitter {
  readonly id: string;
  dtlsState = 'new';
  closed = false;
  connecting: () => Promise<void> = async () => undefined;
  readonly connected: unknown[] = [];
  readonly iceParameters = { usernameFragment: 'u', password: 'p', iceLite: true };
  readonly iceCandidates = [];
  readonly dtlsParameters = { role: 'auto', fingerprints: [FINGERPRINT] };

  constructor(id: string) {
    super();
    this.id = id;
  }

  async connect(parameters: unknown): Promise<void> {
    this.connected.push(parameters);
    await this.connecting();
  }

  ice(state: string): void {
    this.emit('icestatechange', state);
  }

  dtls(state: string): void {
    this.dtlsState = state;
    this.emit('dtlsstatechange', state);
  }

  close(): void {
    this.closed = true;
  }
}

describe('a transport of a client', () => {
  let conference: Conference;
  let made: WebRtc[];
  let making: Promise<void>;
  let told: { name: string; data: unknown }[];

  beforeEach(async () => {
    made = [];
    told = [];
    making = Promise.resolve();
    const router = {
      closed: false,
      close: () => {
        router.closed = true;
      },
      createAudioLevelObserver: async () => new EventEmitter(),
      createWebRtcTransport: async () => {
        const transport = new WebRtc(`t${String(made.length + 1)}`);
        made.push(transport);
        await making;
        return transport;
      },
    };
    const worker = { worker: { createRouter: async () => router } } as unknown as PoolWorker;
    const context = { notify: (name: string, data: unknown) => told.push({ name, data }) } as unknown as SfuContext;
    conference = await Conference.open(ROOM, worker, context);
  });

  const open = (participantId = 'anna', direction: 'send' | 'receive' = 'send') =>
    ClientTransport.open(conference, { conferenceId: ROOM, participantId, direction });

  async function opened(): Promise<{ client: ClientTransport; webRtc: WebRtc }> {
    const client = await open();
    const [webRtc] = made;
    if (!webRtc) throw new Error('unreachable');
    return { client, webRtc };
  }

  const refused = (promise: Promise<unknown>, code: string) =>
    expectAsync(promise).toBeRejectedWith(jasmine.objectContaining({ code }));
  const states = () => told.map(({ data }) => (data as { state: string }).state);

  it('is told as connected with DTLS, not with ICE alone', async () => {
    const { webRtc } = await opened();
    webRtc.ice('connected');
    webRtc.dtls('connecting');
    expect(told).toEqual([]);
    webRtc.dtls('connected');
    expect(told).toEqual([
      { name: 'transport.state', data: { transportId: 't1', participantId: 'anna', state: 'connected' } },
    ]);
  });

  it('is told as disconnected, and as connected again after that', async () => {
    const { webRtc } = await opened();
    webRtc.dtls('connected');
    webRtc.ice('disconnected');
    webRtc.ice('connected');
    webRtc.ice('completed');
    expect(states()).toEqual(['connected', 'disconnected', 'connected', 'connected']);
  });

  it('is told as failed, and as closed by the client', async () => {
    const { webRtc } = await opened();
    webRtc.dtls('failed');
    webRtc.dtls('closed');
    expect(states()).toEqual(['failed', 'closed']);
  });

  it('is not told of after it was closed here, or its conference', async () => {
    const { client, webRtc } = await opened();
    client.close();
    webRtc.dtls('closed');
    webRtc.ice('disconnected');
    const other = await open('bert');
    conference.close();
    made[1]?.ice('disconnected');
    expect(other.participantId).toBe('bert');
    expect(told).toEqual([]);
  });

  it('is connected once', async () => {
    const { client, webRtc } = await opened();
    await client.connect(DTLS);
    await refused(client.connect(DTLS), 'conflict');
    expect(webRtc.connected).toEqual([{ dtlsParameters: DTLS }]);
  });

  it('is connected once also by two requests at the same time', async () => {
    const { client, webRtc } = await opened();
    const [first, second] = [client.connect(DTLS), client.connect(DTLS)];
    await refused(second, 'conflict');
    await first;
    expect(webRtc.connected.length).toBe(1);
  });

  it('may be connected again when that failed', async () => {
    const { client, webRtc } = await opened();
    webRtc.connecting = () => Promise.reject(new TypeError('wrong role'));
    await expectAsync(client.connect(DTLS)).toBeRejectedWithError(TypeError);
    webRtc.connecting = async () => undefined;
    await client.connect(DTLS);
    expect(webRtc.connected.length).toBe(2);
  });

  it('gives a client what it needs, and nothing else', async () => {
    const { client, webRtc } = await opened();
    const { id, iceParameters, iceCandidates, dtlsParameters } = webRtc;
    expect(client.options).toEqual({ id, iceParameters, iceCandidates, dtlsParameters } as typeof client.options);
  });

  it('to receive takes no source', async () => {
    const client = await open('anna', 'receive');
    await refused(
      client.produce({ transportId: client.id, source: 'microphone', rtpParameters: MICROPHONE, paused: false }),
      'bad-request',
    );
  });

  it('is gone with its participant, those of others stay', async () => {
    await open('anna');
    await open('anna', 'receive');
    await open('bert');
    conference.closeParticipant('anna');
    expect(made.map(({ closed }) => closed)).toEqual([true, true, false]);
    expect([...conference.transports.keys()]).toEqual(['t3']);
  });

  it('does not come into being when its participant is closed while it is made, and that of another does', async () => {
    let done = (): void => undefined;
    making = new Promise((resolve) => (done = resolve));
    const [annas, berts] = [open('anna'), open('bert')];
    conference.closeParticipant('anna');
    done();
    await refused(annas, 'not-found');
    expect((await berts).id).toBe('t2');
    expect(made.map(({ closed }) => closed)).toEqual([true, false]);
    expect([...conference.transports.keys()]).toEqual(['t2']);
  });

  it('comes into being when it is asked for after its participant was closed', async () => {
    conference.closeParticipant('anna');
    expect((await open('anna')).id).toBe('t1');
  });

  it('does not come into being when the conference has ended while it was made', async () => {
    let done = (): void => undefined;
    making = new Promise((resolve) => (done = resolve));
    const opening = open('anna');
    conference.close();
    done();
    await refused(opening, 'not-found');
    expect(made[0]?.closed).toBeTrue();
    expect(conference.transports.size).toBe(0);
  });
});
