/** A sentence for each entry of the log of a meeting. */
import type { LogEntry, LogPerson } from '../../../../../protocol/meeting-log.ts';
import { isolate } from '../../core/isolate.ts';
import { personLabel } from '../../shared/person-text.ts';

export interface LogNames {
  organisation(serverName: string): string;
  time(at: number): string;
}

/** More people than this are counted. */
const MOST_NAMED = 3;

export function logText(entry: LogEntry, names: LogNames): string {
  if (entry.kind === 'gap') return gapText(entry, names);
  const nameOf = (person: LogPerson): string => personLabel(person, names.organisation(person.organisation));
  const whom =
    entry.whom.length > 0 && entry.count <= MOST_NAMED
      ? entry.whom.map(nameOf).join('; ')
      : $localize`:@@log.people:${entry.count}:COUNT: people`;
  const detail = isolate(entry.detail ?? '');
  const by = entry.by && nameOf(entry.by);
  const text = by === undefined ? alone(entry, whom, detail) : done(entry, by, whom, detail);
  return text ?? $localize`:@@log.other:Something was changed (${entry.kind}:KIND:).`;
}

/** What people have done themselves, or the meeting has done for them. */
function alone({ kind }: LogEntry, whom: string, detail: string): string | undefined {
  switch (kind) {
    case 'entered':
      return $localize`:@@log.entered:${whom}:WHOM: came into the conference.`;
    case 'left':
      return $localize`:@@log.left:${whom}:WHOM: left the conference.`;
    case 'joined':
      return $localize`:@@log.joined:${whom}:WHOM: became a member of the meeting.`;
    case 'knocked':
      return $localize`:@@log.knocked:${whom}:WHOM: asked to take part.`;
    case 'declined':
      return $localize`:@@log.declined:${whom}:WHOM: declined the invitation.`;
    case 'quit':
      return $localize`:@@log.quit:${whom}:WHOM: is no longer a member of the meeting.`;
    case 'named':
      return $localize`:@@log.named:${whom}:WHOM: was called ${detail}:NAME: before.`;
    case 'waits':
      return $localize`:@@log.waits:${whom}:WHOM: began to wait to be let in.`;
    case 'admitted':
      return $localize`:@@log.admittedByRule:${whom}:WHOM: was let in.`;
    case 'removed':
      return $localize`:@@log.removedByRule:${whom}:WHOM: was removed from the meeting.`;
    case 'end':
      return $localize`:@@log.endByRule:The meeting was ended.`;
    default:
      return undefined;
  }
}

function done({ kind, detail: value }: LogEntry, by: string, whom: string, detail: string): string | undefined {
  switch (kind) {
    case 'invited':
      return $localize`:@@log.invited:${by}:BY: invited ${whom}:WHOM:.`;
    case 'withdrawn':
      return $localize`:@@log.withdrawn:${by}:BY: withdrew the invitation of ${whom}:WHOM:.`;
    case 'admitted':
      return $localize`:@@log.admitted:${by}:BY: let in ${whom}:WHOM:.`;
    case 'refused':
      return $localize`:@@log.refused:${by}:BY: did not let in ${whom}:WHOM:.`;
    case 'wait':
      return $localize`:@@log.sentToWait:${by}:BY: sent back to wait: ${whom}:WHOM:.`;
    case 'removed':
      return $localize`:@@log.removed:${by}:BY: removed ${whom}:WHOM:.`;
    case 'banned':
      return $localize`:@@log.banned:${by}:BY: banned ${whom}:WHOM: from this meeting.`;
    case 'unbanned':
      return $localize`:@@log.unbanned:${by}:BY: lifted the ban of ${whom}:WHOM:.`;
    case 'role':
      return $localize`:@@log.role:${by}:BY: gave ${whom}:WHOM: another role: ${roleText(value)}:ROLE:.`;
    case 'rule':
      return $localize`:@@log.rule:${by}:BY: changed a rule of the meeting: ${ruleText(value)}:RULE:.`;
    case 'title':
      return $localize`:@@log.changedTitle:${by}:BY: called the meeting ${detail}:TITLE:.`;
    case 'shut-out':
      return $localize`:@@log.shutOut:${by}:BY: shut out the organisation ${detail}:ORGANISATION:.`;
    case 'let-in':
      return $localize`:@@log.letIn:${by}:BY: let the organisation ${detail}:ORGANISATION: in again.`;
    case 'mute':
      return $localize`:@@log.mute:${by}:BY: muted ${whom}:WHOM:.`;
    case 'camera-off':
      return $localize`:@@log.cameraOff:${by}:BY: switched off the camera of ${whom}:WHOM:.`;
    case 'stop-share':
      return $localize`:@@log.stopShare:${by}:BY: ended the screen share of ${whom}:WHOM:.`;
    case 'ask-unmute':
      return $localize`:@@log.askUnmute:${by}:BY: asked ${whom}:WHOM: to turn on the microphone.`;
    case 'lower-hand':
      return $localize`:@@log.lowerHand:${by}:BY: lowered the hand of ${whom}:WHOM:.`;
    case 'rename':
      return $localize`:@@log.rename:${by}:BY: gave ${whom}:WHOM: the name ${detail}:NAME:.`;
    case 'end':
      return endText(by, value);
    default:
      return undefined;
  }
}

