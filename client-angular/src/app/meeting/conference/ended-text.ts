import type { EndReason } from '../../conference/conference-client.ts';
import { isolate } from '../../core/isolate.ts';
import { untrustedText } from '../../core/untrusted-text.ts';
import { SessionError } from '../../session/session-error.ts';

export interface Ending {
  title: string;
  text: string;
  /** Trying again makes sense. */
  again: boolean;
}

export function endedText(reason: EndReason): Ending {
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
    case 'banned':
    case 'waiting':
      return {
        title: $localize`:@@ended.removedTitle:You are no longer in this meeting`,
        text: $localize`:@@ended.removed:Somebody who leads the meeting has removed you, or your invitation was withdrawn.`,
        again: false,
      };
    case 'ended':
    case 'time-limit':
      return {
        title: $localize`:@@ended.endedTitle:The meeting has ended`,
        text: $localize`:@@ended.ended:It was ended for everybody.`,
        again: false,
      };
    case 'signed-out':
      return {
        title: $localize`:@@ended.signedOutTitle:You were logged out`,
        text: $localize`:@@ended.signedOut:Log in again to go on.`,
        again: false,
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
