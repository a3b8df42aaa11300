/** Who comes and goes, for people who do not see it. */
import { inject, Injectable } from '@angular/core';
import { takeUntilDestroyed } from '@angular/core/rxjs-interop';
import { ConferenceClient, type ConferenceEvent } from '../../conference/conference-client.ts';
import { Announcements } from '../../core/announcements.ts';
import { personName } from '../../shared/person-text.ts';

/** More people than this are counted. */
const MOST_PEOPLE = 3;

/** Provide it by the screen of the conference, and inject it there. */
@Injectable()
export class PeopleAnnouncements {
  readonly #announcements = inject(Announcements);
  #events: ConferenceEvent[] = [];

  constructor() {
    inject(ConferenceClient)
      .events.pipe(takeUntilDestroyed())
      .subscribe((event) => {
        this.#events.push(event);
        this.#announcements.plan('people', () => this.#text());
      });
  }

  #text(): string {
    const events = this.#events;
    this.#events = [];
    if (events.length > MOST_PEOPLE) return $localize`:@@announce.many:${events.length}:COUNT: people came or left.`;
    return events.map(sentence).join(' ');
  }
}

function sentence({ kind, person }: ConferenceEvent): string {
  const name = personName(person);
  return kind === 'joined'
    ? $localize`:@@announce.joined:${name}:NAME: has joined.`
    : $localize`:@@announce.left:${name}:NAME: has left.`;
}
