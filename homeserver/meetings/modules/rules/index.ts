/** The rules of the meeting: moderators set them, everybody sees them. What they restrict is refused where it is done. */
import type { RuleName, Rules } from '../../../../protocol/modules/rules.ts';
import type { MeetingModule } from '../module.ts';

export interface RulesModuleDeps {
  readonly rules: {
    /** @throws MatrixError 403 without the right */
    set<N extends RuleName>(roomId: string, userId: string, name: N, value: Rules[N]): Promise<void>;
  };
}

export function rulesModule({ rules }: RulesModuleDeps): MeetingModule<'rules'> {
  return {
    requests: {
      async 'rules.set'(asker, { rule, value }) {
        await rules.set(asker.place().context.roomId, asker.userId, rule, value);
        return {};
      },
    },
    snapshot: ({ rules: now }) => now,
  };
}
