/**
 * A name or title inside a sentence, for texts that are no HTML (labels, announcements, tooltips): it cannot turn the
 * direction of what stands around it. Templates use `<bdi>` for the same.
 *
 * @see https://www.unicode.org/reports/tr9/ (FSI and PDI)
 */
export function isolate(text: string): string {
  return `\u2068${text}\u2069`;
}
