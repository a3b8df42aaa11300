import { LiveAnnouncer } from '@angular/cdk/a11y';
import { signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import type { ChatMessage } from '../../../../../protocol/modules/chat.ts';
import { Chat } from '../../conference/chat.ts';
import { Announcements } from './announcements.ts';

function message(count: number, change: Partial<ChatMessage> = {}): ChatMessage {
  return {
    eventId: `$${String(count)}`,
    roomId: '!r',
    sender: '@anna:hamburg.example',
    displayName: 'Anna',
    organisation: 'hamburg.example',
    guest: false,
    body: `Text ${String(count)}`,
    sentAt: 1,
    position: [count, count],
    ...change,
  };
}

describe('Accessibility: announcements for screen readers', () => {
  const messages = signal<readonly ChatMessage[]>([]);
  let announcements: Announcements;
  let said: jasmine.Spy;

  beforeEach(() => {
    jasmine.clock().install().mockDate();
    spyOn(performance, 'now').and.callFake(() => Date.now());
    const unseen = (): Set<string> => new Set(messages().map(({ eventId }) => eventId));
    TestBed.configureTestingModule({ providers: [Announcements, { provide: Chat, useValue: { messages, unseen } }] });
    said = spyOn(TestBed.inject(LiveAnnouncer), 'announce').and.resolveTo();
    announcements = TestBed.inject(Announcements);
  });
  afterEach(() => jasmine.clock().uninstall());

  function write(...written: ChatMessage[]): void {
    messages.set(written);
    announcements.messages(written);
  }
  const texts = (): string[] => said.calls.allArgs().map(([text]) => String(text).replace(/[\u2068\u2069]/g, ''));

  it('say what is written while the chat is closed, and that somebody is a guest', () => {
    write(message(1), message(2, { displayName: 'Bert Brandt', guest: true }));
    jasmine.clock().tick(1_500);
    expect(texts()).toEqual(['Chat, Anna: Text 1 Chat, Bert Brandt (guest): Text 2']);
    announcements.people({ kind: 'joined', person: { displayName: 'Bert Brandt', guest: true } });
    jasmine.clock().tick(6_000);
    expect(texts().at(-1)).toBe('Bert Brandt (guest) has joined.');
  });

  it('count where many write, and come at most every few seconds', () => {
    for (let count = 0; count < 100; count += 1) {
      write(...Array.from({ length: 5 }, (_, index) => message(count * 5 + index)));
      jasmine.clock().tick(200);
    }
    expect(said.calls.count()).toBeLessThan(5);
    expect(texts().at(-1)).toContain('new messages in the chat, the last one by Anna.');
  });

  it('do not say what was deleted meanwhile', () => {
    write(message(1));
    messages.set([]);
    jasmine.clock().tick(10_000);
    expect(said).not.toHaveBeenCalled();
  });

  it('keep names from turning the direction of the sentence', () => {
    announcements.people({ kind: 'left', person: { displayName: 'שלום', guest: false } });
    jasmine.clock().tick(1_500);
    expect(said.calls.mostRecent().args[0]).toBe('\u2068שלום\u2069 has left.');
  });

  it('read out the beginning of a long message, and cut no character in two', () => {
    write(message(1, { body: '👩‍👩‍👧'.repeat(200) }));
    jasmine.clock().tick(1_500);
    const [text] = texts();
    expect(text?.isWellFormed()).toBeTrue();
    expect(text?.endsWith('👩‍👩‍👧 …')).toBeTrue();
    expect(text?.length).toBeLessThan(250);
  });
});
