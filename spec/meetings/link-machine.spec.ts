/** Each transition of a link, by name. */
import { readFileSync } from 'node:fs';
import {
  PATIENCE_MS,
  REOPEN_AFTER_MS,
  REOPEN_GAP_MS,
  REPLACE_WITHIN_MS,
  transition,
} from '../../homeserver/meetings/conference/link-machine.ts';
import {
  type Effect,
  IDLE,
  linkInUse,
  type LinkEvent,
  linksOf,
  type Phase,
  type Side,
  TIMERS,
} from '../../homeserver/meetings/conference/link-phase.ts';

/** Links are named by letters: `a` is there first, `b` is to take its place, `z` is one that nobody knows of. */
const fresh = 'b';
const old = (linkId: string, released = false) => ({ linkId, released });
const closed: Phase = { name: 'closed' };
const waiting: Phase = { name: 'waiting', old: undefined };
const waitingOver = (linkId: string): Phase => ({ name: 'waiting', old: old(linkId) });
const opening = (linkId: string, other?: string): Phase => ({ name: 'opening', linkId, old: undefined, other });
const reopening = (linkId: string, before: string): Phase => ({
  name: 'opening',
  linkId,
  old: old(before),
  other: undefined,
});
const connecting = (linkId: string): Phase => ({ name: 'connecting', linkId, old: undefined });
const reconnecting = (linkId: string, before: string, released = false): Phase => ({
  name: 'connecting',
  linkId,
  old: old(before, released),
});
const up = (linkId: string, silent = false): Phase => ({ name: 'up', linkId, silent });
const replacing = (linkId: string, before: string, moved = false, released = false): Phase => ({
  name: 'replacing',
  linkId,
  old: old(before, released),
  moved,
});

/** An effect in one line. */
function line(effect: Effect): string {
  const { do: name, ...details } = effect;
  return [name, ...Object.values(details)].join(' ');
}

type Row = readonly [
  title: string,
  side: Side | 'both',
  phase: Phase,
  event: LinkEvent,
  next: Phase,
  effects: string[],
];

const SHOW_CONNECTING = 'show connecting';
const RETRY = 'start retry back-off';
const LOST = (...ids: string[]): string[] => ['forget', ...ids.map((id) => `close ${id}`), SHOW_CONNECTING, RETRY];

