/**
 * What we tell one other instance live about one conference: one request at a time, on connections that wait for nothing
 * else. The newest state of each participant replaces what waits. What did not arrive is not sent again as it was: as
 * soon as the other instance answers, it gets the whole state. An empty message from time to time shows it whether it
 * has missed something. docs/federation.md specifies the messages.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import type { Cancel, Clock } from '../../base/clock.ts';
import { unexpected } from '../../base/log.ts';
import type { Conference } from './conference.ts';
import type { LocalParticipant } from './local-participant.ts';
import type { LiveAnswer } from './messages.ts';

/** The shortest time between two messages, in ms. */
const GAP_MS = 50;
/** Times to wait after failures, in ms; the last one repeats. */
const BACK_OFF_MS = [250, 500, 1_000, 2_000, 5_000];
/** How often there is a message although nothing is to be told, in ms. */
const SIGN_EVERY_MS = 5_000;
/** The whole state is sent no more often than this because it is asked for, in ms. */
const WHOLE_GAP_MS = 1_000;
/** Data of a module is about this very moment, in ms. */
const MODULE_DATA_MS = 2_000;
/** An order that did not arrive by then is given up: later it would surprise, in ms. */
const ORDER_MS = 5_000;
/** Participants in one message. */
const MAX_PARTICIPANTS = 100;
/** Orders in one message: each may hold an event. */
const MAX_ORDERS = 8;
const MAX_ORDERS_WAITING = 200;
/** Modules that have data waiting. */
const MAX_MODULES = 20;

export interface LiveLaneDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Sends one message. Rejects when it was not answered, or not well. */
  say(server: string, roomId: string, message: JsonObject): Promise<LiveAnswer>;
  /** The state of a participant, as it is now. */
  describe(local: LocalParticipant): JsonObject;
  /** Nothing is to be told any more. */
  ended(): void;
}

/** An order in the form of the message, with its number. */
export interface LaneOrder extends JsonObject {
  number: number;
}

interface WaitingOrder {
  readonly order: LaneOrder;
  /** Called once. */
  settle(taken: boolean): void;
}

/** What a message takes along, to be dealt with when it is known whether it arrived. */
interface Load {
  readonly message: JsonObject;
  readonly orders: readonly WaitingOrder[];
}

export class LiveLane {
  readonly conference: Conference;
  readonly #server: string;
  readonly #deps: LiveLaneDeps;
  readonly #epoch = randomUUID();
  #number = 0;
  readonly #waiting = new Set<LocalParticipant>();
  /** The next message begins to name everybody: also the first one. */
  #whole = true;
  #wholeAt = -Infinity;
  readonly #asks = new Set<'resend' | 'relink'>();
  readonly #modules = new Map<string, { readonly data: JsonValue; readonly until: number }>();
  readonly #orders = new Set<WaitingOrder>();
  #sending = false;
  #failures = 0;
  #triedAt = -Infinity;
  #next: Cancel = () => undefined;
  #closed = false;

  constructor(conference: Conference, server: string, deps: LiveLaneDeps) {
    this.conference = conference;
    this.#server = server;
    this.#deps = deps;
  }

  /** The state of these participants is new. */
  announce(locals: Iterable<LocalParticipant>): void {
    for (const local of locals) this.#waiting.add(local);
    this.#soon();
  }

  /** Asks for the state of all participants of the other instance, or for a new link. */
  ask(what: 'resend' | 'relink'): void {
    this.#asks.add(what);
    this.#soon();
  }

