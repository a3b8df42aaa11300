import type { EndFor } from '../../../../../protocol/modules/moderation.ts';
import type { Ended } from '../../conference/conference-client.ts';
import { isolate } from '../../core/isolate.ts';
import { untrustedText } from '../../core/untrusted-text.ts';
import { SessionError } from '../../session/session-error.ts';

export interface Ending {
  title: string;
  text: string;
  /** Trying again makes sense. */
  again: boolean;
}

/** @param nameOf the name of an organisation, by its server name */
export function endedText(
  { reason, by, organisation, for: whom }: Ended,
  nameOf: (serverName: string) => string,
): Ending {
  const from = organisation === undefined ? '' : ` (${isolate(nameOf(organisation))})`;
  const name = by === undefined ? undefined : isolate(by) + from;
  switch (reason) {
    case 'refused':
      return {
        title: $localize`:@@ended.refusedTitle:You were not let in`,
        text: $localize`:@@ended.refused:Those who lead the meeting did not let you in this time. If you think that this is a mistake, ask the person who invited you.`,
        again: false,
      };
    case 'over':
      return {
        title: $localize`:@@ended.overTitle:Waiting has ended`,
        text: $localize`:@@ended.over:The meeting has ended, or your invitation is no longer valid. Ask the person who invited you.`,
        again: false,
      };
    case 'removed':
      return {
        title: $localize`:@@ended.removedTitle:You are no longer in this meeting`,
        text:
          name === undefined
            ? $localize`:@@ended.removed:Somebody who leads the meeting has removed you, or your invitation was withdrawn.`
            : $localize`:@@ended.removedBy:${name}:NAME: has removed you from the meeting. You can come back when you are invited again.`,
        again: false,
      };
    case 'banned':
      return {
        title: $localize`:@@ended.removedTitle:You are no longer in this meeting`,
        text:
          name === undefined
            ? $localize`:@@ended.banned:Somebody who leads the meeting has removed you for good.`
            : $localize`:@@ended.bannedBy:${name}:NAME: has removed you from the meeting for good. You cannot come back.`,
        again: false,
      };
    case 'waiting':
      return {
        title: $localize`:@@ended.waitingTitle:You are in the waiting room again`,
        text:
          name === undefined
            ? $localize`:@@ended.waiting:Somebody who leads the meeting has sent you back to wait.`
            : $localize`:@@ended.waitingBy:${name}:NAME: has sent you back to wait. You come in when you are admitted again.`,
        again: true,
      };
    case 'ended':
      return {
        title:
          whom === undefined || whom === 'everybody'
            ? $localize`:@@ended.endedTitle:The meeting has ended`
            : $localize`:@@ended.endedForYouTitle:The meeting has ended for you`,
        text: endedBy(name, whom),
        again: false,
      };
    case 'time-limit':
      return {
        title: $localize`:@@ended.endedTitle:The meeting has ended`,
        text: $localize`:@@ended.timeLimit:Its time is over. Whoever leads the meeting can extend it.`,
        again: false,
      };
    case 'signed-out':
      return {
        title: $localize`:@@ended.signedOutTitle:You were logged out`,
        text: $localize`:@@ended.signedOut:Log in again to go on.`,
        again: false,
      };
    case 'alone':
      return {
        title: $localize`:@@ended.aloneTitle:You have left the meeting`,
        text: $localize`:@@ended.alone:You were alone in it for a long time. Camera and microphone are off; you can come back at any time.`,
        again: true,
      };
    case 'joined-elsewhere':
      return {
        title: $localize`:@@ended.elsewhereTitle:You are in the meeting in another window`,
        text: $localize`:@@ended.elsewhere:Each device takes part once. You can bring the meeting back here.`,
        again: true,
      };
    case 'left':
      return {
        title: $localize`:@@ended.leftTitle:You have left the meeting`,
        text: $localize`:@@ended.left:Camera and microphone are off.`,
        again: true,
      };
  }
}

function endedBy(name: string | undefined, whom: EndFor | undefined): string {
  if (name === undefined) return $localize`:@@ended.ended:It was ended for everybody.`;
  switch (whom) {
    case 'guests':
      return $localize`:@@ended.byForGuests:${name}:NAME: has ended the meeting for guests. The others go on.`;
    case 'participants':
      return $localize`:@@ended.byForParticipants:${name}:NAME: has ended the meeting for all but those who lead it.`;
    default:
      return $localize`:@@ended.byForEverybody:${name}:NAME: has ended the meeting for everybody.`;
  }
}

/** Why a conference could not be entered. */
export function failedText(error: unknown): Ending {
  const title = $localize`:@@failed.title:The meeting could not be entered`;
  const code = error instanceof SessionError ? error.code : undefined;
  const reference = error instanceof SessionError ? error.reference : undefined;
  const help =
    reference === undefined
      ? ''
      : ` ${$localize`:@@error.reference:(Code for the help desk: ${reference}:REFERENCE:)`}`;
  switch (code) {
    case 'forbidden':
    case 'not-found':
      return {
        title,
        text: $localize`:@@failed.forbidden:You are not invited to this meeting, or it does not exist any more.`,
        again: false,
      };
    case 'organisation-unreachable': {
      const organisation = (error instanceof SessionError ? error.organisation : undefined) ?? '';
      return {
        title,
        text:
          $localize`:@@failed.organisation:The server of the inviting organisation ${organisation}:ORGANISATION: does not answer. Try again in a moment.` +
          help,
        again: true,
      };
    }
    case 'organisation-untrusted': {
      const { organisation = '', reason } = error as SessionError;
      return { title, text: untrustedText(isolate(organisation), reason) + help, again: false };
    }
    case 'time-limit':
      return {
        title,
        text: $localize`:@@failed.timeLimit:The time of this meeting is over. Whoever leads it can extend it.`,
        again: true,
      };
    case 'sfu-unavailable':
      return {
        title,
        text:
          $localize`:@@failed.sfu:The media service of your organisation is just being restarted. Try again in a moment.` +
          help,
        again: true,
      };
    default:
      return {
        title,
        text:
          $localize`:@@failed.internal:Something went wrong on your organisation’s server. Try again; if it stays, tell the help desk.` +
          help,
        again: true,
      };
  }
}
