/** Who tells which instance what, over one lane for each instance and conference; the lanes are in lane-sender.spec.ts. */
import { pino } from 'pino';
import { Announcer } from '../../homeserver/meetings/conference/announcer.ts';
import type { Conference } from '../../homeserver/meetings/conference/conference.ts';
import type { LocalParticipant } from '../../homeserver/meetings/conference/local-participant.ts';
import { type LiveAnswer, liveMessageSchema } from '../../homeserver/meetings/conference/messages.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import { seated } from '../support/fakes/people.ts';

const HAMBURG = 'hamburg.example';
const BREMEN = 'bremen.example';

describe('What is told to other instances', () => {
  let clock: FakeClock;
  let said: { server: string; roomId: string; message: Readonly<Record<string, unknown>> }[];
  let heard: string[];
  let answer: (server: string) => Promise<LiveAnswer>;
  let servers: Set<string>;
  let announcer: Announcer;
  let anna: LocalParticipant;

  beforeEach(() => {
    clock = new FakeClock();
    said = [];
    heard = [];
    answer = () => Promise.resolve({});
    servers = new Set([HAMBURG, BREMEN]);
    ({ local: anna } = seated('@anna:luebeck.example'));
    announcer = new Announcer({
      clock,
      log: pino({ level: 'silent' }),
      live: {
        say: (server, roomId, message) => {
          said.push({ server, roomId, message });
          return answer(server);
        },
      },
      heard: (server) => heard.push(server),
    });
  });
  afterEach(() => announcer.close());

  const conferenceOf = (roomId: string, ...locals: LocalParticipant[]): Conference =>
    ({
      roomId,
      locals: new Map(locals.map((local) => [local.participantId, local])),
      seats: () => locals,
      servers: () => servers,
    }) as unknown as Conference;
  const to = (server: string) => said.filter((each) => each.server === server).map(({ message }) => message);

  it('is what somebody sends, with ids and pauses, presence and signals only where they are other than usual', async () => {
    const conference = conferenceOf('!room', anna);
    announcer.announce(conference, [HAMBURG], [anna]);
    await clock.advance(1_000);
    anna.media.sources.set('camera', { producerId: 'p1', paused: true, resumedAt: 1_000 });
    anna.signals = { hand: { raisedAt: 5 } };
    anna.arrive(false);
    announcer.announce(conference, [HAMBURG], [anna]);
    await clock.advance(1_000);
    expect(to(HAMBURG).map(({ participants }) => participants)).toEqual([
      [{ user_id: '@anna:luebeck.example', device_id: 'DESK', sources: [] }],
      [
        {
          user_id: '@anna:luebeck.example',
          device_id: 'DESK',
          sources: [{ source: 'camera', id: 'p1', paused: true, resumed_ts: 1_000 }],
          reconnecting: true,
          signals: { hand: { raisedAt: 5 } },
        },
      ],
    ]);
    for (const message of to(HAMBURG)) expect(liveMessageSchema.safeParse(message).success).toBeTrue();
  });

  it('goes to each instance by its own lane: one that is silent keeps no other waiting', async () => {
    const conference = conferenceOf('!room', anna);
    answer = (server) => (server === HAMBURG ? new Promise(() => undefined) : Promise.resolve({}));
    for (let change = 0; change < 3; change += 1) {
      announcer.announce(conference, servers, [anna]);
      await clock.advance(100);
    }
    expect([to(HAMBURG).length, to(BREMEN).length]).toEqual([1, 3]);
  });

  it('goes by one lane for each conference', async () => {
    const [one, other] = [conferenceOf('!one', anna), conferenceOf('!other', anna)];
    announcer.announce(one, [HAMBURG], [anna]);
    announcer.announce(other, [HAMBURG], [anna]);
    await clock.settle();
    expect(said.map(({ roomId }) => roomId)).toEqual(['!one', '!other']);
    expect(said[0]?.message['epoch']).not.toBe(said[1]?.message['epoch']);
  });

  it('is nothing where nobody has changed', async () => {
    announcer.announce(conferenceOf('!room', anna), servers, []);
    await clock.advance(10_000);
    expect(said).toEqual([]);
  });

  it('begins anew with another conference in the same room, with numbers of its own', async () => {
    announcer.announce(conferenceOf('!room', anna), [HAMBURG], [anna]);
    await clock.advance(100);
    const { local: jens } = seated('@jens:luebeck.example');
    announcer.announce(conferenceOf('!room', jens), [HAMBURG], [jens]);
    await clock.advance(100);
    const [first, second] = to(HAMBURG);
    expect(second).toEqual(jasmine.objectContaining({ number: 1, whole: true }));
    expect(second?.['epoch']).not.toBe(first?.['epoch']);
    said.length = 0;
    await clock.advance(5_000);
    expect(said.length).withContext('the lane of before gives no sign any more').toBe(1);
  });

  it('ends with the conference, and begins again when it is needed again', async () => {
    const conference = conferenceOf('!room', anna);
    announcer.announce(conference, [HAMBURG], [anna]);
    servers.delete(HAMBURG);
    await clock.advance(60_000);
    const before = said.length;
    servers.add(HAMBURG);
    await clock.advance(60_000);
    expect(said.length).toBe(before);
    announcer.announce(conference, [HAMBURG], [anna]);
    await clock.settle();
    expect(said.length).toBe(before + 1);
  });

  it('shows by an answer that the instance is there, and by silence nothing', async () => {
    answer = (server) => (server === HAMBURG ? Promise.resolve({}) : Promise.reject(new Error('silence')));
    announcer.announce(conferenceOf('!room', anna), servers, [anna]);
    await clock.advance(100);
    expect(heard).toEqual([HAMBURG]);
  });

  it('asks, and tells data of modules, together with what else goes to the instance', async () => {
    const conference = conferenceOf('!room', anna);
    announcer.announce(conference, [HAMBURG], [anna]);
    await clock.settle();
    announcer.ask(conference, [HAMBURG], 'relink');
    announcer.tell(conference, [HAMBURG], { module: 'reactions', data: { clap: 2 } });
    await clock.advance(100);
    expect(to(HAMBURG)[1]).toEqual(jasmine.objectContaining({ relink: true, modules: { reactions: { clap: 2 } } }));
  });

  it('says of an order whether the instance has taken it', async () => {
    const conference = conferenceOf('!room', anna);
    const outcome = async (orders: LiveAnswer['orders'], number: number): Promise<boolean> => {
      answer = () => Promise.resolve({ orders });
      const [taken] = await Promise.all([announcer.order(conference, HAMBURG, { number }), clock.advance(6_000)]);
      return taken;
    };
    expect(await outcome({ 1: 'taken' }, 1)).toBeTrue();
    expect(await outcome({ 2: 'refused' }, 2)).toBeFalse();
    expect(await outcome({}, 3)).toBeFalse();
  });

  it('is nothing after the end: orders are not taken, and what waited is given up', async () => {
    const conference = conferenceOf('!room', anna);
    answer = () => new Promise(() => undefined);
    const waiting = announcer.order(conference, HAMBURG, { number: 1 });
    await clock.settle();
    announcer.close();
    expect(await waiting).toBeFalse();
    expect(await announcer.order(conference, HAMBURG, { number: 2 })).toBeFalse();
    announcer.announce(conference, servers, [anna]);
    announcer.ask(conference, servers, 'resend');
    await clock.advance(60_000);
    expect(said.length).toBe(1);
  });
});
