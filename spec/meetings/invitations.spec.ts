import { createServer } from 'node:tls';
import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import type { InvitationResult } from '../../protocol/session.ts';
import { BUILD_TIMEOUT } from '../sfu/support.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { hansetag, SessionClient, startMeetingServers } from '../support/meetings.ts';

/** A server that takes connections and answers nothing. */
interface Hanging {
  readonly name: string;
  readonly connections: ReadonlySet<Socket>;
  close(): Promise<void>;
}

describe('Invitations to a meeting', () => {
  let federation: TestFederation;
  let hamburg: TestHomeserver;
  let luebeck: TestHomeserver;
  let anna: TestUser;
  let bert: TestUser;
  let clara: TestUser;
  let jens: TestUser;
  let hanging: Hanging;

  beforeAll(async () => {
    federation = await startMeetingServers(2);
    [hamburg, luebeck] = federation.servers as [TestHomeserver, TestHomeserver];
    anna = await hamburg.register('anna');
    jens = await hamburg.register('jens');
    bert = await luebeck.register('bert');
    clara = await luebeck.register('clara');
    hanging = await hangingServer(0);
  }, BUILD_TIMEOUT);
  afterAll(async () => {
    await hanging.close();
    await federation.close();
  });

  async function hangingServer(port: number): Promise<Hanging> {
    const connections = new Set<Socket>();
    const { certFile, keyFile } = federation.tls;
    const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (socket) => {
      connections.add(socket);
      socket.on('error', () => undefined);
    });
    // Those as well that have not spoken TLS yet: the end of the server waits for them.
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => sockets.add(socket));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return {
      name: `localhost:${String((server.address() as AddressInfo).port)}`,
      connections,
      async close() {
        const closed = new Promise((resolve) => server.close(resolve));
        for (const socket of sockets) socket.destroy();
        await closed;
      },
    };
  }

  async function make(
    plan: Record<string, unknown> = {},
  ): Promise<{ roomId: string; invitations: InvitationResult[] }> {
    const { status, body } = await hansetag(hamburg, anna.token, 'POST', 'meetings', { title: 'Deich', ...plan });
    expect(status).withContext(JSON.stringify(body)).toBe(200);
    return body as { roomId: string; invitations: InvitationResult[] };
  }
  const outcomes = (results: InvitationResult[]): Record<string, string> =>
    Object.fromEntries(results.map(({ userId, outcome }) => [userId, outcome]));
  async function invite(roomId: string, userIds: string[], by = anna): Promise<Record<string, string>> {
    const path = `meetings/${encodeURIComponent(roomId)}/invitations`;
    const { body } = await hansetag(hamburg, by.token, 'POST', path, { userIds });
    return outcomes((body as { results: InvitationResult[] }).results);
  }

  it('have a result each: one mistyped id makes no half-done meeting (U6)', async () => {
    const upper = `@bert:${luebeck.serverName.toUpperCase()}`;
    const bad = ['@anna:lübeck.de', '@anna:hamburg.de)', '@anna:localhost:9548.', 'anna', '@:', ''];
    const { roomId, invitations } = await make({
      invite: [
        ...bad,
        clara.userId,
        upper,
        anna.userId,
        `@JENS:${hamburg.serverName}`,
        `@nobody:${hamburg.serverName}`,
      ],
    });
    expect(outcomes(invitations)).toEqual({
      ...Object.fromEntries(bad.map((id) => [id, 'bad-id'])),
      [clara.userId]: 'invited',
      [upper]: 'invited',
      [anna.userId]: 'self',
      [`@JENS:${hamburg.serverName}`]: 'invited',
      [`@nobody:${hamburg.serverName}`]: 'no-such-person',
    });
    const { body } = await hansetag(hamburg, anna.token, 'GET', `meetings/${encodeURIComponent(roomId)}`);
    const members = (at(body, 'members') as { userId: string }[]).map(({ userId }) => userId);
    expect(members.sort()).toEqual([anna.userId, bert.userId, clara.userId, jens.userId].sort());
  });

  it('of people who are there, are invited or are unknown elsewhere say so (U6)', async () => {
    const { roomId } = await make({ invite: [bert.userId, clara.userId] });
    const answer = `meetings/${encodeURIComponent(roomId)}/answer`;
    await hansetag(luebeck, bert.token, 'POST', answer, { answer: 'accept' });
    await anna.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/ban`, { user_id: jens.userId });
    const nobody = `@nobody:${luebeck.serverName}`;
    expect(await invite(roomId, [bert.userId, clara.userId, jens.userId, nobody])).toEqual({
      [bert.userId]: 'already-member',
      [clara.userId]: 'already-invited',
      [jens.userId]: 'banned',
      [nobody]: 'no-such-person',
    });
  });

  it('and the meeting are made once, however often the request comes (U6)', async () => {
    const plan = { transactionId: crypto.randomUUID(), invite: [bert.userId] };
    const [first, second] = await Promise.all([make(plan), make(plan)]);
    await hamburg.stop();
    await hamburg.start();
    const third = await make(plan);
    expect(second.roomId).toBe(first.roomId);
    expect(third.roomId).toBe(first.roomId);
    expect(outcomes(third.invitations)).toEqual({ [bert.userId]: 'already-invited' });
  });

  it('through a server that hangs keep nobody waiting, and their end is told (U13)', async () => {
    const session = await SessionClient.open(hamburg, anna);
    try {
      const crowd = Array.from({ length: 98 }, (_, index) => `@person${String(index)}:${hanging.name}`);
      const before = Date.now();
      const { roomId, invitations } = await make({ invite: [...crowd, clara.userId, jens.userId] });
      expect(Date.now() - before).toBeLessThan(15_000);
      const found = outcomes(invitations);
      expect(found[clara.userId]).toBe('invited');
      expect(found[jens.userId]).toBe('invited');
      expect(crowd.every((userId) => found[userId] === 'pending')).toBeTrue();
      // One try for all of them, not one for each.
      expect(hanging.connections.size).toBeLessThan(5);
      const { body } = await hansetag(hamburg, anna.token, 'GET', `meetings/${encodeURIComponent(roomId)}`);
      expect((at(body, 'invitations') as InvitationResult[]).length).toBe(98);
      const [late] = crowd;
      if (late === undefined) throw new Error('There is no crowd.');
      // To ask again waits for the same end.
      expect(await invite(roomId, [late])).toEqual({ [late]: 'pending' });
    } finally {
      session.close();
    }
  }, 60_000);

  it('that are pending are delivered also after a restart, and shown until then', async () => {
    const { roomId } = await make();
    await luebeck.stop();
    const silent = await hangingServer(Number(luebeck.serverName.split(':')[1]));
    try {
      expect(await invite(roomId, [clara.userId])).toEqual({ [clara.userId]: 'pending' });
      await hamburg.stop();
      await hamburg.start();
    } finally {
      await silent.close();
      await luebeck.start();
    }
    const { body } = await hansetag(hamburg, anna.token, 'GET', `meetings/${encodeURIComponent(roomId)}`);
    expect(outcomes(at(body, 'invitations') as InvitationResult[])).toEqual({ [clara.userId]: 'pending' });
    await eventually(
      () => hansetag(luebeck, clara.token, 'GET', 'meetings'),
      (found) => JSON.stringify(found.body).includes(roomId),
      60_000,
    );
    const after = await eventually(
      () => hansetag(hamburg, anna.token, 'GET', `meetings/${encodeURIComponent(roomId)}`),
      (found) => (at(found.body, 'invitations') as unknown[]).length === 0,
    );
    const members = at(after.body, 'members') as { userId: string; membership: string }[];
    expect(members.find(({ userId }) => userId === clara.userId)?.membership).toBe('invite');
  }, 120_000);

  it('that were answered as pending end with what became of them, for everybody who has asked (U13)', async () => {
    const sessions = [await SessionClient.open(hamburg, anna), await SessionClient.open(hamburg, jens)];
    const { roomId } = await make({ invite: [jens.userId] });
    await hansetag(hamburg, jens.token, 'POST', `meetings/${encodeURIComponent(roomId)}/answer`, { answer: 'accept' });
    const levels = `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.power_levels`;
    const before = (await anna.must('GET', levels)) as { users: Record<string, number> };
    await anna.must('PUT', levels, { ...before, users: { ...before.users, [jens.userId]: 50 } });
    await luebeck.stop();
    // Its place is taken by a server that hangs, and then it comes back.
    const silent = await hangingServer(Number(luebeck.serverName.split(':')[1]));
    try {
      const asked = [anna, jens].map((by) => invite(roomId, [clara.userId], by));
      for (const answer of await Promise.all(asked)) expect(answer).toEqual({ [clara.userId]: 'pending' });
    } finally {
      await silent.close();
      await luebeck.start();
    }
    const ends = sessions.map((session) =>
      session.hears('invitation.finished', (result) => result.roomId === roomId, 60_000),
    );
    for (const { outcome } of await Promise.all(ends)) expect(outcome).toBe('invited');
    await eventually(
      () => hansetag(luebeck, clara.token, 'GET', 'meetings'),
      ({ body }) => JSON.stringify(body).includes(roomId),
    );
    for (const session of sessions) session.close();
  }, 120_000);
});
