import { inject, signal } from '@angular/core';
import type { MeetingModule } from '../../conference/meeting-module.ts';
import { Rights } from '../../conference/rights.ts';
import { OwnDialogs } from '../../shared/own-dialogs.ts';

/** The log of the meeting: for those who lead it, or for all, as its rules say. */
export function logModule(): MeetingModule {
  const rights = inject(Rights);
  const dialogs = inject(OwnDialogs);
  const isForAll = signal(false);
  return {
    name: 'log',
    actionsOnAll: () => {
      if (!isForAll() && !rights.may('read-log')) return [];
      return [
        {
          name: 'show-log',
          place: 'more',
          text: $localize`:@@log.show:Log of the meeting …`,
          run: () =>
            void dialogs.ask(async () => (await import('./log-dialog.ts')).LogDialog, {
              width: '720px',
              maxWidth: '96vw',
              autoFocus: 'dialog',
            }),
        },
      ];
    },
    notifications: { 'rules.changed': ({ log }) => isForAll.set(log.for === 'everybody') },
    joined: ({ modules }) => isForAll.set(modules.rules?.log.for === 'everybody'),
    left: () => isForAll.set(false),
  };
}
