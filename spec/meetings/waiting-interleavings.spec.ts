/**
 * People who wait, and all that can happen to them at once, on fake rooms and a clock of the spec: they come, reload and stop;
 * a moderator admits, refuses and sends back; the waiting room and the lock are switched on and off. Whatever the order:
 * nobody comes into the room who might not, nobody who might waits on, each waiting ends once.
 *
 * `HANSETAG_INTERLEAVINGS` is their number, `HANSETAG_SEED` the first seed.
 */
import { pino } from 'pino';
import { MatrixError } from '../../homeserver/base/errors.ts';
import { ADMISSION } from '../../homeserver/base/names.ts';
import { EntryRule, LOCK, WAITING } from '../../homeserver/meetings/conference/entry-rule.ts';
import type { Notifier } from '../../homeserver/meetings/conference/notification.ts';
import { SeatError } from '../../homeserver/meetings/conference/seat-turns.ts';
import type { WaitingRecord } from '../../homeserver/meetings/waiting/records.ts';
import { WaitingRoom } from '../../homeserver/meetings/waiting/waiting-room.ts';
import { Random } from '../soak/random.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import { FakeRooms } from '../support/fakes/rooms.ts';
import { EVERYTHING } from '../support/rights.ts';

const COUNT = Number(process.env['HANSETAG_INTERLEAVINGS'] ?? 300);
const SEED = Number(process.env['HANSETAG_SEED'] ?? 1);
const ROOM = '!room:luebeck.example';
const ANNA = '@anna:luebeck.example';
/** The longest that a decision takes here from what it has read on, in ms. */
const DECISION_MS = 500;
const PEOPLE = ['@guest-a:luebeck.example', '@guest-b:luebeck.example', '@otto:luebeck.example'];

/** What waits of somebody outside of a process. */
class FakeRecords {
  readonly #rows = new Map<string, WaitingRecord>();
  readonly #clock: FakeClock;
  readonly #delay: () => number;
  constructor(clock: FakeClock, delay: () => number) {
    this.#clock = clock;
    this.#delay = delay;
  }
  async #turn(): Promise<void> {
    const ms = this.#delay();
    await new Promise<void>((resolve) => this.#clock.after(ms, resolve));
  }
  async put(record: WaitingRecord): Promise<WaitingRecord> {
    await this.#turn();
    const before = this.#rows.get(record.userId);
    const kept = before ? { ...before, accepted: before.accepted || record.accepted } : record;
    this.#rows.set(record.userId, kept);
    return kept;
  }
  async find(_roomId: string, userId: string): Promise<WaitingRecord | undefined> {
    await this.#turn();
    return this.#rows.get(userId);
  }
  async accepted(): Promise<WaitingRecord[]> {
    await this.#turn();
    return [...this.#rows.values()].filter(({ accepted }) => accepted);
  }
  async stopped(_roomId: string, userId: string): Promise<void> {
    await this.#turn();
    if (this.#rows.get(userId)?.accepted === false) this.#rows.delete(userId);
  }
  async remove(_roomId: string, userId: string): Promise<void> {
    await this.#turn();
    this.#rows.delete(userId);
  }
}

/** The session of somebody who waits as the web client does. */
class Client implements Notifier {
  readonly userId: string;
  readonly attached = true;
  ended = false;
  waits = false;
  stopped = false;
  readonly outcomes: string[] = [];
  readonly wrong: string[] = [];
  constructor(userId: string) {
    this.userId = userId;
  }
  notify(name: string, data: unknown): void {
    if (name !== 'waiting.ended') return;
    if (this.stopped) this.wrong.push(`${this.userId} was told after having stopped`);
    this.outcomes.push((data as { outcome: string }).outcome);
    this.waits = false;
  }
  tell(): void {
    throw new Error('Nobody else is told this.');
  }
}

class Play {
  readonly #random: Random;
  readonly #clock = new FakeClock();
  readonly #rooms = new FakeRooms(this.#clock);
  readonly #entry: EntryRule;
  readonly #room: WaitingRoom;
  readonly #clients: Client[] = [];
  readonly #wrong: string[] = [];
  readonly #admissions = new Map<string, { admitted: boolean; lock?: string }>();
  /** Until when each might come last. */
  readonly #allowedAt = new Map<string, number>();
  #rule: 'nobody' | 'everybody' = 'everybody';
  #lock: string | undefined;

  constructor(seed: number) {
    this.#random = new Random(seed, 'waiting');
    const rooms = this.#rooms;
    rooms.create(ROOM, ANNA);
    rooms.put(ROOM, ANNA, 'm.room.guest_access', '', { guest_access: 'can_join' });
    rooms.put(ROOM, ANNA, WAITING, '', { for: 'everybody' });
    rooms.setMember(ROOM, PEOPLE[2] ?? '', 'invite', ANNA);
    this.#entry = new EntryRule({ serverName: 'luebeck.example', rooms, cameBy: () => Promise.resolve(undefined) });
    this.#room = new WaitingRoom({
      serverName: 'luebeck.example',
      rooms,
      entry: this.#entry,
      standing: EVERYTHING,
      linkInviter: (_roomId, userId) => Promise.resolve(userId.startsWith('@guest-') ? ANNA : undefined),
      records: new FakeRecords(this.#clock, () => this.#chance() * 20),
      clock: this.#clock,
      log: pino({ level: 'silent' }),
      nameOf: (userId) => Promise.resolve(userId),
      isTold: () => false,
      changed: () => undefined,
    });
    rooms.onEvent((event) => {
      const { pdu } = event;
      if (pdu.type === 'm.room.member' && pdu.content['membership'] === 'join') this.#joined(pdu.state_key ?? '');
      this.#room.onEvent(event);
    });
  }

  #chance(): number {
    return this.#random.next();
  }

