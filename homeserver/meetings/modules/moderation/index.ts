/** What moderators do to others, whichever instance these are of. */
import type { MeetingModule } from '../module.ts';

export interface ModerationModuleDeps {
  /** The orders of moderators. @throws MatrixError 403 without the right */
  readonly moderation: {
    /** @returns the server names of the organisations that were not reached */
    mute(roomId: string, by: string, participantIds: readonly string[]): Promise<{ unreached: string[] }>;
    remove(roomId: string, by: string, participantId: string): Promise<{ unreached: string[] }>;
  };
}

export function moderationModule({ moderation }: ModerationModuleDeps): MeetingModule<'moderation'> {
  return {
    requests: {
      'moderation.mute': (asker, { participantIds }) =>
        moderation.mute(asker.place().context.roomId, asker.userId, participantIds),
      'moderation.remove': (asker, { participantId }) =>
        moderation.remove(asker.place().context.roomId, asker.userId, participantId),
    },
  };
}
