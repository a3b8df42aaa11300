/** What fuzz has found: malformed input that was answered as if the fault were ours. */
import { pino } from 'pino';
import { eventId } from '../../federation/event.ts';
import type { UnsignedPdu } from '../../federation/event.ts';
import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';

describe('A permanent attacker: malformed input at the pages and the client API', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  const errors: string[] = [];

  beforeAll(async () => {
    const log = pino({ level: 'error' }, { write: (line: string) => void errors.push(line) });
    federation = await startHomeservers(1, { HANSETAG_PASSWORD_COST: '10' }, [], log);
    const [only] = federation.servers;
    if (!only) throw new Error('There is no server.');
    server = only;
  });
  afterAll(() => federation.close());
  beforeEach(() => errors.splice(0));

  const form = async (path: string, body: string): Promise<number> => {
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    return (await fetch(server.url + path, { method: 'POST', body, headers })).status;
  };

  it('is refused where a form has too many fields', async () => {
    expect(await form('/oauth2/account', '&a=1'.repeat(1_500))).toBe(413);
    expect(errors).toEqual([]);
  });

  it('is refused where a form comes without its page', async () => {
    expect(await form('/oauth2/device', 'user_code=ABCD-EFGH&xsrf=x&confirm=yes')).toBe(400);
  });

  it('is refused where the name of a person is none', async () => {
    const dora = await server.register('dora');
    const roomId = String(at(await dora.must('POST', 'client/v3/createRoom', {}), 'room_id'));
    for (const name of ['nobody', '@a:not a server', '@:', '{{user']) {
      const path = `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(name)}`;
      const answer = await dora.ask('PUT', path, { membership: 'join', displayname: 'x' });
      expect([400, 403]).withContext(name).toContain(answer.status);
    }
    expect(errors).toEqual([]);
  });

  it('is refused where an event of another server cites nothing before it', async () => {
    const emil = await server.register('emil');
    const roomId = String(at(await emil.must('POST', 'client/v3/createRoom', { preset: 'public_chat' }), 'room_id'));
    const peer = await Peer.start(federation);
    try {
      const mallory = peer.userId('mallory');
      const room = await peer.join(server.serverName, roomId, mallory);
      const event = peer.event(room, { sender: mallory, type: 'm.room.message', content: { body: 'x' } });
      const { hashes: _hashes, signatures: _signatures, ...rest } = event;
      const placeless = peer.sign({ ...rest, prev_events: [] } as unknown as UnsignedPdu, room.version);
      // A malformed event is dropped, as it has no id by which to tell of it.
      expect(Object.keys(await peer.send(server.serverName, [placeless]))).toEqual([]);
      const id = encodeURIComponent(eventId(placeless, room.version));
      expect((await emil.ask('GET', `client/v3/rooms/${encodeURIComponent(roomId)}/event/${id}`)).status).toBe(404);
      const member = { sender: mallory, type: 'm.room.member', state_key: mallory };
      for (const membership of ['join', 'leave', 'knock']) {
        const own = peer.event(room, { ...member, content: { membership } });
        const { hashes: _h, signatures: _s, ...bare } = own;
        const pdu = peer.sign({ ...bare, prev_events: [] } as unknown as UnsignedPdu, room.version);
        const door = `${membership === 'knock' ? 'v1' : 'v2'}/send_${membership}`;
        const path = `${door}/${encodeURIComponent(roomId)}/${encodeURIComponent(eventId(pdu, room.version))}`;
        const answer = await peer.ask(server.serverName, 'PUT', path, pdu);
        expect([at(answer, 'status'), at(answer, 'errcode')])
          .withContext(membership)
          .toEqual([400, 'M_BAD_JSON']);
      }
      expect(errors).toEqual([]);
    } finally {
      await peer.close();
    }
  });

  it('is answered as JSON where the id of a room is too long', async () => {
    const clara = await server.register('clara');
    const path = `client/v3/rooms/!${'x'.repeat(3_000)}/state/m.room.guest_access`;
    const answer = await clara.ask('PUT', path, { guest_access: 'can_join' });
    expect([answer.status, at(answer.body, 'errcode')]).toEqual([400, 'M_INVALID_PARAM']);
  });
});
