import type { NameOf } from '../core/error-text.ts';
import { isolate } from '../core/isolate.ts';
import { untrustedText } from '../core/untrusted-text.ts';
import type { Invitation } from './invitation.ts';

/** Errors by which a server says that it does not take messages of ours. */
const UNTRUSTED = new Set(['M_UNAUTHORIZED', 'M_UNAUTHORISED', 'M_UNKNOWN_TOKEN', 'M_MISSING_TOKEN']);
const TOO_OLD = new Set(['M_INCOMPATIBLE_ROOM_VERSION', 'M_UNSUPPORTED_ROOM_VERSION']);

/** What goes on behind the id of somebody who is invited, or could not be. */
export function invitationText(invitation: Invitation, nameOf: NameOf): string {
  const { organisation: server, organisationName, retryAfterMs } = invitation;
  const organisation = organisationName === undefined ? nameOf(server) : isolate(organisationName);
  switch (invitation.outcome) {
    case 'sending':
      return $localize`:@@invite.sending:is being invited …`;
    case 'invited':
      return $localize`:@@invite.done:is invited.`;
    case 'pending':
      return $localize`:@@invite.pending:will be invited. The server of ${organisation}:ORGANISATION: does not answer yet; yours keeps trying.`;
    case 'already-invited':
      return $localize`:@@invite.alreadyInvited:was invited before and has not answered yet.`;
    case 'already-member':
      return $localize`:@@invite.alreadyThere:is in this meeting already.`;
    case 'self':
      return $localize`:@@invite.oneself:is you. You are in this meeting already.`;
    case 'mail-address':
      return $localize`:@@invite.mail:is a mail address and no Matrix id. Ask for the id, or send a guest link by mail.`;
    case 'bad-id':
      return $localize`:@@invite.noId:is no Matrix id. Such an id looks like @name:organisation.example.`;
    case 'no-such-person':
      return $localize`:@@invite.unknown:is not known to ${organisation}:ORGANISATION:. Check the spelling.`;
    case 'banned':
      return $localize`:@@invite.banned:was removed from this meeting for good, and cannot be invited.`;
    case 'untrusted':
      return $localize`:@@invite.notConnected:is not invited. ${untrustedText(organisation, invitation.reason)}:WHY:`;
    case 'unreachable':
      return $localize`:@@invite.unreachable:is not invited: the server of ${organisation}:ORGANISATION: could not be reached. Try again later.`;
    case 'offline':
      return $localize`:@@invite.offline:is not invited: your organisation’s server does not answer. Check your connection and try again.`;
    case 'too-many': {
      const seconds = Math.max(1, Math.ceil((retryAfterMs ?? 60_000) / 1_000));
      return $localize`:@@invite.tooMany:is not invited yet: very many requests reach your organisation’s server. Try again in ${seconds}:SECONDS: s.`;
    }
    case 'not-allowed':
      return $localize`:@@invite.notAllowed:is not invited: you do not have the right to invite to this meeting. Ask the person who leads it.`;
    case 'refused':
      return refusal(invitation, organisation);
    case 'failed':
      return $localize`:@@invite.failed:is not invited: something went wrong on your organisation’s server. Try again; if it stays, tell the help desk.`;
  }
}

function refusal({ errcode }: Invitation, organisation: string): string {
  if (errcode !== undefined && UNTRUSTED.has(errcode)) {
    return $localize`:@@invite.untrusted:is not invited: ${organisation}:ORGANISATION: does not accept messages of your organisation’s server. Tell the help desk.`;
  }
  if (errcode !== undefined && TOO_OLD.has(errcode)) {
    return $localize`:@@invite.tooOld:is not invited: the server of ${organisation}:ORGANISATION: is too old for meetings of this kind. Send a guest link instead.`;
  }
  if (errcode === 'M_LIMIT_EXCEEDED') {
    return $localize`:@@invite.limited:is not invited yet: very many requests reach the server of ${organisation}:ORGANISATION:. Try again in a minute.`;
  }
  return $localize`:@@invite.refused:is not invited: ${organisation}:ORGANISATION: does not accept this invitation.`;
}