  /** Somebody has come into the room: they may, or might until just now. */
  #joined(userId: string): void {
    const since = this.#clock.monotonic() - (this.#allowedAt.get(userId) ?? -Infinity);
    if (PEOPLE.includes(userId) && !this.#mayCome(userId) && since > DECISION_MS)
      this.#wrong.push(`${userId} came in without being admitted`);
  }

  /** By what was written last. */
  #mayCome(userId: string): boolean {
    const admission = this.#admissions.get(userId);
    if (this.#lock !== undefined && admission?.lock !== this.#lock) return false;
    return admission?.admitted ?? this.#rule === 'nobody';
  }

  #remember(): void {
    for (const userId of PEOPLE) if (this.#mayCome(userId)) this.#allowedAt.set(userId, this.#clock.monotonic());
  }

  async run(): Promise<string | undefined> {
    await this.#clock.settle();
    this.#rooms.readDelay = () => this.#chance() * 30;
    this.#rooms.writeDelay = () => this.#chance() * 30;
    this.#rooms.tellDelay = () => this.#chance() * 30;
    const count = 4 + Math.floor(this.#chance() * 12);
    for (let index = 0; index < count; index += 1) {
      this.#act();
      await this.#clock.advance(this.#chance() * 60);
    }
    this.#rooms.readDelay = () => 0;
    this.#rooms.writeDelay = () => 0;
    await this.#clock.advance(65_000);
    const wrong = await this.#disagreement();
    this.#room.close();
    return wrong;
  }

  #act(): void {
    const userId = PEOPLE[Math.floor(this.#chance() * PEOPLE.length)] ?? '';
    const acts: (() => void)[] = [
      () => this.#begin(userId),
      () => this.#begin(userId),
      () => this.#stop(userId),
      () => this.#say(userId, { admitted: true }),
      () => this.#admitInSpiteOfLock(userId),
      () => this.#say(userId, { admitted: false }),
      () => this.#say(userId, { admitted: false, refused: true }),
      () => this.#kick(userId),
      () => this.#switch(),
      () => this.#turnLock(),
    ];
    this.#remember();
    acts[Math.floor(this.#chance() * acts.length)]?.();
  }

  #begin(userId: string): void {
    const client = new Client(userId);
    this.#clients.push(client);
    client.waits = true;
    const joiner = { userId, deviceId: 'PHONE', guest: userId.startsWith('@guest-'), holder: client };
    this.#room.wait(ROOM, joiner).catch((error: unknown) => {
      if (!(error instanceof MatrixError || error instanceof SeatError)) this.#wrong.push(String(error));
      client.waits = false;
      client.stopped = true;
    });
  }

  #stop(userId: string): void {
    const client = this.#clients.find((one) => one.userId === userId && one.waits && !one.stopped);
    if (!client) return;
    client.stopped = true;
    client.ended = true;
    client.waits = false;
    this.#room.stop(client);
  }

  #switch(): void {
    this.#rule = this.#chance() < 0.5 ? 'nobody' : 'everybody';
    this.#rooms.put(ROOM, ANNA, WAITING, '', { for: this.#rule });
  }

  #turnLock(): void {
    const locked = this.#chance() < 0.5;
    const { eventId } = this.#rooms.put(ROOM, ANNA, LOCK, '', { locked });
    this.#lock = locked ? eventId : undefined;
  }

  #say(userId: string, content: { admitted: boolean; refused?: boolean; lock?: string }): void {
    this.#remember();
    this.#admissions.set(userId, content);
    this.#rooms.put(ROOM, ANNA, ADMISSION, `_${userId}`, content);
  }

  #admitInSpiteOfLock(userId: string): void {
    this.#entry.lock(ROOM).then(
      (lock) => this.#say(userId, { admitted: true, ...(lock === undefined ? {} : { lock }) }),
      (error: unknown) => this.#wrong.push(String(error)),
    );
  }

  #kick(userId: string): void {
    this.#rooms.setMember(ROOM, userId, 'leave', ANNA);
  }

  async #disagreement(): Promise<string | undefined> {
    for (const client of this.#clients) {
      const { userId, waits, outcomes, wrong } = client;
      if (outcomes.length > 1) return `${userId} was told ${outcomes.join(', ')}`;
      if (wrong[0] !== undefined) return wrong[0];
      if (!waits) continue;
      if (!this.#room.has(client)) return `${userId} believes to wait, and does not`;
      const guest = userId.startsWith('@guest-');
      const reason = await this.#during(this.#entry.reason(ROOM, { userId, guest }));
      if (reason === undefined) return `${userId} waits, and need not`;
      const shown = this.#room.of(ROOM).find((one) => one.userId === userId)?.reason;
      if (shown !== reason) return `${userId} waits for ${String(shown)}, and not for ${reason}`;
    }
    for (const { userId, holders } of this.#room.of(ROOM)) {
      const stale = [...holders].filter((holder) => !(holder as Client).waits);
      if (stale.length > 0) return `${userId} waits with a session that has ended`;
    }
    return this.#wrong[0];
  }

  #during<T>(work: Promise<T>): Promise<T> {
    return this.#clock.during(work, 100);
  }
}

describe('Waiting room, in any order', () => {
  it(`lets in who may come and nobody else: ${String(COUNT)} interleavings`, async () => {
    for (let seed = SEED; seed < SEED + COUNT; seed += 1) {
      const wrong = await new Play(seed).run();
      if (wrong !== undefined) {
        fail(`seed ${String(seed)}: ${wrong}`);
        return;
      }
    }
    expect(COUNT).toBeGreaterThan(0);
  });
});
