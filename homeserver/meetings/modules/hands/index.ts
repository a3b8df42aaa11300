/** Raised hands: a signal of each participant, in the order of the times at which they were raised. */
import type { Participant } from '../../../../protocol/session.ts';
import { MatrixError } from '../../../base/errors.ts';
import { SETTING } from '../../../base/names.ts';
import { MODERATOR_LEVEL } from '../../rights.ts';
import type { MeetingContext, MeetingModule } from '../module.ts';

/** The order to lower somebody's hand. */
const LOWER = 'lower-hand';

export function handsModule(): MeetingModule<'hands'> {
  return {
    requests: {
      async 'hands.raise'(asker) {
        const { context, participantId } = asker.permitted();
        const raised = context.own().some((own) => own.participantId === participantId && own.signals.hand);
        if (!raised) await context.setSignals(participantId, { hand: { raisedAt: Date.now() } });
        return {};
      },

      async 'hands.lower'(asker, { participantId }) {
        const { context, participantId: own } = asker.place();
        if (participantId === undefined || participantId === own) {
          await context.setSignals(own, { hand: undefined });
          return {};
        }
        if (!context.participants().some((one) => one.participantId === participantId)) {
          throw new MatrixError(404, 'M_NOT_FOUND', 'This person is not in the conference any more.');
        }
        await context.order(asker.userId, LOWER, [participantId]);
        return {};
      },

      async 'hands.lower-all'(asker) {
        const { context, participantId: own } = asker.place();
        const raised = context.participants().filter(({ signals }) => signals.hand);
        await context.order(asker.userId, LOWER, [own, ...raised.map(({ participantId }) => participantId)]);
        return {};
      },

      async 'hands.switch'(asker, { enabled }) {
        await asker.turnSwitch(enabled);
        return {};
      },
    },
    switchedBy: 'switch-hands',
    powerLevels: { [`${SETTING}hands`]: MODERATOR_LEVEL },

    orders: {
      [LOWER]: {
        right: 'lower-hands',
        told: 'lower-hand',
        noted: 'lower-hand',
        async apply(context, participantId, by) {
          const own = context.own().find((one) => one.participantId === participantId);
          if (!own?.signals.hand) return;
          if (own.userId !== by.userId) context.notify(participantId, 'hands.lowered', { by: by.displayName });
          await context.setSignals(participantId, { hand: undefined });
        },
      },
    },

    async switched(context, enabled) {
      context.notifyAll('hands.changed', { enabled });
      if (!enabled) await lower(context, context.own());
    },
    ruled: (context) =>
      lower(
        context,
        context.own().filter((own) => own.signals.hand && !context.allows('hands', own)),
      ),

    /** A time of another clock: nobody comes to the front of the queue by one that cannot be. */
    signals: ({ signals: { hand }, heardAt, clockAhead, joinedAt }) =>
      hand ? { hand: { raisedAt: Math.max(joinedAt, Math.min(hand.raisedAt - clockAhead, heardAt)) } } : {},

    snapshot: () => ({ enabled: true }),
  };
}

/** Each instance lowers the hands of its own people. */
async function lower(context: MeetingContext, own: readonly Participant[]): Promise<void> {
  await Promise.all(own.map(({ participantId }) => context.setSignals(participantId, { hand: undefined })));
}
