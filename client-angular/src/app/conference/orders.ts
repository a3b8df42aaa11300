/**
 * Orders about others: asks the server, in requests of the size that it takes, and says in words what has become of them,
 * also to those who do not see the screen.
 */
import { inject, Injectable } from '@angular/core';
import { MOST_PARTICIPANTS } from '../../../../protocol/modules/moderation.ts';
import type { Method, Params, Participant } from '../../../../protocol/session.ts';
import { Announcements } from '../core/announcements.ts';
import { isolate } from '../core/isolate.ts';
import { Acting } from './acting.ts';
import { ConferenceStore } from './store.ts';
import { Told } from './told.ts';

interface Several {
  participantIds: string[];
}
interface Outcome {
  unreached: string[];
  refused?: string[] | undefined;
}
/** Requests about several participants. */
export type OrderMethod = {
  [M in Method]: Params<M> extends Several ? (Several extends Params<M> ? M : never) : never;
}[Method];

/** What is said of an order. */
export interface OrderTexts {
  /** It was done to one; to several. */
  one(name: string): string;
  many(count: number): string;
  /** These organisations could not be told: what that means. */
  unreached(organisations: string): string;
}

@Injectable({ providedIn: 'root' })
export class Orders {
  readonly #store = inject(ConferenceStore);
  readonly #acting = inject(Acting);
  readonly #announcements = inject(Announcements);
  readonly #told = inject(Told);

  /** @returns whether it was done to anybody, as far as is known */
  async give(method: OrderMethod, people: readonly Participant[], texts: OrderTexts): Promise<boolean> {
    const unreached = new Set<string>();
    const refused = new Set<string>();
    let asked = 0;
    for (let start = 0; start < people.length; start += MOST_PARTICIPANTS) {
      const participantIds = people.slice(start, start + MOST_PARTICIPANTS).map(({ participantId }) => participantId);
      const outcome = await this.#acting.ask(method, { participantIds });
      if (!outcome) break;
      asked += participantIds.length;
      for (const serverName of outcome.unreached) unreached.add(serverName);
      for (const participantId of outcome.refused ?? []) refused.add(participantId);
    }
    const done = people.slice(0, asked).filter(({ participantId }) => !refused.has(participantId));
    this.#sayRefused(people.filter(({ participantId }) => refused.has(participantId)));
    const [first] = done;
    if (!first) return false;
    const text = done.length === 1 ? texts.one(isolate(first.displayName)) : texts.many(done.length);
    this.say({ unreached: [...unreached] }, text, texts.unreached);
    return true;
  }

  /** Of an order that was given: that it is done, or who could not be told. */
  say({ unreached }: Pick<Outcome, 'unreached'>, done: string, failed: OrderTexts['unreached']): void {
    if (unreached.length === 0) {
      this.#announcements.now(done);
      return;
    }
    const names = unreached.map((serverName) => isolate(this.#store.organisation(serverName).displayName));
    this.#told.tell(failed(names.join(', ')));
  }

  #sayRefused(people: readonly Participant[]): void {
    const [first] = people;
    if (!first) return;
    const text =
      people.length === 1
        ? $localize`:@@order.refusedOne:Not done to ${isolate(first.displayName)}:NAME:, who has as much power in this meeting as you, or has left.`
        : $localize`:@@order.refusedMany:Not done to ${people.length}:COUNT: people, who have as much power in this meeting as you, or have left.`;
    this.#told.tell(text, 'error');
  }
}
