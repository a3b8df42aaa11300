/** The modules of meetings. */
import type { ModuleName } from '../../../protocol/modules/list.ts';
import { type AloneModuleDeps, aloneModule } from './alone/index.ts';
import { chatModule, type ChatModuleDeps } from './chat/index.ts';
import { handsModule } from './hands/index.ts';
import { type ModerationModuleDeps, moderationModule } from './moderation/index.ts';
import { organisationsModule, type OrganisationsModuleDeps } from './organisations/index.ts';
import { reactionsModule } from './reactions/index.ts';
import { type RulesModuleDeps, rulesModule } from './rules/index.ts';
import { type WaitingModuleDeps, waitingModule } from './waiting/index.ts';
import type { MeetingModule } from './module.ts';

export type ModuleDeps = AloneModuleDeps &
  ChatModuleDeps &
  ModerationModuleDeps &
  OrganisationsModuleDeps &
  RulesModuleDeps &
  WaitingModuleDeps;

/** A module, or one of its handlers, that is missing does not compile. */
export type MeetingModules = { readonly [N in ModuleName]: MeetingModule<N> };

export function meetingModules(deps: ModuleDeps): MeetingModules {
  return {
    alone: aloneModule(deps),
    chat: chatModule(deps),
    hands: handsModule(),
    moderation: moderationModule(deps),
    organisations: organisationsModule(deps),
    reactions: reactionsModule(deps),
    rules: rulesModule(deps),
    waiting: waitingModule(deps),
  };
}
