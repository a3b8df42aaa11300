/**
 * The UDP socket of the link probes: answers the questions of peers, and asks them.
 *
 * Strangers learn nothing from it: a question is answered only if it names a link of ours, carries the right MAC and
 * has a higher sequence number than any answered before on that link, so neither a guess nor a replay gets a reply.
 */
import { randomBytes } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import type { Logger } from 'pino';
import { NONCE_SIZE, isAuthentic, linkTag, readProbe, writeProbe, type Probe } from './probe-packet.ts';
import { ProbeWindow } from './probe-window.ts';

export interface ProbeTarget {
  /** An IP address, never a name: what answers must be what media is sent to. */
  readonly ip: string;
  readonly port: number;
  /** The key that the peer made with its half. */
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

  private constructor(socket: Socket, log: Logger) {
    this.#socket = socket;
    socket.on('message', (packet, from) => this.#receive(packet, from));
    // An ICMP error of some peer comes up here: it is the business of that link's timing, not of the socket.
    socket.on('error', (error) => log.warn({ err: error }, 'prober: socket error'));
  }

  /** @throws Error if the port is taken */
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

  /** From now on questions about this link are answered. */
  add(linkId: string, ownKey: Buffer): void {
    this.#links.set(linkTag(linkId), { key: ownKey, highest: 0n });
  }

  /** Nothing about this link is answered or asked any more. */
  remove(linkId: string): void {
    this.#links.delete(linkTag(linkId));
  }

  /** Prepares to ask a peer about a link; nothing is sent before `Asking.ask`. */
  asking(linkId: string, target: ProbeTarget): Asking {
    const tag = linkTag(linkId);
    const asking = new Asking(tag, target, this.#socket);
    const known = this.#links.get(tag);
    if (known) known.asking = asking;
    return asking;
  }

  close(): void {
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

/** One count for all links of the process: a link that is asked about anew goes on where it was. */
let lastSequence = 0n;

/** The questions to one peer about one link, and what its answers tell. */
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

  /** Sends one question. */
  ask(): void {
    lastSequence += 1n;
    const nonce = randomBytes(NONCE_SIZE).toString('hex');
    this.window.asked(nonce, performance.now());
    const { ip, port, key } = this.#target;
    const question = writeProbe({ type: 'question', tag: this.#tag, sequence: lastSequence, nonce }, key);
    send(this.#socket, question, ip, port);
  }

  /** Asks every `everyMs` until the peer has answered once. @returns false when `withinMs` passed in silence */
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

  /** Takes an answer if it comes from the peer's address, is authentic and answers an open question. */
  answered(probe: Probe, packet: Buffer, from: RemoteInfo): void {
    const { ip, port, key } = this.#target;
    if (from.address !== ip || from.port !== port || !isAuthentic(packet, key)) return;
    if (this.window.answered(probe.nonce, performance.now())) this.#onAnswer?.();
  }
}

function send(socket: Socket, packet: Buffer, ip: string, port: number): void {
  // A failed send is a lost probe, and counts as such.
  socket.send(packet, port, ip, () => undefined);
}
