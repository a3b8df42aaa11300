/** Who is told that the list of meetings has changed, and who is not. */
import type { Logger } from 'pino';
import type { Conferences } from '../../homeserver/meetings/conference/conferences.ts';
import { ListNews } from '../../homeserver/meetings/list-news.ts';
import type { Session } from '../../homeserver/meetings/session/session.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import { FakeSession } from '../support/fakes/people.ts';
import { FakeRooms } from '../support/fakes/rooms.ts';

const ROOM = '!room:luebeck.example';
const ANNA = '@anna:luebeck.example';
const JENS = '@jens:luebeck.example';
const KARL = '@karl:luebeck.example';

class OwnedSession extends FakeSession {
  readonly owner: { readonly userId: string };
  constructor(userId: string) {
    super();
    this.owner = { userId };
  }
}

describe('News of the list of meetings', () => {
  let clock: FakeClock;
  let rooms: FakeRooms;
  let sessions: Set<OwnedSession>;
  let inConference: Set<OwnedSession>;
  let warnings: unknown[];
  let news: ListNews;

  beforeEach(() => {
    clock = new FakeClock();
    rooms = new FakeRooms(clock);
    rooms.create(ROOM, ANNA);
    rooms.setMember(ROOM, JENS, 'join');
    sessions = new Set();
    inConference = new Set();
    warnings = [];
    news = new ListNews({
      rooms,
      conferences: {
        seats: { of: (session: OwnedSession) => (inConference.has(session) ? {} : undefined) },
      } as unknown as Pick<Conferences, 'seats'>,
      sessions: () => sessions as unknown as Set<Session>,
      log: { warn: (facts: unknown) => warnings.push(facts) } as unknown as Logger,
    });
  });

  const session = (userId: string): OwnedSession => {
    const made = new OwnedSession(userId);
    sessions.add(made);
    return made;
  };

  it('reach everybody in a meeting that changed, in each window, and nobody else', async () => {
    const [first, second, jens, karl] = [session(ANNA), session(ANNA), session(JENS), session(KARL)];
    news.meetingChanged(ROOM);
    await clock.settle();
    expect([first, second, jens, karl].map(({ names }) => names)).toEqual([
      ['meetings.changed'],
      ['meetings.changed'],
      ['meetings.changed'],
      [],
    ]);
  });

  it('do not reach who is in a conference, and does not see the list', async () => {
    const [anna, jens] = [session(ANNA), session(JENS)];
    inConference.add(anna);
    news.meetingChanged(ROOM);
    await clock.settle();
    expect([anna.names, jens.names]).toEqual([[], ['meetings.changed']]);
  });

  it('do not reach who is only invited, has left or is banned, by what the room changed to', async () => {
    const jens = session(JENS);
    for (const membership of ['invite', 'leave', 'ban'] as const) {
      rooms.setMember(ROOM, JENS, membership);
      news.meetingChanged(ROOM);
      await clock.settle();
    }
    expect(jens.names).toEqual([]);
  });

  it('reach the others when the membership of one can not be read', async () => {
    const [anna, jens] = [session(ANNA), session(JENS)];
    spyOn(rooms, 'membership').and.callFake((_roomId, userId) =>
      userId === ANNA ? Promise.reject(new Error('the database is away')) : Promise.resolve('join'),
    );
    news.meetingChanged(ROOM);
    await clock.settle();
    expect([anna.names, jens.names]).toEqual([[], ['meetings.changed']]);
    expect(warnings).toEqual([]);
  });

  it('reach sessions that begin while others are told, and those that end meanwhile do no harm', async () => {
    const [anna, jens] = [session(ANNA), session(JENS)];
    rooms.readDelay = () => 100;
    news.meetingChanged(ROOM);
    await clock.advance(50);
    sessions.delete(jens);
    const late = session(JENS);
    await clock.advance(500);
    expect([anna.names, jens.names, late.names]).toEqual([['meetings.changed'], [], ['meetings.changed']]);
  });

  it('are told in the background: who changes a meeting does not wait, and a failure is in the log', async () => {
    session(ANNA);
    spyOn(inConference, 'has').and.throwError('a fault');
    expect(() => news.meetingChanged(ROOM)).not.toThrow();
    await clock.settle();
    expect(warnings).toEqual([jasmine.objectContaining({ roomId: ROOM })]);
  });

  it('of a membership reach all windows of that person, also in a conference', () => {
    const [first, second, jens] = [session(ANNA), session(ANNA), session(JENS)];
    inConference.add(second);
    news.membershipChanged(ANNA);
    expect([first.names, second.names, jens.names]).toEqual([['meetings.changed'], ['meetings.changed'], []]);
  });

  it('of an invitation that came to its end reach who sent it, with the meeting and the outcome', () => {
    const [anna, jens] = [session(ANNA), session(JENS)];
    news.invitationFinished(ANNA, ROOM, { userId: KARL, outcome: 'invited', ok: true });
    expect(anna.heard('invitation.finished')).toEqual([{ roomId: ROOM, userId: KARL, outcome: 'invited', ok: true }]);
    expect(jens.names).toEqual([]);
  });
});
