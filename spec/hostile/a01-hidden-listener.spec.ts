/** A1: nobody without a seat has media. */
import { membershipKey } from '../../homeserver/meetings/conference/membership.ts';
import { eventually } from '../support/homeservers.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { MeetingPlace, type Member } from './kit/meeting.ts';
import { type Outcome, SessionClient } from './kit/session-client.ts';

/** Off the own media server within a second; the rest is for a busy machine. */
const SOON_MS = 2_000;

describe('Kick / ban: A1: the media of somebody who may not be there (any more)', () => {
  let place: MeetingPlace;
  let anna: Member;
  let admin: string;
  let count = 0;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start();
    anna = await place.register('anna');
    admin = await place.registerAdmin();
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());
  afterEach(() => place.media.line.release());

  const somebody = (): Promise<Member> => place.register(`jens${String(count++)}`);
  const codeOf = (outcome: Outcome): string => ('error' in outcome ? outcome.error.code : 'none');
  const act = (what: string, roomId: string, target: Member): Promise<unknown> =>
    anna.user.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/${what}`, { user_id: target.user.userId });

  const restrict = (what: string, body: object, { user }: Member): Promise<unknown> =>
    place.server.ask('PUT', `client/v1/admin/${what}/${user.userId}`, body, admin);

  async function post(path: string, body: object, token?: string): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${place.server.url}/_hansetag/client/v1/${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  }

  /** A link into a meeting of Anna. `enter` is the path to come in by it. */
  async function guestLink(roomId: string): Promise<{ linkId: string; enter: string }> {
    const { body } = await post(`meetings/${encodeURIComponent(roomId)}/links`, {}, anna.user.token);
    const { linkId, url } = body as { linkId: string; url: string };
    return { linkId, enter: `links/${url.slice(url.lastIndexOf('/') + 1)}/join` };
  }

  /** A new guest. @returns the access token */
  async function enterBy(enter: string): Promise<string> {
    const { body } = await post(enter, { displayName: 'Gast' });
    return (body as { session: { accessToken: string } }).session.accessToken;
  }

  /** Nothing of this participant is on the media server, nor comes there whatever the session asks for. */
  async function hasNothing(roomId: string, gone: Member, sessions: readonly SessionClient[]): Promise<void> {
    await eventually(
      async () => place.media.labels(roomId),
      (labels) => !labels.includes(gone.participantId),
      SOON_MS,
    );
    for (const session of sessions) {
      for (const asked of [
        session.watch([anna.participantId]),
        session.publish('microphone'),
        session.ask('media.open'),
      ]) {
        expect(codeOf(await asked)).toMatch(/^(not-in-conference|gone|bad-request)$/);
      }
    }
    expect(place.media.labels(roomId)).not.toContain(gone.participantId);
  }

  it('is one, and ends with a ban, when one device enters twice at the same moment', async () => {
    for (let round = 0; round < 5; round += 1) {
      const jens = await somebody();
      const roomId = await place.meeting(anna, [jens]);
      const listener = await anna.session();
      await listener.join(roomId);
      const sessions = await Promise.all([jens.session(), jens.session(), jens.session()]);
      await Promise.allSettled(sessions.map((session) => session.join(roomId)));
      await eventually(
        async () => place.media.labels(roomId).filter((label) => label === jens.participantId),
        (labels) => labels.length === 2,
      );
      await act('ban', roomId, jens);
      await hasNothing(roomId, jens, sessions);
      expect(await place.media.transportsInWorker(roomId)).toBe(2);
      await listener.close();
    }
  }, 60_000);

  it('does not come into being when the ban comes while one enters', async () => {
    const jens = await somebody();
    const roomId = await place.meeting(anna, [jens]);
    const session = await jens.session();
    const listener = await anna.session();
    await listener.join(roomId);
    place.media.line.hold();
    const joining = session.ask('conference.join', { roomId });
    await eventually(
      () => place.memberships(anna, roomId),
      (keys) => keys.includes(membershipKey(jens.user.userId, jens.deviceId)),
    );
    await act('ban', roomId, jens);
    place.media.line.release();
    expect(codeOf(await joining)).not.toBe('none');
    await hasNothing(roomId, jens, [session]);
    expect(listener.heard('participant.joined')).toEqual([]);
    await listener.close();
  });

  it('does not outlive a connection that drops while one enters', async () => {
    const jens = await somebody();
    const roomId = await place.meeting(anna, [jens]);
    const listener = await anna.session();
    await listener.join(roomId);
    const session = await jens.session();
    place.media.line.hold();
    const joining = session.ask('conference.join', { roomId });
    await eventually(
      () => place.memberships(anna, roomId),
      (keys) => keys.includes(membershipKey(jens.user.userId, jens.deviceId)),
    );
    session.drop();
    await new Promise((resolve) => setTimeout(resolve, 6_500));
    place.media.line.release();
    await hasNothing(roomId, jens, []);
    await eventually(
      () => place.memberships(anna, roomId),
      (keys) => !keys.includes(membershipKey(jens.user.userId, jens.deviceId)),
    );
    await joining;
    await listener.close();
  });

  const ends: readonly [string, (roomId: string, jens: Member) => Promise<unknown>][] = [
    ['a kick', (roomId, jens) => act('kick', roomId, jens)],
    ['a ban', (roomId, jens) => act('ban', roomId, jens)],
    ['a log-out', (_roomId, jens) => jens.user.must('POST', 'client/v3/logout', {})],
    ['a log-out everywhere', (_roomId, jens) => jens.user.must('POST', 'client/v3/logout/all', {})],
    [
      'the end of the account',
      (_roomId, jens) =>
        jens.user.must('POST', 'client/v3/account/deactivate', {
          auth: {
            type: 'm.login.password',
            identifier: { type: 'm.id.user', user: jens.user.userId },
            password: 'a long enough password',
          },
        }),
    ],
    ['a suspension', (_roomId, jens) => restrict('suspend', { suspended: true }, jens)],
    ['a lock', (_roomId, jens) => restrict('lock', { locked: true }, jens)],
    [
      'a log-in elsewhere as the same device',
      (_roomId, jens) => place.logIn(jens.user.userId.slice(1).split(':')[0] ?? '', jens.deviceId),
    ],
    [
      'the end of the meeting',
      (roomId) =>
        anna.user.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/upgrade`, { new_version: '12' }),
    ],
  ];
  for (const [what, end] of ends) {
    it(`ends with ${what}, in every room, and leaves nothing in the media worker`, async () => {
      const jens = await somebody();
      const roomId = await place.meeting(anna, [jens]);
      const session = await jens.session();
      await session.join(roomId);
      await session.publish('microphone');
      expect(await place.media.transportsInWorker(roomId)).toBe(2);
      await end(roomId, jens);
      await eventually(
        async () => place.media.labels(roomId),
        (labels) => labels.length === 0,
        SOON_MS,
      );
      expect(codeOf(await session.publish('microphone'))).toMatch(/^(not-in-conference|gone)$/);
      expect(await place.media.transportsInWorker(roomId)).toBe(0);
    });
  }

  it('does not leave a ghost for who is let in again after a ban', async () => {
    const jens = await somebody();
    const roomId = await place.meeting(anna, [jens]);
    const session = await jens.session();
    await session.join(roomId);
    await act('ban', roomId, jens);
    await hasNothing(roomId, jens, [session]);
    await act('unban', roomId, jens);
    await act('invite', roomId, jens);
    await jens.user.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/join`, {});
    await eventually(
      () => place.memberships(anna, roomId),
      (keys) => !keys.includes(membershipKey(jens.user.userId, jens.deviceId)),
    );
    const listener = await anna.session();
    expect((await listener.join(roomId)).participants.length).toBe(1);
    await listener.close();
  });

  it('ends when the media server is reached again, where it could not be told before', async () => {
    const jens = await somebody();
    const roomId = await place.meeting(anna, [jens]);
    const [listener, session] = [await anna.session(), await jens.session()];
    await listener.join(roomId);
    await session.join(roomId);
    place.media.line.hold();
    await act('ban', roomId, jens);
    place.media.line.cut();
    place.media.line.release();
    await eventually(
      async () => place.media.labels(roomId),
      (labels) => labels.length === 2 && !labels.includes(jens.participantId),
    );
    await listener.close();
  });

  it('ends with the link by which a guest came in, and stays for who came by another', async () => {
    const roomId = await place.meeting(anna);
    const [first, second] = [await guestLink(roomId), await guestLink(roomId)];
    const [guest, other] = [await enterBy(first.enter), await enterBy(second.enter)];
    const [session, stays] = [
      await SessionClient.open(place.server.url, guest),
      await SessionClient.open(place.server.url, other),
    ];
    await session.join(roomId);
    await stays.join(roomId);
    const revoked = await fetch(
      `${place.server.url}/_hansetag/client/v1/meetings/${encodeURIComponent(roomId)}/links/${first.linkId}`,
      { method: 'DELETE', headers: { authorization: `Bearer ${anna.user.token}` } },
    );
    expect(revoked.status).toBe(200);
    await eventually(
      async () => place.media.labels(roomId),
      (labels) => labels.length === 2,
      SOON_MS,
    );
    expect(codeOf(await session.ask('conference.join', { roomId }))).toBe('forbidden');
    expect((await post(first.enter, { displayName: 'Gast' })).status).toBe(404);
    expect(codeOf(await stays.publish('microphone'))).toBe('none');
    await session.close();
    await stays.close();
  });

  it('ends when guests are not let in any more, and no guest comes in again', async () => {
    const roomId = await place.meeting(anna, []);
    const { enter } = await guestLink(roomId);
    const guest = await enterBy(enter);
    const session = await SessionClient.open(place.server.url, guest);
    await session.join(roomId);
    expect(place.media.labels(roomId).length).toBe(2);
    await anna.user.must('PUT', `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.guest_access`, {
      guest_access: 'forbidden',
    });
    await eventually(
      async () => place.media.labels(roomId),
      (labels) => labels.length === 0,
      SOON_MS,
    );
    expect(codeOf(await session.ask('conference.join', { roomId }))).toBe('forbidden');
    expect((await post(enter, { displayName: 'Gast' })).status).toBe(403);
    expect((await post(enter, {}, guest)).status).toBe(403);
    await session.close();
  });
});
