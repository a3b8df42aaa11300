/** What moderators do to others, whichever instance these are of. */
import type { EndFor, GivenRole, RemovalAction, SeatAction } from '../../../../protocol/modules/moderation.ts';
import type { Result } from '../../../../protocol/session.ts';
import type { Asker, MeetingModule } from '../module.ts';

/** Who could not be told, and to whom it was not done. */
type Given = Result<'moderation.mute'>;

export interface ModerationModuleDeps {
  /** The orders of moderators in the conference of a room. @throws MatrixError 403 without the right */
  readonly moderation: {
    act(roomId: string, by: string, action: SeatAction, participantIds: readonly string[]): Promise<Given>;
    remove(roomId: string, by: string, action: RemovalAction, participantIds: readonly string[]): Promise<Given>;
    rename(roomId: string, by: string, participantId: string, displayName: string): Promise<Given>;
    end(roomId: string, by: string, whom: EndFor): Promise<Given>;
  };
  readonly roles: {
    /** @throws MatrixError 403 without the right */
    set(roomId: string, by: string, userId: string, role: GivenRole): Promise<void>;
  };
}

export function moderationModule({ moderation, roles }: ModerationModuleDeps): MeetingModule<'moderation'> {
  const acts =
    (action: SeatAction): Handler<Several> =>
    (asker, { participantIds }) =>
      moderation.act(asker.place().context.roomId, asker.userId, action, participantIds);
  const removes =
    (action: RemovalAction): Handler<Several> =>
    (asker, { participantIds }) =>
      moderation.remove(asker.place().context.roomId, asker.userId, action, participantIds);
  return {
    requests: {
      'moderation.mute': acts('mute'),
      'moderation.camera-off': acts('camera-off'),
      'moderation.stop-share': acts('stop-share'),
      'moderation.ask-unmute': acts('ask-unmute'),
      'moderation.lower-hands': acts('lower-hand'),
      'moderation.send-to-waiting': removes('wait'),
      'moderation.remove': removes('remove'),
      'moderation.ban': removes('ban'),
      'moderation.rename': (asker, { participantId, displayName }) =>
        moderation.rename(asker.place().context.roomId, asker.userId, participantId, displayName),
      'moderation.end': (asker, { for: whom }) => moderation.end(asker.place().context.roomId, asker.userId, whom),
      async 'roles.set'(asker, { userId, role }) {
        await roles.set(asker.place().context.roomId, asker.userId, userId, role);
        return {};
      },
    },
  };
}

interface Several {
  readonly participantIds: readonly string[];
}
type Handler<P> = (asker: Asker, params: P) => Promise<Given>;
