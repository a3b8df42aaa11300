/** What is known of the conference, as signals. Changed by the conference client only; the screen reads. */
import { computed, Injectable, signal } from '@angular/core';
import type {
  ConferenceSnapshot,
  LinkState,
  NotificationData,
  NotificationName,
  Organisation,
  Participant,
} from '../../../../protocol/session.ts';
import type { RemoteMedia } from '../media/media-engine.ts';

const UNKNOWN_COLOUR = '#5a6468';

@Injectable({ providedIn: 'root' })
export class ConferenceStore {
  readonly roomId = signal('');
  readonly title = signal('');
  /** The own participant id; empty while in no conference. */
  readonly me = signal('');
  readonly #participants = signal<ReadonlyMap<string, Participant>>(new Map());
  /** In the order of joining, the own person first: places do not change while somebody stays. */
  readonly participants = computed(() => {
    const me = this.me();
    const rank = (participant: Participant): number => (participant.participantId === me ? 0 : 1);
    return [...this.#participants().values()].sort(
      (a, b) => rank(a) - rank(b) || a.joinedAt - b.joinedAt || a.participantId.localeCompare(b.participantId),
    );
  });
  readonly #organisations = signal<ReadonlyMap<string, Organisation>>(new Map());
  readonly #links = signal<ReadonlyMap<string, LinkState>>(new Map());
  readonly links = computed(() => [...this.#links().values()]);
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

  load(snapshot: ConferenceSnapshot): void {
    this.roomId.set(snapshot.roomId);
    this.title.set(snapshot.title);
    this.me.set(snapshot.me);
    this.#participants.set(
      new Map(snapshot.participants.map((participant) => [participant.participantId, participant])),
    );
    this.#organisations.set(
      new Map(snapshot.organisations.map((organisation) => [organisation.serverName, organisation])),
    );
    this.#links.set(new Map(snapshot.links.map((link) => [link.organisation, link])));
    this.#speaking.set(new Set());
  }

  clear(): void {
    this.me.set('');
    this.#participants.set(new Map());
    this.#organisations.set(new Map());
    this.#links.set(new Map());
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
    'organisation.seen': (organisation) => {
      this.#organisations.update((all) => new Map(all).set(organisation.serverName, organisation));
    },
    'link.changed': (link) => {
      this.#links.update((all) => new Map(all).set(link.organisation, link));
    },
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

function without<K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}
