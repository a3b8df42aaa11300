/** What is offered about the rules of a meeting, in words. */
import type { RestrictionName } from '../../../../../protocol/modules/rules.ts';
import type { IconPath } from '../../conference/meeting-module.ts';
import { PATHS } from '../../shared/icon.ts';

/** What can be restricted for a whole meeting. */
export const OFFERED = ['microphone', 'camera', 'screen', 'chat', 'reactions', 'hands'] as const;
export type OfferedRule = (typeof OFFERED)[number] & RestrictionName;
/** What people can be let through for by name. */
export const PERSONAL = ['microphone', 'camera', 'screen'] as const;
export type PersonalRule = (typeof PERSONAL)[number];

export const RULE_ICONS: Readonly<Record<OfferedRule, IconPath>> = {
  microphone: PATHS['mic-off'],
  camera: PATHS['camera-off'],
  screen: PATHS.screen,
  chat: PATHS.send,
  reactions: PATHS.check,
  hands: PATHS.person,
};

/** @param restricted as it is now */
export function restrictText(rule: OfferedRule, restricted: boolean): string {
  switch (rule) {
    case 'microphone':
      return restricted
        ? $localize`:@@rules.liftMicrophone:Let everybody turn on the microphone`
        : $localize`:@@rules.restrictMicrophone:Restrict microphones`;
    case 'camera':
      return restricted
        ? $localize`:@@rules.liftCamera:Let everybody turn on the camera`
        : $localize`:@@rules.restrictCamera:Restrict cameras`;
    case 'screen':
      return restricted
        ? $localize`:@@rules.liftScreen:Let everybody share the screen`
        : $localize`:@@rules.restrictScreen:Restrict the sharing of screens`;
    case 'chat':
      return restricted
        ? $localize`:@@rules.liftChat:Let everybody write in the chat`
        : $localize`:@@rules.restrictChat:Restrict the chat`;
    case 'reactions':
      return restricted
        ? $localize`:@@rules.liftReactions:Let everybody react`
        : $localize`:@@rules.restrictReactions:Restrict reactions`;
    case 'hands':
      return restricted
        ? $localize`:@@rules.liftHands:Let everybody raise a hand`
        : $localize`:@@rules.restrictHands:Restrict raising hands`;
  }
}

/** @param allowed as it is now */
export function allowText(rule: PersonalRule, allowed: boolean): string {
  switch (rule) {
    case 'microphone':
      return allowed
        ? $localize`:@@rules.forbidMicrophone:Do not allow the microphone any more`
        : $localize`:@@rules.allowMicrophone:Allow the microphone`;
    case 'camera':
      return allowed
        ? $localize`:@@rules.forbidCamera:Do not allow the camera any more`
        : $localize`:@@rules.allowCamera:Allow the camera`;
    case 'screen':
      return allowed
        ? $localize`:@@rules.forbidScreen:Do not allow to share the screen any more`
        : $localize`:@@rules.allowScreen:Allow to share the screen`;
  }
}
