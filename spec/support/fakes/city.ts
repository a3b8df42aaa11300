/**
 * An instance with its conferences, on a fake SFU and fake rooms; and clients, which behave as the web client does: they open
 * media anew when told to, and say again what they send and watch.
 */
import { pino } from 'pino';
import { pause } from '../../../homeserver/base/clock.ts';
import type { Discovery } from '../../../homeserver/meetings/conference/messages.ts';
import { Conferences } from '../../../homeserver/meetings/conference/conferences.ts';
import { participantIdOf } from '../../../homeserver/meetings/conference/membership.ts';
import { EntryRule } from '../../../homeserver/meetings/conference/entry-rule.ts';
import type { ConferenceModules } from '../../../homeserver/meetings/conference/module-ports.ts';
import type { Notification, Notifier } from '../../../homeserver/meetings/conference/notification.ts';
import type { Place, Places } from '../../../homeserver/meetings/conference/places.ts';
import { liveMessageSchema } from '../../../homeserver/meetings/conference/messages.ts';
import type { Silence, Silenced, Silences } from '../../../homeserver/meetings/conference/silences.ts';
import type { Organisations } from '../../../homeserver/meetings/organisations.ts';
import { ListTrust } from '../../../homeserver/engine/trust/trust.ts';
import { Rights } from '../../../homeserver/meetings/rights.ts';
import { MeetingRules } from '../../../homeserver/meetings/rules/meeting-rules.ts';
import type { Source } from '../../../protocol/media.ts';
import type { MediaOpened, NotificationData, NotificationName, Watch } from '../../../protocol/session.ts';
import { CAMERA, MICROPHONE } from '../../sfu/support.ts';
import { EVERYTHING } from '../rights.ts';
import type { FakeClock } from './clock.ts';
import type { FakeNetwork } from './link-peers.ts';
import type { FakeRooms } from './rooms.ts';
import { FakeSfu } from './sfu.ts';

/** The places of an instance, which outlive a restart. */
export class FakePlaces implements Pick<Places, 'put' | 'remove' | 'all'> {
  readonly #places = new Map<string, Place>();

  async put(place: Place): Promise<void> {
    this.#places.set(`${place.roomId} ${place.userId} ${place.deviceId}`, place);
  }

  async remove(roomId: string, userId: string, deviceId: string): Promise<void> {
    this.#places.delete(`${roomId} ${userId} ${deviceId}`);
  }

  async all(): Promise<Place[]> {
    return [...this.#places.values()];
  }
}

/** What an instance does not take, which outlives a restart. */
export class FakeSilences implements Pick<Silences, 'put' | 'of'> {
  readonly #silences = new Map<string, Silence & { readonly roomId: string }>();

  async put(roomId: string, participantId: string, sources: Silenced): Promise<void> {
    const key = `${roomId} ${participantId}`;
    if (sources.size === 0) this.#silences.delete(key);
    else this.#silences.set(key, { roomId, participantId, sources });
  }

  async of(roomId: string): Promise<Silence[]> {
    return [...this.#silences.values()].filter((each) => each.roomId === roomId);
  }
}

/** How long a live message waits for its answer, in ms, as in live-peers.ts. */
const LIVE_TIMEOUT_MS = 2_500;

/** Each source has SSRCs of its own. */
let lastSsrc = 0;

const NO_MODULES: ConferenceModules = {
  refresh: () => Promise.resolve(),
  rulesChanged: () => undefined,
  shown: () => ({}),
  snapshots: () => ({}),
  left: () => undefined,
  peopleChanged: () => undefined,
  told: () => undefined,
  closed: () => undefined,
};

/** All that instances share. */
export interface FakeLand {
  readonly clock: FakeClock;
  readonly rooms: FakeRooms;
  readonly network: FakeNetwork;
  readonly cities: Map<string, FakeCity>;
}

export class FakeCity {
  readonly serverName: string;
  readonly sfu: FakeSfu;
  readonly places = new FakePlaces();
  readonly silences = new FakeSilences();
  conferences: Conferences;
  readonly #land: FakeLand;
  /** The process that runs now. */
  #run = { ended: false };
  #stopRules: () => void = () => undefined;

