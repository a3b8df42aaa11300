/** What organisations call themselves, by server name, from everything the own server has told. */
import { Injectable } from '@angular/core';
import type { Organisation } from '../../../../protocol/session.ts';
import { isolate } from './isolate.ts';

@Injectable({ providedIn: 'root' })
export class OrganisationNames {
  readonly #names = new Map<string, string>();

  learn(organisations: Iterable<Organisation>): void {
    for (const { serverName, displayName } of organisations) {
      if (displayName.trim() !== '') this.#names.set(serverName, displayName);
    }
  }

  /** For a sentence: the name of the organisation, or its server name until it has introduced itself. */
  readonly of = (serverName: string): string => isolate(this.#names.get(serverName) ?? serverName);
}
