/**
 * The asking half of a protocol of requests, answers and notifications: it numbers requests, keeps them until they are
 * answered, and parses what comes in. It knows no WebSocket: it is given a function that sends, and is fed with frames.
 *
 * The web client uses it towards its homeserver (session.ts), the homeserver towards its SFU.
 */
import type * as z from 'zod';

export type RequestTable = Readonly<Record<string, { readonly params: z.ZodType; readonly result: z.ZodType }>>;
export type NotificationTable = Readonly<Record<string, z.ZodType>>;
type Name<T> = keyof T & string;

/** A notification of any name, with the data of that name. */
export type NotificationOf<N extends NotificationTable> = {
  [K in Name<N>]: { readonly name: K; readonly data: z.infer<N[K]> };
}[Name<N>];

/** What the other side sends; `E` is what it says when it refuses a request. */
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
  /** How long a request waits for its answer, in ms. Without it, for as long as it takes. */
  readonly timeoutMs?: number;
  /**
   * Sends a frame, or returns false where there is no line: it then waits for `flush`.
   * @throws Error with which the request fails
   */
  readonly send: (frame: string, method: Name<R>) => boolean;
  /** Makes the error with which a request fails. */
  readonly error: (failure: Failure<Name<R>, E>) => Error;
  readonly onNotification: (notification: NotificationOf<N>) => void;
  /** Something came that is not of this protocol, and was dropped: a frame, or a notification of this name. */
  readonly onMalformed?: (notification?: string) => void;
}

interface Waiting<M> {
  readonly method: M;
  readonly frame: string;
  readonly timer: ReturnType<typeof setTimeout> | undefined;
  /** Over the line that is there now. */
  sent: boolean;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class RpcClient<R extends RequestTable, N extends NotificationTable, E> {
  readonly #options: RpcOptions<R, N, E>;
  /** Requests without an answer, in the order in which they were made. */
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

  /** As `request`, but tells the answer before the next frame is looked at. */
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
    // The parser of a method gives the result of that method; TypeScript can not follow the pair through the table.
    const waiting = { method, frame, timer, sent: false, resolve: resolve as (result: unknown) => void, reject };
    this.#waiting.set(id, waiting);
    this.#send(id, waiting);
  }

  /** Takes in what came over the line. */
  receive(text: string): void {
    const { data: frame } = this.#options.frame.safeParse(parseJson(text));
    if (frame === undefined) this.#options.onMalformed?.();
    else if ('notification' in frame) this.#notify(frame);
    else this.#settle(frame);
  }

  /** The line broke, and requests without an answer are kept: `flush` sends them over the next one. */
  lineLost(): void {
    for (const waiting of this.#waiting.values()) waiting.sent = false;
  }

  /** Sends what was not sent over this line yet. */
  flush(): void {
    for (const [id, waiting] of [...this.#waiting]) if (!waiting.sent) this.#send(id, waiting);
  }

  /** Gives up requests without an answer. @param which those of these methods; all by default */
  fail(which: (method: Name<R>) => boolean = () => true): void {
    for (const [id, { method, reject }] of [...this.#waiting]) {
      if (which(method) && this.#take(id)) reject(this.#options.error({ kind: 'lost', method }));
    }
  }

  /** The other side has begun anew: its next notification has the number 1. */
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

  /** A request that is not to be settled any more by anybody else. */
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
    // One that is not known is of a newer version.
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
