/** A13: a peer can not answer our probes in the name of an address at which nobody asked for media. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { linkTag, readProbe, writeProbe } from '../../sfu/probe-packet.ts';
import { Prober } from '../../sfu/prober.ts';
import { BUILD_TIMEOUT, Instance, silent, workerBin } from '../sfu/support.ts';

const CONFERENCE = '!forged:luebeck.example';
const VICTIM = '127.0.0.8';

describe('A13: the proof of an address', () => {
  let instance: Instance;

  beforeAll(async () => {
    await workerBin();
    instance = await Instance.start('127.0.0.2');
  }, BUILD_TIMEOUT);
  afterAll(() => instance.close());

  it('is not given by answers that are guessed, though the guesser knows key, link and time', async () => {
    const linkId = randomUUID();
    const key = randomBytes(32);
    await instance.client.request('conference.open', { conferenceId: CONFERENCE });
    await instance.client.request('link.create', { conferenceId: CONFERENCE, linkId, peer: 'x.example' });
    // Sends only: on loopback it stands for somebody who forges the sender of packets.
    const forger = createSocket('udp4');
    forger.bind(0, VICTIM);
    await once(forger, 'listening');
    const { listenIp, probePort } = instance.config;
    let guesses = 0;
    const send = (packet: Buffer): void => {
      guesses += 1;
      forger.send(packet, probePort, listenIp, () => undefined);
    };
    // Numbers once began with the time at which the asking began, and rose by one.
    const began = Date.now();
    const tag = linkTag(linkId);
    const guessing = setInterval(() => {
      for (let n = 1n; n <= 8n; n += 1n) {
        send(writeProbe({ type: 'answer', tag, sequence: n, nonce: randomBytes(16).toString('hex') }, key));
        for (let later = 0; later < 100; later += 1) {
          send(withoutNonce(tag, (BigInt(began + later) << 16n) + n, key));
        }
      }
    }, 100);
    try {
      const connecting = instance.client.request('link.connect', {
        linkId,
        address: VICTIM,
        port: 30_000,
        probePort: forger.address().port,
        srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: randomBytes(44).toString('base64') },
        probeKey: key.toString('base64'),
      });
      await expectAsync(connecting).toBeRejectedWith(jasmine.objectContaining({ code: 'not-found' }));
      expect(guesses).toBeGreaterThan(1_000);
    } finally {
      clearInterval(guessing);
      forger.close();
    }
  }, 20_000);

  it('asks for something else each time', async () => {
    const asked = createSocket('udp4');
    asked.bind(0, VICTIM);
    await once(asked, 'listening');
    const nonces = new Set<string>();
    asked.on('message', (packet) => nonces.add(readProbe(packet)?.nonce ?? ''));
    const prober = await Prober.open({ ip: '127.0.0.1', port: 0, log: silent });
    prober.add('link', randomBytes(32));
    const asking = prober.asking('link', { ip: VICTIM, port: asked.address().port, key: randomBytes(32) });
    for (let n = 0; n < 50; n += 1) asking.ask();
    for (let tries = 0; tries < 200 && nonces.size < 50; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(nonces.size).toBe(50);
    expect([...nonces].every((nonce) => /^[0-9a-f]{32}$/.test(nonce))).toBeTrue();
    prober.close();
    asked.close();
  });
});

/** The packet as it was before it had a nonce. */
function withoutNonce(tag: string, sequence: bigint, key: Buffer): Buffer {
  const packet = Buffer.alloc(64);
  packet.write('HTLP');
  packet[4] = 2;
  packet.write(tag, 8, 'hex');
  packet.writeBigUInt64BE(sequence, 24);
  createHmac('sha256', key).update(packet.subarray(0, 32)).digest().copy(packet, 32);
  return packet;
}
