/** The homeserver's side of the control connection: requests, notifications, and reconnecting. */
import { connect } from 'node:net';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { type Failure, type NotificationOf, RpcClient } from '../protocol/rpc.ts';
import { SfuError } from './errors.ts';
import {
  MAX_REQUEST_BYTES,
  SFU_PROTOCOL_VERSION,
  sfuErrorSchema,
  sfuNotifications,
  sfuRequests,
  type SfuErrorBody,
  type SfuMethod,
  type SfuNotificationData,
  type SfuNotificationName,
  type SfuParams,
  type SfuResult,
} from './protocol.ts';

export { SfuError } from './errors.ts';

/** A connection attempt costs almost nothing, and a meeting waits for it. */
const RETRY_MS = 100;
/** The slowest request, `link.connect`, times out after five seconds. */
const REQUEST_TIMEOUT_MS = 15_000;
const MAX_MESSAGE_BYTES = 67_108_864;

/** The part of a pino logger used here. */
export interface SfuClientLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

export interface SfuClientOptions {
  /** The path of the SFU's unix socket, or its `host:port`: HANSETAG_SFU_CONTROL. */
  readonly socketPath?: string;
  /** Instead of `socketPath`, as `ws://host:port`. */
  readonly url?: string;
  readonly secret: string;
  readonly log: SfuClientLog;
}

export interface SfuConnection {
  readonly connected: boolean;
  /** The SFU's greeting on this connection. */
  readonly hello?: SfuResult<'hello'>;
}

const frameSchema = z.union([
  z.object({ id: z.number().int(), result: z.unknown() }),
  z.object({ id: z.number().int(), error: sfuErrorSchema }),
  z.object({ notification: z.string().max(64), data: z.unknown() }),
]);

type Handler = (notification: NotificationOf<typeof sfuNotifications>) => void;
type StateListener = (state: SfuConnection) => void;

