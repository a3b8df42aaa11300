/** What is left to people who are suspended, locked or guests, by whatever door they come. */
import { at } from '../support/homeservers.ts';
import { MeetingPlace } from './kit/meeting.ts';
import type { Member } from './kit/meeting.ts';

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

describe('A14: accounts that may not write', () => {
  let place: MeetingPlace;
  let admin: string;
  let host: Member;
  let emil: Member;
  let roomId: string;

  beforeAll(async () => {
    place = await MeetingPlace.start();
    admin = await place.registerAdmin();
    host = await place.register('anna');
    emil = await place.register('emil');
    roomId = await place.meeting(host, [emil], {
      power_level_content_override: { events: { 'org.matrix.msc3401.call.member': 0 }, invite: 0 },
    });
  });
  afterAll(() => place.close());

  /** @param path from the root */
  async function ask(token: string | undefined, method: string, path: string, body?: unknown): Promise<Reply> {
    const response = await fetch(`${place.server.url}${path}`, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: await response.json() };
  }
  async function restrict(what: 'lock' | 'suspend', member: Member, on: boolean): Promise<void> {
    const body = what === 'lock' ? { locked: on } : { suspended: on };
    const { status } = await place.server.ask('PUT', `client/v1/admin/${what}/${member.user.userId}`, body, admin);
    expect(status).toBe(200);
  }
  const room = (): string => encodeURIComponent(roomId);
  const outcome = ({ status, body }: Reply): unknown[] => [status, at(body, 'errcode')];

  it('are refused whatever changes anything for others, by every router', async () => {
    const own = encodeURIComponent(emil.user.userId);
    const link = await ask(host.user.token, 'POST', `/_hansetag/client/v1/meetings/${room()}/links`, {});
    const linkToken = String(at(link.body, 'url')).split('/').at(-1) ?? '';
    await restrict('suspend', emil, true);
    const invited = { userIds: [host.user.userId] };
    const writes: [string, string, unknown][] = [
      ['POST', '/_hansetag/client/v1/meetings', { title: 'x', invite: [host.user.userId] }],
      ['POST', `/_hansetag/client/v1/meetings/${room()}/invitations`, invited],
      ['POST', `/_hansetag/client/v1/meetings/${room()}/links`, {}],
      ['DELETE', `/_hansetag/client/v1/meetings/${room()}/links/x`, undefined],
      ['POST', `/_hansetag/client/v1/links/${linkToken}/join`, {}],
      ['POST', '/_hansetag/client/v1/something-new', {}],
      ['PUT', `/_matrix/client/v3/rooms/${room()}/typing/${own}`, { typing: true }],
      ['PUT', `/_matrix/client/r0/rooms/${room()}/send/m.room.message/1`, { body: 'x' }],
      ['POST', `/_matrix/client/v3/rooms/${room()}/send/m.room.message`, { body: 'x' }],
      ['PUT', `/_matrix/client/unstable/rooms/${room()}/send/m.room.message/2`, { body: 'x' }],
      ['POST', `/_matrix/client/v3/rooms/${room()}/receipt/m.read/$x`, {}],
      ['POST', `/_matrix/client/v3/rooms/${room()}/report`, { reason: 'x' }],
      ['PUT', `/_matrix/client/v3/presence/${own}/status`, { presence: 'online', status_msg: 'x' }],
      ['POST', `/_matrix/client/v3/user/${own}/openid/request_token`, {}],
      ['POST', '/_matrix/client/v3/pushers/set', {}],
      ['POST', '/_matrix/media/v3/upload', 'x'],
      ['POST', '/_matrix/media/r0/upload', 'x'],
      ['POST', '/_matrix/media/v1/create', {}],
      ['PUT', '/_matrix/client/v3/sendToDevice/m.x/1', { messages: { [host.user.userId]: { '*': {} } } }],
    ];
    for (const [method, path, body] of writes) {
      const reply = await ask(emil.user.token, method, path, body);
      expect(outcome(reply)).withContext(`${method} ${path}`).toEqual([403, 'M_USER_SUSPENDED']);
    }
    await expectAsync(emil.session()).toBeRejected();
    await restrict('suspend', emil, false);
  });

  it('still reach their own devices, keys and settings, decline and leave', async () => {
    const other = await place.meeting(host, [], { invite: [emil.user.userId] });
    const second = await place.meeting(host, [], { invite: [emil.user.userId] });
    await restrict('suspend', emil, true);
    const own = encodeURIComponent(emil.user.userId);
    const answer = (id: string, to: string): Promise<Reply> =>
      ask(emil.user.token, 'POST', `/_hansetag/client/v1/meetings/${encodeURIComponent(id)}/answer`, { answer: to });
    const left: [string, string, unknown][] = [
      ['PUT', '/_matrix/client/v3/sendToDevice/m.x/2', { messages: { [emil.user.userId]: { '*': {} } } }],
      ['PUT', `/_matrix/client/v3/user/${own}/account_data/m.cross_signing.master`, { a: 1 }],
      ['POST', `/_matrix/client/v3/user/${own}/filter`, {}],
      ['POST', '/_matrix/client/v3/keys/query', { device_keys: { [host.user.userId]: [] } }],
      ['POST', '/_matrix/client/v3/room_keys/version', { algorithm: 'm.x', auth_data: {} }],
      ['PUT', `/_matrix/client/v3/devices/${emil.deviceId}`, { display_name: 'mine' }],
      ['POST', '/_matrix/client/v3/search', { search_categories: {} }],
    ];
    for (const [method, path, body] of left) {
      expect((await ask(emil.user.token, method, path, body)).status)
        .withContext(path)
        .toBe(200);
    }
    expect(outcome(await answer(other, 'accept'))).toEqual([403, 'M_USER_SUSPENDED']);
    expect((await answer(other, 'decline')).status).toBe(200);
    expect((await emil.user.ask('POST', `client/v3/rooms/${encodeURIComponent(second)}/leave`, {})).status).toBe(200);
    await restrict('suspend', emil, false);
  });

  it('send nothing that was delayed before, but for an end', async () => {
    for (const [what, on] of [
      ['suspend', 'emil-2'],
      ['lock', 'emil-3'],
    ] as const) {
      const member = await place.register(on);
      await host.user.must('POST', `client/v3/rooms/${room()}/invite`, { user_id: member.user.userId });
      await member.user.must('POST', `client/v3/rooms/${room()}/join`, {});
      const delay = 'org.matrix.msc4140.delay=600000';
      const base = `client/v3/rooms/${room()}`;
      const message = await member.user.must('PUT', `${base}/send/m.room.message/d?${delay}`, { body: 'late' });
      const key = encodeURIComponent(`_${member.user.userId}_x_m.call`);
      await member.user.must('PUT', `${base}/state/org.matrix.msc3401.call.member/${key}`, { application: 'm.call' });
      const end = await member.user.must('PUT', `${base}/state/org.matrix.msc3401.call.member/${key}?${delay}`, {});
      await restrict(what, member, true);
      const send = (delayed: unknown): Promise<Reply> =>
        ask(
          undefined,
          'POST',
          `/_matrix/client/unstable/org.matrix.msc4140/delayed_events/${String(at(delayed, 'delay_id'))}`,
          { action: 'send' },
        );
      expect((await send(message)).status).toBe(403);
      expect((await send(end)).status).toBe(200);
      const { body } = await host.user.ask('GET', `${base}/messages?dir=b&limit=20`);
      expect(JSON.stringify(body)).not.toContain('"late"');
    }
  });

  it('let nobody in by links that they made', async () => {
    const maker = await place.register('frieda');
    const theirs = await place.meeting(maker, [], {
      initial_state: [{ type: 'm.room.guest_access', state_key: '', content: { guest_access: 'can_join' } }],
    });
    const path = `/_hansetag/client/v1/meetings/${encodeURIComponent(theirs)}/links`;
    const made = await ask(maker.user.token, 'POST', path, {});
    const token = String(at(made.body, 'url')).split('/').at(-1) ?? '';
    const enter = (): Promise<Reply> =>
      ask(undefined, 'POST', `/_hansetag/client/v1/links/${token}/join`, { displayName: 'Gast' });
    expect((await enter()).status).toBe(200);
    for (const what of ['suspend', 'lock'] as const) {
      await restrict(what, maker, true);
      expect(outcome(await enter())).toEqual([404, 'M_NOT_FOUND']);
      await restrict(what, maker, false);
    }
    expect((await enter()).status).toBe(200);
    await maker.user.ask('POST', 'client/v3/account/deactivate', {
      auth: {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: 'frieda' },
        password: 'a long enough password',
      },
    });
    expect(outcome(await enter())).toEqual([404, 'M_NOT_FOUND']);
  });

  it('are guests, who open no doors, by none of the ways', async () => {
    const link = await ask(host.user.token, 'POST', `/_hansetag/client/v1/meetings/${room()}/links`, {});
    const linkToken = String(at(link.body, 'url')).split('/').at(-1) ?? '';
    const made = await ask(undefined, 'POST', `/_hansetag/client/v1/links/${linkToken}/join`, { displayName: 'Gast' });
    const token = String(at(made.body, 'session', 'accessToken'));
    const member = (id: string): string =>
      `/_matrix/client/v3/rooms/${room()}/state/m.room.member/${encodeURIComponent(id)}`;
    const elsewhere = await place.meeting(host, [], {
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.guest_access', state_key: '', content: { guest_access: 'forbidden' } }],
    });
    const guestId = String(at(made.body, 'session', 'userId'));
    const writes: [string, string, unknown][] = [
      ['POST', '/_matrix/client/v3/createRoom', {}],
      ['POST', `/_matrix/client/v3/rooms/${room()}/invite`, { user_id: host.user.userId }],
      ['PUT', member('@carl:localhost'), { membership: 'invite' }],
      ['POST', `/_hansetag/client/v1/meetings/${room()}/invitations`, { userIds: ['@carl:localhost'] }],
      ['POST', `/_hansetag/client/v1/meetings/${room()}/links`, {}],
      ['POST', '/_hansetag/client/v1/meetings', { title: 'x' }],
      ['POST', '/_matrix/client/v3/pushers/set', {}],
      ['POST', '/_matrix/client/v3/room_keys/version', { algorithm: 'm.x', auth_data: {} }],
      ['POST', '/_matrix/client/v3/something-new', {}],
      ['POST', `/_matrix/client/v3/join/${encodeURIComponent(elsewhere)}`, {}],
      [
        'PUT',
        `/_matrix/client/v3/rooms/${encodeURIComponent(elsewhere)}/state/m.room.member/${encodeURIComponent(guestId)}`,
        { membership: 'join' },
      ],
    ];
    for (const [method, path, body] of writes) {
      const reply = await ask(token, method, path, body);
      expect(outcome(reply)).withContext(`${method} ${path}`).toEqual([403, 'M_GUEST_ACCESS_FORBIDDEN']);
    }
    const said = await ask(token, 'PUT', `/_matrix/client/v3/rooms/${room()}/send/m.room.message/1`, {
      msgtype: 'm.text',
      body: 'x',
    });
    expect(said.status).toBe(200);
  });
});
