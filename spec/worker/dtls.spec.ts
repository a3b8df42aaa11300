import type { WebRtcTransport, Worker } from 'mediasoup/types';
import { BUILD_TIMEOUT, startWorker } from './support.ts';
import { WebRtcClient } from './webrtc-client.ts';

/** OpenSSL's own client stands for the browser. */
describe('DTLS with the media worker', () => {
  let worker: Worker;
  let transport: WebRtcTransport;
  let client: WebRtcClient;

  beforeAll(async () => {
    worker = await startWorker();
  }, BUILD_TIMEOUT);

  afterAll(() => worker.close());

  beforeEach(async () => {
    const router = await worker.createRouter();
    transport = await router.createWebRtcTransport({ listenInfos: [{ protocol: 'udp', ip: '127.0.0.1' }] });
    client = await WebRtcClient.open({ address: '127.0.0.1', port: transport.iceCandidates[0]?.port ?? 0 });
  });

  afterEach(() => client.close());

  it('is set up with the client whose fingerprint was announced', async () => {
    await transport.connect({ dtlsParameters: { role: 'client', fingerprints: [client.makeCertificate()] } });
    await client.check(transport.iceParameters);
    client.startDtls();
    await state(transport, 'connected');
    expect(transport.dtlsState).toBe('connected');
  });

  it('is refused to a client with another certificate', async () => {
    const fingerprint = { ...client.makeCertificate(), value: Array(32).fill('00').join(':') };
    await transport.connect({ dtlsParameters: { role: 'client', fingerprints: [fingerprint] } });
    await client.check(transport.iceParameters);
    client.startDtls();
    await state(transport, 'failed');
    expect(transport.dtlsState).toBe('failed');
  });
});

/** Resolves when the transport's DTLS is in this state; the time limit is that of the test. */
async function state(transport: WebRtcTransport, wanted: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const check = () => {
      if (transport.dtlsState === wanted) {
        resolve();
      }
    };
    transport.on('dtlsstatechange', check);
    check();
  });
}
