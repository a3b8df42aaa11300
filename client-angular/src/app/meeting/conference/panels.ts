/** All panels, in the order of their buttons: those of the modules, and the two that every meeting has. */
import { computed, inject, Injectable, signal } from '@angular/core';
import type { Badge, Panel } from '../../conference/meeting-module.ts';
import { Modules } from '../../conference/modules.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { PATHS } from '../../shared/icon.ts';
import { ConnectionsPanel } from './connections-panel.ts';
import { PeoplePanel } from './people-panel.ts';

/** Provide it by the screen of the conference. */
@Injectable()
export class Panels {
  readonly #modules = inject(Modules);
  readonly #store = inject(ConferenceStore);
  // Both are loaded with the screen: what they say is wanted most when the server is out of reach.
  readonly #own: readonly Panel[] = [
    {
      name: 'people',
      title: $localize`:@@bar.people:People`,
      icon: PATHS.people,
      key: 'p',
      badge: computed(
        (): Badge => this.#modules.peopleBadge() ?? { count: this.#store.participants().length, quiet: true },
      ),
      load: () => Promise.resolve(PeoplePanel),
    },
    {
      name: 'connections',
      title: $localize`:@@bar.connections:Connections`,
      icon: PATHS.link,
      key: 'n',
      load: () => Promise.resolve(ConnectionsPanel),
    },
  ];
  readonly all = computed(() => [...this.#modules.panels(), ...this.#own]);
  readonly #name = signal<string | undefined>(undefined);
  /** The one that is open. A panel whose module goes is closed. */
  readonly open = computed(() => this.all().find(({ name }) => name === this.#name()));

  /** @param name undefined closes the panel */
  show(name: string | undefined): void {
    this.#name.set(name);
  }
}
