/** Names inside of plain texts: labels, tooltips, and what is said to screen readers. */

/**
 * Keeps a name from turning the direction of the text around it, as `<bdi>` does in a template.
 *
 * @see Unicode Standard Annex 9, first strong isolate and its end
 */
export function isolate(name: string): string {
  return `\u2068${name}\u2069`;
}

/** The name, and that somebody is a guest: nobody vouches for the names of guests. */
export function personName({ displayName, guest }: { displayName: string; guest: boolean }): string {
  const name = isolate(displayName);
  return guest ? $localize`:@@person.guest:${name}:NAME: (guest)` : name;
}

/** The name with the organisation, whose guest or member somebody is. */
export function personLabel(person: { displayName: string; guest: boolean }, organisation: string): string {
  return `${personName(person)}, ${isolate(organisation)}`;
}
