import { hashAndSign, wireForm } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import { roomVersion } from '../../federation/room-versions.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';

describe('Invitations in the form of room version 1', () => {
  let federation: TestFederation;
  let home: TestHomeserver;
  let peer: Peer;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    const [first] = federation.servers;
    if (!first) throw new Error('The server is missing.');
    home = first;
    peer = await Peer.start(federation);
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });

  it('are signed, and shown with what they say of the room; malformed ones are refused', async () => {
    const version = roomVersion('1');
    if (!version) throw new Error('Room version 1 is missing.');
    const clara = await home.register('clara');
    const roomId = `!old:${peer.serverName}`;
    const sender = peer.userId('bert');
    const invitation = hashAndSign(
      {
        type: 'm.room.member',
        room_id: roomId,
        sender,
        state_key: clara.userId,
        content: { membership: 'invite' },
        auth_events: [],
        prev_events: [],
        depth: 5,
        origin_server_ts: Date.now(),
      },
      version,
      peer.serverName,
      peer.key,
    );
    const state = [{ type: 'm.room.name', state_key: '', sender, content: { name: 'Old hall' } }];
    const event = { ...wireForm(invitation, version), unsigned: { invite_room_state: state } };
    const path = `v1/invite/${encodeURIComponent(roomId)}/${encodeURIComponent(String(invitation.event_id))}`;

    // An answer in this form is a list, which our own client takes for none: only its status is seen here.
    const ask = async (to: string, body: JsonObject): Promise<number | undefined> => {
      const answer = await peer.ask(home.serverName, 'PUT', to, body);
      return answer.ok ? undefined : answer.status;
    };
    expect(await ask(path, { ...event, prev_events: ['$a'] })).toBe(400);
    expect(await ask(`v1/invite/${encodeURIComponent(roomId)}/$x`, event)).toBe(400);
    expect(await ask(path, event)).toBe(200);
    const told = await eventually(
      async () => at(await clara.must('GET', 'client/v3/sync'), 'rooms', 'invite', roomId, 'invite_state', 'events'),
      Boolean,
    );
    expect(JSON.stringify(told)).toContain('Old hall');
  });
});
