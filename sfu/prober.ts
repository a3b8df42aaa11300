/**
 * The UDP socket of the link probes: answers the probes of peers, and sends our own. It reveals nothing to others: a
 * probe is only answered if it names a link of ours, has a valid MAC and a higher sequence number than any answered
 * before on that link, so neither guesses nor replays get a reply.
 */
import { randomBytes } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import type { Logger } from 'pino';
import { NONCE_SIZE, isAuthentic, linkTag, readProbe, writeProbe, type Probe } from './probe-packet.ts';
import { ProbeWindow } from './probe-window.ts';

export interface ProbeTarget {
  /** An IP address, never a name: the address that answers must be the one to which media is sent. */
  readonly ip: string;
  readonly port: number;
  /** The key of the peer's half of the link. */
  readonly key: Buffer;
}

interface Known {
  readonly key: Buffer;
  highest: bigint;
  asking?: Asking;
}

export class Prober {
  readonly #socket: Socket;
  readonly #links = new Map<string, Known>();
  #closed = false;

  private constructor(socket: Socket, log: Logger) {
    this.#socket = socket;
    socket.on('message', (packet, from) => this.#receive(packet, from));
    // ICMP errors from peers arrive here: they show in the timing of their link, and do not concern the socket.
    socket.on('error', (error) => log.warn({ err: error }, 'prober: socket error'));
  }

  /** @throws Error if the port is in use */
  static async open({ ip, port, log }: { ip: string; port: number; log: Logger }): Promise<Prober> {
    const socket = createSocket(isIPv6(ip) ? 'udp6' : 'udp4');
    socket.bind(port, ip);
    try {
      await once(socket, 'listening');
    } catch (error) {
      socket.close();
      throw error;
    }
    return new Prober(socket, log);
  }

  /** Starts answering probes of a link. */
  add(linkId: string, ownKey: Buffer): void {
    this.#links.set(linkTag(linkId), { key: ownKey, highest: 0n });
  }

  /** Stops answering and sending probes of a link. */
  remove(linkId: string): void {
    this.#links.delete(linkTag(linkId));
  }

  /** Prepares probing a peer for a link; nothing is sent before `Asking.ask`. */
  asking(linkId: string, target: ProbeTarget): Asking {
    const tag = linkTag(linkId);
    const asking = new Asking(tag, target, this.#socket);
    const known = this.#links.get(tag);
    if (known) known.asking = asking;
    return asking;
  }

  /** May be called more than once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#links.clear();
    this.#socket.close();
  }

  #receive(packet: Buffer, from: RemoteInfo): void {
    const probe = readProbe(packet);
    const known = probe && this.#links.get(probe.tag);
    if (!probe || !known) return;
    if (probe.type === 'answer') {
      known.asking?.answered(probe, packet, from);
      return;
    }
    if (probe.sequence <= known.highest || !isAuthentic(packet, known.key)) return;
    known.highest = probe.sequence;
    send(this.#socket, writeProbe({ ...probe, type: 'answer' }, known.key), from.address, from.port);
  }
}

/** One sequence for all links of the process, so that it continues when a link is probed anew. */
let lastSequence = 0n;

/** The probes to one peer for one link, and their results. */
export class Asking {
  readonly window = new ProbeWindow();
  readonly #tag: string;
  readonly #target: ProbeTarget;
  readonly #socket: Socket;
  #onAnswer: (() => void) | undefined;

  constructor(tag: string, target: ProbeTarget, socket: Socket) {
    this.#tag = tag;
    this.#target = target;
    this.#socket = socket;
  }

  /** Sends one probe. */
  ask(): void {
    lastSequence += 1n;
    const nonce = randomBytes(NONCE_SIZE).toString('hex');
    this.window.asked(nonce, performance.now());
    const { ip, port, key } = this.#target;
    const question = writeProbe({ type: 'question', tag: this.#tag, sequence: lastSequence, nonce }, key);
    send(this.#socket, question, ip, port);
  }

  /**
   * Probes every `everyMs` until the peer has answered once. @returns false when there was no answer within `withinMs`
   *
   * @returns false when `withinMs` passed in silence
   */
  async proven(everyMs: number, withinMs: number, signal: AbortSignal): Promise<boolean> {
    return new Promise<boolean>((resolve) => {
      const finish = (answered: boolean): void => {
        clearInterval(timer);
        clearTimeout(deadline);
        signal.removeEventListener('abort', onAbort);
        this.#onAnswer = undefined;
        resolve(answered);
      };
      const onAbort = (): void => finish(false);
      const timer = setInterval(() => this.ask(), everyMs);
      const deadline = setTimeout(onAbort, withinMs);
      signal.addEventListener('abort', onAbort);
      this.#onAnswer = () => finish(true);
      if (signal.aborted) finish(false);
      else this.ask();
    });
  }

  /** Accepts an answer if it comes from the peer's address, is authentic and matches an open probe. */
  answered(probe: Probe, packet: Buffer, from: RemoteInfo): void {
    const { ip, port, key } = this.#target;
    if (from.address !== ip || from.port !== port || !isAuthentic(packet, key)) return;
    if (this.window.answered(probe.nonce, performance.now())) this.#onAnswer?.();
  }
}

/** A failed send counts as a lost probe. */
function send(socket: Socket, packet: Buffer, ip: string, port: number): void {
  try {
    socket.send(packet, port, ip, () => undefined);
  } catch {
    // Node throws for a closed socket, and for the port 0, which a forged packet may well claim to come from.
  }
}
