/**
 * Joins, leaves, publications, drops, bans and log-outs of one person at the same time, against a real media server
 * whose control line is slow by chance. Whatever their order: afterwards the media server has the transports of exactly
 * those who stand in the room, and nothing of who is gone; and everybody sees the same people.
 *
 * `HANSETAG_INTERLEAVINGS` is their number (300; ten thousand take about half an hour), `HANSETAG_SEED` begins another run.
 */
import { membershipKey } from '../../homeserver/meetings/conference/membership.ts';
import { Random } from '../soak/random.ts';
import { at } from '../support/homeservers.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { MeetingPlace, type Member } from './kit/meeting.ts';
import type { SessionClient } from './kit/session-client.ts';

const COUNT = Number(process.env['HANSETAG_INTERLEAVINGS'] ?? 300);
const SEED = Number(process.env['HANSETAG_SEED'] ?? 1);
const LANES = 20;
/** Actions of one interleaving begin within this time, in ms. */
const SPREAD_MS = 40;
/** A message on the control line takes up to this, in ms. */
const LINE_MS = 12;
const SETTLED_MS = 20_000;
/** A session that dropped keeps its place for 6 s. */
const GRACE_MS = 8_000;

const ACTIONS = ['join', 'join', 'leave', 'publish', 'watch', 'open', 'drop', 'resume', 'ban', 'logout'] as const;
type Action = (typeof ACTIONS)[number];

/** Numbers from 0 up to, but without, 1: the same for the same seed. */
function chances(seed: number): () => number {
  const random = new Random(seed, 'interleavings');
  return () => random.next();
}

/** A room with a host, who bans, a witness, who stays, and somebody to whom everything happens. */
class Lane {
  readonly #place: MeetingPlace;
  readonly #host: Member;
  readonly #witness: Member;
  readonly #roomId: string;
  readonly #localpart: string;
  readonly #chance: () => number;
  #witnessing: SessionClient | undefined;
  #actor: Member;
  /** All devices that the person ever had. */
  readonly #devices: Member[] = [];
  #sessions: SessionClient[] = [];
  #banned = false;
  #loggedOut = false;

  private constructor(
    place: MeetingPlace,
    people: { host: Member; witness: Member; actor: Member },
    roomId: string,
    localpart: string,
    chance: () => number,
  ) {
    this.#place = place;
    this.#host = people.host;
    this.#witness = people.witness;
    this.#actor = people.actor;
    this.#devices.push(people.actor);
    this.#roomId = roomId;
    this.#localpart = localpart;
    this.#chance = chance;
  }

  static async open(place: MeetingPlace, host: Member, index: number): Promise<Lane> {
    const localpart = `actor${String(index)}`;
    const [witness, actor] = [await place.register(`witness${String(index)}`), await place.register(localpart)];
    const roomId = await place.meeting(host, [witness, actor]);
    const lane = new Lane(place, { host, witness, actor }, roomId, localpart, chances(SEED * 1_000 + index));
    lane.#witnessing = await witness.session();
    await lane.#witnessing.join(roomId);
    await lane.#witnessing.publish('microphone');
    return lane;
  }

