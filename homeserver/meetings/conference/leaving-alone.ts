/** What is done to one of our participants who is alone in a conference, for the inactivity guard. */
import type { Logger } from 'pino';
import { unexpected } from '../../base/log.ts';
import type { Conferences } from './conferences.ts';
import type { Seat } from './seat-media.ts';

export interface LeavingAlone {
  /** Switches off what the participant sends, as nobody is there to see or hear it. */
  mediaOff(roomId: string, participantId: string): void;
  /** Takes the participant out, who was alone for too long. */
  leave(roomId: string, participantId: string): void;
}

/** @param conferences asked when something is done, as it is made later */
export function leavingAlone(
  conferences: () => Pick<Conferences, 'get' | 'seats' | 'media'>,
  log: Logger,
): LeavingAlone {
  function seatOf(roomId: string, participantId: string): Seat | undefined {
    const conference = conferences().get(roomId);
    const local = conference?.seat(participantId);
    return conference && local && { conference, local };
  }

  async function pause(seat: Seat): Promise<void> {
    const { seats, media } = conferences();
    await seats.act(seat, async (still) => {
      for (const source of ['microphone', 'camera'] as const) {
        if (seat.local.sources.get(source)?.paused !== false) continue;
        await media.pauseByOrder(seat, source, still);
        still();
      }
    });
  }

  return {
    mediaOff(roomId, participantId) {
      const seat = seatOf(roomId, participantId);
      if (seat) pause(seat).catch(unexpected(log, 'conference: media was not switched off'));
    },
    leave(roomId, participantId) {
      const seat = seatOf(roomId, participantId);
      if (!seat) return;
      conferences().seats.remove(seat, { reason: 'alone' }).catch(unexpected(log, 'conference: a seat was not ended'));
    },
  };
}
