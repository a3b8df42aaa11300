/** Requests in frames of a WebSocket: good ones, bad ones, and what is no frame of the protocol at all. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { ClientOptions } from 'ws';
import type { Random } from '../../soak/random.ts';
import { at } from '../../support/homeservers.ts';
import type { Answered } from './face.ts';
import { jsonText, mutate, mutateBody } from './mutate.ts';
import { named } from './route-inputs.ts';

export interface FrameInput {
  /** Which of the face's connections takes it. */
  readonly connection: number;
  /** A request with the id `{{id}}`, or anything else. */
  readonly text: string;
  readonly kind: 'request' | 'binary' | 'fragments' | 'ping' | 'close' | 'drop' | 'many';
}

const ANSWER_WITHIN_MS = 20_000;
/** What may be no request is answered at once or not at all. */
const SILENCE_MS = 150;
const MANY = 40;

/** @param good parameters by method */
export function frameInput(random: Random, good: Readonly<Record<string, unknown>>, connections: number): FrameInput {
  const method = random.of(Object.keys(good));
  const params = good[method];
  const kind = random.weighted<FrameInput['kind']>([
    [90, 'request'],
    [1, 'binary'],
    [1, 'fragments'],
    [1, 'ping'],
    [1, 'close'],
    [1, 'drop'],
    [1, 'many'],
  ]);
  const request = (wrong: unknown): string =>
    `{"id":{{id}},"method":${JSON.stringify(method)},"params":${jsonText(wrong)}}`;
  const text = random.weighted<() => string>([
    [25, () => request(params)],
    [65, () => request(mutate(random, params))],
    [5, () => mutateBody(random, { id: 1, method, params })],
    [5, () => mutateBody(random, { id: 1, method: 'hello', params: good['hello'] })],
  ])();
  return { connection: random.whole(0, connections - 1), text, kind };
}

export class Line {
  readonly #url: string;
  readonly #options: ClientOptions;
  readonly #greeting: () => object;
  readonly #waiting = new Map<number, (frame: unknown) => void>();
  #socket: WebSocket | undefined;
  #opening: Promise<void> | undefined;
  #nextId = 1;
  /** Told of every frame that comes. */
  onFrame: (frame: unknown) => void = () => undefined;

  /** @param greeting the first request of each connection, without its id */
  constructor(url: string, options: ClientOptions, greeting: () => object) {
    this.#url = url;
    this.#options = options;
    this.#greeting = greeting;
  }

  /** Connects and greets, if there is no connection. */
  async open(): Promise<void> {
    if (this.#socket?.readyState === WebSocket.OPEN && !this.#opening) return;
    this.#opening ??= this.#open().finally(() => (this.#opening = undefined));
    await this.#opening;
  }

  async request(method: string, params: unknown): Promise<unknown> {
    await this.open();
    return this.#ask((id) => JSON.stringify({ id, method, params }), ANSWER_WITHIN_MS);
  }

  /** Never rejects. */
  async send(input: FrameInput, names: ReadonlyMap<string, string>): Promise<Answered> {
    try {
      await this.open();
    } catch {
      return { kind: 'no connection' };
    }
    const socket = this.#socket;
    if (!socket) return { kind: 'no connection' };
    const text = named(input.text, names);
    switch (input.kind) {
      case 'request': {
        const hasId = text.startsWith('{"id":{{id}}');
        const frame = await this.#ask(
          (id) => text.replace('{{id}}', String(id)),
          hasId ? ANSWER_WITHIN_MS : SILENCE_MS,
        );
        return answeredBy(frame);
      }
      case 'binary':
        socket.send(Buffer.from(text));
        return this.#silence(input.kind);
      case 'fragments':
        socket.send(text.slice(0, 10), { fin: false });
        socket.send(text.slice(10));
        return this.#silence(input.kind);
      case 'ping':
        socket.ping(Buffer.alloc(125));
        return this.#silence(input.kind);
      case 'close':
        socket.close(4_999, 'x'.repeat(100));
        return this.#silence(input.kind);
      case 'drop':
        socket.terminate();
        return { kind: input.kind };
      case 'many':
        for (let count = 0; count < MANY; count += 1) socket.send(text.replace('{{id}}', String((this.#nextId += 1))));
        return this.#silence(input.kind);
    }
  }

  close(): void {
    this.#socket?.terminate();
  }

  async #open(): Promise<void> {
    const socket = new WebSocket(this.#url, this.#options);
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('message', (data) => this.#receive(JSON.parse(String(data))));
    socket.on('close', () => {
      for (const settle of this.#waiting.values()) settle('closed');
    });
    await Promise.race([once(socket, 'open'), once(socket, 'close').then(() => Promise.reject(new Error('refused')))]);
    const hello = this.#greeting();
    await this.#ask((id) => JSON.stringify({ ...hello, id }), ANSWER_WITHIN_MS);
  }

  #ask(text: (id: number) => string, withinMs: number): Promise<unknown> {
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle('silent'), withinMs);
      const settle = (frame: unknown): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(frame);
      };
      this.#waiting.set(id, settle);
      this.#socket?.send(text(id), (error) => {
        if (error) settle('closed');
      });
    });
  }

  #receive(frame: unknown): void {
    this.onFrame(frame);
    const id = at(frame, 'id');
    if (typeof id === 'number') this.#waiting.get(id)?.(frame);
  }

  async #silence(kind: string): Promise<Answered> {
    await new Promise((resolve) => setTimeout(resolve, SILENCE_MS));
    return { kind };
  }
}

function answeredBy(frame: unknown): Answered {
  if (typeof frame === 'string') return { kind: frame };
  const code = at(frame, 'error', 'code');
  if (typeof code !== 'string') return { kind: 'result' };
  if (code === 'internal') return { kind: code, fault: JSON.stringify(frame).slice(0, 500) };
  return { kind: code };
}
