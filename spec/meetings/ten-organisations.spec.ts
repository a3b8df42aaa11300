/** Ten organisations in one meeting, each with its own homeserver, database and media server; people are scripted sessions. */
import { CAMERA, MICROPHONE } from '../sfu/support.ts';
import type { NotificationData } from '../../protocol/session.ts';
import { at, eventually, type TestFederation, type TestHomeserver, type TestUser } from '../support/homeservers.ts';
import { hansetag, SessionClient, startMeetingServers } from '../support/meetings.ts';

const COUNT = 10;
/** Ten of everything, on a machine that does something else as well, in ms. */
const PATIENCE = 60_000;

describe('Federated meeting of ten organisations', () => {
  let federation: TestFederation;
  /** One of each organisation; the first owns the meeting. */
  let people: TestUser[];
  let clients: SessionClient[];
  let ids: string[];
  let roomId: string;
  let late: SessionClient | undefined;

  beforeAll(async () => {
    federation = await startMeetingServers(COUNT, { HANSETAG_PASSWORD_COST: '10' });
    people = [];
    for (const [index, server] of federation.servers.entries()) {
      people.push(await server.register(`person-${String(index)}`));
    }
    const [owner, ...others] = people;
    const made = await hansetag(serverOf(0), owner?.token, 'POST', 'meetings', {
      title: 'Hansetag',
      invite: others.map(({ userId }) => userId),
    });
    roomId = String(at(made.body, 'roomId'));
    clients = [];
    ids = [];
    for (const [index, person] of people.entries()) {
      if (index > 0) await accept(index, person);
      const client = await SessionClient.open(serverOf(index), person);
      clients.push(client);
      const { me, media } = await client.ask('conference.join', { roomId });
      ids.push(me);
      for (const [source, rtpParameters] of [
        ['microphone', MICROPHONE],
        ['camera', CAMERA],
      ] as const) {
        const transportId = media?.send.id ?? '';
        await client.ask('media.publish', { transportId, source, rtpParameters, paused: false });
      }
    }
  }, 300_000);
  afterAll(async () => {
    for (const client of [...clients, ...(late ? [late] : [])]) client.close();
    await federation.close();
  }, 60_000);

  const serverOf = (index: number): TestHomeserver => federation.servers[index] as TestHomeserver;
  const accept = async (index: number, { token }: TestUser): Promise<void> => {
    const path = `meetings/${encodeURIComponent(roomId)}/answer`;
    await eventually(
      () => hansetag(serverOf(index), token, 'POST', path, { answer: 'accept' }),
      ({ status }) => status === 200,
      PATIENCE,
    );
  };
  type Person = NotificationData<'participant.changed'>;
  /** How a client is shown a participant of another organisation; undefined for one who is not there. */
  const seenBy = (client: SessionClient, id: string): Person | undefined => {
    let person: Person | undefined;
    for (const { name, data } of client.told) {
      if (at(data, 'participantId') !== id) continue;
      if (name === 'participant.joined' || name === 'participant.changed') person = data as Person;
      if (name === 'participant.left') person = undefined;
    }
    return person;
  };
  /** Waits until every client in the conference sees these participants, but for itself, in the way that is wanted. */
  const allSee = async (
    whom: readonly string[],
    wanted: (person: Person | undefined) => boolean,
    of = clients,
  ): Promise<void> => {
    await eventually(
      async () =>
        of.flatMap((client) => {
          const me = ids[clients.indexOf(client)];
          const missing = whom.filter((id) => id !== me && !wanted(seenBy(client, id)));
          return missing.map((id) => `${String(me)} sees ${id} as ${JSON.stringify(seenBy(client, id)?.sources)}`);
        }),
      (missing) => missing.length === 0,
      PATIENCE,
    );
  };
  const isPaused = (person: Person | undefined, source: string): boolean | undefined =>
    person?.sources.find((one) => one.source === source)?.paused;

  it('shows everybody to everybody, and its moderator’s orders, rules and admissions hold in each', async () => {
    const [owner] = clients;
    if (!owner) throw new Error('Nobody is there.');
    // Who came later is in the snapshot of nobody, and is told to everybody who was there.
    await allSee(ids, (person) => isPaused(person, 'microphone') === false, clients.slice(0, 1));

    const others = ids.slice(1);
    const muted = await owner.ask('moderation.mute', { participantIds: others });
    expect(muted.unreached).toEqual([]);
    await allSee(others, (person) => isPaused(person, 'microphone') === true);
    for (const client of clients.slice(1)) {
      await client.hears('moderation.done', ({ action }) => action === 'mute', PATIENCE);
    }

    await owner.ask('rules.set', { rule: 'camera', value: { restricted: true, allow: [people[1]?.userId ?? ''] } });
    for (const client of clients) {
      await client.hears('rules.changed', ({ camera }) => camera.restricted, PATIENCE);
    }
    await allSee(ids.slice(2), (person) => isPaused(person, 'camera') !== false);
    expect(isPaused(seenBy(owner, ids[1] ?? ''), 'camera')).toBeFalse();

    const [, , , , , , , , , removed = ''] = ids;
    const away = await owner.ask('moderation.remove', { participantIds: [removed] });
    expect(away.unreached).toEqual([]);
    await allSee([removed], (person) => person === undefined, clients.slice(0, -1));
    await clients.at(-1)?.hears('conference.ended', () => true, PATIENCE);

    await owner.ask('rules.set', { rule: 'waiting', value: { for: 'everybody' } });
    const far = serverOf(5);
    const carl = await far.register('carl');
    const invitation = `meetings/${encodeURIComponent(roomId)}/invitations`;
    await hansetag(serverOf(0), people[0]?.token, 'POST', invitation, { userIds: [carl.userId] });
    await accept(5, carl);
    late = await SessionClient.open(far, carl);
    await expectAsync(late.ask('conference.join', { roomId })).toBeRejectedWith(
      jasmine.objectContaining({ code: 'must-wait' }),
    );
    await late.ask('conference.wait', { roomId });
    await owner.hears('waiting.list', (list) => list.people.some(({ userId }) => userId === carl.userId), PATIENCE);
    await owner.ask('waiting.admit', { userIds: [carl.userId] });
    await late.hears('waiting.ended', ({ outcome }) => outcome === 'admitted', PATIENCE);
    const { me } = await late.ask('conference.join', { roomId });
    await allSee([me], (person) => person !== undefined, clients.slice(0, -1));
  }, 240_000);
});
