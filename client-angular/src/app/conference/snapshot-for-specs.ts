import type { ConferenceSnapshot, Participant } from '../../../../protocol/session.ts';

export const LUEBECK = { serverName: 'luebeck.example', displayName: 'Lübeck', colour: '#a3262f' };
export const HAMBURG = { serverName: 'hamburg.example', displayName: 'Hamburg', colour: '#1c4f9c' };

/** Somebody in a conference, who sends nothing. */
export function person(name: string, server: string, change: Partial<Participant> = {}): Participant {
  const userId = `@${name.toLowerCase()}:${server}`;
  return {
    participantId: `${userId}|D`,
    userId,
    deviceId: 'D',
    displayName: name,
    organisation: server,
    role: 'participant',
    guest: false,
    joinedAt: 1,
    sources: [],
    presence: 'here',
    signals: {},
    ...change,
  };
}

/** A conference of people of Lübeck and Hamburg, as Bert of Lübeck finds it. */
export function snapshotOf(change: Partial<ConferenceSnapshot> = {}): ConferenceSnapshot {
  return {
    roomId: '!r',
    title: 'Elbquerung',
    rights: [],
    me: '@bert:luebeck.example|D',
    participants: [],
    organisations: [LUEBECK, HAMBURG],
    links: [],
    untrusted: [],
    modules: {},
    ...change,
  };
}
