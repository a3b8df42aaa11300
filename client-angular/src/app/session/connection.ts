/**
 * The client's end of the session protocol (docs/protocol.md): requests with answers, ordered notifications,
 * liveness, and coming back after a drop without losing the place. Knows nothing of media or of the screen.
 */
import {
  type Method,
  type NotificationData,
  type NotificationName,
  notifications,
  type Params,
  requests,
  type Result,
  type ServerFrame,
  serverFrameSchema,
  SESSION_VERSION,
} from '../../../../protocol/session.ts';
import { backoff } from './backoff.ts';
import { SessionError } from './session-error.ts';

/** Silence after which the client asks whether the server is there, and how long it then waits, in ms. */
const QUIET_MS = 3_000;
const PATIENCE_MS = 4_000;
/** A connection that has not said hello by then is given up, in ms. */
const HELLO_MS = 5_000;

export type ConnectionState =
  | 'idle'
  /** The first connection is under way. */
  | 'connecting'
  | 'open'
  /** It was open and is being made again. */
  | 'lost'
  /** The server does not take us (signed out, wrong version): no further attempts. */
  | 'refused';

/** What the connection uses of a WebSocket. */
export type Socket = Pick<WebSocket, 'send' | 'close' | 'onopen' | 'onmessage' | 'onclose'>;

export interface ConnectionOptions {
  open(): Socket;
  /** A token that is good now; `refused` is one that the server did not take. Undefined: log in again. */
  accessToken(refused?: string): Promise<string | undefined>;
  onState(state: ConnectionState): void;
  /** A session was made that knows nothing of the one before: join again. Also called for the very first one. */
  onNewSession(hello: Result<'hello'>): void;
  onNotification<N extends NotificationName>(name: N, data: NotificationData<N>): void;
}

