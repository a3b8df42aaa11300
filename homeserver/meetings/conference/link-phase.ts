/**
 * The phases of a link, what happens to it, and what is done because of that: the words in which link-machine.ts has the
 * rules.
 */
import type { LinkState } from '../../../protocol/session.ts';

/** Which of the two this side is: one opens links, the other one waits for them, and asks. */
export type Side = 'opens' | 'waits';

/** A link that everything crosses while its successor is made. */
export interface OldLink {
  readonly linkId: string;
  /** The peer receives nothing over it any more. */
  readonly released: boolean;
}

export type Phase =
  /** Nobody has needed it yet. */
  | { readonly name: 'idle' }
  /** For the next attempt, or for the peer to open it. */
  | { readonly name: 'waiting'; readonly old: OldLink | undefined }
  /** We have asked the peer for its half. `other` is a link that the peer has opened meanwhile. */
  | {
      readonly name: 'opening';
      readonly linkId: string;
      readonly old: OldLink | undefined;
      readonly other: string | undefined;
    }
  /** Both halves are there; our SFU asks the peer's address for its proof. */
  | { readonly name: 'connecting'; readonly linkId: string; readonly old: OldLink | undefined }
  | { readonly name: 'up'; readonly linkId: string; readonly silent: boolean }
  /** Both links are up; what crosses the old one changes over. `moved`: all that we receive has. */
  | { readonly name: 'replacing'; readonly linkId: string; readonly old: OldLink; readonly moved: boolean }
  | { readonly name: 'closed' };

export type Timer = 'retry' | 'gap' | 'silence' | 'limit';
/** In which phases a timer may run: it ends with them. */
export const TIMERS: Readonly<Record<Phase['name'], readonly Timer[]>> = {
  idle: [],
  waiting: ['retry'],
  opening: [],
  connecting: ['gap'],
  up: ['gap', 'silence'],
  replacing: ['gap', 'limit'],
  closed: [],
};

/** In ms, or `back-off`: longer with each failure; or `soon`: the same, but the first time at once. */
export type After = number | 'back-off' | 'soon';

export type Hop = NonNullable<LinkState['hop']>;

/** `fresh` is the id of the link that is opened because of the event, if one is. */
export type LinkEvent =
  /** There are participants of both sides. */
  | { readonly type: 'needed'; readonly fresh: string }
  | { readonly type: 'due'; readonly timer: Timer; readonly fresh: string }
  /** The peer asks for a new link; `waitMs` until it may have one. */
  | { readonly type: 'asked'; readonly waitMs: number; readonly fresh: string }
  /** The peer has answered our request with its half, or it failed. */
  | { readonly type: 'opened'; readonly linkId: string }
  | { readonly type: 'open-failed'; readonly linkId: string; readonly hop: Hop }
  /** The peer has opened a link and has our half, or gets none. */
  | { readonly type: 'accepted'; readonly linkId: string }
  | { readonly type: 'accept-failed'; readonly hop: Hop }
  /** Our SFU has the peer's proof, or has not got it. */
  | { readonly type: 'connected'; readonly linkId: string }
  | { readonly type: 'connect-failed'; readonly linkId: string }
  /** All that we receive comes over this link now. */
  | { readonly type: 'moved'; readonly linkId: string }
  /** The peer wants nothing over this link (any more). */
  | { readonly type: 'released'; readonly linkId: string }
  /** The peer has closed the link, or does not know it. */
  | { readonly type: 'gone'; readonly linkId: string }
  /** What the probes of a link say. */
  | { readonly type: 'silent'; readonly linkId: string }
  | { readonly type: 'heard'; readonly linkId: string }
  /** Our SFU has lost the conference and all in it. */
  | { readonly type: 'media-lost' }
  /** After a restart of the homeserver: our SFU still has this link, connected. */
  | { readonly type: 'restored'; readonly linkId: string }
  /** It is not needed any more. */
  | { readonly type: 'closed' }
  /** The homeserver ends, and leaves the link to the next one. */
  | { readonly type: 'stopped' };

export type Effect =
  /** Make our half and ask the peer for its own: comes to `opened` or `open-failed`. */
  | { readonly do: 'open'; readonly linkId: string }
  /** Ask the peer to open a link. */
  | { readonly do: 'ask' }
  /** Have our SFU connect to the peer's half: comes to `connected` or `connect-failed`. */
  | { readonly do: 'connect'; readonly linkId: string }
  /** Everything crosses this link, the first one. */
  | { readonly do: 'use'; readonly linkId: string }
  /** What we receive over the link in use changes over to this one, source by source: comes to `moved`. */
  | { readonly do: 'change-over'; readonly linkId: string }
  /** What has not changed over does so at once. */
  | { readonly do: 'finish' }
  /** Tell the peer that we receive nothing over this link any more. */
  | { readonly do: 'release'; readonly linkId: string }
  /** What crossed has ended. */
  | { readonly do: 'forget' }
  /** Close our half. */
  | { readonly do: 'close'; readonly linkId: string }
  /** Tell the peer that we have closed it. */
  | { readonly do: 'tell-closed'; readonly linkId: string }
  | { readonly do: 'start'; readonly timer: Timer; readonly after: After }
  | { readonly do: 'stop'; readonly timer: Timer }
  /** Tell clients. */
  | { readonly do: 'show'; readonly state: 'connecting' }
  | { readonly do: 'show'; readonly state: 'interrupted'; readonly hop: Hop };

export interface Step {
  readonly phase: Phase;
  readonly effects: readonly Effect[];
}

export const IDLE: Phase = { name: 'idle' };

/** Ids of all links that there are in a phase, the newest first. */
export function linksOf(phase: Phase): string[] {
  const ids: string[] = [];
  if ('linkId' in phase) ids.push(phase.linkId);
  if (phase.name === 'opening' && phase.other !== undefined) ids.push(phase.other);
  if ('old' in phase && phase.old) ids.push(phase.old.linkId);
  return ids;
}

/** The link that media crosses, or will; of two the one that judges how the link is. */
export function linkInUse(phase: Phase): string | undefined {
  switch (phase.name) {
    case 'up':
    case 'replacing':
      return phase.linkId;
    case 'connecting':
      return phase.old?.linkId ?? phase.linkId;
    case 'waiting':
    case 'opening':
      return phase.old?.linkId;
    default:
      return undefined;
  }
}
