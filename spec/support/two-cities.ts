/** Two organisations in one meeting: Anna of Hamburg owns it; Carla of Hamburg and Bert of Lübeck were invited. */
import type { ConferenceSnapshot, Participant } from '../../protocol/session.ts';
import { at, eventually, type TestFederation, type TestHomeserver, type TestUser } from './homeservers.ts';
import { hansetag, SessionClient, startMeetingServers } from './meetings.ts';

/** Somebody in the conference. */
export interface Present {
  readonly client: SessionClient;
  readonly me: string;
  readonly snapshot: ConferenceSnapshot;
}

export class TwoCities {
  readonly #federation: TestFederation;
  readonly hamburg: TestHomeserver;
  readonly luebeck: TestHomeserver;
  readonly anna: TestUser;
  readonly carla: TestUser;
  readonly bert: TestUser;
  roomId = '';
  readonly #clients: SessionClient[] = [];

  private constructor(federation: TestFederation, people: [TestUser, TestUser, TestUser]) {
    this.#federation = federation;
    [this.hamburg, this.luebeck] = federation.servers as [TestHomeserver, TestHomeserver];
    [this.anna, this.carla, this.bert] = people;
  }

  static async start(): Promise<TwoCities> {
    const federation = await startMeetingServers(2);
    const [hamburg, luebeck] = federation.servers as [TestHomeserver, TestHomeserver];
    const people = [hamburg.register('anna'), hamburg.register('carla'), luebeck.register('bert')] as const;
    return new TwoCities(federation, await Promise.all(people));
  }

  /** A new meeting; nobody is in its conference yet. */
  async meet(): Promise<void> {
    const { hamburg, luebeck, anna, carla, bert } = this;
    const plan = { title: 'Deich', invite: [bert.userId, carla.userId] };
    const made = await hansetag(hamburg, anna.token, 'POST', 'meetings', plan);
    this.roomId = String(at(made.body, 'roomId'));
    const path = `meetings/${encodeURIComponent(this.roomId)}/answer`;
    for (const [server, { token }] of [
      [luebeck, bert],
      [hamburg, carla],
    ] as const) {
      await eventually(
        () => hansetag(server, token, 'POST', path, { answer: 'accept' }),
        ({ status }) => status === 200,
      );
    }
  }

  /** A client of somebody enters the conference of the meeting. */
  async enter(name: 'anna' | 'carla' | 'bert'): Promise<Present> {
    const client = await SessionClient.open(name === 'bert' ? this.luebeck : this.hamburg, this[name]);
    this.#clients.push(client);
    const snapshot = await client.ask('conference.join', { roomId: this.roomId });
    return { client, me: snapshot.me, snapshot };
  }

  /** Restarts a homeserver; its clients have to enter again. */
  async restart(server: TestHomeserver): Promise<void> {
    await server.stop();
    await server.start();
  }

  /** Everybody leaves. */
  leave(): void {
    for (const client of this.#clients.splice(0)) client.close();
  }

  close(): Promise<void> {
    return this.#federation.close();
  }
}

/** How somebody sees a participant now; undefined for one who is not there. */
export function seen({ client, snapshot }: Present, participantId: string): Participant | undefined {
  let shown = snapshot.participants.find((one) => one.participantId === participantId);
  for (const { name, data } of client.told) {
    if (at(data, 'participantId') !== participantId) continue;
    if (name === 'participant.joined' || name === 'participant.changed') shown = data as Participant;
    if (name === 'participant.left') shown = undefined;
  }
  return shown;
}

/** Waits until somebody sees a participant as wanted. */
export async function sees(
  who: Present,
  participantId: string,
  wanted: (participant: Participant | undefined) => boolean,
): Promise<Participant | undefined> {
  return eventually(async () => seen(who, participantId), wanted);
}