function endText(by: string, whom: string | undefined): string {
  if (whom === 'guests') return $localize`:@@log.endGuests:${by}:BY: ended the meeting for guests.`;
  if (whom === 'participants') {
    return $localize`:@@log.endParticipants:${by}:BY: ended the meeting for all but those who lead it.`;
  }
  return $localize`:@@log.end:${by}:BY: ended the meeting for everybody.`;
}

function roleText(role: string | undefined): string {
  switch (role) {
    case 'owner':
      return $localize`:@@log.owner:owner`;
    case 'moderator':
      return $localize`:@@log.moderator:moderator`;
    default:
      return $localize`:@@log.participant:participant`;
  }
}

/** `<name>:<how it is>`. */
function ruleText(rule = ''): string {
  const [name = '', value = ''] = rule.split(':');
  return `${ruleName(name)} – ${ruleValue(name, value)}`;
}

function ruleName(name: string): string {
  switch (name) {
    case 'microphone':
      return $localize`:@@log.ruleMicrophone:microphones`;
    case 'camera':
      return $localize`:@@log.ruleCamera:cameras`;
    case 'screen':
      return $localize`:@@log.ruleScreen:sharing the screen`;
    case 'chat':
      return $localize`:@@log.ruleChat:chat`;
    case 'reactions':
      return $localize`:@@log.ruleReactions:reactions`;
    case 'hands':
      return $localize`:@@log.ruleHands:raising hands`;
    case 'rename':
      return $localize`:@@log.ruleRename:changing the own name`;
    case 'lock':
      return $localize`:@@log.ruleLock:lock`;
    case 'waiting':
      return $localize`:@@log.ruleWaiting:waiting room`;
    case 'limit':
      return $localize`:@@log.ruleLimit:places and end`;
    case 'log':
      return $localize`:@@log.ruleLog:who reads this log`;
    case 'guests':
      return $localize`:@@log.ruleGuests:guests`;
    default:
      return isolate(name);
  }
}

function ruleValue(name: string, value: string): string {
  const [how] = value.split(' ');
  if (name === 'limit') return $localize`:@@log.changed:changed`;
  switch (how) {
    case 'on':
      return $localize`:@@log.on:on`;
    case 'off':
      return $localize`:@@log.off:off`;
    case 'restricted':
      return $localize`:@@log.restricted:only for those who lead the meeting and those whom they allow it`;
    case 'nobody':
      return $localize`:@@log.forNobody:for nobody`;
    case 'guests':
      return $localize`:@@log.forGuests:for guests`;
    case 'everybody':
      return $localize`:@@log.forEverybody:for everybody`;
    case 'moderators':
      return $localize`:@@log.forModerators:for those who lead the meeting`;
    default:
      return $localize`:@@log.changed:changed`;
  }
}

function gapText({ at, until, organisation, detail }: LogEntry, { organisation: nameOf, time }: LogNames): string {
  const from = time(at);
  if (organisation !== undefined) {
    const name = isolate(nameOf(organisation));
    if (until === undefined) {
      return $localize`:@@log.gapOrganisationOpen:${name}:ORGANISATION: did not answer from ${from}:FROM: on. What was done there since may be missing here.`;
    }
    return $localize`:@@log.gapOrganisation:${name}:ORGANISATION: did not answer from ${from}:FROM: to ${time(until)}:TO:. What was done there meanwhile may be missing here.`;
  }
  const to = time(until ?? at);
  return detail === 'down'
    ? $localize`:@@log.gapDown:Gap: from ${from}:FROM: to ${to}:TO: your organisation’s server was not running.`
    : $localize`:@@log.gapAbsent:Gap: from ${from}:FROM: to ${to}:TO: nobody of your organisation was in the conference. Who came and went is known, but not everything that was done by those who lead it.`;
}
