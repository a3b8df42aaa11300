/** The participants of other organisations in a conference, as the room and their own instances tell of them. */
import { isDeepStrictEqual } from 'node:util';
import { serverOf } from '../../../federation/event.ts';
import type { Source } from '../../../protocol/media.ts';
import type { Signals } from '../../../protocol/modules/list.ts';
import type { CallMembership } from './membership.ts';
import { splitParticipantId } from './membership.ts';
import type { RemoteSource } from './messages.ts';
import type { Person } from './room-facts.ts';
import type { Silence, Silenced } from './silences.ts';

/** States kept for participants whose membership has not come yet, for each server. */
const MAX_EARLY = 100;

/** What an instance says of one of its participants. */
export interface RemoteState {
  readonly sources: readonly RemoteSource[];
  readonly reconnecting: boolean;
  readonly signals: Signals;
}

export interface RemoteParticipant {
  membership: CallMembership;
  person: Person;
  /** What the meeting's rules do not let this person send. */
  refused: readonly Source[];
  readonly sources: Map<Source, RemoteSource>;
  /** Whether the organisation has said what is sent. */
  sourcesKnown: boolean;
  reconnecting: boolean;
  /** What its instance has said that it does besides media, and when that was heard, Unix ms. */
  said: { readonly signals: Signals; readonly heardAt: number };
  /** What of it is shown. */
  signals: Signals;
  /**
   * Sources that were ordered to be paused, until the organisation says that they are or were: they are not taken before.
   * With what it said by then of when each was resumed.
   */
  readonly silenced: Map<Source, SilencedSince>;
}

/** When the source was resumed last as its organisation had said by then; or nothing was heard of it. */
type SilencedSince = { readonly resumedAt: number | undefined } | 'unheard';

export interface RemotesDeps {
  /** What of that which its instance has said of a participant is shown. */
  shown(remote: RemoteParticipant): Signals;
  /** Other sources of somebody than before are not taken because they were ordered to be paused. */
  silenced(participantId: string, sources: Silenced): void;
}

export class Remotes {
  readonly #deps: RemotesDeps;
  readonly #all = new Map<string, RemoteParticipant>();
  /** States that came before the membership they belong to, by server: the two travel apart. */
  readonly #early = new Map<string, Map<string, RemoteState>>();
  /** What was ordered to be paused before the participant was known, or known again. */
  readonly #silencedBefore = new Map<string, ReadonlyMap<Source, SilencedSince>>();
  /** For whom the meeting was ended, with the time of joining: only who joins anew is here again. */
  readonly #ended = new Map<string, number>();
  /** Organisations that have not answered for so long that their people are not counted as being here. */
  readonly #lost = new Set<string>();

  constructor(deps: RemotesDeps) {
    this.#deps = deps;
  }

  /** All, also those who are not shown. */
  all(): Iterable<RemoteParticipant> {
    return this.#all.values();
  }