const ROWS: readonly Row[] = [
  // ---- a first link ----
  ['is opened when it is needed', 'opens', IDLE, { type: 'needed', fresh }, opening('b'), ['open b']],
  [
    'is waited for by the other side',
    'waits',
    IDLE,
    { type: 'needed', fresh },
    waiting,
    [`start retry ${PATIENCE_MS}`],
  ],
  [
    'is asked for when it does not come',
    'waits',
    waiting,
    { type: 'due', timer: 'retry', fresh },
    waiting,
    ['ask', RETRY],
  ],
  [
    'is opened when it is asked for before it is needed here',
    'opens',
    IDLE,
    { type: 'asked', waitMs: -1, fresh },
    opening('b'),
    ['open b'],
  ],
  ['is opened once, however often it is needed', 'both', opening('a'), { type: 'needed', fresh }, opening('a'), []],
  [
    'is taken before it is needed here',
    'waits',
    IDLE,
    { type: 'accepted', linkId: 'a' },
    connecting('a'),
    ['connect a'],
  ],
  [
    'is taken while it is waited for',
    'waits',
    waiting,
    { type: 'accepted', linkId: 'a' },
    connecting('a'),
    ['connect a'],
  ],
  [
    'is connected when the peer has answered',
    'opens',
    opening('a'),
    { type: 'opened', linkId: 'a' },
    connecting('a'),
    ['connect a'],
  ],
  [
    'carries everything when it is connected',
    'both',
    connecting('a'),
    { type: 'connected', linkId: 'a' },
    up('a'),
    ['use a'],
  ],

  // ---- what fails is tried again ----
  [
    'is tried again when the peer does not answer',
    'opens',
    opening('a'),
    { type: 'open-failed', linkId: 'a', hop: 'federation' },
    waiting,
    ['close a', 'show interrupted federation', RETRY],
  ],
  [
    'is tried again when its own connecting fails',
    'both',
    connecting('a'),
    { type: 'connect-failed', linkId: 'a' },
    waiting,
    ['close a', 'show interrupted media', RETRY],
  ],
  [
    'is opened again after the wait',
    'opens',
    waiting,
    { type: 'due', timer: 'retry', fresh },
    opening('b'),
    ['open b'],
  ],
  [
    'is not opened by being asked for during the wait',
    'opens',
    waiting,
    { type: 'asked', waitMs: -1, fresh },
    waiting,
    [],
  ],
  [
    'is shown as interrupted when the peer’s half is refused',
    'both',
    waiting,
    { type: 'accept-failed', hop: 'media' },
    waiting,
    ['show interrupted media'],
  ],
  [
    'goes on when another half of the peer is refused',
    'both',
    up('a'),
    { type: 'accept-failed', hop: 'media' },
    up('a'),
    [],
  ],
  ['is tried again when the peer has closed it', 'both', up('a'), { type: 'gone', linkId: 'a' }, waiting, LOST('a')],
  [
    'is tried again when the peer closes it on its way',
    'both',
    connecting('a'),
    { type: 'gone', linkId: 'a' },
    waiting,
    ['close a', SHOW_CONNECTING, RETRY],
  ],
  [
    'is made anew at once when our SFU has lost it',
    'both',
    up('a'),
    { type: 'media-lost' },
    waiting,
    ['forget', 'close a', SHOW_CONNECTING, 'start retry soon'],
  ],
  [
    'is made anew when our SFU loses it on its way',
    'opens',
    opening('a'),
    { type: 'media-lost' },
    waiting,
    ['forget', 'close a', SHOW_CONNECTING, 'start retry soon'],
  ],
  ['is not made by the loss of media while nobody needs it', 'both', IDLE, { type: 'media-lost' }, IDLE, []],

  // ---- a link that is replaced goes on until the new one carries ----
  [
    'goes on while its successor is asked for',
    'opens',
    up('a'),
    { type: 'asked', waitMs: 0, fresh },
    reopening('b', 'a'),
    ['open b'],
  ],
  ['is replaced not too often', 'opens', up('a'), { type: 'asked', waitMs: 400, fresh }, up('a'), ['start gap 400']],
  [
    'is replaced after that time',
    'opens',
    up('a'),
    { type: 'due', timer: 'gap', fresh },
    reopening('b', 'a'),
    ['open b'],
  ],
  ['is not replaced by the side that waits', 'waits', up('a'), { type: 'asked', waitMs: 0, fresh }, up('a'), []],
  [
    'goes on while its successor is connected',
    'opens',
    reopening('b', 'a'),
    { type: 'opened', linkId: 'b' },
    reconnecting('b', 'a'),
    ['connect b'],
  ],
  [
    'goes on while a successor that the peer opens is connected',
    'both',
    up('a'),
    { type: 'accepted', linkId: 'b' },
    reconnecting('b', 'a'),
    ['connect b'],
  ],
  [
    'gives what it carries to its successor',
    'both',
    reconnecting('b', 'a'),
    { type: 'connected', linkId: 'b' },
    replacing('b', 'a'),
    [`start limit ${REPLACE_WITHIN_MS}`, 'change-over b'],
  ],
  [
    'goes on for the peer when all that we receive has moved',
    'both',
    replacing('b', 'a'),
    { type: 'moved', linkId: 'b' },
    replacing('b', 'a', true),
    ['release a'],
  ],
  [
    'goes on for us when all that the peer receives has moved',
    'both',
    replacing('b', 'a'),
    { type: 'released', linkId: 'a' },
    replacing('b', 'a', false, true),
    [],
  ],
  [
    'ends when both have moved, the peer last',
    'both',
    replacing('b', 'a', true),
    { type: 'released', linkId: 'a' },
    up('b'),
    ['close a'],
  ],
  [
    'ends when both have moved, we last',
    'both',
    replacing('b', 'a', false, true),
    { type: 'moved', linkId: 'b' },
    up('b'),
    ['release a', 'close a'],
  ],
  [
    'is known to be released before its successor is connected here',
    'both',
    reconnecting('b', 'a'),
    { type: 'released', linkId: 'a' },
    reconnecting('b', 'a', true),
    [],
  ],
  [
    'ends with the time limit',
    'both',
    replacing('b', 'a'),
    { type: 'due', timer: 'limit', fresh },
    up('b'),
    ['finish', 'close a'],
  ],
  [
    'ends when the peer has closed it, as older builds do at once',
    'both',
    replacing('b', 'a'),
    { type: 'gone', linkId: 'a' },
    up('b'),
    ['finish', 'close a'],
  ],
  [
    'ends before its successor is connected when the peer has closed it',
    'both',
    reconnecting('b', 'a'),
    { type: 'gone', linkId: 'a' },
    connecting('b'),
    ['forget', 'close a', SHOW_CONNECTING],
  ],
  [
    'goes on when its successor does not come to be',
    'opens',
    reopening('b', 'a'),
    { type: 'open-failed', linkId: 'b', hop: 'media' },
    waitingOver('a'),
    ['close b', RETRY],
  ],
  [
    'goes on when its successor is not connected',
    'both',
    reconnecting('b', 'a'),
    { type: 'connect-failed', linkId: 'b' },
    waitingOver('a'),
    ['close b', RETRY],
  ],
  [
    'needs no successor any more when it is heard again',
    'both',
    waitingOver('a'),
    { type: 'heard', linkId: 'a' },
    up('a'),
    [],
  ],
  [
    'is replaced at the next attempt',
    'opens',
    waitingOver('a'),
    { type: 'due', timer: 'retry', fresh },
    reopening('b', 'a'),
    ['open b'],
  ],
  [
    'ends while its successor is waited for',
    'both',
    waitingOver('a'),
    { type: 'gone', linkId: 'a' },
    waiting,
    ['forget', 'close a', SHOW_CONNECTING],
  ],
  [
    'ends while its successor is asked for',
    'opens',
    reopening('b', 'a'),
    { type: 'gone', linkId: 'a' },
    opening('b'),
    ['forget', 'close a', SHOW_CONNECTING],
  ],
  ['ends with its successor', 'both', replacing('b', 'a'), { type: 'gone', linkId: 'b' }, waiting, LOST('b', 'a')],
  [
    'gives way to a third one, and the second is the old one then',
    'both',
    replacing('b', 'a'),
    { type: 'accepted', linkId: 'c' },
    reconnecting('c', 'b'),
    ['finish', 'close a', 'connect c'],
  ],
  [
    'gives way to a third one that we open',
    'opens',
    replacing('a', 'o'),
    { type: 'asked', waitMs: 0, fresh },
    reopening('b', 'a'),
    ['finish', 'close o', 'open b'],
  ],
  [
    'is replaced by the newer one of two',
    'both',
    reconnecting('b', 'a'),
    { type: 'accepted', linkId: 'c' },
    reconnecting('c', 'a'),
    ['close b', 'connect c'],
  ],
  [
    'is opened anew when the peer loses its half on the way',
    'opens',
    connecting('a'),
    { type: 'asked', waitMs: 0, fresh },
    opening('b'),
    ['close a', 'open b'],
  ],

  // ---- a link whose media is silent ----
  [
    'is given time when it is silent',
    'both',
    up('a'),
    { type: 'silent', linkId: 'a' },
    up('a', true),
    [`start silence ${REOPEN_AFTER_MS}`],
  ],
  [
    'is given no more time by further silence',
    'both',
    up('a', true),
    { type: 'silent', linkId: 'a' },
    up('a', true),
    [],
  ],
  ['is good again when it is heard', 'both', up('a', true), { type: 'heard', linkId: 'a' }, up('a'), ['stop silence']],
  [
    'is replaced when it stays silent',
    'opens',
    up('a', true),
    { type: 'due', timer: 'silence', fresh },
    reopening('b', 'a'),
    ['open b'],
  ],
  [
    'is asked for anew when it stays silent',
    'waits',
    up('a', true),
    { type: 'due', timer: 'silence', fresh },
    up('a', true),
    ['ask', `start silence ${REOPEN_AFTER_MS}`],
  ],

  // ---- both sides open one at once: that of the side that opens links counts ----
  [
    'of the peer is connected while ours is on its way',
    'opens',
    opening('a'),
    { type: 'accepted', linkId: 'z' },
    opening('a', 'z'),
    ['connect z'],
  ],
  [
    'of the peer gives way to ours',
    'opens',
    opening('a', 'z'),
    { type: 'opened', linkId: 'a' },
    connecting('a'),
    ['close z', 'connect a'],
  ],
  [
    'of the peer carries until ours does',
    'opens',
    opening('a', 'z'),
    { type: 'connected', linkId: 'z' },
    reopening('a', 'z'),
    ['use z'],
  ],
  [
    'of the peer counts when ours fails',
    'opens',
    opening('a', 'z'),
    { type: 'open-failed', linkId: 'a', hop: 'media' },
    connecting('z'),
    ['close a'],
  ],
  [
    'of the peer that is not connected changes nothing',
    'opens',
    opening('a', 'z'),
    { type: 'connect-failed', linkId: 'z' },
    opening('a'),
    ['close z'],
  ],
  [
    'of the peer that it closes changes nothing',
    'opens',
    opening('a', 'z'),
    { type: 'gone', linkId: 'z' },
    opening('a'),
    ['close z'],
  ],
  [
    'of the peer is one at a time',
    'opens',
    opening('a', 'y'),
    { type: 'accepted', linkId: 'z' },
    opening('a', 'z'),
    ['close y', 'connect z'],
  ],
  [
    'of the peer is not taken while another one carries',
    'opens',
    reopening('b', 'a'),
    { type: 'accepted', linkId: 'z' },
    reopening('b', 'a'),
    ['close z'],
  ],
  [
    'of the peer counts for the side that waits',
    'waits',
    opening('a'),
    { type: 'accepted', linkId: 'z' },
    connecting('z'),
    ['close a', 'connect z'],
  ],

  // ---- what comes too late changes nothing ----
  [
    'that is answered late is put away',
    'both',
    up('a'),
    { type: 'opened', linkId: 'z' },
    up('a'),
    ['close z', 'tell-closed z'],
  ],
  [
    'that is answered after a newer one was asked for is put away',
    'opens',
    opening('b'),
    { type: 'opened', linkId: 'z' },
    opening('b'),
    ['close z', 'tell-closed z'],
  ],
  [
    'that fails late is put away',
    'both',
    up('a'),
    { type: 'open-failed', linkId: 'z', hop: 'media' },
    up('a'),
    ['close z'],
  ],
  ['that is connected late is put away', 'both', up('a'), { type: 'connected', linkId: 'z' }, up('a'), ['close z']],
  [
    'whose connecting fails late is put away',
    'both',
    connecting('a'),
    { type: 'connect-failed', linkId: 'z' },
    connecting('a'),
    ['close z'],
  ],
  ['that the peer closed long ago changes nothing', 'both', up('a'), { type: 'gone', linkId: 'z' }, up('a'), []],
  [
    'that was released long ago changes nothing',
    'both',
    replacing('b', 'a', true),
    { type: 'released', linkId: 'z' },
    replacing('b', 'a', true),
    [],
  ],
  [
    'that moved long ago changes nothing',
    'both',
    replacing('b', 'a'),
    { type: 'moved', linkId: 'z' },
    replacing('b', 'a'),
    [],
  ],
  ['that is silent and no longer used changes nothing', 'both', up('a'), { type: 'silent', linkId: 'z' }, up('a'), []],
  [
    'that the peer opens after the end is put away',
    'both',
    closed,
    { type: 'accepted', linkId: 'z' },
    closed,
    ['close z'],
  ],
  [
    'that is answered after the end is put away',
    'both',
    closed,
    { type: 'opened', linkId: 'z' },
    closed,
    ['close z', 'tell-closed z'],
  ],
  ['does not come back after the end', 'both', closed, { type: 'needed', fresh }, closed, []],
  ['does not come back after the end by a loss of media', 'both', closed, { type: 'media-lost' }, closed, []],

  // ---- ends and restarts ----
  [
    'is closed with all its halves',
    'both',
    replacing('b', 'a'),
    { type: 'closed' },
    closed,
    ['forget', 'close b', 'close a', 'tell-closed b', 'tell-closed a'],
  ],
  ['stays for the next homeserver', 'both', up('a'), { type: 'stopped' }, closed, []],
  ['is taken over after a restart', 'both', IDLE, { type: 'restored', linkId: 'a' }, up('a'), []],
  [
    'that is being opened gives way to the one that is still there',
    'opens',
    opening('b'),
    { type: 'restored', linkId: 'a' },
    up('a'),
    ['close b'],
  ],
];

