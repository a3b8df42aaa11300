import type { Organisation, Participant } from '../../../../../protocol/session.ts';

export interface OrganisationGroup {
  organisation: Organisation;
  people: Participant[];
}

/**
 * The people list: by organisation, the own one first, the others by name; inside in the order that was given.
 * @param search keeps people whose name, id or organisation contains it; empty keeps all
 */
export function groupPeople(
  people: readonly Participant[],
  organisationOf: (serverName: string) => Organisation,
  own: string | undefined,
  search: string,
): OrganisationGroup[] {
  const needle = search.trim().toLocaleLowerCase();
  const groups = new Map<string, OrganisationGroup>();
  for (const person of people) {
    const organisation = organisationOf(person.organisation);
    const text = `${person.displayName} ${person.userId} ${organisation.displayName}`.toLocaleLowerCase();
    if (!text.includes(needle)) continue;
    const group = groups.get(person.organisation) ?? { organisation, people: [] };
    group.people.push(person);
    groups.set(person.organisation, group);
  }
  const rank = ({ organisation }: OrganisationGroup): number => (organisation.serverName === own ? 0 : 1);
  return [...groups.values()].sort(
    (a, b) => rank(a) - rank(b) || a.organisation.displayName.localeCompare(b.organisation.displayName),
  );
}
