import { inject } from '@angular/core';
import type { EndFor } from '../../../../../protocol/modules/moderation.ts';
import type { MeetingAction, MeetingModule } from '../../conference/meeting-module.ts';
import { Rights } from '../../conference/rights.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { PATHS } from '../../shared/icon.ts';
import { Acts } from './acts.ts';
import { ModerationNotices } from './notices.ts';
import { personActions, sends } from './person-actions.ts';
import { ToldOrders } from './told-orders.ts';

/** What those who lead a meeting do about others, of whichever organisation. */
export function moderationModule(): MeetingModule {
  const notices = new ModerationNotices();
  const acts = new Acts();
  const toldOrders = new ToldOrders();
  const rights = inject(Rights);
  const store = inject(ConferenceStore);
  const isOther = ({ participantId }: { participantId: string }): boolean => participantId !== store.me();

  function muteAll(): MeetingAction[] {
    if (!rights.may('mute')) return [];
    const audible = store.participants().filter((person) => isOther(person) && sends(person, 'microphone'));
    return [
      {
        name: 'mute-all',
        place: 'head',
        icon: PATHS['mic-off'],
        text: $localize`:@@moderation.muteAll:Mute all`,
        off:
          audible.length === 0 ? $localize`:@@moderation.nobodyAudible:Nobody else has the microphone on.` : undefined,
        run: () => void acts.mute(audible),
      },
    ];
  }

  function ends(): MeetingAction[] {
    if (!rights.may('end')) return [];
    const led = store.participants().filter(({ role }) => role === 'participant' || role === 'guest');
    const texts: Readonly<Record<EndFor, string>> = {
      guests: $localize`:@@moderation.endGuests:End for guests …`,
      participants: $localize`:@@moderation.endParticipants:End for all but those who lead …`,
      everybody: $localize`:@@moderation.endEverybody:End for everybody …`,
    };
    const wanted: EndFor[] = ['everybody'];
    if (led.length > 0) wanted.unshift('participants');
    if (led.some(({ role }) => role === 'guest')) wanted.unshift('guests');
    return wanted.map((whom) => ({
      name: `end-${whom}`,
      place: 'more',
      part: 'end',
      icon: PATHS.leave,
      text: texts[whom],
      run: () => void acts.end(whom),
    }));
  }

  return {
    name: 'moderation',
    actionsOn: (people) => personActions(people.filter(isOther), rights, acts),
    actionsOnAll: () => [...muteAll(), ...ends()],
    notifications: {
      'moderation.done': (done) => notices.done(done),
      'moderation.time-limit': (limit) => notices.timeLimit(limit),
      'moderation.told': (order) => toldOrders.told(order),
    },
    left: () => {
      acts.left();
      toldOrders.forget();
    },
  };
}