describe('A link', () => {
  for (const [title, sides, phase, event, next, effects] of ROWS) {
    for (const side of sides === 'both' ? (['opens', 'waits'] as const) : [sides]) {
      it(`${title}${sides === 'both' ? ` (${side})` : ''}`, () => {
        const step = transition(side, phase, event);
        expect(step.phase).toEqual(next);
        expect(step.effects.map(line)).toEqual(effects);
      });
    }
  }

  it('replaces a healthy link no more often than once a second', () =>
    expect(REOPEN_GAP_MS).toBeGreaterThanOrEqual(1_000));
});

// ---- all that can happen in each phase that the rows have ----

const SIDES: readonly Side[] = ['opens', 'waits'];
const IDS = ['a', 'b', 'z'];
const EVENTS: readonly LinkEvent[] = [
  { type: 'needed', fresh: 'f' },
  ...(['retry', 'gap', 'silence', 'limit'] as const).map((timer): LinkEvent => ({ type: 'due', timer, fresh: 'f' })),
  { type: 'asked', waitMs: 0, fresh: 'f' },
  { type: 'asked', waitMs: 100, fresh: 'f' },
  { type: 'accept-failed', hop: 'media' },
  { type: 'media-lost' },
  { type: 'closed' },
  { type: 'stopped' },
  ...IDS.flatMap((linkId): LinkEvent[] => [
    { type: 'opened', linkId },
    { type: 'open-failed', linkId, hop: 'federation' },
    { type: 'accepted', linkId },
    { type: 'connected', linkId },
    { type: 'connect-failed', linkId },
    { type: 'moved', linkId },
    { type: 'released', linkId },
    { type: 'gone', linkId },
    { type: 'silent', linkId },
    { type: 'heard', linkId },
    { type: 'restored', linkId },
  ]),
];
const seen = new Map(
  ROWS.flatMap(([, , phase, , next]) => [phase, next]).map((phase) => [JSON.stringify(phase), phase]),
);
const ALL = SIDES.flatMap((side) =>
  [...seen.values()].flatMap((phase) => EVENTS.map((event) => ({ side, phase, event, ...step(side, phase, event) }))),
);
function step(side: Side, phase: Phase, event: LinkEvent): { next: Phase; lines: string[] } {
  const { phase: next, effects } = transition(side, phase, event);
  return { next, lines: effects.map(line) };
}

