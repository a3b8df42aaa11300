/**
 * The client's end of the session protocol (docs/protocol.md): requests with answers, ordered notifications,
 * liveness, and coming back after a drop without losing the place. Knows nothing of media or of the screen.
 */
import { BehaviorSubject, Subject } from 'rxjs';
import { type Failure, RpcClient } from '../../../../protocol/rpc.ts';
import {
  type Method,
  type Notification,
  notifications,
  type Params,
  type ProtocolError,
  requests,
  type Result,
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
}

export class SessionConnection {
  readonly #options: ConnectionOptions;
  readonly #state = new BehaviorSubject<ConnectionState>('idle');
  readonly #newSessions = new Subject<Result<'hello'>>();
  readonly #notifications = new Subject<Notification>();
  /** The state now, and each other one. */
  readonly states = this.#state.asObservable();
  /** A session was made that knows nothing of the one before: join again. Also told for the very first one. */
  readonly newSessions = this.#newSessions.asObservable();
  readonly notifications = this.#notifications.asObservable();
  /** Requests wait in it for the connection, and are sent again when a session is resumed. */
  readonly #rpc = new RpcClient({
    requests,
    notifications,
    frame: serverFrameSchema,
    send: (frame, method) => this.#send(frame, method),
    error: sessionError,
    onNotification: (notification) => this.#notifications.next(notification),
  });
  #socket: Socket | undefined;
  #sessionId: string | undefined;
  #attempt = 0;
  #token: string | undefined;
  #tokenRefused = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state.value;
  }

  /** Connects, and stays connected until `close`. */
  start(): void {
    if (this.state === 'idle' || this.state === 'refused') {
      this.#setState('connecting');
      void this.#connect();
    }
  }

  /** The network is said to be back: no reason to wait for the next attempt. */
  hurry(): void {
    if (this.state !== 'lost' || this.#socket) return;
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
    if (this.state === 'idle' || this.state === 'refused') {
      return Promise.reject(new SessionError('connection-lost', 'There is no session.'));
    }
    return this.#rpc.request(method, params);
  }

  /** Ends the session here. The server notices the closed connection and keeps the place for its grace period. */
  close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#socket = undefined;
    this.#sessionId = undefined;
    socket?.close(1000);
    this.#rpc.fail();
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
    if (this.state === 'idle' || this.#socket) return;
    if (token === undefined) {
      this.#refuse();
      return;
    }
    this.#token = token;
    const socket = this.#options.open();
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#drop(socket), HELLO_MS);
    socket.onopen = () => {
      const resume =
        this.#sessionId === undefined ? {} : { resume: { sessionId: this.#sessionId, lastSeq: this.#rpc.lastSeq } };
      this.#rpc.call(
        'hello',
        { version: SESSION_VERSION, accessToken: token, ...resume },
        (hello) => this.#onHello(hello),
        (error) => this.#onRefusedHello(error),
      );
    };
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (socket !== this.#socket) return;
      this.#heard();
      if (typeof data === 'string') this.#rpc.receive(data);
    };
    socket.onclose = () => this.#drop(socket);
  }

  #drop(socket: Socket): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    socket.close();
    this.#rpc.fail((method) => method === 'hello');
    this.#rpc.lineLost();
    if (this.state === 'open') {
      this.#attempt = 0;
      this.#setState('lost');
    }
    if (this.state === 'lost' || this.state === 'connecting') this.#retry();
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
    this.#rpc.fail();
  }

  #send(frame: string, method: Method): boolean {
    if (!this.#socket || (this.state !== 'open' && method !== 'hello')) return false;
    this.#socket.send(frame);
    return true;
  }

  #onRefusedHello(error: unknown): void {
    const code = error instanceof SessionError ? error.code : undefined;
    if (code === 'unauthorised' && !this.#tokenRefused) {
      this.#tokenRefused = true;
      if (this.#socket) this.#drop(this.#socket);
    } else if (code === 'unauthorised' || code === 'unsupported-version' || code === 'unexpected-answer') {
      this.#refuse();
    }
    // Anything else passes: the server closes, and the next attempt follows.
  }

  #onHello(hello: Result<'hello'>): void {
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#tokenRefused = false;
    const first = this.#sessionId === undefined;
    this.#sessionId = hello.sessionId;
    if (hello.resumed) {
      this.#setState('open');
      this.#rpc.flush();
      return;
    }
    this.#rpc.restartNumbers();
    // What was asked in the old session has no meaning in this one, except what stands for itself.
    if (!first) this.#rpc.fail((method) => !method.startsWith('chat.'));
    this.#setState('open');
    this.#newSessions.next(hello);
    this.#rpc.flush();
  }

  /** Something came from the server. After some silence ask for a sign, then take the connection as dead. */
  #heard(): void {
    clearTimeout(this.#silence);
    const socket = this.#socket;
    if (!socket) return;
    this.#silence = setTimeout(() => {
      if (this.state !== 'open') return;
      this.request('ping', {}).catch(() => undefined);
      this.#silence = setTimeout(() => this.#drop(socket), PATIENCE_MS);
    }, QUIET_MS);
  }

  #setState(state: ConnectionState): void {
    if (state !== this.state) this.#state.next(state);
  }
}

function sessionError(failure: Failure<Method, ProtocolError>): SessionError {
  switch (failure.kind) {
    case 'refused':
      return new SessionError(failure.error.code, failure.error.message, failure.error);
    case 'malformed':
      return new SessionError('unexpected-answer', `${failure.method}: ${failure.reason}`);
    case 'timeout':
    case 'lost':
      return new SessionError('connection-lost', 'The session ended before the answer came.');
  }
}
