/** All modules of meetings, in the order of their buttons: in the control bar, and at the head of the people panel. */
import type { Provider } from '@angular/core';
import { MEETING_MODULES, type MeetingModule } from '../conference/meeting-module.ts';
import { aloneModule } from './alone/alone-module.ts';
import { chatModule } from './chat/chat-module.ts';
import { handsModule } from './hands/hands-module.ts';
import { logModule } from './log/log-module.ts';
import { moderationModule } from './moderation/moderation-module.ts';
import { organisationsModule } from './organisations/organisations-module.ts';
import { reactionsModule } from './reactions/reactions-module.ts';
import { rulesModule } from './rules/rules-module.ts';
import { waitingModule } from './waiting/waiting-module.ts';

const ALL: readonly (() => MeetingModule)[] = [
  moderationModule,
  organisationsModule,
  waitingModule,
  rulesModule,
  handsModule,
  reactionsModule,
  chatModule,
  aloneModule,
  logModule,
];

export const MODULES: readonly Provider[] = ALL.map((useFactory) => ({
  provide: MEETING_MODULES,
  useFactory,
  multi: true,
}));
