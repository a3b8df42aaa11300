/**
 * An SFU in this process: the rules and the control line of the real one, and no media. It passes the contract that the real
 * one passes (spec/meetings/contracts/sfu.contract.ts). What its worker and its line take is time of a fake clock.
 */
import type { SfuPort } from '../../../homeserver/meetings/conference/ports.ts';
import { SfuError, type SfuErrorCode } from '../../../sfu/errors.ts';
import {
  MAX_REQUEST_BYTES,
  ORPHAN_GRACE_MS,
  sfuRequests,
  type SfuMethod,
  type SfuNotificationData,
  type SfuNotificationName,
  type SfuParams,
  type SfuResult,
  type SfuSnapshot,
} from '../../../sfu/protocol.ts';
import { type Cancel, pause } from '../../../homeserver/base/clock.ts';
import { FakeClock } from './clock.ts';
import { FakeLine } from './sfu-line.ts';
import { type FakeConference, type FakeLink, type FakeTransport, newId } from './sfu-media.ts';
import { fakeSfuHandlers, type Handlers } from './sfu-requests.ts';

export interface FakeSfuOptions {
  readonly clock?: FakeClock;
  readonly workers?: number;
  /** How many links can be open at once. */
  readonly linkPorts?: number;
  /** Where peers' SFUs send to. */
  readonly address?: string;
}

type Handler = (name: SfuNotificationName, data: unknown) => void;
type StateListener = Parameters<SfuPort['onState']>[0];

export class FakeSfu implements SfuPort {
  readonly clock: FakeClock;
  readonly line: FakeLine;
  readonly conferences = new Map<string, FakeConference>();
  /** Those that are being opened. */
  readonly opening = new Map<string, { readonly conference: FakeConference; readonly done: Promise<void> }>();
  /** All requests that were made, in their order. */
  readonly requests: { readonly method: SfuMethod; readonly params: unknown }[] = [];
  /** How long the worker takes for a step, in ms. */
  workerDelay: () => number = () => 0;
  /** Whether a peer proves its address when a link is connected; where it does not, that fails after 5 s. */
  proves: (linkId: string, params: SfuParams<'link.connect'>) => boolean | Promise<boolean> = () => true;
  /** Whether media of a producer comes; where it does not, whoever waits for it does so to the end. */
  flows: (producerId: string) => boolean = () => true;
  readonly options: Required<Omit<FakeSfuOptions, 'clock'>>;
  #instanceId = newId('sfu');
  #hello: SfuResult<'hello'> | undefined;
  readonly #handlers: Handlers;
  readonly #listeners = new Set<Handler>();
  readonly #stateListeners = new Set<StateListener>();
  readonly #pending = new Set<(error: SfuError) => void>();
  readonly #refusals = new Map<SfuMethod, SfuErrorCode[]>();
  #orphaned: Cancel | undefined;
  /** Whether there is a line, as the SFU knows it: without one nobody is told anything. */
  #hasLine = true;

  /** The line is there from the first moment on. */
  constructor({ clock = new FakeClock(), workers = 1, linkPorts = 80, address = '127.0.0.2' }: FakeSfuOptions = {}) {
    this.clock = clock;
    this.line = new FakeLine(clock);
    this.options = { workers, linkPorts, address };
    this.#handlers = fakeSfuHandlers(this);
    this.#hello = this.#greeting();
  }

  // ---- the port ----

  get hello(): SfuResult<'hello'> | undefined {
    return this.#hello;
  }

  async request<M extends SfuMethod>(method: M, params: SfuParams<M>): Promise<SfuResult<M>> {
    if (!this.#hello) throw new SfuError('worker-lost', 'the SFU cannot be reached');
    const frame = JSON.stringify({ method, params });
    if (Buffer.byteLength(frame) > MAX_REQUEST_BYTES) throw new SfuError('bad-request', 'the parameters are too long');
    this.requests.push({ method, params });
    return new Promise<SfuResult<M>>((resolve, reject) => {
      this.#pending.add(reject);
      const answer = (settle: () => void): void =>
        this.line.send('out', () => {
          this.#pending.delete(reject);
          settle();
        });
      this.line.send('in', () => {
        // Parameters are of the SFU's own from here on, as after the way over a line.
        this.#handle(method, JSON.parse(frame).params).then(
          (result) => answer(() => resolve(result)),
          (error: Error) => answer(() => reject(error)),
        );
      });
    });
  }

  on<N extends SfuNotificationName>(name: N, handler: (data: SfuNotificationData<N>) => void): () => void {
    const handleNamed: Handler = (told, data) => {
      if (told === name) handler(data as SfuNotificationData<N>);
    };
    this.#listeners.add(handleNamed);
    return () => this.#listeners.delete(handleNamed);
  }

