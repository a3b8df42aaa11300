/** Raised hands: a signal of each participant, in the order of the times at which they were raised. */
import { MatrixError } from '../../../base/errors.ts';
import { SETTING } from '../../../base/names.ts';
import { MODERATOR_LEVEL } from '../../rights.ts';
import type { MeetingContext, MeetingModule } from '../module.ts';

export function handsModule(): MeetingModule<'hands'> {
  return {
    requests: {
      async 'hands.raise'(asker) {
        const { context, participantId } = asker.place();
        const raised = context.own().some((own) => own.participantId === participantId && own.signals.hand);
        if (!raised) await context.setSignals(participantId, { hand: { raisedAt: Date.now() } });
        return {};
      },

      async 'hands.lower'(asker, { participantId }) {
        const { context, participantId: own } = asker.place();
        if (participantId !== undefined && participantId !== own) return notYet();
        await context.setSignals(own, { hand: undefined });
        return {};
      },

      'hands.lower-all': notYet,

      async 'hands.switch'(asker, { enabled }) {
        await asker.turnSwitch(enabled);
        return {};
      },
    },
    switchedBy: 'switch-hands',
    powerLevels: { [`${SETTING}hands`]: MODERATOR_LEVEL },

    async switched(context, enabled) {
      context.notifyAll('hands.changed', { enabled });
      if (!enabled) await lowerOwn(context);
    },

    /** A time of another clock: nobody comes to the front of the queue by one that cannot be. */
    signals: ({ signals: { hand }, heardAt, clockAhead, joinedAt }) =>
      hand ? { hand: { raisedAt: Math.max(joinedAt, Math.min(hand.raisedAt - clockAhead, heardAt)) } } : {},

    snapshot: () => ({ enabled: true }),
  };
}

/** Each instance lowers the hands of its own people. */
async function lowerOwn(context: MeetingContext): Promise<void> {
  await Promise.all(context.own().map(({ participantId }) => context.setSignals(participantId, { hand: undefined })));
}

function notYet(): never {
  throw new MatrixError(404, 'M_UNRECOGNIZED', 'This server does not offer this yet.');
}
