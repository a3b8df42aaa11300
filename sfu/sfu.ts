/** All conferences of one SFU process, its workers and its prober. */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { SfuConfig } from './config.ts';
import { Conference } from './conference.ts';
import type { HeldConsumer } from './consumers.ts';
import { SfuError } from './errors.ts';
import type { Notify, SfuContext } from './host.ts';
import type { Link } from './link.ts';
import { Prober } from './prober.ts';
import type { SfuResult, SfuSnapshot } from './protocol.ts';
import type { ClientTransport } from './transports.ts';
import { WorkerPool, type PoolWorker } from './workers.ts';

export class Sfu {
  /** New for each start, so that the homeserver sees that nothing from before is left. */
  readonly instanceId = randomUUID();
  readonly #config: SfuConfig;
  readonly #log: Logger;
  readonly #prober: Prober;
  readonly #pool: WorkerPool;
  readonly #context: SfuContext;
  readonly #conferences = new Map<string, Conference>();
  /** Conferences being opened, so that concurrent requests open one. `closed` when it is no longer wanted. */
  readonly #opening = new Map<string, { readonly state: { closed: boolean }; conference: Promise<Conference> }>();
  /** Links being created: an id is in use from the first request on. `closed` when it is no longer wanted. */
  readonly #linksOpening = new Map<string, { closed: boolean }>();

  private constructor(config: SfuConfig, log: Logger, notify: Notify, prober: Prober, pool: WorkerPool) {
    this.#config = config;
    this.#log = log;
    this.#prober = prober;
    this.#pool = pool;
    this.#context = { config, log, notify, prober };
  }

  /** @param notify sends notifications, from the first conference on */
  static async start(config: SfuConfig, log: Logger, notify: Notify): Promise<Sfu> {
    const prober = await Prober.open({ ip: config.listenIp, port: config.probePort, log });
    try {
      // No worker with conferences can die before there are conferences, hence after `sfu` is set.
      let sfu: Sfu | undefined = undefined;
      const onLost = (lost: PoolWorker): void => sfu?.workerLost(lost);
      const pool = await WorkerPool.start({ config, log, onLost });
      sfu = new Sfu(config, log, notify, prober, pool);
      return sfu;
    } catch (error) {
      prober.close();
      throw error;
    }
  }

  get conferences(): ReadonlyMap<string, Conference> {
    return this.#conferences;
  }

  get hello(): SfuResult<'hello'> {
    const { listenIp, announcedAddress, linkPorts, probePort, workers } = this.#config;
    return {
      instanceId: this.instanceId,
      workers,
      link: {
        address: announcedAddress ?? listenIp,
        minPort: linkPorts.min,
        maxPort: linkPorts.max,
        probePort,
      },
      snapshot: this.snapshot(),
    };
  }

