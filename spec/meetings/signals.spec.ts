/** What other instances say live of their people: what is believed, what is answered, and how much is taken. */
import { MatrixError } from '../../homeserver/base/errors.ts';
import type { Conference } from '../../homeserver/meetings/conference/conference.ts';
import { type LiveMessage, liveMessageSchema } from '../../homeserver/meetings/conference/messages.ts';
import type { RemoteState } from '../../homeserver/meetings/conference/remotes.ts';
import { Signals, type SignalsDeps } from '../../homeserver/meetings/conference/signals.ts';
import { seated } from '../support/fakes/people.ts';

const ROOM = '!room:luebeck.example';
const HAMBURG = 'hamburg.example';

interface Said {
  readonly user_id?: string;
  readonly device_id?: string;
  readonly sources?: readonly object[];
  readonly reconnecting?: boolean;
  readonly signals?: object;
}

describe('What another instance says live', () => {
  let now: number;
  let signals: Signals;
  let conference: Conference | undefined;
  let inRoom: Set<string>;
  let shutOut: Set<string>;
  /** The states that the conference was told. */
  let states: [string, RemoteState][];
  let isNews: boolean;
  let hasPeople: boolean;
  let announced: string[][];
  let asked: string[][];
  let told: unknown[];
  let reopened: string[];
  let heard: string[];
  let orders: unknown[];

  beforeEach(() => {
    jasmine.clock().install();
    now = 0;
    spyOn(performance, 'now').and.callFake(() => now);
    inRoom = new Set([HAMBURG, 'bremen.example']);
    shutOut = new Set();
    [states, announced, asked, told, reopened, heard, orders] = [[], [], [], [], [], [], []];
    isNews = true;
    hasPeople = true;
    conference = conferenceOf();
    signals = new Signals({
      rooms: { joinedServers: () => Promise.resolve(inRoom) },
      access: { allowed: (_roomId: string, server: string) => Promise.resolve(!shutOut.has(server)) },
      conferences: { get: () => conference },
      reachability: { heard: (server: string) => heard.push(server) },
      announcer: {
        announce: (_conference: Conference, servers: string[], locals: Iterable<{ userId: string }>) =>
          announced.push([...servers, ...[...locals].map(({ userId }) => userId)]),
        ask: (_conference: Conference, servers: string[], what: string) => asked.push([...servers, what]),
      },
      live: { speaksLive: () => undefined },
      orders: {
        receive: (_origin: string, _roomId: string, _conference: unknown, given: unknown[]) => {
          orders.push(...given);
          return Promise.resolve({ 1: 'taken' });
        },
      },
      modules: { told: (_conference: Conference, server: string, data: unknown) => told.push([server, data]) },
    } as unknown as SignalsDeps);
  });
  afterEach(() => {
    signals.close();
    jasmine.clock().uninstall();
  });

  function conferenceOf(): Conference {
    const { local } = seated('@anna:luebeck.example');
    return {
      roomId: ROOM,
      locals: new Map([[local.participantId, local]]),
      setRemoteState: (participantId: string, state: RemoteState) => {
        states.push([participantId, state]);
        return isNews;
      },
      servers: () => new Set(hasPeople ? [HAMBURG] : []),
      link: (server: string) => ({ reopen: () => reopened.push(server) }),
    } as unknown as Conference;
  }
  const person = (changes: Said = {}) => ({
    user_id: '@otto:hamburg.example',
    device_id: 'DESK',
    sources: [],
    ...changes,
  });
  const message = (number: number, changes: object = {}): LiveMessage =>
    liveMessageSchema.parse({ epoch: 'e1', number, participants: [person()], ...changes });
  const say = (said: LiveMessage, origin = HAMBURG) => signals.onMessage(origin, ROOM, said);
  const edu = (content: object, origin = HAMBURG) => signals.onEdu(origin, { room_id: ROOM, ...content });
  const named = (): string[] => states.map(([participantId]) => participantId);

  describe('is believed', () => {
    it('of its own people, as they send, with what they do besides', async () => {
      const camera = { source: 'camera', id: 'c1', paused: true };
      const said = person({ sources: [camera], reconnecting: true, signals: { hand: { raisedAt: 5 } } });
      expect(await say(message(1, { participants: [said] }))).toEqual({});
      expect(states).toEqual([
        [
          '@otto:hamburg.example|DESK',
          { sources: [camera as RemoteState['sources'][0]], reconnecting: true, signals: { hand: { raisedAt: 5 } } },
        ],
      ]);
    });

    it('not of others’ people: not of ours, and not of a third server', async () => {
      const people = ['@anna:luebeck.example', '@ben:bremen.example', '@otto:hamburg.example:8448', '@otto'].map(
        (user_id) => person({ user_id }),
      );
      await say(message(1, { participants: [...people, person()] }));
      expect(named()).toEqual(['@otto:hamburg.example|DESK']);
    });

    it('not of somebody whose device id is written so that the server seems to be another one', async () => {
      const sly = { user_id: '@anna:luebeck.example', device_id: '|x:hamburg.example|DESK' };
      await say(message(1, { participants: [person(sly)] }));
      expect(named()).toEqual([]);
    });

    it('as last said where somebody is named twice', async () => {
      await say(message(1, { participants: [person({ reconnecting: true }), person({ reconnecting: false })] }));
      expect(states.map(([, { reconnecting }]) => reconnecting)).toEqual([false]);
    });

    it('without signals that are malformed; the rest counts', async () => {
      await say(message(1, { participants: [person({ signals: { hand: 'up' }, reconnecting: true })] }));
      expect(states.map(([, state]) => [state.reconnecting, state.signals])).toEqual([[true, {}]]);
    });

    it('not of a server that is not in the room, or is shut out of it', async () => {
      inRoom.delete(HAMBURG);
      await expectAsync(say(message(1))).toBeRejectedWith(jasmine.objectContaining({ status: 403 }));
      inRoom.add(HAMBURG);
      shutOut.add(HAMBURG);
      await expectAsync(say(message(1))).toBeRejectedWithError(MatrixError);
      await edu({ participants: [person()] });
      expect([states, heard]).toEqual([[], []]);
    });
  });

  describe('is answered', () => {
    it('with what became of its orders, also where nobody of ours is in the conference', async () => {
      conference = undefined;
      const order = {
        number: 1,
        action: 'mute',
        by: '@otto:hamburg.example',
        participants: [{ user_id: '@anna:luebeck.example', device_id: 'D' }],
      };
      expect(await say(message(1, { orders: [order] }))).toEqual({ orders: { 1: 'taken' } });
      expect(orders.length).toBe(1);
      expect(states).toEqual([]);
    });

    it('with a request for everything when a message was lost, and with nothing more once that has come', async () => {
      expect(await say(message(1))).toEqual({});
      expect(await say(message(3))).toEqual({ resend: true });
      expect(states.length).withContext('what came is taken nevertheless').toBe(2);
      expect(await say(message(4, { whole: true }))).toEqual({});
      expect(await say(message(5))).toEqual({});
    });

    it('with a request for everything by a sign that shows that the last one was lost', async () => {
      await say(message(1));
      expect(await say(message(1, { participants: undefined }))).toEqual({});
      expect(await say(message(2, { participants: undefined }))).toEqual({ resend: true });
    });

    it('and an older one changes nothing, though what else it says counts', async () => {
      await say(message(2, { whole: true }));
      states.length = 0;
      expect(await say(message(1, { relink: true }))).toEqual({});
      expect(states).toEqual([]);
      expect(reopened).toEqual([HAMBURG]);
    });

    it('by another epoch as a new beginning', async () => {
      await say(message(7, { whole: true }));
      expect(await say(message(1, { epoch: 'e2' }))).toEqual({});
      expect(states.length).toBe(2);
    });

    it('with numbers that each server has of its own, and each conference', async () => {
      await say(message(1));
      expect(await say(message(2), 'bremen.example')).toEqual({ resend: true });
      conference = conferenceOf();
      expect(await say(message(2)))
        .withContext('another conference has heard nothing')
        .toEqual({ resend: true });
    });

    it('without being taken when the conference has ended while that was looked up', async () => {
      const saying = say(message(1));
      conference = undefined;
      expect(await saying).toEqual({});
      expect(states).toEqual([]);
    });
  });

  describe('may ask', () => {
    it('for the state of all our people', async () => {
      await say(message(1, { resend: true }));
      expect(announced).toEqual([[HAMBURG, '@anna:luebeck.example']]);
    });

    it('for a new link', async () => {
      await say(message(1, { relink: true }));
      expect(reopened).toEqual([HAMBURG]);
    });

    it('modules to take something, as long as it has people in the conference', async () => {
      await say(message(1, { modules: { reactions: { clap: 1 } } }));
      hasPeople = false;
      await say(message(2, { modules: { reactions: { clap: 2 } } }));
      expect(told).toEqual([[HAMBURG, { reactions: { clap: 1 } }]]);
    });
  });

  describe('is taken up to a bound', () => {
    it('beyond which nothing of it is handled, and everything is asked for again', async () => {
      isNews = false;
      for (let number = 1; number <= 600; number += 1) expect(await say(message(number))).toEqual({});
      states.length = 0;
      expect(await say(message(601, { resend: true, relink: true }))).toEqual({ resend: true });
      expect([states, announced, reopened]).toEqual([[], [], []]);
      now += 1_000;
      expect(await say(message(602)))
        .withContext('the one that was not handled is missing')
        .toEqual({ resend: true });
      expect(await say(message(603, { whole: true }))).toEqual({});
    });

    it('which changes count for, one for each person, and what is no news does not', async () => {
      const people = Array.from({ length: 300 }, (_, n) => person({ device_id: `D${String(n)}` }));
      await say(message(1, { participants: people }));
      isNews = false;
      await say(message(2, { participants: people }));
      isNews = true;
      await say(message(3, { participants: people }));
      expect(await say(message(4))).toEqual({ resend: true });
    });

    it('and orders are taken beyond it: they have a bound of their own', async () => {
      isNews = false;
      for (let number = 1; number <= 601; number += 1) await say(message(number));
      const order = {
        number: 1,
        action: 'mute',
        by: '@otto:hamburg.example',
        participants: [{ user_id: '@anna:luebeck.example', device_id: 'D' }],
      };
      expect(await say(message(602, { orders: [order] }))).toEqual({ orders: { 1: 'taken' }, resend: true });
    });

    it('by older builds as well, which are asked for everything two seconds later, once', async () => {
      isNews = false;
      for (let count = 0; count < 650; count += 1) await edu({ participants: [person()] });
      expect(states.length).toBe(600);
      jasmine.clock().tick(1_999);
      expect(asked).toEqual([]);
      jasmine.clock().tick(1);
      expect(asked).toEqual([[HAMBURG, 'resend']]);
    });

    it('and nobody is asked for a conference that has ended by then', async () => {
      for (let count = 0; count < 700; count += 1) await edu({ participants: [person()] });
      conference = conferenceOf();
      jasmine.clock().tick(5_000);
      expect(asked).toEqual([]);
    });
  });

  describe('by an older build, as an EDU', () => {
    it('is taken in the same way', async () => {
      await edu({ participants: [person({ reconnecting: true })], resend: true });
      expect(states.map(([, { reconnecting }]) => reconnecting)).toEqual([true]);
      expect(announced.length).toBe(1);
    });

    it('is dropped whole when it is malformed, and says nothing of who is there', async () => {
      const malformed = [
        { participants: {} },
        { participants: [person({ user_id: 'otto' })] },
        { participants: [person({ sources: [{ source: 'camera', id: '', paused: false }] })] },
        { participants: [person({ sources: [{ source: 'sonar', id: 'c1', paused: false }] })] },
        { participants: Array.from({ length: 501 }, () => person()) },
        { participants: [person()], room_id: 'room' },
        { participants: [person()], resend: 'yes' },
      ];
      for (const content of malformed) await expectAsync(edu(content)).toBeResolved();
      expect([states, heard]).toEqual([[], []]);
    });

    it('is nothing where there is no conference', async () => {
      conference = undefined;
      await edu({ participants: [person()] });
      expect(heard).toEqual([]);
    });
  });
});