  /** @returns what is wrong afterwards, undefined when nothing is */
  async play(): Promise<string | undefined> {
    await this.#prepare();
    const actions = Array.from({ length: 3 + Math.floor(this.#chance() * 5) }, () => this.#pick());
    const timed = actions.map((action) => ({ action, at: this.#chance() * SPREAD_MS, session: this.#anySession() }));
    await Promise.all(
      timed.map(async ({ action, at: startsAt, session }) => {
        await new Promise((resolve) => setTimeout(resolve, startsAt));
        await this.#act(action, session);
      }),
    );
    const wrong = await this.#settled();
    return wrong === undefined
      ? undefined
      : `${wrong} after ${timed.map(({ action, at: when }) => `${action}@${when.toFixed(1)}`).join(' ')}`;
  }

  /** Everybody goes, without a word. */
  end(): void {
    this.#witnessing?.drop();
    for (const session of this.#sessions) session.drop();
  }

  get roomId(): string {
    return this.#roomId;
  }

  async #prepare(): Promise<void> {
    const room = `client/v3/rooms/${encodeURIComponent(this.#roomId)}`;
    if (this.#loggedOut) {
      this.#actor = await this.#place.logIn(this.#localpart);
      this.#devices.push(this.#actor);
      this.#sessions = [];
      this.#loggedOut = false;
    }
    if (this.#banned) {
      const { userId } = this.#actor.user;
      await this.#host.user.must('POST', `${room}/unban`, { user_id: userId });
      await this.#host.user.must('POST', `${room}/invite`, { user_id: userId });
      await this.#actor.user.must('POST', `${room}/join`, {});
      this.#banned = false;
    }
    const open = this.#sessions.filter(({ socket }) => socket.readyState === socket.OPEN);
    while (open.length < 2) open.push(await this.#actor.session());
    this.#sessions = open;
  }

  #pick(): Action {
    // What ends everything comes seldom, so that more happens before it.
    const action = ACTIONS[Math.floor(this.#chance() * ACTIONS.length)] ?? 'join';
    return action === 'logout' && this.#chance() < 0.6 ? 'join' : action;
  }

  #anySession(): SessionClient {
    const session = this.#sessions[Math.floor(this.#chance() * this.#sessions.length)];
    if (!session) throw new Error('There is no session.');
    return session;
  }

  async #act(action: Action, session: SessionClient): Promise<void> {
    switch (action) {
      case 'join': {
        const outcome = await session.ask('conference.join', { roomId: this.#roomId });
        const media = 'result' in outcome ? at(outcome.result, 'media') : undefined;
        if (media) session.media = media as NonNullable<SessionClient['media']>;
        // A client goes on at once.
        if (media) await Promise.all([session.publish('microphone'), session.watch([this.#witness.participantId])]);
        break;
      }
      case 'leave':
        await session.ask('conference.leave');
        break;
      case 'publish':
        await session.publish('camera');
        break;
      case 'watch':
        await session.watch([this.#witness.participantId]);
        break;
      case 'open':
        await session.ask('media.open');
        break;
      case 'drop':
        session.drop();
        break;
      case 'resume':
        session.drop();
        await session.connect().catch(() => undefined);
        break;
      case 'ban':
        this.#banned = true;
        await this.#host.user.ask('POST', `client/v3/rooms/${encodeURIComponent(this.#roomId)}/ban`, {
          user_id: this.#actor.user.userId,
        });
        break;
      case 'logout':
        this.#loggedOut = true;
        await this.#actor.user.ask('POST', 'client/v3/logout', {});
        break;
    }
  }

  /** Waits until all agree on who is there. @returns on what they do not */
  async #settled(): Promise<string | undefined> {
    const deadline = performance.now() + SETTLED_MS;
    for (;;) {
      const wrong = await this.#disagreement();
      if (wrong === undefined || performance.now() > deadline) return wrong;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #disagreement(): Promise<string | undefined> {
    const { media } = this.#place;
    const [standing, inWorker] = await Promise.all([
      this.#place.memberships(this.#host, this.#roomId),
      media.transportsInWorker(this.#roomId),
    ]);
    const labels = media.labels(this.#roomId);
    if (inWorker !== labels.length)
      return `${String(inWorker)} transports in the worker, ${String(labels.length)} known`;
    for (const device of this.#devices) {
      const { participantId, deviceId, user } = device;
      const transports = labels.filter((label) => label === participantId).length;
      const stands = standing.includes(membershipKey(user.userId, deviceId));
      const seen = this.#seen(participantId);
      const gone = this.#banned || (device === this.#actor ? this.#loggedOut : true);
      const facts = `${String(transports)} transports, ${stands ? 'in' : 'not in'} the room, ${seen ? 'seen' : 'not seen'}`;
      if (gone ? transports > 0 || seen : transports !== (stands ? 2 : 0) || seen !== stands) {
        return `${gone ? 'gone' : 'free to be here'}, but ${facts}`;
      }
      // Who is banned can not write any more that the place is free; the ban says so.
      if (gone && stands && !this.#banned && device === this.#actor) return `gone, but ${facts}`;
    }
    const producers = media.conference(this.#roomId)?.producers ?? [];
    const ownerless = producers.filter(({ participantId }) => !labels.includes(participantId));
    return ownerless.length > 0 ? `${String(ownerless.length)} sources of nobody` : undefined;
  }

  /** Whether the witness was told that somebody is there. */
  #seen(participantId: string): boolean {
    const told = this.#witnessing?.told ?? [];
    const last = told.findLast(
      ({ notification, data }) =>
        (notification === 'participant.joined' || notification === 'participant.left') &&
        at(data, 'participantId') === participantId,
    );
    return last?.notification === 'participant.joined';
  }
}

describe('Whatever happens to a seat at the same time', () => {
  let place: MeetingPlace;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start();
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());

  it(
    `leaves nothing of who is gone, and no ghost (${String(COUNT)} interleavings, seed ${String(SEED)})`,
    async () => {
      const host = await place.register('host');
      const lanes = await Promise.all(Array.from({ length: LANES }, (_, index) => Lane.open(place, host, index)));
      const chance = chances(SEED);
      place.media.line.delay = () => (chance() < 0.5 ? 0 : chance() * LINE_MS);
      let left = COUNT;
      const wrong: string[] = [];
      await Promise.all(
        lanes.map(async (lane, index) => {
          for (let round = 0; left > 0 && wrong.length < 5; round += 1) {
            left -= 1;
            const found = await lane.play();
            if (found !== undefined) wrong.push(`lane ${String(index)}, round ${String(round)}: ${found}`);
          }
        }),
      );
      expect(wrong).toEqual([]);
      for (const lane of lanes) lane.end();
      const deadline = performance.now() + GRACE_MS + SETTLED_MS;
      const rest = (): string[] => lanes.flatMap(({ roomId }) => place.media.labels(roomId));
      while (rest().length > 0 && performance.now() < deadline)
        await new Promise((resolve) => setTimeout(resolve, 100));
      expect(rest()).toEqual([]);
      expect(place.media.running.sfu.snapshot().conferences).toEqual([]);
    },
    60_000 + COUNT * 1_000,
  );
});
