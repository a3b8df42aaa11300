/** Links between two instances while requests get lost and media servers fail: with fakes of all but the links. */
import { mainNode } from '../../homeserver/meetings/conference/link-node.ts';
import { sourceKey } from '../../homeserver/meetings/conference/local-participant.ts';
import { MICROPHONE, CAMERA } from '../sfu/support.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import type { Fate, LinkRequest } from '../support/fakes/link-peers.ts';
import { LinkedPair, type LinkedSide, OPENS, ROOM, WAITS } from '../support/fakes/linked-pair.ts';
import { FakeSfu } from '../support/fakes/sfu.ts';

const BERT = '@bert:hamburg.example|DEVICE';
const ANNA = '@anna:luebeck.example|DEVICE';
const [VOICE, PICTURE, ANSWER] = [
  sourceKey(BERT, 'microphone'),
  sourceKey(BERT, 'camera'),
  sourceKey(ANNA, 'microphone'),
];

describe('A link between two instances', () => {
  let clock: FakeClock;
  /** The media servers of the side that opens links, and of the other one. */
  let sfus: [FakeSfu, FakeSfu];
  let pair: LinkedPair;

  beforeEach(() => start());
  afterEach(() => pair.close());

  function start(): void {
    clock = new FakeClock();
    sfus = [
      new FakeSfu({ clock, address: '127.0.0.2', linkPorts: 8 }),
      new FakeSfu({ clock, address: '127.0.0.3', linkPorts: 8 }),
    ];
    pair = new LinkedPair(clock, sfus);
  }

  const linksAt = (sfu: FakeSfu): string[] => [...(sfu.conferences.get(ROOM)?.links.keys() ?? [])];
  const asked = (what: LinkRequest): number => pair.network.requests.filter((each) => each.what === what).length;
  const state = (side: LinkedSide): string | undefined => side.conference.states.at(-1)?.state;
  /** The producers that a source was received from, in their order. */
  const history = (side: LinkedSide, key: string): (string | undefined)[] =>
    side.conference.history.filter((each) => each.key === key).map(({ producerId }) => producerId);
  const linkOfProducer = (sfu: FakeSfu, producerId: string | undefined): string | undefined =>
    sfu.snapshot().conferences[0]?.producers.find((each) => each.producerId === producerId)?.linkId;

  async function publish(sfu: FakeSfu, participantId: string, source: 'microphone' | 'camera'): Promise<string> {
    await sfu.request('conference.open', { conferenceId: ROOM });
    const { id: transportId } = await sfu.request('transport.create', {
      conferenceId: ROOM,
      participantId,
      direction: 'send',
    });
    const made = await sfu.request('producer.create', {
      transportId,
      source,
      rtpParameters: source === 'microphone' ? MICROPHONE : CAMERA,
      paused: false,
    });
    return made.producerId;
  }

  /** Bert of the one side is seen and heard, and Anna of the other one is heard. */
  async function meet(): Promise<void> {
    pair.publish(pair.opens, VOICE, await publish(sfus[0], BERT, 'microphone'));
    pair.publish(pair.opens, PICTURE, await publish(sfus[0], BERT, 'camera'));
    pair.publish(pair.waits, ANSWER, await publish(sfus[1], ANNA, 'microphone'));
    pair.opens.link.ensure();
    pair.waits.link.ensure();
  }

  /** One link on both sides, with all that is wanted coming over it. */
  function expectLinked(context = ''): void {
    const [one, other] = [linksAt(sfus[0]), linksAt(sfus[1])];
    expect(one).withContext(context).toEqual(other);
    expect(one.length).withContext(context).toBe(1);
    for (const [side, sfu, keys] of [
      [pair.opens, sfus[0], [ANSWER]],
      [pair.waits, sfus[1], [VOICE, PICTURE]],
    ] as const) {
      expect([...side.conference.received.keys()].sort())
        .withContext(context)
        .toEqual([...keys].sort());
      for (const producerId of side.conference.received.values()) {
        expect(linkOfProducer(sfu, producerId)).withContext(context).toBe(one[0]);
      }
      expect(state(side)).withContext(context).toBe('connected');
    }
  }

  it('carries what is wanted, and ends with all its halves', async () => {
    await meet();
    await clock.advance(1_000);
    expectLinked();
    pair.opens.link.close();
    await clock.advance(1_000);
    expect(linksAt(sfus[0])).toEqual([]);
    expect(linksAt(sfus[1])).toEqual([]);
  });

  // ---- faults ----

  it('is tried again when its own connecting fails', async () => {
    let failures = 2;
    sfus[0].proves = () => failures-- <= 0;
    await meet();
    await clock.advance(6_000);
    expect(state(pair.opens)).toBe('interrupted');
    await clock.advance(30_000);
    expectLinked();
  });

  it('is tried again when connecting fails on the side that has taken it', async () => {
    let failures = 2;
    sfus[1].proves = () => failures-- <= 0;
    await meet();
    await clock.advance(40_000);
    expectLinked();
  });

  for (const [what, fail, fate] of [
    ['the discovery document can not be had', () => undefined, by(WAITS, 'discovery', 'unreachable')],
    ['its media server makes no half', () => sfus[1].refuse('link.create', 'exhausted')],
    ['its media server opens no conference', () => sfus[1].refuse('conference.open', 'worker-lost')],
    ['its media server can not connect', () => sfus[1].refuse('link.connect', 'internal')],
    ['the answer is lost', () => undefined, by(OPENS, 'open', 'answer lost')],
  ] as const) {
    it(`leaves no half on the side that was asked when ${what}`, async () => {
      await meet();
      fail();
      let opened = 0;
      pair.network.fate = (from, to, request) => {
        // What is asked for after the first time is another attempt.
        if (request === 'open') opened += 1;
        return request === 'open' && opened > 1 ? 'lost' : (fate?.(from, to, request) ?? 'answered');
      };
      await clock.advance(30_000);
      expect(opened).toBeGreaterThan(1);
      expect(linksAt(sfus[1])).toEqual([]);
      pair.network.fate = () => 'answered';
      await clock.advance(30_000);
      expectLinked();
    });
  }

  it('leaves no half when the conference ends while it is accepted', async () => {
    await meet();
    sfus[1].workerDelay = () => 300;
    await clock.advance(400);
    pair.waits.link.close();
    await clock.advance(5_000);
    expect(linksAt(sfus[1])).toEqual([]);
  });

  it('does not take the half of a link whose id is in use, and keeps that one', async () => {
    await meet();
    await clock.advance(1_000);
    const [linkId = ''] = linksAt(sfus[1]);
    const half = { port: 40_000, srtp: SRTP, probe_key: KEY, node: 'main', to_node: 'main' };
    const peers = pair.network.peersOf(OPENS);
    await expectAsync(peers.open(mainNode(WAITS), ROOM, linkId, { ...half, port: 0 })).toBeRejected();
    const { sfu } = await peers.discovery(mainNode(WAITS));
    await expectAsync(peers.open(mainNode(WAITS), ROOM, linkId, { ...half, port: sfu?.min_port ?? 0 })).toBeRejected();
    await clock.advance(10_000);
    expect(linksAt(sfus[1])).toEqual([linkId]);
    expectLinked();
  });

  it('is one link although both sides open one at once', async () => {
    const { sfu } = await pair.network.peersOf(WAITS).discovery(mainNode(OPENS));
    const half = { port: sfu?.min_port ?? 0, srtp: SRTP, probe_key: KEY, node: 'main', to_node: 'main' };
    await meet();
    pair.network.delay = (from) => (from === OPENS ? 500 : 0);
    const rival = pair.network.peersOf(WAITS).open(mainNode(OPENS), ROOM, 'rival', half);
    await clock.advance(3_000);
    await rival;
    expect(linksAt(sfus[0])).not.toContain('rival');
    pair.network.delay = () => 0;
    await clock.advance(20_000);
    expectLinked();
  });

  it('is replaced no more often than once a second by a peer that asks all the time', async () => {
    await meet();
    await clock.advance(2_000);
    const before = asked('open');
    for (let n = 0; n < 100; n += 1) {
      pair.opens.link.reopen();
      await clock.advance(50);
    }
    expect(asked('open') - before).toBeLessThanOrEqual(6);
    await clock.advance(20_000);
    expectLinked();
  });

  it('is made anew when the media server of either side loses it', async () => {
    for (const [index, name] of (['opens', 'waits'] as const).entries()) {
      const side = pair[name];
      await meet();
      await clock.advance(3_000);
      sfus[index]?.loseWorker();
      side.link.mediaLost();
      side.conference.sent.clear();
      await clock.advance(30_000);
      expect(linksAt(sfus[0])).toEqual(linksAt(sfus[1]));
      expect(linksAt(sfus[0]).length).toBe(1);
      expect(state(side)).toBe('connected');
      pair.close();
      start();
    }
  });

  // ---- make before break ----

  describe('that is healthy and is replaced', () => {
    let before: string | undefined;

    beforeEach(async () => {
      await meet();
      await clock.advance(5_000);
      expectLinked();
      [before] = linksAt(sfus[0]);
    });

    it('gives each source over at once, with no moment without it and none with two', async () => {
      pair.network.delay = () => 30;
      for (const sfu of sfus) sfu.workerDelay = () => 10;
      pair.opens.link.reopen();
      await clock.advance(3_000);
      expectLinked();
      expect(linksAt(sfus[0])).not.toContain(before ?? '');
      for (const [side, key] of [
        [pair.waits, VOICE],
        [pair.waits, PICTURE],
        [pair.opens, ANSWER],
      ] as const) {
        const producers = history(side, key);
        expect(producers.length).withContext(key).toBe(2);
        expect(producers).withContext(key).not.toContain(undefined);
      }
    });

    it('goes on until those who receive over it have changed over, on both sides', async () => {
      const held = Promise.withResolvers<void>();
      pair.waits.conference.changeOver = (key) => (key === PICTURE ? held.promise : Promise.resolve());
      pair.opens.link.reopen();
      await clock.advance(3_000);
      for (const sfu of sfus) expect(linksAt(sfu).length).toBe(2);
      // What it sent for the slow one is still being sent over it.
      expect(sfus[0].link(before ?? '').link.sending.size).toBe(1 + 1);
      held.resolve();
      await clock.advance(1_000);
      for (const sfu of sfus) expect(linksAt(sfu)).not.toContain(before ?? '');
      expectLinked();
    });

    it('goes on while no media comes over the new one, for ten seconds', async () => {
      const flows = new Set(pair.waits.conference.received.values());
      sfus[1].flows = (producerId) => flows.has(producerId);
      const received = pair.waits.conference.received.get(PICTURE);
      pair.opens.link.reopen();
      await clock.advance(4_500);
      expect(pair.waits.conference.received.get(PICTURE)).toBe(received);
      await clock.advance(8_000);
      expectLinked();
    });

    it('goes on when those who receive never change over, for ten seconds', async () => {
      pair.waits.conference.changeOver = () => new Promise(() => undefined);
      pair.opens.link.reopen();
      await clock.advance(9_000);
      for (const sfu of sfus) expect(linksAt(sfu)).toContain(before ?? '');
      await clock.advance(2_000);
      expectLinked();
    });

    it('goes on when the new one does not come to be', async () => {
      for (const sfu of sfus) sfu.proves = () => false;
      const received = [...pair.waits.conference.received];
      pair.opens.link.reopen();
      await clock.advance(5_500);
      expect([...pair.waits.conference.received]).toEqual(received);
      expect(linksAt(sfus[0])).toContain(before ?? '');
      expect(state(pair.waits)).toBe('connected');
      for (const sfu of sfus) sfu.proves = () => true;
      await clock.advance(30_000);
      expectLinked();
    });

    it('takes with it what is not wanted any more, and gets what is wanted meanwhile', async () => {
      const held = Promise.withResolvers<void>();
      pair.waits.conference.changeOver = () => held.promise;
      pair.opens.link.reopen();
      await clock.advance(1_000);
      pair.waits.link.unwant(PICTURE);
      await clock.settle();
      expect(pair.waits.conference.received.get(PICTURE)).toBeUndefined();
      pair.waits.link.want(PICTURE);
      await clock.advance(1_000);
      expect(pair.waits.conference.received.get(PICTURE)).toBeDefined();
      held.resolve();
      await clock.advance(10_000);
      expectLinked();
    });

    it('gives way to an older build, which closes it at once', async () => {
      pair.network.fate = (from, to, what) => {
        const old = before;
        before = undefined;
        if (what === 'open' && old !== undefined) {
          // As soon as it is asked for the new one.
          clock.after(1, () => {
            pair.waits.sfu.request('link.close', { linkId: old }).catch(() => undefined);
            pair.waits.link.closedByPeer(old);
          });
        }
        return from === to ? 'lost' : 'answered';
      };
      pair.opens.link.reopen();
      await clock.advance(15_000);
      expectLinked();
    });

    it('is muted and unmuted over both while it changes over', async () => {
      const held = Promise.withResolvers<void>();
      pair.waits.conference.changeOver = () => held.promise;
      pair.opens.link.reopen();
      await clock.advance(1_000);
      const id = pair.waits.conference.said.get(VOICE)?.id ?? '';
      pair.waits.link.sourceSeen(VOICE, id, true);
      await clock.settle();
      const voices = sfus[1].snapshot().conferences[0]?.producers.filter(({ remoteId }) => remoteId === id) ?? [];
      expect(voices.map(({ paused }) => paused)).toEqual([true, true]);
      held.resolve();
      await clock.advance(1_000);
    });
  });

  // ---- whatever happens ----

  it('is there again after any faults, once, with all that is wanted and no half too many', async () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      start();
      const random = generator(seed);
      await meet();
      const FATES: readonly Fate[] = [
        'answered',
        'answered',
        'answered',
        'lost',
        'answer lost',
        'unreachable',
        'fails',
      ];
      pair.network.fate = () => FATES[Math.floor(random() * FATES.length)] ?? 'answered';
      pair.network.delay = () => Math.floor(random() * 800);
      for (const sfu of sfus) {
        sfu.workerDelay = () => Math.floor(random() * 100);
        sfu.proves = () => random() > 0.3;
      }
      for (let n = 0; n < 40; n += 1) {
        const choice = random();
        if (choice < 0.2) pair.opens.link.reopen();
        else if (choice < 0.3) pair.opens.link.closedByPeer(linksAt(sfus[0])[0] ?? '');
        else if (choice < 0.4) pair.waits.link.closedByPeer(linksAt(sfus[1])[0] ?? '');
        await clock.advance(Math.floor(random() * 3_000));
      }
      pair.network.fate = () => 'answered';
      pair.network.delay = () => 0;
      for (const sfu of sfus) {
        sfu.workerDelay = () => 0;
        sfu.proves = () => true;
        for (const linkId of linksAt(sfu)) sfu.probe(linkId, 'connected');
      }
      await clock.advance(90_000);
      expectLinked(`seed ${String(seed)}`);
      pair.close();
    }
  }, 60_000);
});

const SRTP = { cryptoSuite: 'AEAD_AES_256_GCM' as const, keyBase64: `${'A'.repeat(59)}=` };
const KEY = Buffer.alloc(32, 1).toString('base64');

/** Requests of one kind by one side meet this fate. */
function by(from: string, what: LinkRequest, fate: Fate): (from: string, to: string, what: LinkRequest) => Fate {
  return (asker, _to, asked) => (asker === from && asked === what ? fate : 'answered');
}

/** Numbers from 0 to 1 that are the same for the same seed. @see https://en.wikipedia.org/wiki/Lehmer_random_number_generator */
function generator(seed: number): () => number {
  let state = seed * 48_271 + 11;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
