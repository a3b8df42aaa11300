import { randomBytes } from 'node:crypto';
import type { JsonObject } from './json.ts';

/** An event or EDU queued for a destination. Positions grow in the order of sending. */
export interface QueueItem {
  readonly position: number;
  readonly kind: 'pdu' | 'edu';
  readonly json: JsonObject;
}

/** Stores the queue across restarts. */
export interface QueueStore {
  /** All servers with queued items. */
  destinations(): Promise<string[]>;
  /** The first items for a destination, at most `limit`, by position. */
  next(destination: string, limit: number): Promise<QueueItem[]>;
  /**
   * Removes exactly these items of a destination: one with a lower position may have been committed after them, and still
   * has to be sent.
   */
  done(destination: string, positions: readonly number[]): Promise<void>;
}

/** The PDUs and EDUs of one transaction. */
export interface TransactionContent {
  readonly pdus: JsonObject[];
  readonly edus: JsonObject[];
}

/** Where the queue reports failures; a pino logger is one. */
export interface QueueLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

export interface OutboundQueueOptions {
  readonly store: QueueStore;
  /** Sends one transaction; resolves when the server has accepted it. */
  readonly send: (destination: string, txnId: string, content: TransactionContent) => Promise<void>;
  /** Whether an error of `send` means that the server will never accept the transaction as it is. */
  readonly isRefusal?: (error: unknown) => boolean;
  /**
   * Whether nothing is to be sent to a server, because we do not federate with it. What is stored waits until somebody
   * calls `wake`; EDUs in memory are dropped.
   */
  readonly isHeld?: (destination: string) => boolean;
  /** Called for each item that a server refuses permanently. */
  readonly onDropped?: (destination: string, kind: QueueItem['kind']) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly log?: QueueLog;
}

/** An item being sent; only those from the store have a position. */
interface Sent extends Pick<QueueItem, 'kind' | 'json'> {
  readonly position?: number;
}

interface Batch {
  /** The same for every attempt to send the batch, so that the receiver recognises a retry. */
  readonly txnId: string;
  readonly items: readonly Sent[];
}

interface Lane {
  running: Promise<void> | undefined;
  /** Something was queued while the lane was busy. */
  again: boolean;
  /** What could not be delivered yet: one batch, or the single items of a refused one. */
  batches: Batch[];
  failures: number;
  /** The next attempt, during back-off. */
  timer: NodeJS.Timeout | undefined;
  lastAttempt: number;
  edus: { readonly edu: JsonObject; readonly at: number }[];
}

/** @see Matrix specification, server-server API, "Transactions" */
const MAX_PDUS = 50;
const MAX_EDUS = 100;
// EDUs in memory describe the present, such as who is typing.
const EDU_LIFETIME_MS = 60_000;
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 3_600_000;
const CLOSE_WAIT_MS = 2_000;
const FLUSH_WAIT_MS = 3_000;

/**
 * Sends events to other servers in order, one transaction per server at a time. What is in the store is retried with
 * exponential back-off until the server accepts it; EDUs in memory are dropped when they get old.
 */
export class OutboundQueue {
  readonly #options: OutboundQueueOptions;
  readonly #now: () => number;
  readonly #lanes = new Map<string, Lane>();
  #closed = false;