  snapshot(): SfuSnapshot {
    return { conferences: [...this.#conferences.values()].map((conference) => conference.snapshot()) };
  }

  async open(conferenceId: string): Promise<Conference> {
    const there = this.#conferences.get(conferenceId) ?? this.#opening.get(conferenceId)?.conference;
    if (there) return there;
    const state = { closed: false };
    const opening = { state, conference: this.#open(conferenceId, state) };
    this.#opening.set(conferenceId, opening);
    try {
      return await opening.conference;
    } finally {
      if (this.#opening.get(conferenceId) === opening) this.#opening.delete(conferenceId);
    }
  }

  /** Closes a conference at once: one opened right afterwards is a new one. */
  closeConference(conferenceId: string): void {
    const opening = this.#opening.get(conferenceId);
    if (opening) opening.state.closed = true;
    this.#opening.delete(conferenceId);
    const conference = this.#conferences.get(conferenceId);
    this.#conferences.delete(conferenceId);
    conference?.close();
  }

  /** Closes all media, for instance because no homeserver has reconnected. */
  closeAll(): void {
    for (const { state } of this.#opening.values()) state.closed = true;
    this.#opening.clear();
    for (const conference of this.#conferences.values()) conference.close();
    this.#conferences.clear();
  }

  async openLink(conferenceId: string, linkId: string, open: (conference: Conference) => Promise<Link>): Promise<Link> {
    const conference = this.conference(conferenceId);
    if (this.#linksOpening.has(linkId) || this.#find((each) => each.links.get(linkId))) {
      throw new SfuError('conflict', 'a link with this id exists');
    }
    const opening = { closed: false };
    this.#linksOpening.set(linkId, opening);
    try {
      const link = await open(conference);
      if (!opening.closed) return link;
      link.close();
      throw new SfuError('not-found', 'the link was closed');
    } finally {
      this.#linksOpening.delete(linkId);
    }
  }

  /** @throws SfuError not-found */
  closeLink(linkId: string): void {
    const opening = this.#linksOpening.get(linkId);
    if (opening) opening.closed = true;
    else this.link(linkId).close();
  }

  /** Closes all media of a participant. A closed conference has none. */
  closeParticipant(conferenceId: string, participantId: string): void {
    this.#conferences.get(conferenceId)?.closeParticipant(participantId);
  }

  // What follows finds things by id. @throws SfuError not-found

  conference(conferenceId: string): Conference {
    return found(this.#conferences.get(conferenceId), 'conference');
  }

  transport(transportId: string): { conference: Conference; transport: ClientTransport } {
    return found(
      this.#find((conference) => {
        const transport = conference.transports.get(transportId);
        return transport && { conference, transport };
      }),
      'transport',
    );
  }

  conferenceOfProducer(producerId: string): Conference {
    return found(
      this.#find((conference) => (conference.producers.has(producerId) ? conference : undefined)),
      'producer',
    );
  }

  consumer(consumerId: string): HeldConsumer & { conference: Conference } {
    return found(
      this.#find((conference) => {
        const held = conference.consumers.get(consumerId);
        return held && { ...held, conference };
      }),
      'consumer',
    );
  }

  link(linkId: string): Link {
    return found(
      this.#find((conference) => conference.links.get(linkId)),
      'link',
    );
  }

  async stats(): Promise<SfuResult<'stats'>> {
    const conferences = [...this.#conferences.values()];
    const workers = this.#pool.workers.map(async ({ worker }) => {
      const usage = await worker.getResourceUsage();
      const consumers = conferences
        .filter((conference) => conference.worker.worker === worker)
        .reduce((sum, conference) => sum + conference.consumers.size, 0);
      // getrusage counts memory in KiB.
      return {
        pid: worker.pid,
        cpuMs: usage.ru_utime + usage.ru_stime,
        memoryBytes: usage.ru_maxrss * 1024,
        consumers,
      };
    });
    const links = conferences.flatMap((conference) =>
      [...conference.links.values()].map(async (link) => ({
        linkId: link.id,
        conferenceId: conference.id,
        peer: link.peer,
        ...(await link.stats()),
        sending: link.sending.length,
        receiving: link.receiving,
        roundTripMs: link.roundTripMs,
        loss: link.loss,
      })),
    );
    // A worker or link that ends meanwhile has no statistics any more.
    return { workers: await fulfilled(workers), links: await fulfilled(links) };
  }

  /** Closes all media and resolves when the workers have ended. May be called more than once. */
  async close(): Promise<void> {
    this.closeAll();
    this.#prober.close();
    await this.#pool.close();
  }

  workerLost(lost: PoolWorker): void {
    const conferences = [...this.#conferences.values()].filter(({ worker }) => worker === lost);
    for (const conference of conferences) {
      this.#conferences.delete(conference.id);
      conference.close();
    }
    if (conferences.length > 0) {
      this.#context.notify('conference.lost', { conferenceIds: conferences.map(({ id }) => id) });
    }
  }

  async #open(conferenceId: string, state: { readonly closed: boolean }): Promise<Conference> {
    const worker = await this.#pool.leastLoaded((candidate) => this.#loadOf(candidate));
    const conference = await Conference.open(conferenceId, worker, this.#context);
    // The worker may have died meanwhile: then nothing would ever remove the conference.
    if (conference.ended) throw new SfuError('worker-lost', 'the worker died while the conference was opened');
    if (state.closed) {
      conference.close();
      throw new SfuError('not-found', 'the conference was closed');
    }
    this.#conferences.set(conferenceId, conference);
    this.#log.debug({ conferenceId, pid: worker.worker.pid }, 'conference open');
    return conference;
  }

  #loadOf(worker: PoolWorker): number {
    let load = 0;
    for (const conference of this.#conferences.values()) {
      if (conference.worker === worker) load += 1 + conference.load;
    }
    return load;
  }

  #find<T>(pick: (conference: Conference) => T | undefined): T | undefined {
    for (const conference of this.#conferences.values()) {
      const picked = pick(conference);
      if (picked !== undefined) return picked;
    }
    return undefined;
  }
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new SfuError('not-found', `no such ${what}`);
  return value;
}

async function fulfilled<T>(promises: Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises);
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}
