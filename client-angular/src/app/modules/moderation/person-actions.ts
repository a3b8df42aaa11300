/** What those who lead can do now about people, one or several: only what the own rights allow, and what changes something. */
import type { Source } from '../../../../../protocol/media.ts';
import type { Participant } from '../../../../../protocol/session.ts';
import type { PersonAction } from '../../conference/meeting-module.ts';
import type { Rights } from '../../conference/rights.ts';
import { PATHS } from '../../shared/icon.ts';
import type { Acts } from './acts.ts';
import { ICONS } from './icons.ts';

/** @param others people without the own person, one for a menu at a person, or several that were chosen */
export function personActions(others: readonly Participant[], rights: Rights, acts: Acts): PersonAction[] {
  const several = others.length > 1;
  const [one] = several ? [] : others;
  return [
    ...sendingActions(others, several, rights, acts),
    ...(one ? roleActions(one, rights, acts) : []),
    ...leavingActions(others, several, rights, acts),
  ];
}

/** Whether something is sent, or may be: of an organisation that has not said so yet nobody knows. */
export function sends({ sources, sourcesKnown }: Participant, source: Source): boolean {
  return sourcesKnown === false || sources.some((candidate) => candidate.source === source && !candidate.paused);
}

type Entry = Omit<PersonAction, 'run'> & {
  readonly people: readonly Participant[];
  act(people: readonly Participant[]): Promise<void>;
};

/** What concerns nobody is left out; several are counted, as not everybody who was chosen need be among them. */
function entries(several: boolean, all: readonly Entry[]): PersonAction[] {
  return all
    .filter(({ people }) => people.length > 0)
    .map(({ people, act, text, ...action }) => ({
      ...action,
      text: several ? $localize`:@@action.counted:${text}:ACTION: (${people.length}:COUNT:)` : text,
      run: () => void act(people),
    }));
}

function sendingActions(others: readonly Participant[], several: boolean, rights: Rights, acts: Acts): PersonAction[] {
  const part = 'sends';
  const sending = (source: Source): Participant[] => others.filter((person) => sends(person, source));
  return entries(several, [
    {
      name: 'mute-person',
      part,
      icon: PATHS['mic-off'],
      text: $localize`:@@moderation.mute:Mute`,
      people: rights.may('mute') ? sending('microphone') : [],
      act: (people) => acts.mute(people),
    },
    {
      name: 'ask-unmute',
      part,
      icon: PATHS.mic,
      text: $localize`:@@moderation.askUnmute:Ask to unmute`,
      people: rights.may('ask-unmute') ? others.filter((person) => !sends(person, 'microphone')) : [],
      act: (people) => acts.askUnmute(people),
    },
    {
      name: 'camera-off',
      part,
      icon: PATHS['camera-off'],
      text: $localize`:@@moderation.cameraOff:Turn the camera off`,
      people: rights.may('camera-off') ? sending('camera') : [],
      act: (people) => acts.cameraOff(people),
    },
    {
      name: 'stop-share',
      part,
      icon: ICONS.screenOff,
      text: $localize`:@@moderation.stopShare:End the screen share`,
      people: rights.may('stop-share') ? sending('screen') : [],
      act: (people) => acts.stopShare(people),
    },
  ]);
}

function roleActions(person: Participant, rights: Rights, acts: Acts): PersonAction[] {
  const part = 'is';
  const { role, guest } = person;
  const appoint = rights.may('appoint') && role !== 'owner';
  const owner = rights.role() === 'owner';
  const only = (allowed: boolean): readonly Participant[] => (allowed ? [person] : []);
  return entries(false, [
    {
      name: 'rename-person',
      part,
      icon: ICONS.pencil,
      text: $localize`:@@moderation.rename:Rename …`,
      people: only(guest && rights.mayOver('rename-others', person)),
      act: () => acts.rename(person),
    },
    {
      name: 'make-moderator',
      part,
      icon: ICONS.shield,
      text: $localize`:@@moderation.makeModerator:Make a moderator`,
      people: only(appoint && role !== 'moderator'),
      act: () => acts.setRole(person, 'moderator'),
    },
    {
      name: 'make-owner',
      part,
      icon: ICONS.star,
      text: $localize`:@@moderation.makeOwner:Make an owner …`,
      people: only(appoint && owner),
      act: () => acts.setRole(person, 'owner'),
    },
    {
      name: 'take-role',
      part,
      icon: ICONS.shieldOff,
      text: $localize`:@@moderation.takeRole:Take the moderation back`,
      people: only(appoint && owner && role === 'moderator'),
      act: () => acts.setRole(person, 'participant'),
    },
  ]);
}

function leavingActions(others: readonly Participant[], several: boolean, rights: Rights, acts: Acts): PersonAction[] {
  const part = 'goes';
  const over = (right: 'remove' | 'ban'): Participant[] => others.filter((person) => rights.mayOver(right, person));
  return entries(several, [
    {
      name: 'send-to-waiting',
      part,
      icon: ICONS.hourglass,
      text: $localize`:@@moderation.sendToWaiting:Send to the waiting room`,
      people: over('remove'),
      act: (people) => acts.sendToWaiting(people),
    },
    {
      name: 'remove-person',
      part,
      icon: ICONS.personMinus,
      text: $localize`:@@moderation.remove:Remove from the meeting …`,
      people: over('remove'),
      act: (people) => acts.remove(people),
    },
    {
      name: 'ban-person',
      part,
      icon: ICONS.ban,
      text: $localize`:@@moderation.ban:Ban for good …`,
      people: over('ban'),
      act: (people) => acts.ban(people),
    },
  ]);
}
