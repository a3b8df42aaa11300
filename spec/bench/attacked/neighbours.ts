/** Others who use the homeserver meanwhile, and how long they wait. */
import { eventId } from '../../../federation/event.ts';
import { CALL_MEMBER } from '../../../homeserver/base/names.ts';
import { SessionClient } from '../../hostile/kit/session-client.ts';
import { at, clientOf, eventually } from '../../support/homeservers.ts';
import type { TestUser } from '../../support/homeservers.ts';
import { Peer } from '../../support/peer.ts';
import type { PeerRoom } from '../../support/peer.ts';
import { FORK } from './messages.ts';
import type { Attacked } from './messages.ts';

/** In ms. */
const EVERY = { versions: 50, mute: 250, transaction: 1_000 };
/** Who has waited so long has waited in vain, in ms. */
const PATIENCE_MS = 20_000;
const LOOK_EVERY_MS = 2;

/** Times in ms, and what did not come to an end. */
export interface Waits {
  readonly versions: readonly number[];
  readonly mutes: readonly number[];
  readonly transactions: readonly number[];
  readonly failures: readonly string[];
  /** Messages of the peer that are not in the room. */
  readonly lost: number;
}

export class Neighbours {
  readonly roomId: string;
  readonly #homeserver: Attacked;
  readonly #anna: TestUser;
  readonly #bert: TestUser;
  readonly #speaker: SessionClient;
  readonly #listener: SessionClient;
  readonly #peer: Peer;
  readonly #room: PeerRoom;
  #muted = false;
  #heard = 0;

  private constructor(
    homeserver: Attacked,
    [anna, bert]: readonly [TestUser, TestUser],
    roomId: string,
    sessions: readonly [SessionClient, SessionClient],
    peer: Peer,
    room: PeerRoom,
  ) {
    this.#homeserver = homeserver;
    this.#anna = anna;
    this.#bert = bert;
    this.roomId = roomId;
    [this.#speaker, this.#listener] = sessions;
    this.#peer = peer;
    this.#room = room;
  }

  /** Two people in a new meeting, one of whom has a microphone, and a peer whose user is in the room. */
  static async settle(homeserver: Attacked, name: string): Promise<Neighbours> {
    const { register } = clientOf(homeserver.url);
    const [anna, bert] = [await register(`anna-${name}`), await register(`bert-${name}`)];
    const made = await bert.must('POST', 'client/v3/createRoom', {
      preset: 'public_chat',
      power_level_content_override: { events: { [CALL_MEMBER]: 0, [FORK]: 0 } },
    });
    const roomId = String(at(made, 'room_id'));
    await anna.must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
    const speaker = await SessionClient.open(homeserver.url, anna.token);
    const listener = await SessionClient.open(homeserver.url, bert.token);
    await listener.join(roomId);
    await speaker.join(roomId);
    const published = await speaker.publish('microphone');
    if ('error' in published) throw new Error(`publish: ${published.error.code}`);
    const peer = await Peer.start(homeserver);
    peer.answer = (path) => (path.includes('/v1/send/') ? { pdus: {} } : undefined);
    const room = await peer.join(homeserver.serverName, roomId, peer.userId('thea'));
    return new Neighbours(homeserver, [anna, bert], roomId, [speaker, listener], peer, room);
  }

  /** They do what they do until it is over. */
  async live(forMs: number): Promise<Waits> {
    const until = performance.now() + forMs;
    const failures: string[] = [];
    const said: string[] = [];
    const [versions, mutes, transactions] = await Promise.all([
      everyOpen(EVERY.versions, until, failures, () => this.#versions()),
      oneAfterAnother(EVERY.mute, until, failures, () => this.#mute()),
      oneAfterAnother(EVERY.transaction, until, failures, async () => {
        said.push(await this.#say());
      }),
    ]);
    const shown = await Promise.all(said.map((id) => this.#isShown(id)));
    return { versions, mutes, transactions, failures, lost: shown.filter((isShown) => !isShown).length };
  }

  async close(): Promise<void> {
    await Promise.all([this.#speaker.close(), this.#listener.close(), this.#peer.close()]);
  }

  async #versions(): Promise<void> {
    const answer = await fetch(`${this.#homeserver.url}/_matrix/client/versions`, {
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`versions: ${String(answer.status)}`);
  }

  /** Until the other one is told. */
  async #mute(): Promise<void> {
    const muted = !this.#muted;
    this.#muted = muted;
    this.#heard = this.#listener.told.length;
    const asked = this.#speaker.must(muted ? 'media.pause' : 'media.resume', { source: 'microphone' });
    const deadline = performance.now() + PATIENCE_MS;
    while (!this.#hears(muted)) {
      if (performance.now() > deadline) throw new Error('nobody is told of a mute');
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    await asked;
  }

  #hears(muted: boolean): boolean {
    const { told } = this.#listener;
    while (this.#heard < told.length) {
      const { notification, data } = told[this.#heard++] ?? {};
      if (notification !== 'participant.changed') continue;
      if (at(data, 'userId') !== this.#anna.userId) continue;
      if (at(data, 'sources', 0, 'paused') === muted) return true;
    }
    return false;
  }

  /** @returns the id of the message */
  async #say(): Promise<string> {
    const content = { msgtype: 'm.text', body: 'hello' };
    const sender = this.#peer.userId('thea');
    const pdu = this.#peer.event(this.#room, { sender, type: 'm.room.message', content });
    const results = await this.#peer.send(this.#homeserver.serverName, [pdu]);
    const id = eventId(pdu, this.#room.version);
    if (at(results, id, 'error') !== undefined) throw new Error(`refused: ${JSON.stringify(results)}`);
    this.#room.last = id;
    this.#room.depth += 1;
    return id;
  }

  async #isShown(id: string): Promise<boolean> {
    const path = `client/v3/rooms/${encodeURIComponent(this.roomId)}/event/${encodeURIComponent(id)}`;
    return eventually(
      () => this.#bert.ask('GET', path),
      ({ status }) => status === 200,
    ).then(
      () => true,
      () => false,
    );
  }
}

/** Begins one at each tick, whether or not those before have ended. @returns how long each took, in ms */
async function everyOpen(
  everyMs: number,
  until: number,
  failures: string[],
  act: () => Promise<void>,
): Promise<number[]> {
  const times: number[] = [];
  const underWay: Promise<void>[] = [];
  while (performance.now() < until) {
    underWay.push(timed(act, times, failures));
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  await Promise.all(underWay);
  return times;
}

/** @returns how long each took, in ms */
async function oneAfterAnother(
  everyMs: number,
  until: number,
  failures: string[],
  act: () => Promise<void>,
): Promise<number[]> {
  const times: number[] = [];
  while (performance.now() < until) {
    await timed(act, times, failures);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, everyMs - (times.at(-1) ?? 0))));
  }
  return times;
}

async function timed(act: () => Promise<void>, times: number[], failures: string[]): Promise<void> {
  const began = performance.now();
  await act().catch((error: unknown) => failures.push(error instanceof Error ? error.message : String(error)));
  times.push(performance.now() - began);
}
