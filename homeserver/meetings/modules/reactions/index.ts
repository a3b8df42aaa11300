/** Reactions: shown for a moment, summed by organisation, and kept nowhere. */
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import * as z from 'zod';
import { type Counts, countsSchema } from '../../../../protocol/modules/reactions.ts';
import type { Participant } from '../../../../protocol/session.ts';
import { MatrixError } from '../../../base/errors.ts';
import { REACTION_RATE } from '../../../base/limits.ts';
import { SETTING } from '../../../base/names.ts';
import { MODERATOR_LEVEL } from '../../rights.ts';
import type { MeetingContext, MeetingModule } from '../module.ts';
import { Tally } from './tally.ts';

/** What instances tell each other. */
const toldSchema = z.object({ counts: countsSchema });

export function reactionsModule({ serverName }: { readonly serverName: string }): MeetingModule<'reactions'> {
  const rate = new RateLimiterMemory({ points: REACTION_RATE.points, duration: REACTION_RATE.seconds });
  /** Of each conference, by server name. */
  const tallies = new WeakMap<MeetingContext, Map<string, Tally>>();

  function tallyOf(context: MeetingContext, server: string): Tally {
    const ofConference = tallies.get(context) ?? new Map<string, Tally>();
    tallies.set(context, ofConference);
    const known = ofConference.get(server);
    if (known) return known;
    const tally = new Tally({
      later: (ms, task) => context.later(ms, task),
      tell(sums) {
        const isOwn = server === serverName;
        const counts = isOwn ? sums : believable(context, server, sums);
        context.notifyAll('reactions.shown', { organisation: server, counts });
        if (isOwn) context.tell({ counts });
      },
    });
    ofConference.set(server, tally);
    return tally;
  }

  return {
    requests: {
      async 'reactions.send'(asker, { reaction }) {
        await take(rate, asker.permitted().participantId);
        tallyOf(asker.permitted().context, serverName).add(reaction, 1);
        return {};
      },

      async 'reactions.switch'(asker, { enabled }) {
        await asker.turnSwitch(enabled);
        return {};
      },
    },
    switchedBy: 'switch-reactions',
    powerLevels: { [`${SETTING}reactions`]: MODERATOR_LEVEL },

    async switched(context, enabled) {
      for (const tally of tallies.get(context)?.values() ?? []) tally.clear();
      context.notifyAll('reactions.changed', { enabled });
    },

    snapshot: () => ({ enabled: true }),

    onTold(context, server, data) {
      const told = toldSchema.safeParse(data);
      if (!told.success) return;
      if (context.rules.reactions.restricted && peopleOf(context, server).length === 0) return;
      for (const { reaction, count } of told.data.counts) tallyOf(context, server).add(reaction, count);
    },

    left(context) {
      const here = new Set(context.participants().map(({ organisation }) => organisation));
      const ofConference = tallies.get(context);
      for (const server of ofConference?.keys() ?? []) if (!here.has(server)) ofConference?.delete(server);
    },
  };
}

/** Another instance tells what it likes: not more counts than its people could have sent. */
function believable(context: MeetingContext, server: string, sums: Counts): Counts {
  const most = Math.max(1, peopleOf(context, server).length) * REACTION_RATE.points;
  return sums.map(({ reaction, count }) => ({ reaction, count: Math.min(count, most) }));
}

/** Those of an organisation whose reactions the rules of the meeting allow. */
function peopleOf(context: MeetingContext, server: string): Participant[] {
  return context.participants().filter((one) => one.organisation === server && context.allows('reactions', one));
}

/** @throws MatrixError 429 when somebody has sent too much lately */
async function take(rate: RateLimiterMemory, key: string): Promise<void> {
  try {
    await rate.consume(key);
  } catch (error) {
    if (!(error instanceof RateLimiterRes)) throw error;
    throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many reactions. Please wait a moment.', {
      retry_after_ms: error.msBeforeNext,
    });
  }
}
