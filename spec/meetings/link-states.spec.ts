/** Links that are told honestly: from the first state on, on both sides, within ten seconds, with the hop that fails. */
import type { Logger } from 'pino';
import { createSigningKey, generateSeed, signJson } from '../../federation/signing.ts';
import type { LinkState } from '../../protocol/session.ts';
import { Organisations } from '../../homeserver/meetings/organisations.ts';
import { LOST_AFTER_MS, Reachability } from '../../homeserver/meetings/conference/reachability.ts';
import type { ConferencePeer } from '../hostile/kit/conference-peer.ts';
import { MediaServer } from '../hostile/kit/media-server.ts';
import { MeetingPlace, type Member } from '../hostile/kit/meeting.ts';
import { SessionClient } from '../hostile/kit/session-client.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation } from '../support/homeservers.ts';
import type { PeerRoom } from '../support/peer.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';

/** Ten seconds, and something for a busy machine. */
const IN_TIME_MS = 16_000;
const SKEW_MS = -700_000;

const linkStates = (session: SessionClient): LinkState[] => session.heard('link.changed') as LinkState[];

describe('Honest connection view: a link to another organisation', () => {
  let place: MeetingPlace;
  let anna: Member;
  let peer: ConferencePeer;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start();
    anna = await place.register('anna');
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());
  afterEach(() => peer.close());

  /** A meeting with somebody of a peer that opens links itself, or waits for ours. */
  async function meetingWith(opens: 'the peer' | 'ours'): Promise<{ roomId: string; room: PeerRoom }> {
    const made = await place.withPeerThat(opens === 'the peer' ? 'opens links' : 'waits for links', anna);
    peer = made.peer;
    expect(peer.serverName < place.server.serverName).toBe(opens === 'the peer');
    return made;
  }

  async function interrupted(session: SessionClient): Promise<LinkState | undefined> {
    const states = await eventually(
      async () => linkStates(session),
      (all) => all.some(({ state }) => state === 'interrupted'),
      IN_TIME_MS,
    );
    return states.find(({ state }) => state === 'interrupted');
  }

  it('is told from its first state on, and people of whom nothing was heard yet are not silent', async () => {
    const { roomId } = await meetingWith('ours');
    peer.onLink = () => undefined;
    const session = await anna.session();
    const { participants, links } = await session.join(roomId);
    expect(links.map(({ state }) => state)).toEqual(['connecting']);
    expect(linkStates(session)[0]?.state).toBe('connecting');
    const mallory = participants.find(({ organisation }) => organisation === peer.serverName);
    expect(mallory?.sourcesKnown).toBeFalse();
    await peer.speak(place.server.serverName, [peer.state(roomId, 'mallory', [])]);
    const [heard] = await eventually(
      async () => session.heard('participant.changed'),
      (all) => all.length > 0,
    );
    expect(at(heard, 'sourcesKnown')).toBeUndefined();
    await session.close();
  });

  it('is interrupted in time when the peer that should answer hangs', async () => {
    const { roomId } = await meetingWith('ours');
    peer.onLink = () => undefined;
    const session = await anna.session();
    await session.join(roomId);
    expect((await interrupted(session))?.hop).toBe('federation');
    await session.close();
  }, 40_000);

  it('is interrupted in time when the peer that should open it does not, though its homeserver answers', async () => {
    const { roomId } = await meetingWith('the peer');
    const session = await anna.session();
    await session.join(roomId);
    expect((await interrupted(session))?.hop).toBe('media');
    await session.close();
  }, 40_000);

  it('is interrupted when the peer opens it with an address that can not be', async () => {
    const { roomId } = await meetingWith('the peer');
    const session = await anna.session();
    await session.join(roomId);
    const answer = await peer.askLink(place.server.serverName, 'PUT', roomId, 'bad-1', peer.half(29_999));
    expect(answer).toEqual(jasmine.objectContaining({ status: 400 }));
    expect((await interrupted(session))?.hop).toBe('media');
    await session.close();
  }, 40_000);

  it('is made with a peer whose clock is eleven minutes behind', async () => {
    const { roomId } = await meetingWith('the peer');
    peer.clockAheadMs = SKEW_MS;
    const session = await anna.session();
    await session.join(roomId);
    const answer = await peer.askLink(place.server.serverName, 'PUT', roomId, 'slow-1', peer.half());
    expect('body' in answer)
      .withContext(JSON.stringify(answer))
      .toBeTrue();
    await session.close();
  }, 40_000);

  it('is taken although the media server has lost the conference and no client has asked for media yet', async () => {
    const { roomId } = await meetingWith('the peer');
    const session = await anna.session();
    await session.join(roomId);
    place.media.killWorkerOf(roomId);
    await eventually(
      async () => session.heard('media.restart'),
      (told) => told.length > 0,
    );
    const answer = await peer.askLink(place.server.serverName, 'PUT', roomId, 'early-1', peer.half());
    expect('body' in answer)
      .withContext(JSON.stringify(answer))
      .toBeTrue();
    await session.close();
  }, 40_000);
});

