import { computed, inject } from '@angular/core';
import { reactionSchema } from '../../../../../protocol/modules/reactions.ts';
import type { Action, MeetingModule } from '../../conference/meeting-module.ts';
import { Restrictions } from '../../conference/restrictions.ts';
import { Rights } from '../../conference/rights.ts';
import { GLYPHS, reactionText } from './reaction-texts.ts';
import { Reactions } from './reactions.ts';

/** A short sign to everybody without taking the floor. */
export function reactionsModule(): MeetingModule {
  const reactions = inject(Reactions);
  const rights = inject(Rights);
  const restrictions = inject(Restrictions);
  const items = reactionSchema.options.map((reaction) => ({
    name: `react-${reaction}`,
    text: reactionText(reaction),
    glyph: GLYPHS[reaction],
    run: () => void reactions.send(reaction),
  }));
  const turn = (): Action =>
    reactions.enabled()
      ? {
          name: 'switch-reactions',
          text: $localize`:@@reactions.switchOff:Switch reactions off`,
          run: () => void reactions.enable(false),
        }
      : {
          name: 'switch-reactions',
          text: $localize`:@@reactions.switchOn:Allow reactions`,
          run: () => void reactions.enable(true),
        };
  return {
    name: 'reactions',
    on: reactions.on,
    buttons: [
      {
        kind: 'menu',
        name: 'reactions',
        icon: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM8.2 14.2c1 1.6 2.3 2.4 3.8 2.4s2.8-.8 3.8-2.4M9 9.6v.4M15 9.6v.4',
        text: $localize`:@@reactions.button:Reactions`,
        hint: computed(() =>
          reactions.enabled()
            ? (restrictions.reason('reactions') ?? $localize`:@@reactions.hint:Applaud, agree, thank …`)
            : $localize`:@@reactions.off:Reactions are switched off in this meeting`,
        ),
        off: computed(
          () => (!reactions.enabled() && !rights.may('switch-reactions')) || restrictions.holds('reactions'),
        ),
        items: computed(() => [
          ...(reactions.enabled() ? items : []),
          ...(rights.may('switch-reactions') ? [turn()] : []),
        ]),
      },
    ],
    stage: async () => (await import('./shown-reactions.ts')).ShownReactionsList,
    notifications: {
      'reactions.shown': (shown) => reactions.received(shown),
      'reactions.changed': ({ enabled }) => reactions.changed(enabled),
    },
    joined: (snapshot) => reactions.load(snapshot.modules.reactions),
    left: () => reactions.forget(),
  };
}
