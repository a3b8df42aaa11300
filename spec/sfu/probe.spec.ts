import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { randomBytes, randomUUID } from 'node:crypto';
import { linkState } from '../../sfu/link-health.ts';
import { NONCE_SIZE, PROBE_SIZE, linkTag, readProbe, writeProbe } from '../../sfu/probe-packet.ts';
import { ProbeWindow } from '../../sfu/probe-window.ts';
import { RtpEndpoint } from '../worker/rtp.ts';
import { BUILD_TIMEOUT, Instance, PlainSource, workerBin } from './support.ts';

const CONFERENCE = '!probe:luebeck.example';
const PEER_IP = '127.0.0.7';
const NONCE = '00'.repeat(NONCE_SIZE);

describe('the probe of a link', () => {
  let instance: Instance;
  let linkId: string;
  let key: Buffer;
  let stranger: Datagrams;

  beforeAll(async () => {
    await workerBin();
    instance = await Instance.start('127.0.0.2');
  }, BUILD_TIMEOUT);

  afterAll(() => instance.close());

  beforeEach(async () => {
    linkId = randomUUID();
    stranger = await Datagrams.open();
    await instance.client.request('conference.open', { conferenceId: CONFERENCE });
    const half = await instance.client.request('link.create', { conferenceId: CONFERENCE, linkId, peer: 'x.example' });
    key = Buffer.from(half.probeKey, 'base64');
  });

  afterEach(async () => {
    await instance.client.request('conference.close', { conferenceId: CONFERENCE });
    stranger.close();
  });

  const question = (sequence: bigint, overrides: { tag?: string; key?: Buffer; type?: 'answer' } = {}) =>
    writeProbe(
      { type: overrides.type ?? 'question', tag: overrides.tag ?? linkTag(linkId), sequence, nonce: NONCE },
      overrides.key ?? key,
    );

  const ask = (packet: Buffer) => stranger.send(packet, instance.config.listenIp, instance.config.probePort);

  /** Everything asked before a good question is answered before it, or not at all: the socket keeps the order. */
  async function answersUpTo(sequence: bigint): Promise<bigint[]> {
    ask(question(sequence));
    await stranger.until((packets) => packets.some((packet) => readProbe(packet)?.sequence === sequence));
    return stranger.packets.map((packet) => readProbe(packet)?.sequence ?? -1n);
  }

  it('is answered with as many bytes to who knows link and key', async () => {
    expect(await answersUpTo(7n)).toEqual([7n]);
    const [answer] = stranger.packets;
    expect(answer?.length).toBe(PROBE_SIZE);
    expect(
      answer?.equals(writeProbe({ type: 'answer', tag: linkTag(linkId), sequence: 7n, nonce: NONCE }, key)),
    ).toBeTrue();
  });

  it('is not answered to a stranger: another key, another link, a changed byte, an answer, a wrong size', async () => {
    const changed = question(5n);
    changed.writeUInt8(changed.readUInt8(PROBE_SIZE - 1) ^ 1, PROBE_SIZE - 1);
    const hostile = [
      question(1n, { key: randomBytes(32) }),
      question(2n, { tag: linkTag(randomUUID()) }),
      changed,
      question(6n, { type: 'answer' }),
      question(7n).subarray(0, PROBE_SIZE - 1),
      Buffer.concat([question(8n), Buffer.alloc(1)]),
      Buffer.alloc(0),
      randomBytes(PROBE_SIZE),
      Buffer.alloc(1400, 0xff),
    ];
    for (const packet of hostile) ask(packet);
    expect(await answersUpTo(100n)).toEqual([100n]);
  });

  it('is not answered twice, nor with an older number', async () => {
    ask(question(20n));
    ask(question(20n));
    ask(question(19n));
    expect(await answersUpTo(21n)).toEqual([20n, 21n]);
  });

  it('is not answered after the link was closed', async () => {
    const other = randomUUID();
    const half = await instance.client.request('link.create', {
      conferenceId: CONFERENCE,
      linkId: other,
      peer: 'y.example',
    });
    await instance.client.request('link.close', { linkId: other });
    ask(question(1n, { tag: linkTag(other), key: Buffer.from(half.probeKey, 'base64') }));
    expect(await answersUpTo(2n)).toEqual([2n]);
  });

  describe('asked of a peer', () => {
    let peerKey: Buffer;
    let probePort: Datagrams;
    let mediaPort: Datagrams;
    let sender: RtpEndpoint;
    let source: PlainSource;

    beforeEach(async () => {
      peerKey = randomBytes(32);
      probePort = await Datagrams.open(PEER_IP);
      mediaPort = await Datagrams.open(PEER_IP);
      sender = await RtpEndpoint.open();
      source = await PlainSource.open(instance, {
        conferenceId: CONFERENCE,
        participantId: '@bert:luebeck.example/device',
        source: 'microphone',
        endpoint: sender,
      });
      await instance.client.request('link.send', { linkId, producerId: source.producerId });
    });

    afterEach(() => {
      for (const each of [probePort, mediaPort, sender]) each.close();
    });

    const connect = (address = PEER_IP) =>
      instance.client.request('link.connect', {
        linkId,
        address,
        port: mediaPort.port,
        probePort: probePort.port,
        srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: randomBytes(44).toString('base64') },
        probeKey: peerKey.toString('base64'),
      });

    async function refusedWithoutMedia(): Promise<void> {
      const talking = setInterval(() => source.speak(Buffer.alloc(100)), 20);
      await expectAsync(connect()).toBeRejectedWith(jasmine.objectContaining({ code: 'not-found' }));
      clearInterval(talking);
      expect(mediaPort.packets).toEqual([]);
      expect(probePort.packets.length).toBeGreaterThan(1);
      expect(probePort.packets.length).toBeLessThan(40);
      expect(probePort.packets.every(({ length }) => length === PROBE_SIZE)).toBeTrue();
    }

    it('lets no media out to an address that is silent', async () => {
      await refusedWithoutMedia();
    }, 10_000);

    it('lets no media out to an address that echoes, or answers with another key or from another port', async () => {
      probePort.onPacket = (packet, port) => {
        const probe = readProbe(packet);
        if (!probe) return;
        const answer = { ...probe, type: 'answer' } as const;
        probePort.send(packet, '127.0.0.2', port);
        probePort.send(writeProbe(answer, randomBytes(32)), '127.0.0.2', port);
        probePort.send(writeProbe({ ...answer, nonce: NONCE }, peerKey), '127.0.0.2', port);
        mediaPort.send(writeProbe(answer, peerKey), '127.0.0.2', port);
      };
      await refusedWithoutMedia();
    }, 10_000);

    it('lets media out when the address has answered, and stops it when the answers stop', async () => {
      probePort.onPacket = (packet, port) => {
        const probe = readProbe(packet);
        if (probe) probePort.send(writeProbe({ ...probe, type: 'answer' }, peerKey), '127.0.0.2', port);
      };
      const talking = setInterval(() => source.speak(Buffer.alloc(100)), 20);
      try {
        await connect();
        await mediaPort.until((packets) => packets.length > 5);
        probePort.onPacket = undefined;
        await instance.hears('link.state', ({ state }) => state === 'interrupted');
        // Ten seconds after the last answer, counted from about three.
        await new Promise((resolve) => setTimeout(resolve, 8500));
        mediaPort.packets.length = 0;
        await new Promise((resolve) => setTimeout(resolve, 300));
        expect(mediaPort.packets.filter((packet) => packet.length > 100)).toEqual([]);
        await expectAsync(
          instance.client.request('link.send', { linkId, producerId: source.producerId }),
        ).toBeRejectedWith(jasmine.objectContaining({ code: 'conflict' }));
      } finally {
        clearInterval(talking);
      }
    }, 20_000);

    it('is never sent to an address that is no single machine', async () => {
      for (const address of ['224.0.0.1', '255.255.255.255', '0.0.0.0', 'ff02::1', '::', 'no such name']) {
        await expectAsync(connect(address))
          .withContext(address)
          .toBeRejectedWith(jasmine.objectContaining({ code: 'bad-request' }));
      }
      expect(probePort.packets).toEqual([]);
    });

    it('ends when the link is closed meanwhile', async () => {
      const connecting = connect();
      await probePort.until((packets) => packets.length > 0);
      await instance.client.request('link.close', { linkId });
      await expectAsync(connecting).toBeRejectedWith(jasmine.objectContaining({ code: 'not-found' }));
    });
  });
});

