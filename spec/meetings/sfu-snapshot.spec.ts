/** What the media server says it has, compared with what the homeserver knows: by snapshots written by hand. */
import type { Conference } from '../../homeserver/meetings/conference/conference.ts';
import { type LocalParticipant, sourceKey } from '../../homeserver/meetings/conference/local-participant.ts';
import type { SfuPort } from '../../homeserver/meetings/conference/ports.ts';
import type { SeatMedia } from '../../homeserver/meetings/conference/seat-media.ts';
import { closeStrays, restoreLinks, restoreMedia } from '../../homeserver/meetings/conference/sfu-snapshot.ts';
import type { SfuSnapshot } from '../../sfu/protocol.ts';
import { seated } from '../support/fakes/people.ts';

const ROOM = '!room:luebeck.example';
const ANNA = '@anna:luebeck.example|DESK';
const OTTO = '@otto:hamburg.example|DESK';
const HAMBURG = 'hamburg.example';

type Found = SfuSnapshot['conferences'][number];
type Producer = Found['producers'][number];

/** What a link is told after a restart. */
interface Restored {
  readonly linkId: string;
  readonly received: [string, { producerId: string; remoteId: string; paused: boolean }][];
  readonly sending: [string, string][];
}

describe('The snapshot of the media server', () => {
  let anna: LocalParticipant;
  let asked: [string, unknown][];
  let changed: string[];
  let producers: Map<string, string>;
  let restored: Restored[];
  let links: Map<
    string,
    { linkId: string | undefined; has(linkId: string): boolean; agree(...onSfu: unknown[]): void }
  >;
  /** What links were told that the media server has of them. */
  let agreed: unknown[][];
  let isLinkNeeded: boolean;
  let conference: Conference;
  let sfu: SfuPort;

  beforeEach(() => {
    ({ local: anna } = seated('@anna:luebeck.example'));
    asked = [];
    changed = [];
    producers = new Map();
    restored = [];
    links = new Map();
    agreed = [];
    isLinkNeeded = true;
    sfu = {
      request: (method: string, params: unknown) => {
        asked.push([method, params]);
        return Promise.reject(new Error('it is gone already'));
      },
    } as unknown as SfuPort;
    const link = {
      linkId: undefined as string | undefined,
      has: (linkId: string) => link.linkId === linkId,
      restore: (linkId: string, received: Iterable<Restored['received'][0]>, sending: Iterable<[string, string]>) => {
        link.linkId = linkId;
        restored.push({ linkId, received: [...received], sending: [...sending] });
      },
    };
    conference = {
      roomId: ROOM,
      links,
      seat: (participantId: string) => (participantId === ANNA ? anna : undefined),
      seats: () => [anna],
      link: () => (isLinkNeeded ? link : undefined),
      setPaused: ({ participantId }: LocalParticipant, source: { paused: boolean }, paused: boolean) => {
        source.paused = paused;
        changed.push(participantId);
      },
      reception: { setProducer: (key: string, producerId: string) => producers.set(key, producerId) },
    } as unknown as Conference;
  });

  const agree = (...onSfu: unknown[]): void => void agreed.push(onSfu);
  const snapshot = (changes: Partial<Found> = {}): SfuSnapshot => ({
    conferences: [{ conferenceId: ROOM, transports: [], producers: [], consumers: [], links: [], ...changes }],
  });
  const conferences = { get: (roomId: string) => (roomId === ROOM ? conference : undefined) };
  const producer = (producerId: string, changes: Partial<Producer> = {}): Producer => ({
    producerId,
    participantId: ANNA,
    source: 'camera',
    kind: 'video',
    paused: false,
    transportId: 'send',
    ...changes,
  });
  const consumer = (consumerId: string, producerId: string, transportId = 'receive') => ({
    consumerId,
    producerId,
    transportId,
    paused: false,
  });
  const held = (consumerId: string, replaces?: string) => ({
    consumerId,
    producerId: 'p',
    replaces,
    spatialLayer: undefined,
    priority: undefined,
  });
  const transports = [
    { transportId: 'send', participantId: ANNA, direction: 'send' as const },
    { transportId: 'receive', participantId: ANNA, direction: 'receive' as const },
  ];

  describe('shows what is left over, which is closed:', () => {
    const close = (changes: Partial<Found>): void => closeStrays(sfu, snapshot(changes), conferences);
    beforeEach(() => {
      anna.media.send = 'send';
      anna.media.receive = 'receive';
    });

    it('nothing where both agree', () => {
      anna.media.sources.set('camera', { producerId: 'p1', paused: false });
      anna.media.consumers.set('x camera', held('c2', 'c1'));
      links.set(HAMBURG, { linkId: 'l1', has: (linkId) => linkId === 'l1', agree });
      close({
        transports,
        producers: [producer('p1')],
        consumers: [consumer('c1', 'p'), consumer('c2', 'p')],
        links: [{ linkId: 'l1', peer: HAMBURG, connected: true, sending: [] }],
      });
      expect(asked).toEqual([]);
      expect(changed).toEqual([]);
    });

    it('a conference that nobody here knows of, whole', () => {
      closeStrays(
        sfu,
        { conferences: [{ ...snapshot({ transports }).conferences[0], conferenceId: '!gone' } as Found] },
        conferences,
      );
      expect(asked).toEqual([['conference.close', { conferenceId: '!gone' }]]);
    });

    it('all media of a participant who has no seat', () => {
      close({ transports: [{ transportId: 't9', participantId: '@jens:luebeck.example|DESK', direction: 'send' }] });
      expect(asked).toEqual([
        ['participant.close', { conferenceId: ROOM, participantId: '@jens:luebeck.example|DESK' }],
      ]);
    });

    it('a transport that its participant does not know of, and no other', () => {
      close({ transports: [...transports, { transportId: 't9', participantId: ANNA, direction: 'send' }] });
      expect(asked).toEqual([['transport.close', { transportId: 't9' }]]);
    });

    it('sources and consumers of which the client was never told', () => {
      anna.media.sources.set('camera', { producerId: 'p1', paused: false });
      close({
        transports,
        producers: [producer('p1'), producer('p2', { source: 'microphone', kind: 'audio' })],
        consumers: [consumer('c1', 'p1')],
      });
      expect(asked).toEqual([
        ['producer.close', { producerId: 'p2' }],
        ['consumer.close', { consumerId: 'c1' }],
      ]);
    });

    it('not what comes over links, or is of others', () => {
      close({
        transports,
        producers: [
          producer('p3', { participantId: OTTO, transportId: undefined, linkId: 'l1', remoteId: 'r' }),
          producer('p4', { participantId: 'jens', transportId: 'send-of-jens' }),
        ],
        consumers: [consumer('c9', 'p3', 'receive-of-jens')],
      });
      expect(asked).toEqual([]);
    });

    it('links that are not known here, also where there is another one to the same organisation', () => {
      links.set(HAMBURG, { linkId: 'l1', has: (linkId) => linkId === 'l1', agree });
      close({
        links: ['l1', 'l2', 'l3'].map((linkId) => ({
          linkId,
          peer: linkId === 'l3' ? 'bremen.example' : HAMBURG,
          connected: true,
          sending: [],
        })),
      });
      expect(asked).toEqual([
        ['link.close', { linkId: 'l2' }],
        ['link.close', { linkId: 'l3' }],
      ]);
    });

    it('and what it has of a link that is known is compared by that link', () => {
      links.set(HAMBURG, { linkId: 'l1', has: (linkId) => linkId === 'l1', agree });
      const received = { participantId: OTTO, transportId: undefined, remoteId: 'r' };
      close({
        producers: [producer('p1', { ...received, linkId: 'l1' }), producer('p2', { ...received, linkId: 'l9' })],
        links: [{ linkId: 'l1', peer: HAMBURG, connected: true, sending: ['p7'] }],
      });
      expect(agreed).toEqual([['l1', { received: [jasmine.objectContaining({ producerId: 'p1' })], sending: ['p7'] }]]);
    });

    it('and of what is paused it is believed: an answer that was lost is made good', () => {
      anna.media.sources.set('camera', { producerId: 'p1', paused: true });
      close({ transports, producers: [producer('p1', { paused: false })] });
      expect(anna.sources.get('camera')?.paused).toBeFalse();
      expect(changed).toEqual([ANNA]);
    });
  });

  describe('gives a seat its media back after a restart of the homeserver:', () => {
    let known: string[];
    const restore = (found: SfuSnapshot): void =>
      restoreMedia(
        { restore: (_seat, transportIds) => known.push(...transportIds) } as Pick<SeatMedia, 'restore'> as SeatMedia,
        { conference, local: anna },
        found,
      );
    beforeEach(() => {
      known = [];
    });

    it('transports, sources as they are, and consumers by the source that they bring', () => {
      restore(
        snapshot({
          transports,
          producers: [
            producer('p1', { paused: true }),
            producer('p2', { participantId: OTTO, transportId: undefined, linkId: 'l1', remoteId: 'r' }),
          ],
          consumers: [consumer('c1', 'p2')],
        }),
      );
      expect([anna.media.send, anna.media.receive]).toEqual(['send', 'receive']);
      expect(known).toEqual(['send', 'receive']);
      expect([...anna.sources]).toEqual([['camera', { producerId: 'p1', paused: true }]]);
      expect(producers.get(sourceKey(ANNA, 'camera'))).toBe('p1');
      expect([...anna.consumers].map(([key, { consumerId }]) => [key, consumerId])).toEqual([
        [sourceKey(OTTO, 'camera'), 'c1'],
      ]);
    });

    it('and of two consumers of one source the newer one, which is to take the place of the other', () => {
      const received = { participantId: OTTO, transportId: undefined };
      restore(
        snapshot({
          transports,
          producers: [
            producer('p1', { ...received, linkId: 'l1', remoteId: 'r' }),
            producer('p2', { ...received, linkId: 'l2', remoteId: 'r' }),
          ],
          consumers: [consumer('c1', 'p1'), consumer('c2', 'p2')],
        }),
      );
      expect([...anna.consumers.values()]).toEqual([
        jasmine.objectContaining({ consumerId: 'c2', producerId: 'p2', replaces: 'c1' }),
      ]);
    });

    it('nothing of what others have', () => {
      restore(
        snapshot({
          transports: [{ transportId: 'send-of-jens', participantId: 'jens', direction: 'send' }],
          producers: [producer('p4', { participantId: 'jens', transportId: 'send-of-jens' })],
          consumers: [consumer('c4', 'p4', 'receive-of-jens')],
        }),
      );
      expect([anna.media.transports, anna.sources.size, anna.consumers.size, known]).toEqual([[], 0, 0, []]);
    });

    it('not what comes over links, for who has no transport to send', () => {
      restore(
        snapshot({
          producers: [producer('p2', { participantId: OTTO, transportId: undefined, linkId: 'l1', remoteId: 'r' })],
        }),
      );
      expect([anna.sources.size, producers.size]).toEqual([0, 0]);
    });

    it('no consumer whose source is gone', () => {
      restore(snapshot({ transports, consumers: [consumer('c1', 'p-gone')] }));
      expect(anna.consumers.size).toBe(0);
    });

    it('nothing where the media server does not have the conference', () => {
      restore({ conferences: [] });
      expect(anna.media.transports).toEqual([]);
    });
  });

  describe('gives a conference its links back after a restart of the homeserver:', () => {
    const restore = (changes: Partial<Found>, of = conferences): void => restoreLinks(sfu, snapshot(changes), of);
    const link = (linkId: string, changes: Partial<Found['links'][0]> = {}) => ({
      linkId,
      peer: HAMBURG,
      connected: true,
      sending: [],
      ...changes,
    });

    it('with what crosses in both directions', () => {
      restore({
        producers: [
          producer('p1'),
          producer('p2', { participantId: OTTO, transportId: undefined, linkId: 'l1', remoteId: 'r1', paused: true }),
          producer('p3', { participantId: OTTO, transportId: undefined, linkId: 'other', remoteId: 'r2' }),
        ],
        links: [link('l1', { sending: ['p1'] })],
      });
      expect(restored).toEqual([
        {
          linkId: 'l1',
          received: [[sourceKey(OTTO, 'camera'), { producerId: 'p2', remoteId: 'r1', paused: true }]],
          sending: [[sourceKey(ANNA, 'camera'), 'p1']],
        },
      ]);
      expect([...producers]).toEqual([[sourceKey(OTTO, 'camera'), 'p2']]);
      expect(asked).toEqual([]);
    });

    it('of two the newer one; the other is closed', () => {
      restore({ links: [link('old'), link('new')] });
      expect(restored.map(({ linkId }) => linkId)).toEqual(['new']);
      expect(asked).toEqual([['link.close', { linkId: 'old' }]]);
    });

    it('the older one where the newer was not connected yet', () => {
      restore({ links: [link('old'), link('new', { connected: false })] });
      expect(restored.map(({ linkId }) => linkId)).toEqual(['old']);
      expect(asked).toEqual([['link.close', { linkId: 'new' }]]);
    });

    it('none to an organisation that nobody is of any more, and none of a conference that is over', () => {
      isLinkNeeded = false;
      restore({ links: [link('l1')] });
      restore({ links: [link('l2')] }, { get: () => undefined });
      expect(restored).toEqual([]);
      expect(asked).toEqual([
        ['link.close', { linkId: 'l1' }],
        ['link.close', { linkId: 'l2' }],
      ]);
    });
  });
});