  /** Those who are shown. */
  *shown(): Iterable<RemoteParticipant> {
    for (const remote of this.#all.values()) if (this.isShown(remote)) yield remote;
  }

  isShown(remote: RemoteParticipant): boolean {
    return !this.#lost.has(serverOf(remote.membership.userId));
  }

  get(participantId: string): RemoteParticipant | undefined {
    return this.#all.get(participantId);
  }

  /** All organisations with a participant, lost ones included. */
  servers(): Set<string> {
    return new Set([...this.#all.values()].map(({ membership }) => serverOf(membership.userId)));
  }

  /**
   * A membership was written or renewed.
   * @param refused sources that are not taken from this person now
   * @returns whether that changed anything that is shown
   */
  put(
    membership: CallMembership,
    person: Person,
    refused: readonly Source[] = [],
  ): { remote: RemoteParticipant; change: 'new' | 'changed' | 'same' } {
    const { participantId } = membership;
    const known = this.#all.get(participantId);
    if (known) {
      const same =
        known.person.displayName === person.displayName &&
        known.person.role === person.role &&
        known.person.guest === person.guest &&
        isDeepStrictEqual(known.refused, refused) &&
        known.membership.joinedAt === membership.joinedAt;
      known.membership = membership;
      known.person = person;
      known.refused = refused;
      return { remote: known, change: same ? 'same' : 'changed' };
    }
    const remote: RemoteParticipant = {
      membership,
      person,
      refused,
      sources: new Map(),
      sourcesKnown: false,
      reconnecting: false,
      said: { signals: {}, heardAt: 0 },
      signals: {},
      silenced: new Map(this.#silencedBefore.get(participantId)),
    };
    this.#silencedBefore.delete(participantId);
    this.#ended.delete(participantId);
    this.#all.set(participantId, remote);
    return { remote, change: 'new' };
  }

  /** What was said of a participant before its membership came. */
  takeEarly(participantId: string): RemoteState | undefined {
    const early = this.#early.get(splitParticipantId(participantId).server);
    const state = early?.get(participantId);
    early?.delete(participantId);
    return state;
  }

  /** @returns the participant when the state is news, undefined when it is not, or kept for later */
  setState(participantId: string, state: RemoteState): RemoteParticipant | undefined {
    const remote = this.#all.get(participantId);
    if (!remote) {
      this.#keepEarly(participantId, state);
      return undefined;
    }
    const same =
      remote.sourcesKnown &&
      remote.reconnecting === state.reconnecting &&
      isDeepStrictEqual(remote.said.signals, state.signals) &&
      remote.sources.size === state.sources.length &&
      state.sources.every(({ source, id, paused, resumedAt }) => {
        const before = remote.sources.get(source);
        return before?.id === id && before.paused === paused && before.resumedAt === resumedAt;
      });
    if (same) return undefined;
    remote.sourcesKnown = true;
    remote.reconnecting = state.reconnecting;
    if (!isDeepStrictEqual(remote.said.signals, state.signals)) {
      remote.said = { signals: state.signals, heardAt: Date.now() };
    }
    remote.signals = this.#deps.shown(remote);
    remote.sources.clear();
    for (const source of state.sources) remote.sources.set(source.source, source);
    this.#liftSilences(participantId, remote);
    return remote;
  }

  /**
   * What an instance has paused as ordered, or ended, counts again from then on; also when that was not heard, and only by
   * the time since when it is sent again it shows that it was. Of what nothing was heard before, the first does not count.
   */
  #liftSilences(participantId: string, { sources, silenced }: RemoteParticipant): void {
    let isNews = false;
    for (const [source, before] of silenced) {
      const said = sources.get(source);
      const wasHeard = before !== 'unheard';
      const isAnother = wasHeard && said?.resumedAt !== undefined && said.resumedAt !== before.resumedAt;
      if (said?.paused !== false || isAnother) silenced.delete(source);
      else if (!wasHeard) silenced.set(source, { resumedAt: said.resumedAt });
      else continue;
      isNews = true;
    }
    if (isNews) this.#tellSilenced(participantId, silenced);
  }

  /** Of an instance that does not say since when it sends something, nothing could show later that it was paused. */
  #tellSilenced(participantId: string, silenced: RemoteParticipant['silenced']): void {
    const lasting = new Map<Source, number>();
    for (const [source, before] of silenced) {
      if (before !== 'unheard' && before.resumedAt !== undefined) lasting.set(source, before.resumedAt);
    }
    this.#deps.silenced(participantId, lasting);
  }

  /** Reads again what was said. @returns those of whom something else is shown now */
  readAgain(): RemoteParticipant[] {
    return [...this.#all.values()].filter((remote) => {
      const before = remote.signals;
      remote.signals = this.#deps.shown(remote);
      return !isDeepStrictEqual(before, remote.signals);
    });
  }

  /** A source of somebody was ordered to be paused. @returns the participant when the source is not known to be paused */
  silence(participantId: string, source: Source): RemoteParticipant | undefined {
    const remote = this.#all.get(participantId);
    if (!remote || remote.silenced.has(source)) return undefined;
    const said = remote.sources.get(source);
    if (remote.sourcesKnown && said?.paused !== false) return undefined;
    remote.silenced.set(source, remote.sourcesKnown ? { resumedAt: said?.resumedAt } : 'unheard');
    this.#tellSilenced(participantId, remote.silenced);
    return remote;
  }

  /**
   * What was ordered before, also of people whom the room told of meanwhile.
   * @returns those who are known already, of whom less is taken now
   */
  silencedBefore(silences: readonly Silence[]): RemoteParticipant[] {
    const known: RemoteParticipant[] = [];
    for (const { participantId, sources } of silences) {
      const before = new Map([...sources].map(([source, resumedAt]) => [source, { resumedAt }]));
      const remote = this.#all.get(participantId);
      if (!remote) {
        this.#silencedBefore.set(participantId, before);
        continue;
      }
      for (const [source, since] of before) if (!remote.silenced.has(source)) remote.silenced.set(source, since);
      if (remote.sourcesKnown) this.#liftSilences(participantId, remote);
      known.push(remote);
    }
    return known;
  }

  /** Whether a membership is one for which the meeting was ended. */
  isEnded({ participantId, joinedAt }: Pick<CallMembership, 'participantId' | 'joinedAt'>): boolean {
    const endedAt = this.#ended.get(participantId);
    return endedAt !== undefined && joinedAt <= endedAt;
  }

  /** The meeting was ended for somebody, whose membership may go on to stand in the room. */
  end(participantId: string): void {
    const remote = this.#all.get(participantId);
    if (remote) this.#ended.set(participantId, remote.membership.joinedAt);
  }

  #keepEarly(participantId: string, state: RemoteState): void {
    const { server } = splitParticipantId(participantId);
    const early = this.#early.get(server) ?? new Map<string, RemoteState>();
    this.#early.set(server, early);
    early.delete(participantId);
    early.set(participantId, state);
    const [oldest] = early.keys();
    if (early.size > MAX_EARLY && oldest !== undefined) early.delete(oldest);
  }

