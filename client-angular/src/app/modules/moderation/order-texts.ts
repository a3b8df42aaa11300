/** What has become of an order, in words. */
import type { EndFor, GivenRole } from '../../../../../protocol/modules/moderation.ts';
import type { OrderTexts } from '../../conference/orders.ts';

export const MUTE: OrderTexts = {
  one: (name) => $localize`:@@moderation.mutedOne:${name}:NAME: is muted.`,
  many: (count) => $localize`:@@moderation.mutedMany:${count}:COUNT: people are muted.`,
  unreached: (organisations) =>
    $localize`:@@moderation.muteUnreached:${organisations}:ORGANISATIONS: could not be reached: whoever was to be muted may still be heard there.`,
};

export const CAMERA_OFF: OrderTexts = {
  one: (name) => $localize`:@@moderation.cameraOffOne:The camera of ${name}:NAME: is off.`,
  many: (count) => $localize`:@@moderation.cameraOffMany:The cameras of ${count}:COUNT: people are off.`,
  unreached: (organisations) =>
    $localize`:@@moderation.cameraUnreached:${organisations}:ORGANISATIONS: could not be reached: cameras there may still be on.`,
};

export const STOP_SHARE: OrderTexts = {
  one: (name) => $localize`:@@moderation.shareEndedOne:${name}:NAME: no longer shows the screen.`,
  many: (count) => $localize`:@@moderation.shareEndedMany:${count}:COUNT: people no longer show their screens.`,
  unreached: (organisations) =>
    $localize`:@@moderation.shareUnreached:${organisations}:ORGANISATIONS: could not be reached: what people show there may still be seen.`,
};

export const ASK_UNMUTE: OrderTexts = {
  one: (name) => $localize`:@@moderation.askedOne:${name}:NAME: is asked to turn on the microphone.`,
  many: (count) => $localize`:@@moderation.askedMany:${count}:COUNT: people are asked to turn on their microphones.`,
  unreached: (organisations) =>
    $localize`:@@moderation.askUnreached:${organisations}:ORGANISATIONS: could not be reached: nobody was asked there.`,
};

function goneUnreached(organisations: string): string {
  return $localize`:@@moderation.goneUnreached:${organisations}:ORGANISATIONS: could not be reached: whoever is out of this meeting now may still be seen and heard there.`;
}

export const WAIT: OrderTexts = {
  one: (name) => $localize`:@@moderation.waitsOne:${name}:NAME: is in the waiting room.`,
  many: (count) => $localize`:@@moderation.waitsMany:${count}:COUNT: people are in the waiting room.`,
  unreached: goneUnreached,
};

export const REMOVE: OrderTexts = {
  one: (name) => $localize`:@@moderation.removed:${name}:NAME: was removed from the meeting.`,
  many: (count) => $localize`:@@moderation.removedMany:${count}:COUNT: people were removed from the meeting.`,
  unreached: goneUnreached,
};

export const BAN: OrderTexts = {
  one: (name) => $localize`:@@moderation.bannedOne:${name}:NAME: was banned from the meeting.`,
  many: (count) => $localize`:@@moderation.bannedMany:${count}:COUNT: people were banned from the meeting.`,
  unreached: goneUnreached,
};

export function renamed(old: string, name: string): string {
  return $localize`:@@moderation.renamed:${old}:OLD: is called ${name}:NAME: now.`;
}

export function renameUnreached(organisations: string): string {
  return $localize`:@@moderation.renameUnreached:${organisations}:ORGANISATIONS: could not be reached: the guest still has the old name.`;
}

export function hasRole(name: string, role: GivenRole): string {
  switch (role) {
    case 'owner':
      return $localize`:@@moderation.isOwner:${name}:NAME: is an owner of this meeting now.`;
    case 'moderator':
      return $localize`:@@moderation.isModerator:${name}:NAME: moderates this meeting now.`;
    case 'participant':
      return $localize`:@@moderation.isParticipant:${name}:NAME: does not moderate this meeting any more.`;
  }
}

export function ended(whom: EndFor): string {
  switch (whom) {
    case 'guests':
      return $localize`:@@moderation.endedGuests:The meeting has ended for guests.`;
    case 'participants':
      return $localize`:@@moderation.endedParticipants:The meeting has ended for all but those who lead it.`;
    case 'everybody':
      return $localize`:@@moderation.endedEverybody:The meeting has ended for everybody.`;
  }
}

export function endUnreached(organisations: string): string {
  return $localize`:@@moderation.endUnreached:${organisations}:ORGANISATIONS: could not be reached: the meeting may go on there.`;
}
