import { z } from 'zod';
import { meetingListSchema, meetingSchema, newMeetingSchema } from '../../protocol/client-api.ts';
import { conferenceSnapshotSchema } from '../../protocol/session.ts';
import { dictionaryOf, isTime, MAX_TIME } from '../../protocol/values.ts';

const luebeck = { serverName: 'luebeck.example', displayName: 'Lübeck', colour: '#aa3333' };
const meeting = {
  roomId: '!a',
  title: 'Elbquerung',
  membership: 'invite',
  role: 'participant',
  host: { userId: '@anna:hamburg.example', displayName: 'Anna', organisation: 'hamburg.example', guest: false },
  createdAt: 1,
  liveCount: 0,
  organisations: [luebeck],
};

describe('Values of other servers', () => {
  for (const startsAt of [9e15, -1, 1.5, MAX_TIME + 1, 'soon', null]) {
    it(`that are no time (${String(startsAt)}) leave a meeting without time, and make none`, () => {
      const shown = meetingSchema.parse({ ...meeting, startsAt, endsAt: startsAt });
      expect(shown.startsAt).toBeUndefined();
      expect(shown.endsAt).toBeUndefined();
      expect(isTime(startsAt)).toBeFalse();
      expect(newMeetingSchema.safeParse({ title: 'a', startsAt }).success).toBeFalse();
    });
  }

  it('from 1970 to 9999 are times', () => {
    expect(new Date(MAX_TIME).toISOString()).toBe('9999-12-31T23:59:59.999Z');
    expect(meetingSchema.parse({ ...meeting, startsAt: 0, endsAt: MAX_TIME })).toEqual(
      jasmine.objectContaining({ startsAt: 0, endsAt: MAX_TIME }),
    );
  });

  it('that are no meeting do not take the list with them', () => {
    const { meetings } = meetingListSchema.parse({ meetings: [{ roomId: 7 }, meeting, null] });
    expect(meetings.map(({ roomId }) => roomId)).toEqual(['!a']);
  });

  it('that are no organisation do not take the meeting with them', () => {
    const organisations = [{ serverName: '' }, { ...luebeck, colour: 'url(//evil.example)' }];
    expect(meetingSchema.parse({ ...meeting, organisations }).organisations).toEqual([
      { ...luebeck, colour: '#5f6b6d' },
    ]);
  });

  it('that are no participant do not keep anybody out of a conference', () => {
    const bert = {
      participantId: '@bert:luebeck.example|D',
      userId: '@bert:luebeck.example',
      deviceId: 'D',
      displayName: 'Bert',
      organisation: 'luebeck.example',
      role: 'owner',
      guest: false,
      joinedAt: 1e300,
      sources: [],
      presence: 'here',
      signals: { hand: { raisedAt: 1e300 } },
    };
    const snapshot = conferenceSnapshotSchema.parse({
      roomId: '!a',
      title: 'Elbquerung',
      rights: ['invite'],
      me: bert.participantId,
      participants: [bert, { ...bert, participantId: '@x:y.z|D', role: 'emperor' }],
      organisations: [luebeck, 'nobody'],
      links: [{ organisation: 'hamburg.example', state: 'weak', since: -5, roundTripMs: -1 }, {}],
      modules: {},
    });
    expect(
      snapshot.participants.map(({ participantId, joinedAt, signals }) => [participantId, joinedAt, signals.hand]),
    ).toEqual([[bert.participantId, 0, undefined]]);
    expect(snapshot.organisations).toEqual([luebeck]);
    expect(snapshot.links).toEqual([
      jasmine.objectContaining({ organisation: 'hamburg.example', since: 0, roundTripMs: undefined }),
    ]);
  });
});

describe('An object with any keys', () => {
  const looked: unknown[] = [];
  const value = z.custom<number>((one) => {
    looked.push(one);
    return typeof one === 'number';
  });
  const schema = z.object({ inside: dictionaryOf(z.string().max(3), value, 3) });
  const issues = (inside: unknown) =>
    schema.safeParse({ inside }).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  beforeEach(() => looked.splice(0));

  it('is read when it has not too many entries', () => {
    expect(schema.parse({ inside: { a: 1, b: 2, c: 3 } })).toEqual({ inside: { a: 1, b: 2, c: 3 } });
    expect(schema.extend({ inside: schema.shape.inside.optional() }).parse({})).toEqual({});
  });

  it('has none of its entries read when they are too many', () => {
    expect(issues({ a: 1, b: 2, c: 3, d: 4 })).toEqual(['inside: has too many entries']);
    expect(looked).toEqual([]);
  });

  it('is read up to the first bad entry, which is named', () => {
    expect(issues({ a: 1, b: 'x', c: 'y' })).toEqual([jasmine.stringMatching(/^inside\.b: /)]);
    expect(looked).toEqual([1, 'x']);
    expect(issues({ long1: 1 })).toEqual([jasmine.stringMatching(/^inside: /)]);
  });

  it('is an object, and sets no prototype', () => {
    for (const wrong of [undefined, null, [], 'x', 1]) expect(issues(wrong)).toEqual(['inside: is no object']);
    expect(Object.keys(schema.parse(JSON.parse('{"inside":{"__proto__":1,"a":2}}')).inside)).toEqual(['a']);
  });
});
