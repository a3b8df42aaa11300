import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import { HostedRoom } from '../support/peer-host.ts';
import type { HostedEvent } from '../support/peer-host.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';

describe('A room that all of ours have left', () => {
  let federation: TestFederation;
  let ours: TestHomeserver;
  let peer: Peer;
  let room: HostedRoom;
  /** What the peer does with what it is sent: it takes it, refuses it, or takes it when it was asked for a join. */
  let manner: 'takes' | 'refuses' | 'takes late';

  beforeAll(async () => {
    federation = await startHomeservers(1, {});
    [ours] = federation.servers as [TestHomeserver];
    peer = await Peer.start(federation);
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });
  beforeEach(() => {
    room = HostedRoom.make(peer);
    manner = 'takes';
    const waiting: Pdu[] = [];
    const take = (): void => {
      for (const pdu of waiting.splice(0)) room.add(pdu);
    };
    peer.answer = async (path, body) => {
      if (path.includes('/send/')) {
        if (manner === 'refuses') return undefined;
        waiting.push(...(body as { pdus: Pdu[] }).pdus);
        if (manner === 'takes') take();
        return { pdus: {} };
      }
      const answer = await room.answer(path, body);
      if (path.includes('/make_join/')) take();
      return answer;
    };
  });

  const enter = (): string => `client/v3/join/${encodeURIComponent(room.roomId)}?via=${peer.serverName}`;
  const path = (rest: string): string => `client/v3/rooms/${encodeURIComponent(room.roomId)}/${rest}`;

  it('is entered again only after who holds it was told of what was done there last', async () => {
    const [anna, bert] = await Promise.all([ours.register('anna'), ours.register('bert')]);
    await anna.must('POST', enter(), {});
    manner = 'refuses';
    peer.asked.length = 0;
    await anna.must('POST', path('leave'), {});
    // By then the next attempt is seconds away.
    await eventually(
      () => Promise.resolve(peer.asked.filter((asked) => asked.includes('/send/')).length),
      (attempts) => attempts >= 3,
      20_000,
    );
    manner = 'takes';
    await bert.must('POST', enter(), {});
    const state = path(`state/m.room.member/${encodeURIComponent(anna.userId)}`);
    expect(at(await bert.must('GET', state), 'membership')).toBe('leave');
  }, 40_000);

  it('is entered again by who has left when who holds it knows of that, which may take it longer than it says', async () => {
    const clara = await ours.register('clara');
    await clara.must('POST', enter(), {});
    manner = 'takes late';
    await clara.must('POST', path('leave'), {});
    await clara.must('POST', enter(), {});
    const member = path(`state/m.room.member/${encodeURIComponent(clara.userId)}?format=event`);
    const cited = at(await clara.must('GET', member), 'event_id');
    const join = room.events.get(String(cited));
    const memberships = join?.auth_events.map((id) => room.events.get(id)?.content['membership']);
    expect(memberships).toContain('leave');
  });

  it('shows who enters it again what was said meanwhile by people who have left since', async () => {
    const [dora, emil] = await Promise.all([ours.register('dora'), ours.register('emil')]);
    const message = (sender: string, body: string): HostedEvent => {
      return { type: 'm.room.message', sender, content: { msgtype: 'm.text', body } };
    };
    /** An event that ends a fork of the room, or joins some. */
    const after = (previous: readonly string[], event: HostedEvent): Pdu => {
      const { signatures: _signatures, hashes: _hashes, ...draft } = room.say(event);
      const pdu = peer.sign({ ...draft, prev_events: [...previous] } as UnsignedPdu, room.version);
      room.add(pdu);
      return pdu;
    };
    const eve = room.enter('eve');
    await dora.must('POST', enter(), {});
    await dora.must('POST', path('leave'), {});
    await eventually(
      () => Promise.resolve(room.events.get(room.current('m.room.member', dora.userId))?.content['membership']),
      (membership) => membership === 'leave',
    );
    const said = room.say(message(eve, 'said meanwhile'));
    const fork = room.say(message(room.creator, 'said beside'));
    const gone = { type: 'm.room.member', sender: eve, state_key: eve, content: { membership: 'leave' } };
    const leave = after([room.id(said)], gone);
    await emil.must('POST', enter(), {});
    // Who is there is known then.
    await emil.must('GET', path('members'));
    const { answer } = peer;
    peer.answer = async (asked, body, method) => {
      if (asked.includes('/get_missing_events/')) return { events: [said, fork] };
      if (asked.includes('/backfill/')) return { pdus: [leave, fork, said] };
      return answer(asked, body, method);
    };
    const newest = after([room.last, room.id(fork)], message(room.creator, 'newest'));
    expect(JSON.stringify(await peer.send(ours.serverName, [newest]))).toBe(JSON.stringify({ [room.id(newest)]: {} }));
    const chunk = at(await emil.must('GET', path('messages?dir=b&limit=50')), 'chunk') as unknown[];
    const bodies = chunk.map((event) => at(event, 'content', 'body')).filter(Boolean);
    expect(bodies).toEqual(['newest', 'said beside', 'said meanwhile']);
  });
});