describe('the figures of probes', () => {
  it('are the middle round-trip time and the share without an answer', () => {
    const window = new ProbeWindow();
    for (let i = 0; i < 5; i += 1) {
      window.asked(String(i), 1000 * i);
      if (i !== 2) expect(window.answered(String(i), 1000 * i + 10 * (i + 1))).toBeTrue();
    }
    expect(window.answered('0', 5000)).withContext('a second answer').toBeFalse();
    expect(window.answered('99', 5000)).withContext('an answer to nothing').toBeFalse();
    expect(window.roundTripMs).toBe(40);
    expect(window.loss(6000)).toBe(0.2);
    expect(window.silenceMs(6000)).toBe(1950);
  });

  it('do not count what is still under way or too old', () => {
    const window = new ProbeWindow();
    window.asked('1', 0);
    expect(window.loss(1000)).toBe(0);
    expect(window.loss(2000)).toBe(1);
    expect(window.loss(12_000)).toBe(0);
  });

  it('make a link connected, weak or interrupted', () => {
    const good = { silenceMs: 500, mediaSilenceMs: 20, expectingMs: 60_000, loss: 0, roundTripMs: 20 };
    expect(linkState(good)).toBe('connected');
    expect(linkState({ ...good, loss: 0.1 }))
      .withContext('one of ten lost')
      .toBe('connected');
    expect(linkState({ ...good, loss: 0.2 })).toBe('weak');
    expect(linkState({ ...good, roundTripMs: 800 })).toBe('weak');
    expect(linkState({ ...good, mediaSilenceMs: 6000 }))
      .withContext('media missing')
      .toBe('weak');
    expect(linkState({ ...good, mediaSilenceMs: 6000, expectingMs: undefined })).toBe('connected');
    expect(linkState({ ...good, silenceMs: 3100 }))
      .withContext('only probes lost')
      .toBe('weak');
    expect(linkState({ ...good, silenceMs: 3100, mediaSilenceMs: 3100 })).toBe('interrupted');
  });
});

/** A UDP socket that keeps what it receives. */
class Datagrams {
  readonly packets: Buffer[] = [];
  onPacket: ((packet: Buffer, port: number) => void) | undefined;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (packet, { port }) => {
      this.packets.push(packet);
      this.onPacket?.(packet, port);
      socket.emit('packet');
    });
  }

  static async open(ip = '127.0.0.1'): Promise<Datagrams> {
    const socket = createSocket('udp4');
    socket.bind(0, ip);
    await once(socket, 'listening');
    return new Datagrams(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  send(packet: Buffer, ip: string, port: number): void {
    this.#socket.send(packet, port, ip);
  }

  async until(done: (packets: Buffer[]) => boolean): Promise<void> {
    const signal = AbortSignal.timeout(4000);
    while (!done(this.packets)) await once(this.#socket, 'packet', { signal });
  }

  close(): void {
    this.#socket.close();
  }
}
