/** Who waits for a place in the conference, as moderators see it, and what they do about it. */
import type { WaitingList } from '../../../../protocol/modules/waiting.ts';
import type { MeetingModule } from '../module.ts';

/** Those of whom it was not done. */
interface Outcome {
  readonly failed: string[];
}

export interface WaitingModuleDeps {
  /** @throws MatrixError 403 without the right `admit` */
  readonly waiting: {
    /** @param by user id of one of our people */
    admit(roomId: string, by: string, userIds: readonly string[]): Promise<Outcome>;
    admitAll(roomId: string, by: string): Promise<Outcome>;
    refuse(roomId: string, by: string, userIds: readonly string[]): Promise<Outcome>;
    /** Who waits in a meeting, as far as this instance knows it. */
    list(roomId: string): WaitingList;
  };
}

export function waitingModule({ waiting }: WaitingModuleDeps): MeetingModule<'waiting'> {
  return {
    requests: {
      'waiting.admit': (asker, { userIds }) => waiting.admit(asker.place().context.roomId, asker.userId, userIds),
      'waiting.admit-all': (asker) => waiting.admitAll(asker.place().context.roomId, asker.userId),
      'waiting.refuse': (asker, { userIds }) => waiting.refuse(asker.place().context.roomId, asker.userId, userIds),
    },
    snapshot: ({ roomId }, { rights }) => (rights.includes('admit') ? waiting.list(roomId) : undefined),
  };
}
