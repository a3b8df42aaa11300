import { inject } from '@angular/core';
import type { MeetingModule } from '../../conference/meeting-module.ts';
import { Alone } from './alone.ts';

/** The inactivity guard, as whoever is alone sees it. */
export function aloneModule(): MeetingModule {
  const alone = inject(Alone);
  return {
    name: 'alone',
    stage: async () => (await import('./alone-question.ts')).AloneQuestion,
    notifications: { 'alone.changed': (state) => alone.changed(state) },
    joined: (snapshot) => alone.load(snapshot.modules.alone),
    left: () => alone.forget(),
  };
}
