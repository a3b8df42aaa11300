/** Participants as clients are told of them. */
import { serverOf } from '../../../federation/event.ts';
import type { Participant } from '../../../protocol/session.ts';
import type { LocalParticipant } from './local-participant.ts';
import { type RemoteParticipant, takenFrom } from './remotes.ts';

/** @param organisation our server name */
export function describeLocal(local: LocalParticipant, organisation: string): Participant {
  return {
    participantId: local.participantId,
    userId: local.userId,
    deviceId: local.deviceId,
    displayName: local.displayName,
    organisation,
    role: local.role,
    guest: local.guest,
    joinedAt: local.joinedAt,
    sources: [...local.sources].map(([source, { paused }]) => ({ source, paused })),
    presence: local.presence,
    signals: local.signals,
  };
}

export function describeRemote(remote: RemoteParticipant): Participant {
  const { membership, person } = remote;
  return {
    participantId: membership.participantId,
    userId: membership.userId,
    deviceId: membership.deviceId,
    displayName: person.displayName,
    organisation: serverOf(membership.userId),
    role: person.role,
    guest: person.guest,
    joinedAt: membership.joinedAt,
    sources: takenFrom(remote).map(({ source, paused, refused }) => ({
      source,
      paused,
      ...(refused ? { refused } : {}),
    })),
    ...(remote.sourcesKnown ? {} : { sourcesKnown: false }),
    presence: remote.reconnecting ? 'reconnecting' : 'here',
    signals: remote.signals,
  };
}
