/** Requests and answers of the attacker: whole ones, halves, and some whose connection is reset. */
import { Agent, request as requestPlain } from 'node:http';
import { request as requestTls, Agent as TlsAgent } from 'node:https';
import { connect as connectPlain } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Random } from '../../soak/random.ts';
import { at } from '../../support/homeservers.ts';
import type { Answered } from './face.ts';

/** How a request is sent. */
export type Delivery =
  'whole' | 'chunked' | 'half headers' | 'half body' | 'reset while sending' | 'reset while waiting';

export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly delivery: Delivery;
}

export interface Where {
  readonly host: string;
  readonly port: number;
  /** PEM of who is believed; without it there is no TLS. */
  readonly ca?: string;
}

export interface Reply extends Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

const WITHIN_MS = 40_000;
const HALF_FOR_MS = 200;
const MAX_KEPT = 4 * 1024 * 1024;
/** What a server says when another one can not be reached or a part is away: that is no fault of its own. */
const GATEWAY = [502, 503, 504];

export function delivery(random: Random): Delivery {
  return random.weighted<Delivery>([
    [93, 'whole'],
    [3, 'chunked'],
    [1, 'half headers'],
    [1, 'half body'],
    [1, 'reset while sending'],
    [1, 'reset while waiting'],
  ]);
}

export class Sender {
  readonly #where: Where;
  readonly #agent: Agent;

  constructor(where: Where) {
    this.#where = where;
    const options = { keepAlive: true, maxSockets: 32 };
    this.#agent = where.ca === undefined ? new Agent(options) : new TlsAgent({ ...options, ca: where.ca });
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Never rejects. */
  async send(sent: Sent): Promise<Answered & Partial<Reply>> {
    try {
      return sent.delivery === 'whole' || sent.delivery === 'chunked'
        ? await this.#whole(sent)
        : await this.#part(sent);
    } catch (error) {
      return { kind: `refused here: ${error instanceof Error && 'code' in error ? String(error.code) : 'error'}` };
    }
  }

  #whole({ method, path, headers = {}, body, delivery: how }: Sent): Promise<Answered & Partial<Reply>> {
    const { host, port, ca } = this.#where;
    return new Promise((resolve, reject) => {
      const length =
        how === 'chunked' || body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
      const make = ca === undefined ? requestPlain : requestTls;
      const request = make({
        host,
        port,
        method,
        path,
        agent: this.#agent,
        headers: { ...headers, ...length },
        timeout: WITHIN_MS,
        ...(ca === undefined ? {} : { servername: 'localhost' }),
      });
      request.on('timeout', () => {
        resolve({ kind: 'no answer' });
        request.destroy();
      });
      // An answer may come before the body is through.
      request.on('error', (error) => resolve({ kind: `reset: ${'code' in error ? String(error.code) : error.name}` }));
      request.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          if (text.length < MAX_KEPT) text += chunk;
        });
        response.on('error', () => resolve({ kind: 'reset in the answer' }));
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          resolve({ ...judged(status, text), status, headers: response.headers, text });
        });
      });
      try {
        request.end(body);
      } catch (error) {
        reject(error as Error);
      }
    });
  }

  /** Sends a part of a request and breaks the connection. */
  async #part({ method, path, headers = {}, body = '{"a":', delivery: how }: Sent): Promise<Answered> {
    const { host, port, ca } = this.#where;
    const tcp = connectPlain(port, host);
    const socket: Socket = ca === undefined ? tcp : connectTls({ socket: tcp, servername: 'localhost', ca });
    for (const one of [tcp, socket]) one.on('error', () => undefined);
    await new Promise<void>((resolve) => {
      socket.once(ca === undefined ? 'connect' : 'secureConnect', resolve);
      socket.once('close', () => resolve());
    });
    const all = { Host: 'localhost', 'Content-Length': String(Buffer.byteLength(body)), ...headers };
    const head = `${method} ${path} HTTP/1.1\r\n${Object.entries(all)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}`;
    const text = {
      'half headers': head.slice(0, Math.floor(head.length / 2)),
      'half body': `${head}\r\n${body.slice(0, Math.floor(body.length / 2))}`,
      'reset while sending': `${head}\r\n${body.slice(0, 3)}`,
      'reset while waiting': `${head}\r\n${body}`,
    }[how as 'half headers'];
    await new Promise<void>((resolve) => socket.write(text, () => resolve()));
    if (how.startsWith('half')) socket.end();
    else tcp.resetAndDestroy();
    await Promise.race([
      new Promise((resolve) => socket.once('close', resolve)),
      new Promise((resolve) => setTimeout(resolve, HALF_FOR_MS)),
    ]);
    socket.destroy();
    tcp.destroy();
    return { kind: how };
  }
}

function judged(status: number, text: string): Answered {
  const kind = GATEWAY.includes(status) ? String(status) : `${String(Math.floor(status / 100))}xx`;
  if (status < 500 || GATEWAY.includes(status)) return { kind };
  return { kind, fault: `${String(status)} ${text.slice(0, 300)}` };
}

/** What is at a place inside an answer that is JSON. */
export function inside(reply: Partial<Reply>, ...path: readonly (string | number)[]): unknown {
  try {
    return at(JSON.parse(reply.text ?? ''), ...path);
  } catch {
    return undefined;
  }
}