  onState(listener: StateListener): () => void {
    this.#stateListeners.add(listener);
    if (this.#hello) listener({ connected: true, hello: this.#hello });
    return () => this.#stateListeners.delete(listener);
  }

  // ---- what a spec lets happen ----

  /** The line breaks: what is on its way is lost. Media goes on for a while. */
  breakLine(): void {
    this.line.cut();
    this.#hasLine = false;
    const wasConnected = this.#hello !== undefined;
    this.#hello = undefined;
    for (const fail of [...this.#pending]) fail(new SfuError('worker-lost', 'the line to the SFU broke'));
    this.#pending.clear();
    if (!wasConnected) return;
    for (const listener of this.#stateListeners) listener({ connected: false });
    this.#orphaned = this.clock.after(ORPHAN_GRACE_MS, () => this.#endAll('closed'));
  }

  /** The line is there again, a message to and fro later. */
  mendLine(): void {
    this.line.send('in', () => {
      if (this.#hello) return;
      this.#orphaned?.();
      this.#hasLine = true;
      const hello = this.#greeting();
      this.line.send('out', () => {
        if (this.#hello) return;
        this.#hello = hello;
        for (const listener of this.#stateListeners) listener({ connected: true, hello });
      });
    });
  }

  /** The process ends and starts anew, without anything of before. The line is to be mended afterwards. */
  restart(): void {
    this.breakLine();
    this.#orphaned?.();
    this.#endAll('lost');
    this.#instanceId = newId('sfu');
  }

  /** A media worker dies, and another takes its place. */
  loseWorker(worker = 0): void {
    for (const [conferenceId, { conference }] of this.opening) {
      if (conference.worker !== worker) continue;
      this.opening.delete(conferenceId);
      conference.end('lost');
    }
    const lost = [...this.conferences.values()].filter((conference) => conference.worker === worker);
    for (const conference of lost) {
      this.conferences.delete(conference.id);
      conference.end('lost');
    }
    if (lost.length > 0) this.tell('conference.lost', { conferenceIds: lost.map(({ id }) => id) });
  }

  /** The next request of this method is refused. */
  refuse(method: SfuMethod, code: SfuErrorCode): void {
    this.#refusals.set(method, [...(this.#refusals.get(method) ?? []), code]);
  }

  /** Tells something, such as who is speaking. */
  tell<N extends SfuNotificationName>(name: N, data: SfuNotificationData<N>): void {
    if (!this.#hasLine) return;
    this.line.send('out', () => {
      for (const listener of this.#listeners) {
        try {
          listener(name, data);
        } catch {
          // As with the real one, a handler that throws does not keep others from hearing.
        }
      }
    });
  }

  /** What the probes of a link say; without answers nothing is sent over it any more. */
  probe(linkId: string, state: SfuNotificationData<'link.state'>['state'], consent = state !== 'interrupted'): void {
    const { conference, link } = this.link(linkId);
    link.consent = consent;
    this.tell('link.state', { linkId, conferenceId: conference.id, peer: link.peer, state });
  }

  // ---- what there is. @throws SfuError not-found ----

  snapshot(): SfuSnapshot {
    return { conferences: [...this.conferences.values()].map((conference) => conference.snapshot()) };
  }

  /** The participants whose transports there are, once for each. */
  labels(conferenceId: string): string[] {
    return [...(this.conferences.get(conferenceId)?.transports.values() ?? [])].map(
      ({ participantId }) => participantId,
    );
  }

  conference(conferenceId: string): FakeConference {
    return found(this.conferences.get(conferenceId), 'conference');
  }

  transport(transportId: string): { conference: FakeConference; transport: FakeTransport } {
    return this.#find('transport', (conference) => {
      const transport = conference.transports.get(transportId);
      return transport && { conference, transport };
    });
  }

  conferenceOf(what: 'producers' | 'consumers', id: string): FakeConference {
    return this.#find(what.slice(0, -1), (conference) => (conference[what].has(id) ? conference : undefined));
  }

  link(linkId: string): { conference: FakeConference; link: FakeLink } {
    return this.#find('link', (conference) => {
      const link = conference.links.get(linkId);
      return link && { conference, link };
    });
  }

  /** A step of the worker of a conference. @throws SfuError when the conference has ended meanwhile */
  async work(conference?: FakeConference): Promise<void> {
    await pause(this.clock, this.workerDelay());
    conference?.check();
  }

  #find<T>(what: string, pick: (conference: FakeConference) => T | undefined): T {
    for (const conference of this.conferences.values()) {
      const picked = pick(conference);
      if (picked !== undefined) return picked;
    }
    throw new SfuError('not-found', `no such ${what}`);
  }

  async #handle<M extends SfuMethod>(method: M, params: unknown): Promise<SfuResult<M>> {
    const refusal = this.#refusals.get(method)?.shift();
    if (refusal) throw new SfuError(refusal, 'refused by the spec');
    const parsed = sfuRequests[method].params.safeParse(params);
    if (!parsed.success) throw new SfuError('bad-request', 'malformed');
    const result = await this.#handlers[method](parsed.data as SfuParams<M>);
    return sfuRequests[method].result.parse(result) as SfuResult<M>;
  }

  #greeting(): SfuResult<'hello'> {
    const { workers, linkPorts, address } = this.options;
    return {
      instanceId: this.#instanceId,
      workers,
      link: { address, minPort: 20_000, maxPort: 20_000 + linkPorts - 1, probePort: 19_999 },
      snapshot: this.snapshot(),
    };
  }

  #endAll(how: 'closed' | 'lost'): void {
    const opening = [...this.opening.values()].map(({ conference }) => conference);
    for (const conference of [...this.conferences.values(), ...opening]) conference.end(how);
    this.conferences.clear();
    this.opening.clear();
  }
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new SfuError('not-found', `no such ${what}`);
  return value;
}