  constructor(serverName: string, address: string, land: FakeLand) {
    this.serverName = serverName;
    this.#land = land;
    this.sfu = new FakeSfu({ clock: land.clock, address });
    land.network.add(serverName, {
      discovery: () => this.#discovery(),
      link: (roomId, from) => this.conferences.get(roomId)?.link(from),
    });
    land.cities.set(serverName, this);
    this.conferences = this.#start();
  }

  /** The homeserver ends and starts again; its SFU goes on, and has a new line to it. */
  restart(): void {
    this.conferences.close();
    this.#stopRules();
    this.#run.ended = true;
    this.sfu.breakLine();
    this.conferences = this.#start();
    this.sfu.mendLine();
  }

  #start(): Conferences {
    const { clock, network, cities } = this.#land;
    const { serverName } = this;
    const run = { ended: false };
    this.#run = run;
    const rooms = whileRunning(this.#land.rooms, run);
    const known = (server: string) => ({ serverName: server, displayName: server, colour: '#000000' });
    const organisations = {
      known,
      ask: () => Promise.resolve(),
      info: (server: string) => Promise.resolve(known(server)),
      clockAhead: () => 0,
    } as unknown as Organisations;
    const rights = new Rights({ serverName, rooms, standing: EVERYTHING });
    const rules = new MeetingRules({
      rooms,
      rights,
      failed(error) {
        throw error;
      },
    });
    this.#stopRules = rules.start();
    return new Conferences({
      serverName,
      rooms,
      standing: EVERYTHING,
      rights,
      rules,
      sfu: whileRunning(this.sfu, run),
      organisations,
      trust: new ListTrust(serverName, undefined),
      peers: network.peersOf(serverName),
      live: {
        async say(server, roomId, message) {
          const city = cities.get(server);
          if (!city) throw new Error('nobody is there');
          if (!network.isHeard(serverName, server)) {
            await pause(clock, LIVE_TIMEOUT_MS);
            throw new Error('no answer came in time');
          }
          await pause(clock, network.delay(serverName, server));
          return city.conferences.signals.onMessage(serverName, roomId, liveMessageSchema.parse(message));
        },
        speaksLive: () => undefined,
      },
      places: whileRunning(this.places, run),
      silences: whileRunning(this.silences, run),
      // Nobody gives orders here.
      removals: { holds: () => Promise.resolve(false) },
      access: { allowed: (roomId, server) => rooms.serverAllowed(roomId, server) },
      orderNumbers: { next: () => Promise.resolve(1), take: () => Promise.resolve(false) },
      modules: NO_MODULES,
      entry: new EntryRule({ serverName, rooms, cameBy: () => Promise.resolve(undefined) }),
      clock,
      log: pino({ level: 'silent' }),
      onLive: () => undefined,
      onRights: () => undefined,
    });
  }

  #discovery(): Discovery {
    const { link } = this.sfu.hello ?? {};
    const sfu = link && {
      address: link.address,
      min_port: link.minPort,
      max_port: link.maxPort,
      probe_port: link.probePort,
    };
    return {
      server_name: this.serverName,
      organisation: { display_name: this.serverName, colour: '#000000' },
      ...(sfu ? { sfu } : {}),
      valid_until_ts: this.#land.clock.now() + 600_000,
      signatures: {},
    };
  }
}

/** What a process uses as long as it runs: nothing that it still had under way reaches anybody afterwards. */
function whileRunning<T extends object>(part: T, run: { readonly ended: boolean }): T {
  return new Proxy(part, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return run.ended ? undefined : value;
      return (...params: unknown[]): unknown =>
        run.ended ? Promise.reject(new Error('the process has ended')) : Reflect.apply(value, target, params);
    },
  });
}

/** A session of a device. */
export class FakeClient implements Notifier {
  readonly city: FakeCity;
  readonly userId: string;
  readonly deviceId: string;
  readonly told: { readonly name: NotificationName; readonly data: unknown }[] = [];
  attached = true;
  ended = false;
  /** What it has on the SFU, as far as it knows. */
  media: MediaOpened | undefined;
  readonly sources = new Set<Source>();
  watch: Watch[] = [];
  /** All that it has asked for. */
  readonly asked: Promise<unknown>[] = [];

