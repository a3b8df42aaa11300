/**
 * Two instances, whose people, rooms, media servers and lines do all that can happen to them at once, on a clock of the
 * spec. Whatever the order: afterwards the room, the seats, the media servers and the link agree.
 *
 * `HANSETAG_INTERLEAVINGS` is their number (300 of them take some seconds), `HANSETAG_SEED` the first seed. What fails is
 * named with its seed; run it alone with that seed and a number of 1.
 */
import { CALL_MEMBER } from '../../homeserver/base/names.ts';
import { readMembership } from '../../homeserver/meetings/conference/membership.ts';
import { Random } from '../soak/random.ts';
import { type FakeCity, FakeClient } from '../support/fakes/city.ts';
import type { FakeConference } from '../support/fakes/sfu-media.ts';
import { ANNA, JENS, OTTO, ROOM, TwoFakeCities } from '../support/fakes/two-fake-cities.ts';

const COUNT = Number(process.env['HANSETAG_INTERLEAVINGS'] ?? 300);
const SEED = Number(process.env['HANSETAG_SEED'] ?? 1);
/** Actions of one interleaving begin within this time, in ms. */
const SPREAD_MS = 400;
/** Longer than the longest of what is tried again, and than the time to come back after a restart, in ms. */
const SETTLED_MS = 60_000;
/** How often it is looked whether all agree, in ms. */
const STEP_MS = 2_500;

class Play {
  readonly #chance: () => number;
  readonly #both = new TwoFakeCities();
  readonly #clock = this.#both.clock;
  readonly #rooms = this.#both.rooms;
  readonly #home = this.#both.home;
  readonly #away = this.#both.away;
  readonly #cities = [this.#home, this.#away];
  readonly #host: FakeClient;
  #clients: FakeClient[] = [];
  readonly #log: string[] = [];

  constructor(seed: number) {
    const random = new Random(seed, 'interleavings');
    this.#chance = () => random.next();
    this.#host = this.#session(this.#home, ANNA, 'HOST');
    this.#session(this.#home, JENS, 'PHONE');
    this.#session(this.#home, JENS, 'PHONE');
    this.#session(this.#home, JENS, 'DESK');
    this.#session(this.#away, OTTO, 'DESK');
    this.#session(this.#away, OTTO, 'DESK');
  }