  /** Data of a module, which is lost when it can not go out now. Newer data takes the place of what waits. */
  tell(module: string, data: JsonValue): void {
    if (!this.#modules.has(module) && this.#modules.size >= MAX_MODULES) return;
    this.#modules.set(module, { data, until: this.#deps.clock.monotonic() + MODULE_DATA_MS });
    this.#soon();
  }

  /** @returns whether the other instance has taken the order. Never rejects. */
  order(order: LaneOrder): Promise<boolean> {
    if (this.#closed || this.#orders.size >= MAX_ORDERS_WAITING) return Promise.resolve(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiting: WaitingOrder = {
      order,
      settle: (taken) => {
        cancel();
        this.#orders.delete(waiting);
        resolve(taken);
      },
    };
    const cancel = this.#deps.clock.after(ORDER_MS, () => waiting.settle(false));
    this.#orders.add(waiting);
    this.#soon();
    return promise;
  }

  /** Idempotent. Orders that wait have not arrived. */
  close(): void {
    this.#closed = true;
    this.#next();
    for (const order of this.#orders) order.settle(false);
  }

  /** Sends as soon as it may. */
  #soon(): void {
    if (this.#closed || this.#sending) return;
    const { size: orders } = this.#orders;
    let at = this.#triedAt + (orders > 0 ? this.#pause(1) : this.#pause(this.#failures));
    if (!this.#isPending()) at = Math.max(at, this.#wholeAt + WHOLE_GAP_MS);
    this.#in(at - this.#deps.clock.monotonic());
  }

  /** How long to wait after so many failures: for an order never longer than after the first. */
  #pause(failures: number): number {
    if (this.#failures === 0) return GAP_MS;
    return BACK_OFF_MS[Math.min(failures, BACK_OFF_MS.length) - 1] ?? GAP_MS;
  }

  #in(ms: number): void {
    this.#next();
    if (ms > 0) this.#next = this.#deps.clock.after(ms, () => this.#go());
    else this.#go();
  }

  #go(): void {
    this.#send().catch(unexpected(this.#deps.log, 'live: a lane did not go on'));
  }

  async #send(): Promise<void> {
    if (this.#closed || this.#sending) return;
    this.#sending = true;
    const { clock, say } = this.#deps;
    this.#triedAt = clock.monotonic();
    const load = this.#load();
    try {
      this.#answered(load, await say(this.#server, this.conference.roomId, load.message));
    } catch (error) {
      this.#failed(load, error);
    }
    this.#sending = false;
    if (this.#closed) return;
    if (!this.#isNeeded()) {
      this.close();
      this.#deps.ended();
    } else if (this.#isPending() || this.#whole) this.#soon();
    else this.#in(SIGN_EVERY_MS);
  }

  /** A server that is not in the conference gets what it has asked for, and nothing after that. */
  #isNeeded(): boolean {
    if (this.conference.seats().length === 0) return false;
    if (this.conference.servers().has(this.#server) || this.#orders.size > 0) return true;
    return this.#failures === 0 && (this.#whole || this.#isPending());
  }

  /** Something besides the whole state is to be told. */
  #isPending(): boolean {
    return [this.#waiting, this.#asks, this.#modules, this.#orders].some(({ size }) => size > 0);
  }

  #load(): Load {
    const { clock, describe } = this.#deps;
    const { locals } = this.conference;
    const message: JsonObject = { epoch: this.#epoch };
    if (this.#whole && clock.monotonic() >= this.#wholeAt + WHOLE_GAP_MS) {
      for (const local of locals.values()) this.#waiting.add(local);
      this.#wholeAt = clock.monotonic();
      message['whole'] = true;
      this.#whole = false;
    }
    const participants: JsonObject[] = [];
    for (const local of this.#waiting) {
      if (participants.length >= MAX_PARTICIPANTS) break;
      this.#waiting.delete(local);
      if (locals.get(local.participantId) === local) participants.push(describe(local));
    }
    if (participants.length > 0 || message['whole'] === true) {
      this.#number += 1;
      message['participants'] = participants;
    }
    message['number'] = this.#number;
    for (const ask of this.#asks) message[ask] = true;
    this.#asks.clear();
    const modules = [...this.#modules].filter(([, { until }]) => until > clock.monotonic());
    this.#modules.clear();
    if (modules.length > 0) message['modules'] = Object.fromEntries(modules.map(([name, { data }]) => [name, data]));
    const orders = [...this.#orders].slice(0, MAX_ORDERS);
    if (orders.length > 0) message['orders'] = orders.map(({ order }) => order);
    return { message, orders };
  }

  #answered({ orders }: Load, answer: LiveAnswer): void {
    this.#failures = 0;
    for (const { order, settle } of orders) {
      const outcome = answer.orders?.[String(order.number)];
      settle(outcome === 'taken' || outcome === 'repeated');
    }
    if (answer.resend) this.#whole = true;
  }

  #failed({ message }: Load, error: unknown): void {
    const { log } = this.#deps;
    if (this.#failures === 0) log.info({ err: error, organisation: this.#server }, 'live: a message did not arrive');
    this.#failures += 1;
    this.#whole = true;
    // The pause after a failure is long enough.
    this.#wholeAt = -Infinity;
    for (const ask of ['resend', 'relink'] as const) if (message[ask] === true) this.#asks.add(ask);
  }
}