  constructor(options: OutboundQueueOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Sends what is stored for a destination, unless it is in back-off. */
  wake(destination: string): void {
    if (this.#closed || this.#isHeld(destination)) return;
    this.#start(destination, this.#lane(destination));
  }

  /** Sends everything stored, as after a restart. */
  async wakeAll(): Promise<void> {
    for (const destination of await this.#options.store.destinations()) this.wake(destination);
  }

  /** Sends an EDU from memory; it is lost when the server does not accept it soon. */
  edu(destination: string, edu: JsonObject): void {
    if (this.#closed || this.#isHeld(destination)) return;
    const lane = this.#lane(destination);
    lane.edus.push({ edu, at: this.#now() });
    if (lane.edus.length > MAX_EDUS) lane.edus.shift();
    this.#start(destination, lane);
  }

  /** Ends the back-off, because the server has just shown that it is up. */
  destinationIsUp(server: string): void {
    const lane = this.#lanes.get(server);
    if (lane?.timer === undefined || this.#closed) return;
    clearTimeout(lane.timer);
    lane.failures = 0;
    // A server that sends a lot but accepts nothing does not get an attempt for each of its requests.
    const wait = lane.lastAttempt + FIRST_DELAY_MS - this.#now();
    if (wait > 0) this.#pause(server, lane, wait);
    else this.#resume(server, lane);
  }

  /**
   * Sends what is queued for a server at once, despite back-off, and waits a limited time for it: before a request whose
   * response depends on what we have queued.
   */
  async flush(destination: string): Promise<void> {
    if (this.#closed || this.#isHeld(destination)) return;
    const lane = this.#lane(destination);
    clearTimeout(lane.timer);
    lane.timer = undefined;
    this.#start(destination, lane);
    if (lane.running) await settled(lane.running, FLUSH_WAIT_MS);
  }

  /** Stops. Waits a limited time for transactions in flight; their items are sent again after the next start. */
  async close(): Promise<void> {
    this.#closed = true;
    const running: Promise<void>[] = [];
    for (const lane of this.#lanes.values()) {
      clearTimeout(lane.timer);
      if (lane.running !== undefined) running.push(lane.running);
    }
    this.#lanes.clear();
    await settled(Promise.all(running), CLOSE_WAIT_MS);
  }

  #lane(destination: string): Lane {
    let lane = this.#lanes.get(destination);
    if (lane === undefined) {
      lane = {
        running: undefined,
        again: false,
        batches: [],
        failures: 0,
        timer: undefined,
        lastAttempt: 0,
        edus: [],
      };
      this.#lanes.set(destination, lane);
    }
    return lane;
  }

  #start(destination: string, lane: Lane): void {
    lane.again = true;
    if (lane.running !== undefined || lane.timer !== undefined) return;
    lane.running = this.#run(destination, lane).finally(() => {
      lane.running = undefined;
      if (this.#closed || lane.timer !== undefined) return;
      if (lane.again) this.#start(destination, lane);
      else this.#lanes.delete(destination);
    });
  }

  /** Sends until nothing is left or an attempt fails. Does not throw. */
  async #run(destination: string, lane: Lane): Promise<void> {
    while (lane.again && !this.#closed) {
      try {
        lane.again = false;
        if (lane.batches.length === 0) lane.batches.push(...(await this.#nextBatch(destination, lane)));
        const [batch] = lane.batches;
        if (batch === undefined || this.#isClosed()) continue;
        lane.lastAttempt = this.#now();
        const taken = await this.#deliver(destination, batch);
        // The store must not be used after close; the receiver deduplicates events that are sent again.
        if (this.#isClosed()) return;
        lane.batches.splice(0, 1, ...(taken === 'item by item' ? batch.items.map((item) => newBatch([item])) : []));
        if (taken !== 'item by item') {
          const positions = batch.items.flatMap(({ position }) => position ?? []);
          if (positions.length > 0) await this.#options.store.done(destination, positions);
        }
        if (lane.failures > 0) this.#options.log?.info({ destination }, 'the server can be reached again');
        lane.failures = 0;
        lane.again = true;
      } catch (error) {
        if (!this.#isClosed()) this.#fail(destination, lane, error);
        return;
      }
    }
  }

  /**
   * Sends a batch. A refused batch is to be sent item by item; a refused item is dropped if the server accepts an empty
   * transaction, so that what it refuses for other reasons is retried like everything else.
   *
   * @throws what `send` fails with
   */
  async #deliver(destination: string, { txnId, items }: Batch): Promise<'all' | 'item by item' | 'dropped'> {
    try {
      await this.#options.send(destination, txnId, contentOf(items));
      return 'all';
    } catch (error) {
      if (this.#options.isRefusal?.(error) !== true) throw error;
      if (items.length > 1) return 'item by item';
      await this.#options.send(destination, newBatch([]).txnId, contentOf([]));
      for (const { kind } of items) {
        const reason = error instanceof Error ? error.message : 'unknown';
        this.#options.log?.warn({ destination, kind, reason }, 'the server refuses an item for good; it is dropped');
        this.#options.onDropped?.(destination, kind);
      }
      return 'dropped';
    }
  }

  #isHeld(destination: string): boolean {
    return this.#options.isHeld?.(destination) ?? false;
  }

  // The compiler assumes that a field that was false before an await still is.
  #isClosed(): boolean {
    return this.#closed;
  }

  /** The next batch, if there is one. */
  async #nextBatch(destination: string, lane: Lane): Promise<Batch[]> {
    const items: Sent[] = [];
    const left = { pdu: MAX_PDUS, edu: MAX_EDUS };
    for (const item of await this.#options.store.next(destination, MAX_PDUS + MAX_EDUS)) {
      if (left[item.kind] === 0) break;
      left[item.kind]--;
      items.push(item);
    }
    const fresh = lane.edus.filter(({ at }) => at > this.#now() - EDU_LIFETIME_MS);
    items.push(...fresh.splice(0, left.edu).map(({ edu }): Sent => ({ kind: 'edu', json: edu })));
    lane.edus = fresh;
    return items.length === 0 ? [] : [newBatch(items)];
  }

  #fail(destination: string, lane: Lane, error: unknown): void {
    if (this.#isHeld(destination)) {
      // It goes on when somebody wakes it, not after a time.
      lane.again = false;
      return;
    }
    lane.failures++;
    const delay = Math.min(FIRST_DELAY_MS * 2 ** (lane.failures - 1) * (1 + Math.random() / 2), MAX_DELAY_MS);
    const reason = error instanceof Error ? error.message : 'unknown';
    const details = { destination, failures: lane.failures, retryInMs: Math.round(delay), reason };
    this.#options.log?.warn(details, 'a transaction was not delivered');
    this.#pause(destination, lane, delay);
  }

  #pause(destination: string, lane: Lane, delay: number): void {
    lane.timer = setTimeout(() => this.#resume(destination, lane), delay);
  }

  #resume(destination: string, lane: Lane): void {
    lane.timer = undefined;
    if (this.#isHeld(destination)) this.#lanes.delete(destination);
    else this.#start(destination, lane);
  }
}

/** Waits for a promise to settle, for `limitMs` at most. */
async function settled(running: Promise<unknown>, limitMs: number): Promise<void> {
  const { promise: enough, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, limitMs);
  await Promise.race([running, enough]);
  clearTimeout(timer);
}

function newBatch(items: readonly Sent[]): Batch {
  return { txnId: randomBytes(12).toString('base64url'), items };
}

function contentOf(items: readonly Sent[]): TransactionContent {
  const of = (wanted: QueueItem['kind']): JsonObject[] =>
    items.filter(({ kind }) => kind === wanted).map(({ json }) => json);
  return { pdus: of('pdu'), edus: of('edu') };
}
