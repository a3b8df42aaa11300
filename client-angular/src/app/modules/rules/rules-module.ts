import { inject } from '@angular/core';
import type { IconPath, MeetingModule } from '../../conference/meeting-module.ts';
import { Rights } from '../../conference/rights.ts';
import { MeetingRules } from './rules.ts';

const LOCK: IconPath = 'M6 11h12v9H6zM8.5 11V7.5a3.5 3.5 0 0 1 7 0V11';
const UNLOCKED: IconPath = 'M6 11h12v9H6zM8.5 11V7.5a3.5 3.5 0 0 1 6.7-1.4';

/** What holds in a meeting, for those who lead it. */
export function rulesModule(): MeetingModule {
  const rules = inject(MeetingRules);
  const rights = inject(Rights);
  return {
    name: 'rules',
    actionsOnAll: () => {
      if (!rights.may('set-rules')) return [];
      const locked = rules.locked();
      return [
        {
          name: 'lock',
          place: 'head',
          icon: locked ? LOCK : UNLOCKED,
          text: $localize`:@@rules.lock:Lock`,
          hint: $localize`:@@rules.lockHint:While the meeting is locked, nobody but those who lead it enters. Who is in stays.`,
          pressed: locked,
          run: () => void rules.set({ rule: 'lock', value: { locked: !locked } }),
        },
      ];
    },
    notifications: { 'rules.changed': (all) => rules.changed(all) },
    joined: (snapshot) => rules.load(snapshot.modules.rules),
    left: () => rules.load(undefined),
  };
}
