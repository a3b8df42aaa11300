/** Probes between two sockets on this machine, without media: who is answered, and whose answer counts. */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { PROBE_KEY_SIZE, PROBE_SIZE, linkTag, readProbe, writeProbe, type Probe } from '../../sfu/probe-packet.ts';
import { Asking, Prober } from '../../sfu/prober.ts';
import { silent } from './support.ts';

const OWN_IP = '127.0.0.5';
const PEER_IP = '127.0.0.6';
const LINK = 'link-1';
const TAG = linkTag(LINK);
const NONCE = 'ab'.repeat(16);
/** Long enough never to come to its end in a spec, in ms. */
const LONG_MS = 20_000;

describe('the prober', () => {
  let prober: Prober;
  let port: number;
  let peer: Socket;
  /** What the peer has received. */
  let received: Buffer[];
  let ownKey: Buffer;
  let peerKey: Buffer;
  let closing: AbortController;

  beforeEach(async () => {
    [port, prober] = await open();
    peer = await socketAt(PEER_IP);
    received = [];
    peer.on('message', (packet) => received.push(packet));
    ownKey = randomBytes(PROBE_KEY_SIZE);
    peerKey = randomBytes(PROBE_KEY_SIZE);
    closing = new AbortController();
    prober.add(LINK, ownKey);
  });

  afterEach(() => {
    closing.abort();
    prober.close();
    peer.close();
  });

  /** A prober at a port that was free a moment ago. */
  async function open(): Promise<[number, Prober]> {
    const probe = await socketAt(OWN_IP);
    const free = probe.address().port;
    probe.close();
    await once(probe, 'close');
    return [free, await Prober.open({ ip: OWN_IP, port: free, log: silent })];
  }

  async function socketAt(ip: string): Promise<Socket> {
    const socket = createSocket('udp4');
    socket.bind(0, ip);
    await once(socket, 'listening');
    return socket;
  }

  const packets = async (count: number): Promise<Probe[]> => {
    while (received.length < count) await once(peer, 'message');
    return received.flatMap((packet) => readProbe(packet) ?? []);
  };

  const question = (sequence: bigint, link = LINK): Probe => ({
    type: 'question',
    tag: linkTag(link),
    sequence,
    nonce: NONCE,
  });
  const tell = (probe: Probe, key: Buffer, from = peer): void => from.send(writeProbe(probe, key), port, OWN_IP);
  const asking = (key = peerKey) => prober.asking(LINK, { ip: PEER_IP, port: peer.address().port, key });

  describe('that is asked', () => {
    /** The socket keeps the order: what came before a good question is answered before it, or not at all. */
    async function answeredUpTo(sequence: bigint): Promise<bigint[]> {
      tell(question(sequence), ownKey);
      while (!received.some((packet) => readProbe(packet)?.sequence === sequence)) await once(peer, 'message');
      return received.map((packet) => readProbe(packet)?.sequence ?? -1n);
    }

    it('gives back number and nonce, under the key of its own half', async () => {
      tell(question(7n), ownKey);
      await packets(1);
      expect(received).toEqual([writeProbe({ ...question(7n), type: 'answer' }, ownKey)]);
    });

    it('does not answer the number nought, which is no question’s', async () => {
      tell(question(0n), ownKey);
      expect(await answeredUpTo(1n)).toEqual([1n]);
    });

    it('does not answer a forged question', async () => {
      tell(question(1n), peerKey);
      tell(question(2n), Buffer.alloc(PROBE_KEY_SIZE));
      expect(await answeredUpTo(3n)).toEqual([3n]);
    });

    it('does not let a forged question use up the numbers of good ones', async () => {
      tell(question(2n ** 64n - 1n), peerKey);
      expect(await answeredUpTo(1n)).toEqual([1n]);
    });

    it('does not answer a replayed question, also from another address', async () => {
      const other = await socketAt('127.0.0.8');
      const heard: Buffer[] = [];
      other.on('message', (packet) => heard.push(packet));
      await answeredUpTo(5n);
      tell(question(5n), ownKey, other);
      expect(await answeredUpTo(6n)).toEqual([5n, 6n]);
      expect(heard).toEqual([]);
      other.close();
    });

    it('counts the questions of each link by themselves', async () => {
      prober.add('link-2', ownKey);
      await answeredUpTo(9n);
      tell(question(1n, 'link-2'), ownKey);
      const tags = (await packets(2)).map(({ tag }) => tag);
      expect(tags).toEqual([TAG, linkTag('link-2')]);
    });

    it('begins to count anew when the link has a new key', async () => {
      await answeredUpTo(9n);
      ownKey = randomBytes(PROBE_KEY_SIZE);
      prober.add(LINK, ownKey);
      expect(await answeredUpTo(1n)).toEqual([9n, 1n]);
    });

    it('does not answer for a link that is not there any more', async () => {
      const key = randomBytes(PROBE_KEY_SIZE);
      prober.add('link-2', key);
      prober.remove('link-2');
      tell(question(1n, 'link-2'), key);
      expect(await answeredUpTo(2n)).toEqual([2n]);
    });

    it('does not answer what is too short, too long or empty', async () => {
      const packet = writeProbe(question(1n), ownKey);
      for (const wrong of [packet.subarray(1), Buffer.concat([packet, packet]), Buffer.alloc(0), Buffer.alloc(1)]) {
        peer.send(wrong, port, OWN_IP);
      }
      expect(await answeredUpTo(2n)).toEqual([2n]);
    });
  });

  describe('that asks', () => {
    it('sends nothing before it is told to', async () => {
      const one = asking();
      tell(question(1n), ownKey);
      expect((await packets(1)).map(({ type }) => type)).toEqual(['answer']);
      expect(one.window.silenceMs(performance.now())).toBe(Infinity);
    });

    it('asks under the key of the peer, with rising numbers and a new nonce each time', async () => {
      const one = asking();
      for (let i = 0; i < 3; i += 1) one.ask();
      const questions = await packets(3);
      expect(received.map((packet) => packet.length)).toEqual([PROBE_SIZE, PROBE_SIZE, PROBE_SIZE]);
      expect(received.map((packet, i) => packet.equals(writeProbe(questions[i] ?? question(0n), peerKey)))).toEqual([
        true,
        true,
        true,
      ]);
      const [first = 0n] = questions.map(({ sequence }) => sequence);
      expect(questions.map(({ sequence }) => sequence)).toEqual([first, first + 1n, first + 2n]);
      expect(new Set(questions.map(({ nonce }) => nonce)).size).toBe(3);
    });

    it('goes on counting when a link is asked anew, so that the peer answers', async () => {
      asking().ask();
      asking().ask();
      const [before = 0n, after = 0n] = (await packets(2)).map(({ sequence }) => sequence);
      expect(after > before).toBeTrue();
    });

    it('has its proof with the first answer', async () => {
      peer.once('message', (packet) => {
        const probe = readProbe(packet);
        if (probe) tell({ ...probe, type: 'answer' }, peerKey);
      });
      const one = asking();
      expect(await one.proven(LONG_MS, LONG_MS, closing.signal)).toBeTrue();
      expect(one.window.roundTripMs).toBeGreaterThanOrEqual(0);
    });

    it('asks again until there is an answer', async () => {
      peer.on('message', (packet) => {
        const probe = readProbe(packet);
        if (probe && received.length === 3) tell({ ...probe, type: 'answer' }, peerKey);
      });
      expect(await asking().proven(5, LONG_MS, closing.signal)).toBeTrue();
      expect(received.length).toBeGreaterThanOrEqual(3);
    });

    it('has no proof when its time is over', async () => {
      expect(await asking().proven(LONG_MS, 30, closing.signal)).toBeFalse();
    });

    it('has no proof when the link is closed meanwhile', async () => {
      const proof = asking().proven(LONG_MS, LONG_MS, closing.signal);
      await packets(1);
      closing.abort();
      expect(await proof).toBeFalse();
    });

    it('asks nothing for a link that is closed already', async () => {
      closing.abort();
      expect(await asking().proven(LONG_MS, LONG_MS, closing.signal)).toBeFalse();
      tell(question(1n), ownKey);
      expect((await packets(1)).map(({ type }) => type)).toEqual(['answer']);
    });

    it('has no proof by an answer that comes too late', async () => {
      const one = asking();
      expect(await one.proven(LONG_MS, 30, closing.signal)).toBeFalse();
      const [probe] = await packets(1);
      if (probe) tell({ ...probe, type: 'answer' }, peerKey);
      tell(question(1n), ownKey);
      await packets(2);
      expect(one.window.silenceMs(performance.now()))
        .withContext('which is a sign of life all the same')
        .toBeLessThan(Infinity);
    });

    /** What the peer answers is heard before our own answer to its next question goes out. */
    async function counts(answer: (probe: Probe) => void): Promise<boolean> {
      const one = asking();
      one.ask();
      const [probe] = await packets(1);
      if (probe) answer(probe);
      tell(question(1n), ownKey);
      await packets(2);
      return one.window.silenceMs(performance.now()) !== Infinity;
    }

    it('takes an authentic answer', async () => {
      expect(await counts((probe) => tell({ ...probe, type: 'answer' }, peerKey))).toBeTrue();
    });

    it('takes no answer under its own key, by which it answers itself', async () => {
      expect(await counts((probe) => tell({ ...probe, type: 'answer' }, ownKey))).toBeFalse();
    });

    it('takes no echo of its question', async () => {
      expect(await counts((probe) => tell(probe, peerKey))).toBeFalse();
    });

    it('takes no answer with a nonce that it has not sent', async () => {
      expect(await counts((probe) => tell({ ...probe, type: 'answer', nonce: NONCE }, peerKey))).toBeFalse();
    });

    it('takes no answer from another port of the peer', async () => {
      const other = await socketAt(PEER_IP);
      expect(await counts((probe) => tell({ ...probe, type: 'answer' }, peerKey, other))).toBeFalse();
      other.close();
    });

    it('takes no answer from the right port of another address', async () => {
      const other = createSocket('udp4');
      other.bind(peer.address().port, '127.0.0.8');
      await once(other, 'listening');
      expect(await counts((probe) => tell({ ...probe, type: 'answer' }, peerKey, other))).toBeFalse();
      other.close();
    });

    it('takes no answer for a link that is not there any more', async () => {
      const one = asking();
      one.ask();
      const [probe] = await packets(1);
      prober.remove(LINK);
      prober.add('link-2', ownKey);
      if (probe) tell({ ...probe, type: 'answer' }, peerKey);
      tell(question(1n, 'link-2'), ownKey);
      await packets(2);
      expect(one.window.silenceMs(performance.now())).toBe(Infinity);
    });

    it('hears the answer of the peer that it asked last', async () => {
      const before = asking();
      const now = asking();
      before.ask();
      const [probe] = await packets(1);
      if (probe) tell({ ...probe, type: 'answer' }, peerKey);
      tell(question(1n), ownKey);
      await packets(2);
      expect([before, now].map(({ window }) => window.silenceMs(performance.now()))).toEqual([Infinity, Infinity]);
    });
  });

  it('is told of a port that is in use', async () => {
    await expectAsync(Prober.open({ ip: OWN_IP, port, log: silent })).toBeRejectedWith(
      jasmine.objectContaining({ code: 'EADDRINUSE' }),
    );
  });

  it('counts a question that can not be sent as lost: to no port, and when its socket is closed', async () => {
    const closed = await socketAt(OWN_IP);
    closed.close();
    for (const [socket, target] of [
      [peer, 0],
      [closed, port],
    ] as const) {
      const one = new Asking(TAG, { ip: OWN_IP, port: target, key: peerKey }, socket);
      expect(() => one.ask()).not.toThrow();
      expect(one.window.loss(performance.now() + 2000)).toBe(1);
    }
  });
});
