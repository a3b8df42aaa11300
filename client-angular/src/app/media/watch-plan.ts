import type { Participant, Watch } from '../../../../protocol/session.ts';
import type { Source } from '../../../../protocol/media.ts';
import { mediaKey } from './received-media.ts';

/** The server takes lists of at most this length (`media.watch`). */
const MAX_WATCHED = 100;
/** Room that is kept for pictures, so that a large meeting does not hear everybody and see nobody. */
const FOR_PICTURES = 30;
/** Sizes are rounded up to this, in device pixels, so that dragging a window does not send a list per pixel. */
const STEP = 32;

const PRIORITY = { audio: 255, screen: 200, camera: 100 } as const;

/** Pictures that are asked for before the tiles are known, and their size: small ones are there sooner. */
const LIKELY = 6;
const LIKELY_SIZE = { width: 640, height: 360 } as const;

/** A tile on the screen, in device pixels. */
export interface VisibleTile {
  participantId: string;
  source: Extract<Source, 'camera' | 'screen'>;
  width: number;
  height: number;
}

/** Guesses the tiles of a screen that is not drawn yet: the first ones in the server's order, as the stage has them. */
export function likelyTiles(participants: readonly Participant[], me: string): VisibleTile[] {
  return participants
    .filter(({ participantId }) => participantId !== me)
    .slice(0, LIKELY)
    .map(({ participantId }) => ({ participantId, source: 'camera', ...LIKELY_SIZE }));
}

/**
 * What to receive: the sound of everybody, and the pictures of tiles that are in view, in their size.
 * Sources that are not sent yet are wished for as well: then they come without another question.
 * @param me the own participant, which is never received
 */
export function watchPlan(participants: Iterable<Participant>, tiles: Iterable<VisibleTile>, me: string): Watch[] {
  const here = new Map([...participants].map((participant) => [participant.participantId, participant]));
  here.delete(me);
  const sounds: Watch[] = [];
  for (const { participantId, sources } of here.values()) {
    sounds.push({ participantId, source: 'microphone', priority: PRIORITY.audio });
    if (sources.some(({ source }) => source === 'screen-audio')) {
      sounds.push({ participantId, source: 'screen-audio', priority: PRIORITY.audio });
    }
  }
  const audible = (watch: Watch): boolean =>
    here.get(watch.participantId)?.sources.some(({ source, paused }) => source === watch.source && !paused) ?? false;
  const pictures = new Map<string, Watch>();
  for (const { participantId, source, width, height } of tiles) {
    if (!here.has(participantId) || width < 1 || height < 1) continue;
    pictures.set(mediaKey(participantId, source), {
      participantId,
      source,
      width: Math.min(8192, Math.ceil(width / STEP) * STEP),
      height: Math.min(8192, Math.ceil(height / STEP) * STEP),
      priority: PRIORITY[source],
    });
  }
  const room = MAX_WATCHED - Math.min(pictures.size, FOR_PICTURES);
  // Only when not everybody fits: else each muting would send a new list.
  if (sounds.length > room) sounds.sort((a, b) => Number(audible(b)) - Number(audible(a)));
  const heard = sounds.slice(0, room);
  return [...heard, ...[...pictures.values()].slice(0, MAX_WATCHED - heard.length)];
}
