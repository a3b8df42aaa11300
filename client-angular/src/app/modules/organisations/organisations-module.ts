import { inject } from '@angular/core';
import type { MeetingModule } from '../../conference/meeting-module.ts';
import { ShutOuts } from '../../conference/shut-outs.ts';

/** Which organisations may take part; "Connections" shows it. */
export function organisationsModule(): MeetingModule {
  const shutOuts = inject(ShutOuts);
  return {
    name: 'organisations',
    notifications: { 'organisations.shut-out-changed': (told) => shutOuts.changed(told) },
    left: () => shutOuts.clear(),
  };
}
