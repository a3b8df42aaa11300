import { inject } from '@angular/core';
import type { Participant } from '../../../../../protocol/session.ts';
import type { IconPath, MeetingAction, MeetingModule, PersonAction } from '../../conference/meeting-module.ts';
import { Rights } from '../../conference/rights.ts';
import { allowText, OFFERED, type OfferedRule, PERSONAL, restrictText, RULE_ICONS } from './rule-texts.ts';
import { MeetingRules } from './rules.ts';

const LOCK: IconPath = 'M6 11h12v9H6zM8.5 11V7.5a3.5 3.5 0 0 1 7 0V11';
const UNLOCKED: IconPath = 'M6 11h12v9H6zM8.5 11V7.5a3.5 3.5 0 0 1 6.7-1.4';

/** What holds in a meeting, for those who lead it. */
export function rulesModule(): MeetingModule {
  const rules = inject(MeetingRules);
  const rights = inject(Rights);
  function restriction(rule: OfferedRule): MeetingAction {
    const { restricted } = rules.all()[rule];
    return {
      name: `restrict-${rule}`,
      place: 'more',
      part: 'rules',
      icon: RULE_ICONS[rule],
      text: restrictText(rule, restricted),
      run: () => void rules.restrict(rule, !restricted),
    };
  }

  /** Letting people through a rule that holds, or not any more. */
  function allowing(people: readonly Participant[]): PersonAction[] {
    if (!rights.may('set-rules')) return [];
    const under = people.filter(({ role }) => role === 'participant' || role === 'guest');
    return PERSONAL.flatMap((rule) => {
      const { restricted, allow } = rules.all()[rule];
      if (!restricted || under.length === 0) return [];
      const ids = under.map(({ userId }) => userId);
      const allowed = ids.every((userId) => allow.includes(userId));
      return [
        {
          name: `allow-${rule}`,
          part: 'sends',
          icon: RULE_ICONS[rule],
          text: allowText(rule, allowed),
          run: () => void rules.allow(rule, ids, !allowed),
        },
      ];
    });
  }

  return {
    name: 'rules',
    actionsOn: (people) => allowing(people),
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
        ...OFFERED.map((rule) => restriction(rule)),
      ];
    },
    notifications: {
      'rules.changed': (all) => rules.changed(all),
      'rules.stopped': (stopped) => rules.stopped(stopped),
    },
    joined: (snapshot) => rules.load(snapshot.modules.rules),
    left: () => rules.load(undefined),
  };
}