/** Connects at once, and reconnects whenever the connection is lost, until `close`. */
export class SfuClient {
  readonly #options: SfuClientOptions;
  readonly #address: ReturnType<typeof addressOf>;
  readonly #rpc = new RpcClient({
    requests: sfuRequests,
    notifications: sfuNotifications,
    frame: frameSchema,
    timeoutMs: REQUEST_TIMEOUT_MS,
    send: (frame, method) => this.#send(frame, method),
    error: sfuError,
    onNotification: (notification) => this.#notify(notification),
    onMalformed: (name) => this.#options.log.warn({ name }, 'sfu client: malformed message'),
  });
  readonly #handlers = new Set<Handler>();
  readonly #stateListeners = new Set<StateListener>();
  #socket: WebSocket | undefined;
  #hello: SfuResult<'hello'> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  /** Whether this outage was logged. */
  #failureTold = false;

  /** @throws TypeError when neither a path nor an address is given */
  constructor(options: SfuClientOptions) {
    this.#options = options;
    this.#address = addressOf(options);
    this.#connect();
  }

  /** The SFU's greeting; undefined while it cannot be reached. */
  get hello(): SfuResult<'hello'> | undefined {
    return this.#hello;
  }

  /** @throws SfuError `worker-lost` also when the SFU cannot be reached or does not respond */
  async request<M extends SfuMethod>(method: M, params: SfuParams<M>): Promise<SfuResult<M>> {
    if (!this.#hello) throw new SfuError('worker-lost', 'the SFU cannot be reached');
    return this.#rpc.request(method, params);
  }

  /**
   * Calls the handler for each notification of this name, in order.
   *
   * @returns a function that removes it
   */
  on<N extends SfuNotificationName>(name: N, handler: (data: SfuNotificationData<N>) => void): () => void {
    const handleNamed: Handler = (notification) => {
      // A notification has the data type of its name, which TypeScript cannot follow for a generic name.
      if (notification.name === name) handler(notification.data as SfuNotificationData<N>);
    };
    this.#handlers.add(handleNamed);
    return () => this.#handlers.delete(handleNamed);
  }

  /**
   * Calls the listener on connect and disconnect, and at once if connected.
   *
   * @returns a function that removes it
   */
  onState(listener: StateListener): () => void {
    this.#stateListeners.add(listener);
    if (this.#hello) listener({ connected: true, hello: this.#hello });
    return () => this.#stateListeners.delete(listener);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = undefined;
    this.#hello = undefined;
    this.#rpc.fail();
    socket?.terminate();
  }

  #connect(): void {
    const { url, path } = this.#address;
    const socket = new WebSocket(url, {
      // Not in the URL, where letters such as ":" and "#" mean something else.
      createConnection: path === undefined ? undefined : () => connect({ path }),
      headers: { authorization: `Bearer ${this.#options.secret}` },
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      // Between two messages what waits for the first one gets its turn: nobody learns of the end of a consumer before
      // it knows the consumer.
      allowSynchronousEvents: false,
      handshakeTimeout: REQUEST_TIMEOUT_MS,
    });
    this.#socket = socket;
    socket.on('open', () => {
      this.#greet(socket).catch((error: unknown) => this.#failed(error));
    });
    socket.on('message', (data, isBinary) => {
      if (socket === this.#socket && !isBinary) this.#rpc.receive(data.toString());
    });
    socket.on('error', (error) => this.#failed(error));
    socket.on('close', () => {
      if (socket === this.#socket) this.#lost();
    });
  }

  async #greet(socket: WebSocket): Promise<void> {
    try {
      const hello = await this.#rpc.request('hello', { version: SFU_PROTOCOL_VERSION });
      if (socket !== this.#socket) return;
      this.#failureTold = false;
      this.#hello = hello;
      this.#tellState({ connected: true, hello });
    } catch (error) {
      this.#failed(error);
      socket.terminate();
    }
  }

  #send(frame: string, method: SfuMethod): boolean {
    // The SFU would close the connection for it, which all conferences share.
    if (Buffer.byteLength(frame) > MAX_REQUEST_BYTES) {
      throw new SfuError('bad-request', `the parameters of ${method} are too long`);
    }
    this.#socket?.send(frame, () => undefined);
    return true;
  }

  #notify(notification: NotificationOf<typeof sfuNotifications>): void {
    for (const handler of this.#handlers) this.#protect(() => handler(notification), notification.name);
  }

  #lost(): void {
    this.#socket = undefined;
    const wasConnected = this.#hello !== undefined;
    this.#hello = undefined;
    this.#rpc.fail();
    if (wasConnected) this.#tellState({ connected: false });
    if (this.#closed) return;
    this.#retry = setTimeout(() => this.#connect(), RETRY_MS);
  }

  /** A long outage is logged once, not for each attempt, and none that `close` has made. */
  #failed(error: unknown): void {
    if (this.#closed || this.#failureTold) return;
    this.#failureTold = true;
    this.#options.log.warn({ err: error }, 'sfu client: the connection failed, and is retried until it succeeds');
  }

  #tellState(state: SfuConnection): void {
    for (const listener of this.#stateListeners) this.#protect(() => listener(state), 'state');
  }

  /** A handler that throws must not keep others from the next message. */
  #protect(call: () => void, name: string): void {
    try {
      call();
    } catch (error) {
      this.#options.log.warn({ err: error, name }, 'sfu client: a handler failed');
    }
  }
}

function addressOf({ socketPath, url }: SfuClientOptions): { readonly url: string; readonly path?: string } {
  if (url !== undefined) return { url };
  if (socketPath === undefined) throw new TypeError('the SFU client needs a socket path or an address');
  return socketPath.startsWith('/') ? { url: 'ws://localhost/', path: socketPath } : { url: `ws://${socketPath}/` };
}

function sfuError(failure: Failure<SfuMethod, SfuErrorBody>): SfuError {
  const { kind, method } = failure;
  switch (kind) {
    case 'refused':
      return new SfuError(failure.error.code, failure.error.message);
    case 'malformed':
      return new SfuError('internal', `the SFU sent a malformed response to ${method}`);
    case 'timeout':
      return new SfuError('worker-lost', `the SFU did not respond to ${method}`);
    case 'lost':
      return new SfuError('worker-lost', `the connection to the SFU was lost before it responded to ${method}`);
  }
}
