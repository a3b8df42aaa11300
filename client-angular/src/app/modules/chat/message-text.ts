/** The text of a message, in the direction of its own letters, with its web addresses as links. */
import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

export interface TextPart {
  text: string;
  /** Where it leads, when it is a link. */
  href?: string;
}

/** No address holds a space, a control or a sign that turns the direction of writing. */
const ADDRESS = /https?:\/\/[^\s\p{Cc}\p{Cf}<>"“”„«»`]+/giu;
/** What ends a sentence, and not an address. */
const TRAILING = ".,;:!?'’*_~…";
const BRACKETS: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' };

/** Cuts a text at its web addresses. Put together again the parts are the text. */
export function splitLinks(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let done = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = withoutEnd(found);
    const href = webAddress(address);
    if (href === undefined) continue;
    if (index > done) parts.push({ text: text.slice(done, index) });
    parts.push({ text: address, href });
    done = index + address.length;
  }
  if (done < text.length) parts.push({ text: text.slice(done) });
  return parts;
}

/** Punctuation behind an address belongs to the sentence, and so does a bracket that the address does not open. */
function withoutEnd(address: string): string {
  const counts = new Map<string, number>();
  for (const character of address) counts.set(character, (counts.get(character) ?? 0) + 1);
  const count = (character: string): number => counts.get(character) ?? 0;
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address.charAt(end - 1);
    const opening = BRACKETS[last];
    if (opening === undefined ? !TRAILING.includes(last) : count(last) <= count(opening)) break;
    counts.set(last, count(last) - 1);
  }
  return address.slice(0, end);
}

/** The address as the browser reads it; undefined for what leads nowhere, or looks as if it led elsewhere. */
function webAddress(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined;
  const { protocol, hostname, username, password, href } = new URL(address);
  // https://hamburg.example@evil.example leads to evil.example.
  const plain = username === '' && password === '' && hostname !== '';
  return plain && (protocol === 'https:' || protocol === 'http:') ? href : undefined;
}

@Component({
  selector: 'ht-message-text',
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { dir: 'auto' },
  template: `@for (part of parts(); track $index) {
    @if (part.href; as href) {
      <a [href]="href" [title]="href" target="_blank" rel="noopener noreferrer">{{ part.text }}</a>
    } @else {
      <span>{{ part.text }}</span>
    }
  }`,
  styles: `
    :host {
      display: block;
      white-space: pre-wrap;
      overflow-wrap: anywhere;
    }
  `,
})
export class MessageText {
  readonly text = input.required<string>();
  protected readonly parts = computed(() => splitLinks(this.text()));
}
