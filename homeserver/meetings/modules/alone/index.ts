/** The inactivity guard of meetings: nobody sends or stays for hours because a window was forgotten. */
import { type Clock, systemClock } from '../../../base/clock.ts';
import type { MeetingContext, MeetingModule } from '../module.ts';
import { AloneGuard, type AloneTimes } from './alone-guard.ts';

export interface AloneModuleDeps {
  readonly alone: {
    readonly times: AloneTimes;
    /** Switches off what one of our participants sends. */
    mediaOff(roomId: string, participantId: string): void;
    /** Takes one of our participants out of the conference. */
    leave(roomId: string, participantId: string): void;
  };
  /** Absent, that of the system. */
  readonly clock?: Clock;
}

export function aloneModule({ alone, clock = systemClock }: AloneModuleDeps): MeetingModule<'alone'> {
  const { times } = alone;
  const guards = new WeakMap<MeetingContext, AloneGuard>();

  function guardOf(context: MeetingContext): AloneGuard {
    const known = guards.get(context);
    if (known) return known;
    const each = (task: typeof alone.leave): void => {
      for (const { participantId } of context.own()) task(context.roomId, participantId);
    };
    const guard = new AloneGuard({
      times,
      clock,
      changed: (state) => context.notifyAll('alone.changed', state),
      mediaOff: () => each((...who) => alone.mediaOff(...who)),
      leave: () => each((...who) => alone.leave(...who)),
    });
    guards.set(context, guard);
    return guard;
  }

  /** Somebody with two devices is one person. */
  function look(context: MeetingContext): void {
    const isOurs = context.own().length > 0;
    const people = isOurs ? new Set(context.participants().map(({ userId }) => userId)).size : 0;
    guardOf(context).count(people);
  }

  return {
    requests: {
      'alone.stay'(asker) {
        guardOf(asker.place().context).stay();
        return {};
      },
    },
    peopleChanged: look,
    left: look,
    snapshot: (context) => guardOf(context).state,
  };
}
