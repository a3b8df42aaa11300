/** What is asked before something that cannot be undone, or not by whoever does it. */
import type { EndFor } from '../../../../../protocol/modules/moderation.ts';
import { isolate } from '../../core/isolate.ts';
import type { Question } from '../../shared/question-dialog.ts';

export interface Named {
  readonly name: string;
  readonly organisation: string;
}

/** One person stands in the sentence, several in a list below it. */
function about(people: readonly Named[]): { whom: string; list: Pick<Question, 'people'> } {
  const [first] = people;
  return people.length === 1 && first
    ? { whom: `${isolate(first.name)} (${isolate(first.organisation)})`, list: {} }
    : { whom: '', list: { people } };
}

export function remove(people: readonly Named[]): Question {
  const { whom, list } = about(people);
  return {
    name: 'remove',
    title: $localize`:@@remove.title:Remove from the meeting?`,
    text: whom
      ? $localize`:@@remove.textOne:${whom}:NAME: is no longer in the meeting then, and is told that you have done this. Whoever was removed can be invited again.`
      : $localize`:@@remove.textMany:These ${people.length}:COUNT: people are no longer in the meeting then, and are told that you have done this. Whoever was removed can be invited again.`,
    ...list,
    yes: $localize`:@@remove.yes:Remove`,
    no: $localize`:@@remove.no:Leave in the meeting`,
  };
}

export function ban(people: readonly Named[]): Question {
  const { whom, list } = about(people);
  return {
    name: 'ban',
    title: $localize`:@@ban.title:Ban for good?`,
    text: whom
      ? $localize`:@@ban.textOne:${whom}:NAME: is out of the meeting then and does not get in again, neither by an invitation nor, in the same browser, by a guest link.`
      : $localize`:@@ban.textMany:These ${people.length}:COUNT: people are out of the meeting then and do not get in again, neither by an invitation nor, in the same browser, by a guest link.`,
    ...list,
    yes: $localize`:@@ban.yes:Ban`,
    no: $localize`:@@remove.no:Leave in the meeting`,
  };
}

export function makeOwner(name: string): Question {
  return {
    name: 'owner',
    title: $localize`:@@owner.title:Make an owner?`,
    text: $localize`:@@owner.text:${name}:NAME: may do all that you may do then. Nobody can take that back, not even you.`,
    yes: $localize`:@@owner.yes:Make an owner`,
    no: $localize`:@@question.cancel:Cancel`,
  };
}

export function makeModerator(name: string): Question {
  return {
    name: 'moderator',
    title: $localize`:@@moderator.title:Make a moderator?`,
    text: $localize`:@@moderator.text:${name}:NAME: may moderate the meeting as you do then. Only an owner can take that back.`,
    yes: $localize`:@@moderator.yes:Make a moderator`,
    no: $localize`:@@question.cancel:Cancel`,
  };
}

export function end(whom: EndFor): Question {
  const no = $localize`:@@end.no:Go on`;
  switch (whom) {
    case 'guests':
      return {
        name: 'end',
        title: $localize`:@@end.guestsTitle:End the meeting for guests?`,
        text: $localize`:@@end.guestsText:All guests leave the meeting. Everybody else stays connected.`,
        yes: $localize`:@@end.guestsYes:End for guests`,
        no,
      };
    case 'participants':
      return {
        name: 'end',
        title: $localize`:@@end.participantsTitle:End the meeting for all but those who lead it?`,
        text: $localize`:@@end.participantsText:Owners and moderators stay connected among themselves, without interruption. Everybody else leaves the meeting.`,
        yes: $localize`:@@end.participantsYes:End for the others`,
        no,
      };
    case 'everybody':
      return {
        name: 'end',
        title: $localize`:@@end.everybodyTitle:End the meeting for everybody?`,
        text: $localize`:@@end.everybodyText:Everybody leaves, you as well. The meeting itself stays and can be entered again.`,
        yes: $localize`:@@end.everybodyYes:End for everybody`,
        no,
      };
  }
}
