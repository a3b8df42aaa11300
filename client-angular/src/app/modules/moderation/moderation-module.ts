import { inject } from '@angular/core';
import type { MeetingModule, PersonAction } from '../../conference/meeting-module.ts';
import { Rights } from '../../conference/rights.ts';
import { isAudible, Moderation } from './moderation.ts';

/** What those who lead a meeting do about others, of whichever organisation. */
export function moderationModule(): MeetingModule {
  const moderation = new Moderation();
  const rights = inject(Rights);
  return {
    name: 'moderation',
    actionsOn: (people) => {
      const others = people.filter((person) => moderation.isOther(person));
      const [first] = others;
      if (!first) return [];
      const actions: PersonAction[] = [];
      const audible = others.filter((person) => isAudible(person));
      if (rights.may('mute') && audible.length > 0) {
        const text = $localize`:@@moderation.mute:Mute`;
        actions.push({ name: 'mute-person', part: 'sends', text, run: () => void moderation.mute(audible) });
      }
      if (people.length === 1 && rights.mayOver('remove', first)) {
        const text = $localize`:@@moderation.remove:Remove from the meeting …`;
        actions.push({ name: 'remove-person', part: 'goes', text, run: () => void moderation.remove(first) });
      }
      return actions;
    },
    actionsOnAll: () => {
      if (!rights.may('mute') || moderation.audible().length === 0) return [];
      const text = $localize`:@@moderation.muteAll:Mute all others`;
      return [{ name: 'mute-all', place: 'head', text, run: () => void moderation.mute(moderation.audible()) }];
    },
    notifications: { 'moderation.done': (done) => moderation.done(done) },
    left: () => moderation.left(),
  };
}
