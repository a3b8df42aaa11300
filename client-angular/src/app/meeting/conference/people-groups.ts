/** The people list in groups. */
import type { Organisation, Participant } from '../../../../../protocol/session.ts';
import type { Grouping } from '../../conference/meeting-module.ts';

export interface PeopleGroup {
  /** Tells the groups of one list apart. */
  readonly key: string;
  /** An organisation, or the title of a group of people of several. */
  readonly head: { readonly organisation: Organisation } | { readonly title: string };
  readonly people: readonly Participant[];
  /** How many of them are in the list by now; all without it. */
  readonly shown?: number;
}

/**
 * People whose name, id or organisation contains what is searched for.
 * @param search empty keeps all
 */
export function findPeople(
  people: readonly Participant[],
  organisationOf: (serverName: string) => Organisation,
  search: string,
): readonly Participant[] {
  const needle = search.trim().toLocaleLowerCase();
  if (needle === '') return people;
  return people.filter(({ displayName, userId, organisation }) =>
    `${displayName} ${userId} ${organisationOf(organisation).displayName}`.toLocaleLowerCase().includes(needle),
  );
}

/** By organisation, the own one first, the others by name; inside in the order that was given. */
export function groupByOrganisation(
  people: readonly Participant[],
  organisationOf: (serverName: string) => Organisation,
  own: string | undefined,
): readonly PeopleGroup[] {
  const groups = new Map<string, { organisation: Organisation; people: Participant[] }>();
  for (const person of people) {
    const group = groups.get(person.organisation);
    if (group) group.people.push(person);
    else groups.set(person.organisation, { organisation: organisationOf(person.organisation), people: [person] });
  }
  const rank = ({ serverName }: Organisation): number => (serverName === own ? 0 : 1);
  return [...groups.values()]
    .sort(
      ({ organisation: a }, { organisation: b }) =>
        rank(a) - rank(b) || a.displayName.localeCompare(b.displayName) || a.serverName.localeCompare(b.serverName),
    )
    .map(({ organisation, people: members }) => ({
      key: organisation.serverName,
      head: { organisation },
      people: members,
    }));
}

/** As a module says: first those who have a place, in the order of their places. A group without people is left out. */
export function groupByPlace(people: readonly Participant[], { titles, place }: Grouping): readonly PeopleGroup[] {
  const placed = people.flatMap((person) => {
    const at = place(person);
    return at === undefined ? [] : [{ person, at }];
  });
  const first = placed.sort((a, b) => a.at - b.at).map(({ person }) => person);
  const inFirst = new Set(first);
  return [
    { key: 'placed', head: { title: titles.placed }, people: first },
    { key: 'others', head: { title: titles.others }, people: people.filter((person) => !inFirst.has(person)) },
  ].filter((group) => group.people.length > 0);
}

/** The groups with so many people in the list, in their order; a group says how many it has altogether. */
export function firstOf(groups: readonly PeopleGroup[], limit: number): readonly PeopleGroup[] {
  let left = limit;
  return groups.flatMap((group) => {
    const shown = Math.min(left, group.people.length);
    left -= shown;
    return shown > 0 ? [{ ...group, shown }] : [];
  });
}
