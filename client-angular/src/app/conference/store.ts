/** What is known of the conference, as signals. Changed by the conference client only; the screen reads. */
import { computed, Injectable, signal } from '@angular/core';
import type { Right } from '../../../../protocol/rights.ts';
import type {
  ConferenceSnapshot,
  LinkState,
  NotificationData,
  NotificationName,
  Organisation,
  Participant,
  UntrustedOrganisation,
} from '../../../../protocol/session.ts';
import type { RemoteMedia } from '../media/received-media.ts';

const UNKNOWN_COLOUR = '#5a6468';

@Injectable({ providedIn: 'root' })
export class ConferenceStore {
  readonly roomId = signal('');
  readonly title = signal('');
  /** What the own person may do beyond taking part. */
  readonly rights = signal<readonly Right[]>([]);
  /** The own participant id; empty while in no conference. */
  readonly me = signal('');
  /** In the order in which they came to this screen. */
  readonly #participants = signal<ReadonlyMap<string, Participant>>(new Map());
  /**
   * The own person first, the others in the order of coming: nobody changes places while staying. `joinedAt` orders
   * nothing: it is renewed in long meetings, and is of other organisations' clocks.
   */
  readonly participants = computed(() => {
    const all = [...this.#participants().values()];
    const own = (participant: Participant): boolean => participant.participantId === this.me();
    return [...all.filter(own), ...all.filter((participant) => !own(participant))];
  });
  readonly #organisations = signal<ReadonlyMap<string, Organisation>>(new Map());
  readonly #links = signal<ReadonlyMap<string, LinkState>>(new Map());
  /** `since` is of this computer's clock: the server's may differ. */
  readonly links = computed(() => [...this.#links().values()]);
  readonly #untrusted = signal<readonly UntrustedOrganisation[]>([]);
  /** Organisations in the meeting that the own one does not trust. */
  readonly untrusted = this.#untrusted.asReadonly();
  readonly #speaking = signal<ReadonlySet<string>>(new Set());
  readonly speaking = this.#speaking.asReadonly();
  /** What is received, by `mediaKey`. */
  readonly remoteMedia = signal<ReadonlyMap<string, RemoteMedia>>(new Map());
  /** False while the homeserver does not reach its SFU. */
  readonly mediaService = signal(true);

  participant(participantId: string): Participant | undefined {
    return this.#participants().get(participantId);
  }

  /** Name and colour of an organisation; its server name until it was introduced. */
  organisation(serverName: string): Organisation {
    return this.#organisations().get(serverName) ?? { serverName, displayName: serverName, colour: UNKNOWN_COLOUR };
  }

  link(serverName: string): LinkState | undefined {
    return this.#links().get(serverName);
  }

  /** Whether somebody's media comes from another organisation, over the link between the two. */
  comesByLink(participantId: string): boolean {
    const there = this.participant(participantId)?.organisation;
    return there !== undefined && there !== this.participant(this.me())?.organisation;
  }

  load(snapshot: ConferenceSnapshot): void {
    this.roomId.set(snapshot.roomId);
    this.title.set(snapshot.title);
    this.rights.set(snapshot.rights);
    this.me.set(snapshot.me);
    this.#participants.update((before) => inPlace(before, snapshot.participants));
    this.#organisations.set(
      new Map(snapshot.organisations.map((organisation) => [organisation.serverName, organisation])),
    );
    this.#links.update(
      (before) =>
        new Map(snapshot.links.map((link) => [link.organisation, received(link, before.get(link.organisation))])),
    );
    this.#untrusted.set(snapshot.untrusted);
    this.#speaking.set(new Set());
  }

  clear(): void {
    this.me.set('');
    this.rights.set([]);
    this.#participants.set(new Map());
    this.#organisations.set(new Map());
    this.#links.set(new Map());
    this.#untrusted.set([]);
    this.#speaking.set(new Set());
    this.remoteMedia.set(new Map());
    this.mediaService.set(true);
  }

  /** Applies a notification about people, organisations and links; others are none of the store's business. */
  apply<N extends NotificationName>(name: N, data: NotificationData<N>): void {
    const reducer = this.#reducers[name] as ((data: NotificationData<N>) => void) | undefined;
    reducer?.(data);
  }

  readonly #reducers: { [N in NotificationName]?: (data: NotificationData<N>) => void } = {
    'participant.joined': (participant) => this.#put(participant),
    'participant.changed': (participant) => this.#put(participant),
    'participant.left': ({ participantId }) => {
      this.#participants.update((all) => without(all, participantId));
      this.#speaking.update((all) => new Set([...all].filter((id) => id !== participantId)));
      this.#forgetLinks();
    },
    'conference.changed': ({ roomId, title, rights }) => {
      if (roomId !== this.roomId()) return;
      this.title.set(title);
      this.rights.set(rights);
    },
    'organisation.seen': (organisation) => {
      this.#organisations.update((all) => new Map(all).set(organisation.serverName, organisation));
    },
    'link.changed': (link) => {
      this.#links.update((all) => new Map(all).set(link.organisation, received(link, all.get(link.organisation))));
    },
    'organisations.untrusted': ({ organisations }) => this.#untrusted.set(organisations),
    speaking: ({ participantIds }) => this.#speaking.set(new Set(participantIds)),
    'media.service': ({ available }) => this.mediaService.set(available),
  };

  #put(participant: Participant): void {
    this.#participants.update((all) => new Map(all).set(participant.participantId, participant));
  }

  /** With the last participant of an organisation its link goes. */
  #forgetLinks(): void {
    const present = new Set([...this.#participants().values()].map((participant) => participant.organisation));
    this.#links.update((all) => new Map([...all].filter(([serverName]) => present.has(serverName))));
  }
}

/** Who was there keeps the place; who is new comes last, in the server's order. */
function inPlace(
  before: ReadonlyMap<string, Participant>,
  now: readonly Participant[],
): ReadonlyMap<string, Participant> {
  const places = [...before.keys(), ...now.map(({ participantId }) => participantId)];
  const byId = new Map(now.map((participant) => [participant.participantId, participant]));
  const present = places.flatMap((id) => byId.get(id) ?? []);
  return new Map(present.map((participant) => [participant.participantId, participant]));
}

/** A state that lasts goes on from when this computer learned of it. */
function received(link: LinkState, before: LinkState | undefined): LinkState {
  return { ...link, since: before?.state === link.state ? before.since : Date.now() };
}

function without<K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}