describe('A link, whatever happens to it', () => {
  it('loses no half: what is not in the next phase any more is closed, unless the homeserver ends', () => {
    for (const { phase, event, next, lines } of ALL) {
      if (event.type === 'stopped') continue;
      for (const linkId of linksOf(phase)) {
        if (linksOf(next).includes(linkId)) continue;
        expect(lines).withContext(JSON.stringify({ phase, event })).toContain(`close ${linkId}`);
      }
    }
  });

  it('closes no half that it still has', () => {
    for (const { phase, event, next, lines } of ALL) {
      for (const linkId of linksOf(next)) {
        expect(lines).withContext(JSON.stringify({ phase, event })).not.toContain(`close ${linkId}`);
      }
    }
  });

  it('waits for something in every phase but the first and the last', () => {
    for (const { side, phase, event, next, lines } of ALL) {
      if (next.name !== 'waiting' || phase.name === 'waiting') continue;
      expect(lines.some((each) => each.startsWith('start retry')))
        .withContext(JSON.stringify({ side, phase, event }))
        .toBeTrue();
    }
  });

  it('keeps what carries media until something else does, or it has ended', () => {
    for (const { phase, event, next } of ALL) {
      const before = linkInUse(phase);
      const ended = ['gone', 'media-lost', 'closed', 'stopped', 'restored', 'due', 'connect-failed'].includes(
        event.type,
      );
      if (before === undefined || ended || linkInUse(next) === before || phase.name === 'connecting') continue;
      expect(next.name).withContext(JSON.stringify({ phase, event })).toBe('replacing');
    }
  });
});

describe('The picture of a link’s phases', () => {
  it('shows all that leads from one to another, and nothing else', () => {
    const edges = new Map<string, Set<string>>();
    for (const { phase, event, next } of ALL) {
      // What can happen in every phase is told in words.
      if (phase.name === next.name || ['closed', 'stopped', 'media-lost', 'restored'].includes(event.type)) continue;
      if (event.type === 'due' && !TIMERS[phase.name].includes(event.timer)) continue;
      const edge = `${phase.name} --> ${next.name}`;
      const labels = edges.get(edge) ?? new Set();
      edges.set(edge, labels.add(event.type === 'due' ? event.timer : event.type));
    }
    const picture = readFileSync(new URL('../../docs/federation.md', import.meta.url), 'utf8');
    const drawn = picture.split('\n').filter((each) => / --> /.test(each) && !each.includes('[*]'));
    expect(drawn.map((each) => each.trim()).sort()).toEqual(
      [...edges].map(([edge, labels]) => `${edge}: ${[...labels].sort().join(', ')}`).sort(),
    );
  });
});
