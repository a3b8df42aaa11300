/**
 * The client half of a request/response protocol with notifications: numbers requests, keeps them until they are
 * answered, and parses incoming frames. It knows no WebSocket: it gets a function that sends, and is fed with frames.
 * The web client uses it for its homeserver (session.ts), the homeserver for its SFU.
 */
import type * as z from 'zod';

export type RequestTable = Readonly<Record<string, { readonly params: z.ZodType; readonly result: z.ZodType }>>;
export type NotificationTable = Readonly<Record<string, z.ZodType>>;
type Name<T> = keyof T & string;

/** A notification of any name, with the data of that name. */
export type NotificationOf<N extends NotificationTable> = {
  [K in Name<N>]: { readonly name: K; readonly data: z.infer<N[K]> };
}[Name<N>];

/** A frame from the server; `E` is its error type. */
export type Frame<E> =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: E }
  /** Where notifications are numbered, each number is taken once. */
  | { readonly notification: string; readonly data: unknown; readonly seq?: number };

/** Why a request has failed. */
export type Failure<M, E> =
  | { readonly kind: 'refused'; readonly method: M; readonly error: E }
  /** The answer is not of the agreed shape. */
  | { readonly kind: 'malformed'; readonly method: M; readonly reason: string }
  | { readonly kind: 'timeout'; readonly method: M }
  /** It was given up before the answer came, see `RpcClient.fail`. */
  | { readonly kind: 'lost'; readonly method: M };

export interface RpcOptions<R extends RequestTable, N extends NotificationTable, E> {
  readonly requests: R;
  readonly notifications: N;
  readonly frame: z.ZodType<Frame<E>>;
  /** Timeout of a request, in ms; none by default. */
  readonly timeoutMs?: number;
  /**
   * Sends a frame, or returns false where there is no line: it then waits for `flush`.
   * @throws Error with which the request fails
   */
  readonly send: (frame: string, method: Name<R>) => boolean;
  /** Makes the error with which a request fails. */
  readonly error: (failure: Failure<Name<R>, E>) => Error;
  readonly onNotification: (notification: NotificationOf<N>) => void;
  /** Called for a frame or notification (with its name) that is not of this protocol and was dropped. */
  readonly onMalformed?: (notification?: string) => void;
}

interface Waiting<M> {
  readonly method: M;
  readonly frame: string;
  readonly timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether it was sent over the current connection. */
  sent: boolean;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class RpcClient<R extends RequestTable, N extends NotificationTable, E> {
  readonly #options: RpcOptions<R, N, E>;
  /** Pending requests, in order. */
  readonly #waiting = new Map<number, Waiting<Name<R>>>();
  #nextId = 1;
  #lastSeq = 0;

  constructor(options: RpcOptions<R, N, E>) {
    this.#options = options;
  }

  /** The number of the last notification, where they are numbered. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** @throws what `options.error` makes of a failure */
  request<M extends Name<R>>(method: M, params: z.infer<R[M]['params']>): Promise<z.infer<R[M]['result']>> {
    return new Promise((resolve, reject) => this.call(method, params, resolve, reject));
  }

  /** Like `request`, but passes the result on before the next frame is handled. */
  call<M extends Name<R>>(
    method: M,
    params: z.infer<R[M]['params']>,
    resolve: (result: z.infer<R[M]['result']>) => void,
    reject: (error: unknown) => void,
  ): void {
    const { timeoutMs, error } = this.#options;
    const id = this.#nextId;
    this.#nextId += 1;
    const frame = JSON.stringify({ id, method, params });
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => this.#take(id)?.reject(error({ kind: 'timeout', method })), timeoutMs);
    // The parser of a method returns that method's result, which TypeScript cannot follow through the table.
    const waiting = { method, frame, timer, sent: false, resolve: resolve as (result: unknown) => void, reject };
    this.#waiting.set(id, waiting);
    this.#send(id, waiting);
  }

  /** Handles a received frame. */
  receive(text: string): void {
    const { data: frame } = this.#options.frame.safeParse(parseJson(text));
    if (frame === undefined) this.#options.onMalformed?.();
    else if ('notification' in frame) this.#notify(frame);
    else this.#settle(frame);
  }

  /** The connection was lost; pending requests are kept for `flush` over the next one. */
  lineLost(): void {
    for (const waiting of this.#waiting.values()) waiting.sent = false;
  }

  /** Sends pending requests that were not sent over this connection yet. */
  flush(): void {
    for (const [id, waiting] of [...this.#waiting]) if (!waiting.sent) this.#send(id, waiting);
  }

  /**
   * Fails pending requests. @param which of these methods; all by default
   *
   * @param which those of these methods; all by default
   */
  fail(which: (method: Name<R>) => boolean = () => true): void {
    for (const [id, { method, reject }] of [...this.#waiting]) {
      if (which(method) && this.#take(id)) reject(this.#options.error({ kind: 'lost', method }));
    }
  }

  /** The server has restarted: its next notification has the number 1. */
  restartNumbers(): void {
    this.#lastSeq = 0;
  }

  #send(id: number, waiting: Waiting<Name<R>>): void {
    try {
      waiting.sent = this.#options.send(waiting.frame, waiting.method);
    } catch (error) {
      this.#take(id)?.reject(error);
    }
  }

  /** Removes a pending request, so that nothing else settles it. */
  #take(id: number): Waiting<Name<R>> | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.timer);
    return waiting;
  }

  #settle(answer: Exclude<Frame<E>, { notification: string }>): void {
    const waiting = this.#take(answer.id);
    if (!waiting) return;
    const { requests, error } = this.#options;
    const { method, resolve, reject } = waiting;
    if ('error' in answer) {
      reject(error({ kind: 'refused', method, error: answer.error }));
      return;
    }
    const result = requests[method]?.result.safeParse(answer.result);
    if (result?.success) resolve(result.data);
    else reject(error({ kind: 'malformed', method, reason: result?.error.message ?? '' }));
  }

  #notify({ notification, data, seq }: Extract<Frame<E>, { notification: string }>): void {
    const { notifications, onNotification, onMalformed } = this.#options;
    if (seq !== undefined) {
      if (seq <= this.#lastSeq) return;
      this.#lastSeq = seq;
    }
    // An unknown one is from a newer version.
    if (!Object.hasOwn(notifications, notification)) return;
    const parsed = notifications[notification]?.safeParse(data);
    if (parsed?.success) onNotification({ name: notification, data: parsed.data } as NotificationOf<N>);
    else onMalformed?.(notification);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
