import { computed, inject } from '@angular/core';
import type { MeetingAction, MeetingModule } from '../../conference/meeting-module.ts';
import { Sounds } from '../../core/sounds.ts';
import { PATHS } from '../../shared/icon.ts';
import { Waiting } from './waiting.ts';

/** Letting in who waits, for those who lead the meeting. */
export function waitingModule(): MeetingModule {
  const waiting = inject(Waiting);
  const sounds = inject(Sounds);
  return {
    name: 'waiting',
    on: waiting.on,
    people: async () => (await import('./waiting-list.ts')).WaitingPeople,
    stage: async () => (await import('./waiting-line.ts')).WaitingLine,
    peopleBadge: computed(() =>
      waiting.count() > 0 ? { count: waiting.count(), label: $localize`:@@waiting.badge: are waiting` } : undefined,
    ),
    actionsOnAll: (): readonly MeetingAction[] => {
      const count = waiting.count();
      const isOn = sounds.isOn('waits');
      return [
        {
          name: 'admit-all',
          place: 'head',
          icon: PATHS.check,
          text:
            count > 0
              ? $localize`:@@waiting.admitAllCount:Admit all (${count}:COUNT:)`
              : $localize`:@@waiting.admitAll:Admit all`,
          off: count > 0 ? undefined : $localize`:@@waiting.nobody:Nobody is waiting`,
          run: () => void waiting.admitAll(),
        },
        {
          name: 'waiting-sound',
          place: 'more',
          text: isOn
            ? $localize`:@@waiting.soundOff:No sound when somebody waits`
            : $localize`:@@waiting.soundOn:Sound when somebody waits`,
          run: () => sounds.turn('waits', !isOn),
        },
      ];
    },
    notifications: { 'waiting.list': (list) => waiting.changed(list) },
    joined: (snapshot) => waiting.load(snapshot.modules.waiting),
    left: () => waiting.forget(),
  };
}