describe('Split and heal: a link whose other homeserver dies', () => {
  let federation: TestFederation;
  const media: MediaServer[] = [];

  beforeAll(async () => {
    await workerBin();
    media.push(await MediaServer.start('127.0.0.2'), await MediaServer.start('127.0.0.3'));
    federation = await startHomeservers(2, (index) => media[index]?.settings ?? {});
  }, BUILD_TIMEOUT);
  afterAll(async () => {
    await federation.close();
    for (const each of media) await each.close();
  });

  it('is interrupted in time although the media server goes on, and good again when it is back', async () => {
    const [ours, theirs] = federation.servers;
    if (!ours || !theirs) throw new Error('Two servers are needed.');
    const [bert, anna] = [await ours.register('bert'), await theirs.register('anna')];
    const created = await bert.must('POST', 'client/v3/createRoom', {
      preset: 'public_chat',
      power_level_content_override: { events: { 'org.matrix.msc3401.call.member': 0 } },
    });
    const roomId = String(at(created, 'room_id'));
    const via = `?server_name=${encodeURIComponent(ours.serverName)}`;
    await anna.must('POST', `client/v3/join/${encodeURIComponent(roomId)}${via}`, {});
    const session = await SessionClient.open(ours.url, bert.token);
    const hers = await SessionClient.open(theirs.url, anna.token);
    await session.join(roomId);
    await hers.join(roomId);
    const last = (): LinkState | undefined => linkStates(session).at(-1);
    await eventually(
      async () => last()?.state,
      (state) => state === 'connected',
      20_000,
    );
    await hers.close();
    await theirs.stop();
    await eventually(
      async () => last(),
      (link) => link?.state === 'interrupted',
      IN_TIME_MS,
    );
    expect(last()?.hop).toBe('federation');
    // The media server there goes on, and says so; that is no reason to call the link good.
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    expect(last()?.state).toBe('interrupted');
    await theirs.start();
    await eventually(
      async () => last()?.state,
      (state) => state === 'connected',
      20_000,
    );
    await session.close();
  }, 120_000);
});

describe('An organisation that does not answer', () => {
  it('is lost after two minutes of failures, not before, and found again when it is heard', async () => {
    let now = 0;
    const changes: [string, boolean][] = [];
    const reachability = new Reachability({
      ask: () => Promise.reject(new Error('silent')),
      onChange: (server, lost) => changes.push([server, lost]),
      now: () => now,
    });
    reachability.failed('hamburg.example');
    now = LOST_AFTER_MS - 1;
    reachability.failed('hamburg.example');
    expect(reachability.isLost('hamburg.example')).toBeFalse();
    now = LOST_AFTER_MS;
    reachability.failed('hamburg.example');
    expect(reachability.isLost('hamburg.example')).toBeTrue();
    reachability.heard('hamburg.example');
    expect(reachability.isLost('hamburg.example')).toBeFalse();
    now += LOST_AFTER_MS;
    reachability.failed('hamburg.example');
    expect(reachability.isLost('hamburg.example')).withContext('one failure after an answer').toBeFalse();
    expect(changes).toEqual([
      ['hamburg.example', true],
      ['hamburg.example', false],
    ]);
    reachability.close();
  });

  it('is asked in the background by whoever shows how many of its people are there, not too often', async () => {
    let asked = 0;
    const reachability = new Reachability({
      ask: () => {
        asked += 1;
        return Promise.resolve();
      },
      onChange: () => undefined,
      now: () => 0,
    });
    for (let n = 0; n < 50; n += 1) reachability.look('hamburg.example', '!room');
    await Promise.resolve();
    expect(asked).toBe(1);
    reachability.close();
  });
});

describe('The document of an organisation', () => {
  const server = 'hamburg.example';
  const key = createSigningKey(generateSeed(), '1');

  function organisations(aheadMs: number): { organisations: Organisations; warnings: unknown[] } {
    const warnings: unknown[] = [];
    const issued = Date.now() + aheadMs;
    const document = signJson(
      {
        server_name: server,
        organisation: { display_name: 'Hamburg', colour: '#c1121c' },
        issued_ts: issued,
        valid_until_ts: issued + 600_000,
      },
      server,
      key,
    );
    return {
      warnings,
      organisations: new Organisations({
        serverName: 'luebeck.example',
        displayName: 'Lübeck',
        colour: '#0b5563',
        publicUrl: 'https://meet.luebeck.example',
        key,
        keyring: { key: () => Promise.resolve(key.publicKey) },
        client: { request: () => Promise.resolve(document) },
        log: { warn: (facts: unknown) => warnings.push(facts) } as unknown as Logger,
      }),
    };
  }

  it('is taken whatever the clock there says, and a wrong clock is in the log once', async () => {
    for (const aheadMs of [SKEW_MS, -5 * 3_600_000, 3_600_000]) {
      const made = organisations(aheadMs);
      await made.organisations.discovery(server);
      await made.organisations.ask(server);
      expect(made.warnings).toEqual([{ server, aheadSeconds: Math.round(aheadMs / 1000) }]);
      expect(Math.abs(made.organisations.clockAhead(server) - aheadMs)).toBeLessThan(30_000);
    }
  });

  it('says nothing of clocks that agree', async () => {
    const made = organisations(2_000);
    await made.organisations.discovery(server);
    expect(made.warnings).toEqual([]);
    expect(made.organisations.clockAhead(server)).toBe(0);
  });
});
