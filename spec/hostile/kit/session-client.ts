/** A client of the session protocol that does what it is told, well-behaved or not. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { RtpParameters, Source } from '../../../protocol/media.ts';
import {
  conferenceSnapshotSchema,
  type ConferenceSnapshot,
  type MediaOpened,
  type NotificationName,
  SESSION_VERSION,
} from '../../../protocol/session.ts';
import { at } from '../../support/homeservers.ts';
import { CAMERA, MICROPHONE } from '../../sfu/support.ts';

/** What a request came to. */
export type Outcome = { readonly result: unknown } | { readonly error: { readonly code: string } };

export interface Told {
  readonly seq: number;
  readonly notification: string;
  readonly data: unknown;
}

export class SessionClient {
  readonly told: Told[] = [];
  readonly #url: string;
  readonly #token: string;
  readonly #waiting = new Map<number, (outcome: Outcome) => void>();
  #socket: WebSocket | undefined;
  #next = 1;
  #seq = 0;
  sessionId = '';
  /** What the last join said. */
  snapshot: ConferenceSnapshot | undefined;
  media: MediaOpened | undefined;

  /** @param url of the client API */
  constructor(url: string, token: string) {
    this.#url = `${url.replace(/^http/, 'ws')}/_hansetag/client/v1/session`;
    this.#token = token;
  }

  static async open(url: string, token: string): Promise<SessionClient> {
    const client = new SessionClient(url, token);
    await client.connect();
    return client;
  }

  /** Connects, and comes back to its session if it had one. @returns whether that was still there */
  async connect(): Promise<boolean> {
    const socket = new WebSocket(this.#url);
    this.#forget();
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('message', (data) => {
      if (socket === this.#socket) this.#receive(String(data));
    });
    socket.on('close', () => this.#end(socket));
    await once(socket, 'open');
    const outcome = await this.ask('hello', {
      version: SESSION_VERSION,
      accessToken: this.#token,
      ...(this.sessionId === '' ? {} : { resume: { sessionId: this.sessionId, lastSeq: this.#seq } }),
    });
    if ('error' in outcome) throw new Error(`hello: ${outcome.error.code}`);
    const resumed = at(outcome.result, 'resumed') === true;
    this.sessionId = String(at(outcome.result, 'sessionId'));
    if (!resumed) this.#seq = 0;
    return resumed;
  }

  get socket(): WebSocket {
    if (!this.#socket) throw new Error('not connected');
    return this.#socket;
  }

  /** Never rejects: a request whose connection ends comes to the error `gone`. */
  ask(method: string, params: unknown = {}): Promise<Outcome> {
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      if (this.#socket?.readyState !== WebSocket.OPEN) this.#settle(id, { error: { code: 'gone' } });
      else this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  /** @throws Error with the code of a refusal */
  async must(method: string, params: unknown = {}): Promise<unknown> {
    const outcome = await this.ask(method, params);
    if ('error' in outcome) throw new Error(`${method}: ${JSON.stringify(outcome.error)}`);
    return outcome.result;
  }

  async join(roomId: string): Promise<ConferenceSnapshot> {
    const snapshot = conferenceSnapshotSchema.parse(await this.must('conference.join', { roomId }));
    this.snapshot = snapshot;
    this.media = snapshot.media;
    return snapshot;
  }

  /** The parameters of a publication over the transport to send. */
  publication(source: Source): { transportId: string; source: Source; rtpParameters: RtpParameters; paused: boolean } {
    const rtpParameters = source === 'camera' || source === 'screen' ? CAMERA : MICROPHONE;
    return { transportId: this.media?.send.id ?? '', source, rtpParameters, paused: false };
  }

  publish(source: Source): Promise<Outcome> {
    return this.ask('media.publish', this.publication(source));
  }

  watch(participantIds: readonly string[], source: Source = 'microphone'): Promise<Outcome> {
    return this.ask('media.watch', {
      transportId: this.media?.receive.id ?? '',
      rtpCapabilities: this.media?.rtpCapabilities ?? {},
      watch: participantIds.map((participantId) => ({ participantId, source })),
    });
  }

  /** The data of all notifications of a name, in their order. */
  heard(name: NotificationName): unknown[] {
    return this.told.filter(({ notification }) => notification === name).map(({ data }) => data);
  }

  /** The connection breaks without a word. */
  drop(): void {
    this.#socket?.terminate();
    this.#forget();
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    if (!socket || socket.readyState === WebSocket.CLOSED) return;
    const closed = once(socket, 'close');
    socket.terminate();
    await closed;
  }

  #receive(text: string): void {
    const frame: unknown = JSON.parse(text);
    const id = at(frame, 'id');
    if (typeof id === 'number') {
      this.#settle(id, frame as Outcome);
      return;
    }
    const told = frame as Told;
    this.#seq = told.seq;
    this.told.push(told);
  }

  #settle(id: number, outcome: Outcome): void {
    this.#waiting.get(id)?.(outcome);
    this.#waiting.delete(id);
  }

  #end(socket: WebSocket): void {
    if (socket === this.#socket) this.#forget();
  }

  /** What is not answered yet never will be. */
  #forget(): void {
    for (const id of [...this.#waiting.keys()]) this.#settle(id, { error: { code: 'gone' } });
  }
}
