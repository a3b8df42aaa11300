import { computed, inject } from '@angular/core';
import type { MeetingModule } from '../../conference/meeting-module.ts';
import { Restrictions } from '../../conference/restrictions.ts';
import { Rights } from '../../conference/rights.ts';
import { Hands } from './hands.ts';

const HAND =
  'M8 12.5V6.2a1.3 1.3 0 0 1 2.6 0v4.3m0-5.8a1.3 1.3 0 0 1 2.6 0v5.8m0-4.5a1.3 1.3 0 0 1 2.6 0v5.5m0-3.3a1.2 1.2 0 0 1 2.4 0v6c0 3.2-2 6.1-5.7 6.1-3 0-4.4-1.4-5.7-3.7L4.6 13a1.3 1.3 0 0 1 2.1-1.5L8 13.2';

/** Raising a hand, and calling on people in the order of their hands. */
export function handsModule(): MeetingModule {
  const hands = inject(Hands);
  const rights = inject(Rights);
  const restrictions = inject(Restrictions);
  return {
    name: 'hands',
    on: hands.on,
    buttons: [
      {
        kind: 'toggle',
        name: 'raise-hand',
        icon: HAND,
        text: $localize`:@@hands.button:Raise hand`,
        key: 'h',
        pressed: hands.own,
        off: computed(() => !hands.enabled() || (!hands.own() && restrictions.holds('hands'))),
        hint: computed(() => {
          if (!hands.enabled()) return $localize`:@@hands.off:Raising hands is switched off in this meeting`;
          const reason = hands.own() ? undefined : restrictions.reason('hands');
          if (reason !== undefined) return reason;
          return hands.own()
            ? $localize`:@@hands.lowerOwn:Lower your hand again`
            : $localize`:@@hands.raiseOwn:Show that you would like to speak`;
        }),
        press: () => hands.toggle(),
      },
    ],
    people: async () => (await import('./hands-list.ts')).HandsList,
    mark: ({ participantId }) => {
      const place = hands.place(participantId);
      if (place === undefined) return undefined;
      const label = $localize`:@@hands.mark:Hand raised, number ${place}:PLACE:`;
      return { name: 'hand', icon: HAND, text: String(place), label };
    },
    grouping: {
      name: 'hands',
      text: $localize`:@@hands.grouping:Hands`,
      titles: { placed: $localize`:@@hands.title:Raised hands`, others: $localize`:@@hands.others:Everybody else` },
      place: ({ participantId }) => hands.place(participantId),
    },
    actionsOn: (people) => {
      const raised = people.filter(({ participantId }) => hands.place(participantId) !== undefined);
      if (!rights.may('lower-hands') || raised.length === 0) return [];
      const text =
        people.length === 1
          ? $localize`:@@hands.lower:Lower the hand`
          : $localize`:@@hands.lowerSome:Lower hands (${raised.length}:COUNT:)`;
      return [{ name: 'lower-hand', part: 'is', icon: HAND, text, run: () => void hands.lower(raised) }];
    },
    actionsOnAll: () => {
      if (!rights.may('lower-hands') || hands.raised().length === 0) return [];
      const text = $localize`:@@hands.lowerAllHands:Lower all hands`;
      return [{ name: 'lower-hands', place: 'more', part: 'now', icon: HAND, text, run: () => void hands.lowerAll() }];
    },
    notifications: {
      'hands.changed': ({ enabled }) => hands.changed(enabled),
      'hands.lowered': ({ by }) => hands.lowered(by),
    },
    joined: (snapshot) => hands.load(snapshot.modules.hands),
    left: () => hands.forget(),
  };
}
