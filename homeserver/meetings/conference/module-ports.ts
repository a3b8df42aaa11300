/** What a conference and the modules of meetings know of each other. */
import type { Signals, Snapshots } from '../../../protocol/modules/list.ts';
import type { Rules } from '../../../protocol/modules/rules.ts';
import type { NotificationData, NotificationName, Participant } from '../../../protocol/session.ts';
import type { LocalParticipant } from './local-participant.ts';
import type { RemoteParticipant } from './remotes.ts';

/** A conference, as far as modules need it. */
export interface ModuleConference {
  readonly roomId: string;
  /** The rules of the meeting, as they were last read. */
  readonly rules: Rules;
  /** Our participants whom the others see. */
  readonly locals: ReadonlyMap<string, LocalParticipant>;
  participants(): Participant[];
  describeLocal(local: LocalParticipant): Participant;
  notifyAll<N extends NotificationName>(name: N, data: NotificationData<N>): void;
  /**
   * Something that a participant does besides media changes. Whoever calls this has it kept.
   * @returns whether that was news
   */
  setSignals(local: LocalParticipant, change: Signals): boolean;
  /** Modules read what was said of other organisations' participants in another way now. */
  remoteSignalsChanged(): void;
}

/** The modules, as far as a conference needs them. */
export interface ConferenceModules {
  /** Reads again which modules are on, from the room's current state. */
  refresh(conference: ModuleConference): Promise<void>;
  /** The rules of the meeting are others, or somebody has another role. */
  rulesChanged(conference: ModuleConference): void;
  /** What of that which its instance has said of a participant is shown. */
  shown(conference: ModuleConference, remote: RemoteParticipant): Signals;
  /** What the client of one of our participants gets of the modules that are on, when it joins. */
  snapshots(conference: ModuleConference, viewer: Pick<LocalParticipant, 'userId' | 'rights'>): Snapshots;
  /** Somebody, here or elsewhere, is in the conference now, or an organisation does not answer any more, or again. */
  peopleChanged(conference: ModuleConference): void;
  /** Somebody, here or elsewhere, is no longer in the conference. */
  left(conference: ModuleConference, participantId: string): void;
  /** Another instance in the conference has told something, by the module's name. */
  told(conference: ModuleConference, server: string, data: Readonly<Record<string, unknown>>): void;
  /** The last of our participants has left. */
  closed(conference: ModuleConference): void;
}