  /** @param forGood whether the participant has left, or was taken out: what was ordered before does not count any more then */
  delete(participantId: string, forGood: boolean): RemoteParticipant | undefined {
    const remote = this.#all.get(participantId);
    this.#all.delete(participantId);
    if (!remote || remote.silenced.size === 0) return remote;
    if (forGood) this.#deps.silenced(participantId, new Map());
    else this.#silencedBefore.set(participantId, remote.silenced);
    return remote;
  }

  of(server: string): RemoteParticipant[] {
    return [...this.#all.values()].filter(({ membership }) => serverOf(membership.userId) === server);
  }

  /** Marks an organisation as lost or found again. @returns its participants when that is news */
  setLost(server: string, lost: boolean): RemoteParticipant[] {
    if (this.#lost.has(server) === lost) return [];
    if (lost) this.#lost.add(server);
    else this.#lost.delete(server);
    return this.of(server);
  }

  isLost(server: string): boolean {
    return this.#lost.has(server);
  }

  expired(now: number): string[] {
    return [...this.#all.values()]
      .filter(({ membership }) => membership.expiresAt <= now)
      .map(({ membership }) => membership.participantId);
  }
}

/** A source of another organisation's participant, as it is taken here. */
export interface TakenSource extends RemoteSource {
  /** The meeting's rules do not let this person send it: it is not taken at all. */
  readonly refused?: true;
}

/** What somebody sends, as it is taken here: what was ordered to be paused is paused, and so is what is refused. */
export function takenFrom({
  sources,
  silenced,
  refused,
}: Pick<RemoteParticipant, 'sources' | 'silenced' | 'refused'>): TakenSource[] {
  return [...sources.values()].map((said) =>
    refused.includes(said.source)
      ? { ...said, paused: true, refused: true }
      : { ...said, paused: said.paused || silenced.has(said.source) },
  );
}