  constructor(city: FakeCity, userId: string, deviceId: string) {
    this.city = city;
    this.userId = userId;
    this.deviceId = deviceId;
  }

  get participantId(): string {
    return participantIdOf(this.userId, this.deviceId);
  }

  notify<N extends NotificationName>(name: N, data: NotificationData<N>): void {
    this.#take(name, data);
  }

  tell({ text }: Notification): void {
    const { notification, data } = JSON.parse(`{${text}`) as { notification: NotificationName; data: unknown };
    this.#take(notification, data);
  }

  heard(name: NotificationName): unknown[] {
    return this.told.filter((each) => each.name === name).map(({ data }) => data);
  }

  /** Asks for something in the background. A refusal is an answer; one without an answer is not. */
  do(work: () => Promise<unknown>): void {
    this.asked.push(work().catch(() => undefined));
  }

  async join(roomId: string): Promise<void> {
    const { userId, deviceId } = this;
    const { media } = await this.city.conferences.join(roomId, { userId, deviceId, guest: false, holder: this });
    if (media) await this.#opened(media);
  }

  async open(): Promise<void> {
    const { seats, media } = this.city.conferences;
    await this.#opened(await seats.change(this, (seat, still) => media.open(seat, still)));
  }

  async publish(source: Source): Promise<void> {
    this.sources.add(source);
    const { seats, media } = this.city.conferences;
    const transportId = this.media?.send.id ?? '';
    const base = source === 'microphone' ? MICROPHONE : CAMERA;
    const encodings = base.encodings?.map((encoding) => ({ ...encoding, ssrc: (lastSsrc += 1) }));
    const rtpParameters = { ...base, encodings };
    await seats.change(this, (seat, still) =>
      media.publish(seat, { transportId, source, rtpParameters, paused: false }, still),
    );
  }

  async unpublish(source: Source): Promise<void> {
    this.sources.delete(source);
    const { seats, media } = this.city.conferences;
    await seats.change(this, (seat) => media.unpublish(seat, source));
  }

  async mute(source: Source, paused: boolean): Promise<void> {
    const { seats, media } = this.city.conferences;
    await seats.change(this, (seat, still) => media.setPaused(seat, source, paused, still));
  }

  async see(watch: Watch[]): Promise<void> {
    this.watch = watch;
    const opened = this.media;
    if (!opened) return;
    const { seats, media } = this.city.conferences;
    const { rtpCapabilities, receive } = opened;
    await seats.change(this, async (seat) => media.watch(seat, { transportId: receive.id, rtpCapabilities, watch }));
  }

  leave(): Promise<void> {
    return this.city.conferences.seats.leaveAs(this, 'left');
  }

  drop(): void {
    this.attached = false;
    this.city.conferences.sessionDropped(this);
  }

  resume(): void {
    if (this.ended) return;
    this.attached = true;
    this.city.conferences.sessionResumed(this);
  }

  /** Its session is over, as when nobody has come back to it. */
  expire(): Promise<void> {
    this.attached = false;
    this.ended = true;
    return this.city.conferences.seats.leaveAs(this, 'lost');
  }

  async #opened(media: MediaOpened): Promise<void> {
    this.media = media;
    await Promise.allSettled([...[...this.sources].map((source) => this.publish(source)), this.see(this.watch)]);
  }

  #take(name: NotificationName, data: unknown): void {
    this.told.push({ name, data: structuredClone(data) });
    if (name === 'conference.ended') {
      this.media = undefined;
      this.sources.clear();
    } else if (name === 'media.restart') {
      this.media = undefined;
      this.do(() => this.open());
    } else if (name === 'consumer.added') {
      const { consumerId } = data as NotificationData<'consumer.added'>;
      this.do(() =>
        this.city.conferences.seats.change(this, (seat) => this.city.conferences.media.ready(seat, [consumerId])),
      );
    }
  }
}