  #session(city: FakeCity, userId: string, deviceId: string): FakeClient {
    const client = new FakeClient(city, userId, deviceId);
    client.watch = [ANNA, JENS, OTTO].flatMap((other) =>
      ['HOST', 'PHONE', 'DESK'].flatMap((device) =>
        (['microphone', 'camera'] as const).map((source) => ({ participantId: `${other}|${device}`, source })),
      ),
    );
    this.#clients.push(client);
    return client;
  }

  async run(): Promise<string | undefined> {
    await this.#clock.settle();
    this.#host.sources.add('microphone');
    this.#host.do(() => this.#host.join(ROOM));
    await this.#clock.advance(1_000);
    this.#slow();
    const count = 3 + Math.floor(this.#chance() * 9);
    const times = Array.from({ length: count }, () => this.#chance() * SPREAD_MS).sort((a, b) => a - b);
    let now = 0;
    for (const at of times) {
      await this.#clock.advance(at - now);
      now = at;
      this.#act();
    }
    await this.#clock.advance(SPREAD_MS);
    this.#heal();
    this.#rooms.readDelay = () => 0;
    let wrong: string | undefined;
    for (let ms = 0; ms < SETTLED_MS; ms += STEP_MS) {
      await this.#clock.advance(STEP_MS);
      [wrong] = await this.#disagreements();
      if (wrong === undefined) break;
    }
    this.#both.close();
    return wrong === undefined ? undefined : `${wrong} after ${this.#log.join(', ')}`;
  }

  /** From here on everything takes its time, by chance. */
  #slow(): void {
    const upTo = (ms: number) => () => (this.#chance() < 0.4 ? 0 : Math.ceil(this.#chance() * ms));
    this.#rooms.readDelay = upTo(4);
    this.#rooms.writeDelay = upTo(60);
    this.#rooms.tellDelay = upTo(60);
    this.#both.network.delay = upTo(40);
    for (const { sfu } of this.#cities) {
      sfu.line.delay = upTo(12);
      sfu.workerDelay = upTo(12);
    }
  }

  #heal(): void {
    this.#rooms.failure = () => undefined;
    for (const { sfu } of this.#cities) if (!sfu.hello) sfu.mendLine();
  }

  #act(): void {
    const { name, act } = this.#pick(this.#actions());
    const client = this.#pick(this.#clients.filter(({ ended }) => !ended));
    this.#log.push(`${name}(${client.participantId})@${this.#clock.monotonic().toFixed(0)}`);
    act(client);
  }

  #actions(): { name: string; act: (client: FakeClient) => void }[] {
    const asks = (name: string, ask: (client: FakeClient) => Promise<unknown>, often = 1) =>
      Array.from({ length: often }, () => ({
        name,
        act: (client: FakeClient): void => client.do(() => ask(client)),
      }));
    const happens = (name: string, act: (client: FakeClient) => void, often = 1) =>
      Array.from({ length: often }, () => ({ name, act }));
    const again = (client: FakeClient) => {
      const next = this.#session(client.city, client.userId, client.deviceId);
      return next.join(ROOM);
    };
    return [
      ...asks('join', (client) => client.join(ROOM), 8),
      ...asks('join by a new session', again, 2),
      ...asks('leave', (client) => client.leave(), 3),
      ...asks('publish microphone', (client) => client.publish('microphone'), 3),
      ...asks('publish camera', (client) => client.publish('camera'), 2),
      ...asks('unpublish', (client) => client.unpublish('microphone')),
      ...asks('mute', (client) => client.mute('microphone', this.#chance() < 0.5), 2),
      ...asks('watch nothing', (client) => client.see([])),
      ...asks('open', (client) => client.open()),
      ...asks('expire', (client) => client.expire()),
      ...happens('drop', (client) => client.drop(), 2),
      ...happens('resume', (client) => client.resume(), 2),
      ...happens('kick', ({ userId }) => this.#remove(userId, 'leave')),
      ...happens('ban', ({ userId }) => this.#remove(userId, 'ban'), 2),
      ...happens('let in', ({ userId }) => this.#rooms.setMember(ROOM, userId, 'join'), 3),
      ...happens('overwrite', ({ userId, deviceId }) => this.#overwrite(userId, deviceId)),
      ...happens('lose worker', ({ city }) => city.sfu.loseWorker()),
      ...happens('break line', ({ city }) => {
        city.sfu.breakLine();
        this.#clock.after(Math.ceil(this.#chance() * 300), () => city.sfu.mendLine());
      }),
      ...happens('restart sfu', ({ city }) => {
        city.sfu.restart();
        this.#clock.after(Math.ceil(this.#chance() * 300), () => city.sfu.mendLine());
      }),
      ...happens('fail writes', () => {
        this.#rooms.failure = () => (this.#chance() < 0.5 ? new Error('the database is away') : undefined);
      }),
      ...happens('restart homeserver', ({ city }) => {
        for (const each of this.#clients) if (each.city === city) each.ended = true;
        city.restart();
        const [deviceId, userId] = city === this.#home ? ['PHONE', JENS] : ['DESK', OTTO];
        this.#session(city, userId, deviceId);
        if (city === this.#home) this.#session(city, ANNA, 'HOST');
      }),
    ];
  }

  /** The host keeps its power, and stays. */
  #remove(userId: string, membership: 'leave' | 'ban'): void {
    if (userId !== ANNA) this.#rooms.setMember(ROOM, userId, membership, ANNA);
  }

  #overwrite(userId: string, deviceId: string): void {
    const key = `_${userId}_${deviceId}_m.call`;
    this.#rooms.put(ROOM, userId, CALL_MEMBER, key, {});
  }

  #pick<T>(from: readonly T[]): T {
    const picked = from[Math.floor(this.#chance() * from.length)];
    if (picked === undefined) throw new Error('There is nothing to pick from.');
    return picked;
  }

  // ---- what has to be true afterwards ----

  async #disagreements(): Promise<string[]> {
    const wrong: string[] = [];
    const open = await Promise.all(this.#clients.flatMap(({ asked }) => asked.map((each) => isPending(each))));
    if (open.some(Boolean)) wrong.push(`${open.filter(Boolean).length} requests without an answer`);
    const seats = this.#cities.flatMap((city) =>
      (city.conferences.get(ROOM)?.seats() ?? []).map(({ participantId }) => participantId),
    );
    const standing = await this.#standing();
    if (!same(standing, seats)) wrong.push(`the room has [${standing.join()}], the seats are [${seats.join()}]`);
    for (const city of this.#cities) wrong.push(...(await this.#wrongIn(city, seats)));
    return wrong;
  }

  /** Who is in the conference by the room's state. */
  async #standing(): Promise<string[]> {
    const state = await this.#rooms.state(ROOM);
    const inside = async (userId: string) => this.#rooms.isInside(ROOM, userId);
    const standing: string[] = [];
    for (const { pdu } of state.values()) {
      const membership = readMembership(pdu, this.#clock.now());
      if (membership && (await inside(membership.userId))) standing.push(membership.participantId);
    }
    return standing;
  }

  async #wrongIn(city: FakeCity, everybody: string[]): Promise<string[]> {
    const wrong: string[] = [];
    const { serverName, conferences, sfu } = city;
    const conference = conferences.get(ROOM);
    const media = sfu.conferences.get(ROOM);
    if (!conference || conference.seats().length === 0) {
      if (conference) wrong.push(`${serverName}: an empty conference is open`);
      if (media) wrong.push(`${serverName}: the SFU has a conference of nobody`);
      if ((await city.places.all()).length > 0) wrong.push(`${serverName}: places of nobody`);
      return wrong;
    }
    const own = conference.seats();
    const shown = conference.participants().map(({ participantId }) => participantId);
    if (!same(shown, everybody))
      wrong.push(`${serverName}: shown are [${shown.join()}], there are [${everybody.join()}]`);
    const labels = sfu.labels(ROOM);
    const expected = own.flatMap(({ participantId, media: { transports } }) => transports.map(() => participantId));
    if (!same(labels, expected))
      wrong.push(`${serverName}: the SFU has [${labels.join()}] instead of [${expected.join()}]`);
    for (const { participantId, notifier, state } of own) {
      if (state.kind !== 'here' && state.kind !== 'reconnecting') wrong.push(`${participantId} is ${state.kind}`);
      if (!(notifier instanceof FakeClient) || notifier.ended) wrong.push(`${participantId} has no session`);
    }
    const places = (await city.places.all()).map(({ userId, deviceId }) => `${userId}|${deviceId}`);
    const names = own.map(({ participantId }) => participantId);
    if (!same(places, names)) wrong.push(`${serverName}: places of [${places.join()}], seats of [${names.join()}]`);
    if (media) wrong.push(...this.#wrongMedia(city, media));
    return wrong;
  }

  /** What is sent and received is what is wanted. */
  #wrongMedia({ serverName, conferences, sfu }: FakeCity, media: FakeConference): string[] {
    const wrong: string[] = [];
    const conference = conferences.get(ROOM);
    if (!conference) return wrong;
    const sourcesOf = (isOwn: boolean): string[] =>
      [...media.producers.values()]
        .filter(({ linkId }) => (linkId === undefined) === isOwn)
        .map(({ participantId, source }) => `${participantId} ${source}`);
    const own = conference
      .seats()
      .flatMap(({ participantId, sources }) => [...sources.keys()].map((source) => `${participantId} ${source}`));
    if (!same(sourcesOf(true), own))
      wrong.push(`${serverName}: the SFU has ${sourcesOf(true).join()}, known are ${own.join()}`);
    const [other] = this.#cities.filter((city) => city.serverName !== serverName);
    const theirs = other?.conferences.get(ROOM);
    const wanted = new Set(conference.seats().flatMap(({ wants }) => [...wants.keys()]));
    const sent = (theirs?.seats() ?? []).flatMap(({ participantId, sources }) =>
      [...sources.keys()].map((source) => `${participantId} ${source}`),
    );
    const demand = sent.filter((key) => wanted.has(key));
    if (sfu.hello && other?.sfu.hello && !same(sourcesOf(false), demand)) {
      wrong.push(`${serverName}: over the link come [${sourcesOf(false).join()}], wanted are [${demand.join()}]`);
    }
    const links = [...media.links.values()].filter(({ connected }) => connected);
    if (links.length !== (theirs ? 1 : 0)) wrong.push(`${serverName}: ${links.length} links`);
    return wrong;
  }
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  return (await Promise.race([promise, Promise.resolve(pending)])) === pending;
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return [...one].sort().join('\n') === [...other].sort().join('\n');
}

/**
 * What once went wrong: an answer about a link that was lost with the line, memberships that were not written or were
 * written over during a restart, and somebody who was removed, or removed and let in again, while it was read that they are
 * in the conference.
 */
const ONCE_WRONG = [700_723, 700_954, 703_583, 707_361, 707_677, 801_496];

describe('Whatever happens to the conferences of two instances at the same time', () => {
  for (const seed of ONCE_WRONG) {
    it(`leaves them in agreement where it once did not (seed ${String(seed)})`, async () => {
      expect(await new Play(seed).run()).toBeUndefined();
    });
  }

  it(
    `leaves room, seats, media and link in agreement (${String(COUNT)} interleavings from seed ${String(SEED)} on)`,
    async () => {
      const wrong: string[] = [];
      for (let seed = SEED; seed < SEED + COUNT && wrong.length < 5; seed += 1) {
        const found = await new Play(seed).run();
        if (found !== undefined) wrong.push(`seed ${String(seed)}: ${found}`);
      }
      expect(wrong).toEqual([]);
    },
    60_000 + COUNT * 500,
  );
});
