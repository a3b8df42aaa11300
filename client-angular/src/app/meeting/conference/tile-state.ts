import type { LinkState, Participant } from '../../../../../protocol/session.ts';
import type { Source } from '../../../../../protocol/media.ts';
import type { MediaLineState } from '../../media/media-line.ts';

/** Without a new picture for this long a tile says so, in ms. */
export const STALL_MS = 3_000;
/** A first picture may take this long, in ms; after that "connecting" is not the truth any more. */
export const FIRST_PICTURE_MS = 10_000;

export type TileState =
  | { kind: 'picture' }
  | { kind: 'camera-off' }
  /** It is sent, and the meeting's rules do not allow it: it is taken from nobody's organisation. */
  | { kind: 'refused' }
  | { kind: 'connecting' }
  | { kind: 'reconnecting' }
  | { kind: 'weak' }
  /** The connection to the participant's organisation is down. `since`: Unix ms. */
  | { kind: 'interrupted'; since: number }
  /** Nothing gets through between this computer and the own organisation. `since`: Unix ms. */
  | { kind: 'own-line'; since: number }
  /** Pictures came and then stopped, or never came. `since`: Unix ms. */
  | { kind: 'no-picture'; since: number };

export interface TileFacts {
  participant: Pick<Participant, 'presence' | 'sources' | 'sourcesKnown'>;
  source: Source;
  /** The link to the participant's organisation; undefined for the own one. */
  link: Pick<LinkState, 'state' | 'since' | 'hop'> | undefined;
  /** Between this computer and the own organisation. */
  line: MediaLineState;
  /** A consumer exists; `weak` when the server sends no layer to it. */
  media: { weak: boolean } | undefined;
  /** When the last new picture was seen, Unix ms; undefined when there was none yet. */
  lastFrameAt: number | undefined;
  /** Since when a consumer exists for what the person sends, Unix ms. */
  awaitedSince: number | undefined;
  now: number;
}

/** What a tile says. A picture that moves is shown, whatever else is reported; otherwise the nearest cause is named. */
export function tileState(facts: TileFacts): TileState {
  const { participant, source, link, line, media, lastFrameAt, awaitedSince, now } = facts;
  const sent = participant.sources.find((candidate) => candidate.source === source);
  if (sent?.refused) return { kind: 'refused' };
  if (!sent || sent.paused) {
    // Whoever does not answer, or never said anything, can not have said that the camera is off.
    const unknown = participant.sourcesKnown === false;
    if (link?.state === 'interrupted' && (unknown || link.hop === 'federation')) {
      return { kind: 'interrupted', since: link.since };
    }
    if (participant.presence === 'reconnecting') return { kind: 'reconnecting' };
    return { kind: unknown ? 'connecting' : 'camera-off' };
  }
  // A shared screen on which nothing changes sends few pictures or none.
  const still =
    source === 'screen' &&
    lastFrameAt !== undefined &&
    link?.state !== 'interrupted' &&
    line.kind !== 'interrupted' &&
    line.kind !== 'blocked';
  if (media && lastFrameAt !== undefined && (still || now - lastFrameAt < STALL_MS)) return { kind: 'picture' };
  // The nearest cause first: what does not leave this computer says nothing about the others.
  if (line.kind === 'blocked') return { kind: 'own-line', since: line.since };
  if (participant.presence === 'reconnecting') return { kind: 'reconnecting' };
  if (link?.state === 'interrupted') return { kind: 'interrupted', since: link.since };
  if (media?.weak) return { kind: 'weak' };
  if (media && lastFrameAt !== undefined) return { kind: 'no-picture', since: lastFrameAt };
  const late = awaitedSince !== undefined && now - awaitedSince >= FIRST_PICTURE_MS;
  return late ? { kind: 'no-picture', since: awaitedSince } : { kind: 'connecting' };
}

/** Whole seconds that something has lasted, not below 1. */
export function secondsSince(since: number, now: number): number {
  return Math.max(1, Math.round((now - since) / 1000));
}

export function tileText(state: TileState, organisation: string, now: number): string {
  switch (state.kind) {
    case 'picture':
      return '';
    case 'camera-off':
      return $localize`:@@tile.cameraOff:Camera off`;
    case 'refused':
      return $localize`:@@tile.refused:Not admitted by the meeting’s rules`;
    case 'connecting':
      return $localize`:@@tile.connecting:Connecting to ${organisation}:ORGANISATION:`;
    case 'reconnecting':
      return $localize`:@@tile.reconnecting:Is reconnecting`;
    case 'weak':
      return $localize`:@@tile.weak:Picture paused, weak line`;
    case 'own-line':
      return $localize`:@@tile.ownLine:No pictures get through to this computer`;
    case 'interrupted':
      return $localize`:@@tile.interrupted:${organisation}:ORGANISATION: not reachable since ${secondsSince(state.since, now)}:SECONDS: s`;
    case 'no-picture':
      return $localize`:@@tile.noPicture:No picture from ${organisation}:ORGANISATION: since ${secondsSince(state.since, now)}:SECONDS: s`;
  }
}
