import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { X509Certificate, createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { WebRtcTransport, Worker } from 'mediasoup/types';
import { BUILD_TIMEOUT, startWorker } from './support.ts';

/**
 * OpenSSL's own client stands for the browser. It can not do ICE, so its packets pass a socket that first proves to
 * the worker by STUN that it is the expected client.
 */
describe('DTLS with the media worker', () => {
  let worker: Worker;
  let folder: string;
  let relay: Socket;
  let client: ChildProcess | undefined;

  beforeAll(async () => {
    worker = await startWorker();
  }, BUILD_TIMEOUT);

  afterAll(() => worker.close());

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hansetag-dtls-'));
    relay = createSocket('udp4');
    relay.bind(0, '127.0.0.1');
    await once(relay, 'listening');
  });

  afterEach(() => {
    client?.kill();
    relay.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is set up with the client whose fingerprint was announced', async () => {
    const transport = await openTransport();
    await transport.connect({ dtlsParameters: { role: 'client', fingerprints: [makeCertificate()] } });
    await startClient(transport);
    await state(transport, 'connected');
    expect(transport.dtlsState).toBe('connected');
  });

  it('is refused to a client with another certificate', async () => {
    const transport = await openTransport();
    const fingerprint = { ...makeCertificate(), value: Array(32).fill('00').join(':') };
    await transport.connect({ dtlsParameters: { role: 'client', fingerprints: [fingerprint] } });
    await startClient(transport);
    await state(transport, 'failed');
    expect(transport.dtlsState).toBe('failed');
  });

  async function openTransport(): Promise<WebRtcTransport> {
    const router = await worker.createRouter();
    return router.createWebRtcTransport({ listenInfos: [{ protocol: 'udp', ip: '127.0.0.1' }] });
  }

  /** Makes the client's key and certificate, and returns the certificate's fingerprint. */
  function makeCertificate() {
    const args = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=client -days 1';
    const made = spawnSync('openssl', [...args.split(' '), '-keyout', 'key.pem', '-out', 'cert.pem'], { cwd: folder });
    expect(made.status).withContext(made.stderr.toString()).toBe(0);
    const certificate = new X509Certificate(readFileSync(join(folder, 'cert.pem')));
    return { algorithm: 'sha-256', value: certificate.fingerprint256 } as const;
  }

  /** Does ICE for the client and starts it; its handshake goes on by itself. */
  async function startClient(transport: WebRtcTransport): Promise<void> {
    const port = transport.iceCandidates[0]?.port ?? 0;
    relay.send(bindingRequest(transport), port, '127.0.0.1');
    await once(relay, 'message');
    let clientPort = 0;
    relay.on('message', (datagram, from) => {
      if (from.port !== port) {
        clientPort = from.port;
        relay.send(datagram, port, '127.0.0.1');
      } else if (clientPort !== 0) {
        relay.send(datagram, clientPort, '127.0.0.1');
      }
    });
    const args = `s_client -dtls1_2 -use_srtp SRTP_AEAD_AES_256_GCM -connect 127.0.0.1:${relay.address().port}`;
    client = spawn('openssl', [...args.split(' '), '-cert', 'cert.pem', '-key', 'key.pem'], {
      cwd: folder,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
  }
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

/** A STUN request of the controlling ICE agent that nominates its address (RFC 8489 section 14, RFC 8445 section 7). */
function bindingRequest({ iceParameters }: WebRtcTransport): Buffer {
  const header = Buffer.concat([Buffer.from('000100002112a442', 'hex'), randomBytes(12)]);
  let message = Buffer.concat([
    header,
    attribute(0x0006, Buffer.from(`${iceParameters.usernameFragment}:client`)),
    attribute(0x0024, Buffer.from('6e0001ff', 'hex')),
    attribute(0x802a, randomBytes(8)),
    attribute(0x0025, Buffer.alloc(0)),
  ]);
  // Both checks are made over a header that already counts the attribute itself: 20 bytes of HMAC, 4 of CRC.
  message.writeUInt16BE(message.length - header.length + 24, 2);
  const integrity = createHmac('sha1', iceParameters.password).update(message).digest();
  message = Buffer.concat([message, attribute(0x0008, integrity)]);
  message.writeUInt16BE(message.length - header.length + 8, 2);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE((crc32(message) ^ 0x5354554e) >>> 0);
  return Buffer.concat([message, attribute(0x8028, checksum)]);
}

function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}
