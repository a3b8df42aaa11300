/** What the events of a meeting's room say in its log, in rooms of a real homeserver. */
import pino from 'pino';
import { LogEvents } from '../../homeserver/meetings/log/log-events.ts';
import type { Noted } from '../../homeserver/meetings/log/meeting-log.ts';
import { joinedContent, membershipKey } from '../../homeserver/meetings/conference/membership.ts';
import { CALL_MEMBER, SETTING } from '../../homeserver/base/names.ts';
import type { Meetings } from '../../homeserver/meetings/meetings.ts';
import type { ServiceUser } from '../../homeserver/meetings/service-user.ts';
import type { Person, TestServer } from '../messages/support.ts';
import { startMeetings } from './support.ts';

describe('The log of a meeting: what its events say', () => {
  let server: TestServer;
  let service: ServiceUser;
  let meetings: Meetings;
  let events: LogEvents;
  let stop: () => void;
  let notes: Noted[];
  let anna: Person;
  let otto: Person;
  let roomId: string;
  let count = 0;

  beforeAll(async () => {
    ({ server, service, meetings } = await startMeetings());
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    notes = [];
    events = new LogEvents({
      log: { note: (noted) => void notes.push(noted) },
      rooms: server.rooms,
      clocks: { clockAhead: () => 0 },
      now: () => Date.now(),
      logger: pino({ level: 'silent' }),
    });
    stop = server.rooms.onEvent((event, { live }) => events.onEvent(event, live));
    anna = await server.person(`anna-${String((count += 1))}`);
    otto = await server.person(`otto-${String(count)}`);
    roomId = await meetings.create(anna.userId, { title: 'Deich' });
    await meetings.enter(anna.userId, roomId);
    await events.close();
    notes = [];
  });
  afterEach(() => stop());

  const send = (by: Person, type: string, stateKey: string, content: Record<string, unknown>): Promise<unknown> =>
    server.rooms.send(roomId, by.userId, { type, stateKey, content: content as never });
  async function told(): Promise<unknown[]> {
    await events.close();
    return notes.map(({ kind, by, whom, detail }) => [kind, by, whom, detail]);
  }

  it('tells who invited whom, who came, and who removed or banned them', async () => {
    const { memberships } = server.rooms;
    await server.rooms.invite(roomId, anna.userId, otto.userId);
    await server.rooms.join(otto.userId, roomId);
    await memberships.change('kick', { roomId, sender: anna.userId, target: otto.userId });
    await server.rooms.invite(roomId, anna.userId, otto.userId);
    await server.rooms.leave(roomId, otto.userId);
    await memberships.change('ban', { roomId, sender: anna.userId, target: otto.userId });

    expect(await told()).toEqual([
      ['invited', anna.userId, otto.userId, undefined],
      ['joined', undefined, otto.userId, undefined],
      ['removed', anna.userId, otto.userId, undefined],
      ['invited', anna.userId, otto.userId, undefined],
      ['declined', undefined, otto.userId, undefined],
      ['banned', anna.userId, otto.userId, undefined],
    ]);
    expect(new Set(notes.map(({ key }) => key)).size).toBe(notes.length);
  });

  it('does not show the service user, by whom people are let in', async () => {
    await service.admit(roomId, otto.userId);

    expect(await told()).toEqual([['joined', undefined, otto.userId, undefined]]);
  });

  it('tells who came into the conference once, however often that is renewed, and who went', async () => {
    await service.admit(roomId, otto.userId);
    await events.close();
    notes = [];
    const key = membershipKey(otto.userId, 'D1');
    const joinedAt = Date.now() - 5_000;
    const seat = { deviceId: 'D1', serverName: 'hamburg.example', joinedAt, guest: false };
    await send(otto, CALL_MEMBER, key, joinedContent({ ...seat, now: joinedAt }));
    await send(otto, CALL_MEMBER, key, joinedContent({ ...seat, now: joinedAt + 1_000 }));
    await send(otto, CALL_MEMBER, key, {});
    await send(otto, CALL_MEMBER, key, {});

    await events.close();

    expect(
      [...new Map(notes.map((noted) => [noted.key, noted])).values()].map(({ kind, whom }) => [kind, whom]),
    ).toEqual([
      ['entered', otto.userId],
      ['left', otto.userId],
    ]);
    expect(notes[0]?.at).toBe(joinedAt);
  });

  it('says nothing of somebody for whom somebody else has written that they are in the conference', async () => {
    const joined = {
      deviceId: 'D1',
      serverName: 'hamburg.example',
      joinedAt: Date.now(),
      guest: false,
      now: Date.now(),
    };
    const key = membershipKey(otto.userId, 'D1');
    const own = await server.rooms.send(roomId, anna.userId, { type: 'm.room.topic', stateKey: '', content: {} });
    const pdu = { ...own.pdu, type: CALL_MEMBER, state_key: key, content: joinedContent(joined) };
    events.onEvent({ ...own, pdu }, true);

    expect(await told()).toEqual([]);
  });

  it('tells roles, rules, titles and organisations that were shut out, each with who changed them', async () => {
    const levels = (await server.rooms.stateEvent(roomId, 'm.room.power_levels', ''))?.pdu.content ?? {};
    await send(anna, 'm.room.power_levels', '', { ...levels, users: { [anna.userId]: 100, [otto.userId]: 50 } });
    await send(anna, `${SETTING}microphone`, '', { restricted: true, allow: [otto.userId] });
    await send(anna, `${SETTING}microphone`, '', { restricted: true, allow: [otto.userId], more: 1 });
    await send(anna, `${SETTING}waiting`, '', { for: 'guests' });
    await send(anna, 'm.room.name', '', { name: 'Deich und Siel' });
    await send(anna, 'm.room.server_acl', '', { allow: ['*'], deny: ['bremen.example'] });
    await send(anna, 'm.room.server_acl', '', { allow: ['*'], deny: [] });

    expect(await told()).toEqual([
      ['role', anna.userId, otto.userId, 'moderator'],
      ['rule', anna.userId, undefined, 'microphone:restricted 1'],
      ['rule', anna.userId, undefined, 'waiting:guests'],
      ['title', anna.userId, undefined, 'Deich und Siel'],
      ['shut-out', anna.userId, undefined, 'bremen.example'],
      ['let-in', anna.userId, undefined, 'bremen.example'],
    ]);
  });

  it('says nothing of rooms that are no meetings', async () => {
    const chat = await server.rooms.create(anna.userId, { name: 'Chat' });
    await server.rooms.invite(chat, anna.userId, otto.userId);

    expect(await told()).toEqual([]);
  });
});
