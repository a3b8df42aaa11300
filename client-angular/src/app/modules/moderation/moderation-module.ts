import { inject } from '@angular/core';
import type { Action, MeetingModule } from '../../conference/meeting-module.ts';
import { Rights } from '../../conference/rights.ts';
import { isAudible, Moderation } from './moderation.ts';

/** What those who lead a meeting do about others, of whichever organisation. */
export function moderationModule(): MeetingModule {
  const moderation = new Moderation();
  const rights = inject(Rights);
  return {
    name: 'moderation',
    actionsOn: (person) => {
      if (!moderation.isOther(person)) return [];
      const actions: Action[] = [];
      if (rights.may('mute') && isAudible(person)) {
        const text = $localize`:@@moderation.mute:Mute`;
        actions.push({ name: 'mute-person', text, run: () => void moderation.mute([person]) });
      }
      if (rights.mayOver('remove', person)) {
        const text = $localize`:@@moderation.remove:Remove from the meeting …`;
        actions.push({ name: 'remove-person', text, run: () => void moderation.remove(person) });
      }
      return actions;
    },
    actionsOnAll: () => {
      if (!rights.may('mute') || moderation.audible().length === 0) return [];
      const text = $localize`:@@moderation.muteAll:Mute all others`;
      return [{ name: 'mute-all', text, run: () => void moderation.mute(moderation.audible()) }];
    },
    notifications: { 'moderation.muted': (told) => moderation.muted(told) },
    left: () => moderation.left(),
  };
}