interface Pending {
  method: Method;
  frame: string;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export class SessionConnection {
  readonly #options: ConnectionOptions;
  #state: ConnectionState = 'idle';
  #socket: Socket | undefined;
  #sessionId: string | undefined;
  #lastSeq = 0;
  #nextId = 1;
  #attempt = 0;
  #token: string | undefined;
  #tokenRefused = false;
  #helloId = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  /** Requests without an answer: sent, or waiting for the connection. */
  readonly #pending = new Map<number, Pending>();

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Connects, and stays connected until `close`. */
  start(): void {
    if (this.#state === 'idle' || this.#state === 'refused') {
      this.#setState('connecting');
      void this.#connect();
    }
  }

  /** The network is said to be back: no reason to wait for the next attempt. */
  hurry(): void {
    if (this.#state !== 'lost' || this.#socket) return;
    clearTimeout(this.#timer);
    this.#attempt = 0;
    void this.#connect();
  }

  /**
   * Sends a request; while the connection is lost it waits. A request whose answer was lost is sent again when
   * the session is resumed.
   * @throws SessionError when it was refused, or `connection-lost` when the session ended before the answer
   */
  request<M extends Exclude<Method, 'hello'>>(method: M, params: Params<M>): Promise<Result<M>> {
    if (this.#state === 'idle' || this.#state === 'refused') {
      return Promise.reject(new SessionError('connection-lost', 'There is no session.'));
    }
    const id = this.#nextId++;
    const frame = JSON.stringify({ id, method, params });
    return new Promise<Result<M>>((resolve, reject) => {
      this.#pending.set(id, {
        method,
        frame,
        resolve: (result) => {
          const parsed = requests[method].result.safeParse(result);
          if (parsed.success) resolve(parsed.data as Result<M>);
          else reject(new SessionError('unexpected-answer', `${method}: ${parsed.error.message}`));
        },
        reject,
      });
      if (this.#state === 'open') this.#socket?.send(frame);
    });
  }

  /** Ends the session here. The server notices the closed connection and keeps the place for its grace period. */
  close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#socket = undefined;
    this.#sessionId = undefined;
    socket?.close(1000);
    this.#failPending(() => true);
    this.#setState('idle');
  }

  async #connect(): Promise<void> {
    const refused = this.#tokenRefused ? this.#token : undefined;
    let token: string | undefined;
    try {
      token = await this.#options.accessToken(refused);
    } catch {
      this.#retry();
      return;
    }
    if (this.#state === 'idle' || this.#socket) return;
    if (token === undefined) {
      this.#refuse();
      return;
    }
    this.#token = token;
    const socket = this.#options.open();
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#drop(socket), HELLO_MS);
    socket.onopen = () => {
      this.#helloId = this.#nextId++;
      const resume =
        this.#sessionId === undefined ? {} : { resume: { sessionId: this.#sessionId, lastSeq: this.#lastSeq } };
      const params = { version: SESSION_VERSION, accessToken: token, ...resume };
      socket.send(JSON.stringify({ id: this.#helloId, method: 'hello', params }));
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (socket === this.#socket) this.#onFrame(event.data);
    };
    socket.onclose = () => this.#drop(socket);
  }

  #drop(socket: Socket): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    socket.close();
    if (this.#state === 'open') {
      this.#attempt = 0;
      this.#setState('lost');
    }
    if (this.#state === 'lost' || this.#state === 'connecting') this.#retry();
  }

  #retry(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#connect(), backoff(this.#attempt));
    this.#attempt += 1;
  }

  #refuse(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    socket?.close();
    this.#sessionId = undefined;
    this.#setState('refused');
    this.#failPending(() => true);
  }

  #onFrame(data: unknown): void {
    this.#heard();
    let frame: ServerFrame;
    try {
      frame = serverFrameSchema.parse(typeof data === 'string' ? JSON.parse(data) : undefined);
    } catch {
      return;
    }
    if ('seq' in frame) {
      if (frame.seq <= this.#lastSeq) return;
      this.#lastSeq = frame.seq;
      this.#notify(frame.notification, frame.data);
      return;
    }
    if (frame.id === this.#helloId) {
      if ('error' in frame) this.#onRefusedHello(frame.error.code);
      else this.#onHello(frame.result);
      return;
    }
    const pending = this.#pending.get(frame.id);
    if (!pending) return;
    this.#pending.delete(frame.id);
    if ('error' in frame) pending.reject(new SessionError(frame.error.code, frame.error.message, frame.error));
    else pending.resolve(frame.result);
  }

  #onRefusedHello(code: string): void {
    if (code === 'unauthorised' && !this.#tokenRefused) {
      this.#tokenRefused = true;
      if (this.#socket) this.#drop(this.#socket);
    } else if (code === 'unauthorised' || code === 'unsupported-version') {
      this.#refuse();
    }
    // Anything else passes: the server closes, and the next attempt follows.
  }

  #onHello(result: unknown): void {
    const parsed = requests.hello.result.safeParse(result);
    if (!parsed.success) {
      this.#refuse();
      return;
    }
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#tokenRefused = false;
    const hello = parsed.data;
    const first = this.#sessionId === undefined;
    this.#sessionId = hello.sessionId;
    if (hello.resumed) {
      this.#setState('open');
      for (const { frame } of this.#pending.values()) this.#socket?.send(frame);
      return;
    }
    this.#lastSeq = 0;
    // What was asked in the old session has no meaning in this one, except what stands for itself.
    if (!first) this.#failPending((pending) => !pending.method.startsWith('chat.'));
    this.#setState('open');
    const waiting = [...this.#pending.values()];
    this.#options.onNewSession(hello);
    for (const { frame } of waiting) this.#socket?.send(frame);
  }

  #notify(name: string, data: unknown): void {
    if (!Object.hasOwn(notifications, name)) return;
    const known = name as NotificationName;
    const parsed = notifications[known].safeParse(data);
    if (parsed.success) this.#options.onNotification(known, parsed.data);
  }

  /** Something came from the server. After some silence ask for a sign, then take the connection as dead. */
  #heard(): void {
    clearTimeout(this.#silence);
    const socket = this.#socket;
    if (!socket) return;
    this.#silence = setTimeout(() => {
      if (this.#state !== 'open') return;
      this.request('ping', {}).catch(() => undefined);
      this.#silence = setTimeout(() => this.#drop(socket), PATIENCE_MS);
    }, QUIET_MS);
  }

  #failPending(which: (pending: Pending) => boolean): void {
    for (const [id, pending] of [...this.#pending]) {
      if (!which(pending)) continue;
      this.#pending.delete(id);
      pending.reject(new SessionError('connection-lost', 'The session ended before the answer came.'));
    }
  }

  #setState(state: ConnectionState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.onState(state);
  }
}
