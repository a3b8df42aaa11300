import { LiveAnnouncer } from '@angular/cdk/a11y';
import { signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { Subject } from 'rxjs';
import type { ChatMessage } from '../../../../../protocol/modules/chat.ts';
import { Chat } from './chat.ts';
import { OpenPanel } from '../../shared/open-panel.ts';
import { ChatAnnouncements } from './chat-announcements.ts';

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

describe('Accessibility: announcements of the chat', () => {
  const messages = signal<readonly ChatMessage[]>([]);
  const newMessages = new Subject<readonly ChatMessage[]>();
  let said: jasmine.Spy;

  beforeEach(() => {
    jasmine.clock().install().mockDate();
    spyOn(performance, 'now').and.callFake(() => Date.now());
    const unseen = (): Set<string> => new Set(messages().map(({ eventId }) => eventId));
    TestBed.configureTestingModule({
      providers: [{ provide: Chat, useValue: { messages, newMessages, unseen } }],
    });
    said = spyOn(TestBed.inject(LiveAnnouncer), 'announce').and.resolveTo();
    TestBed.inject(ChatAnnouncements);
  });
  afterEach(() => jasmine.clock().uninstall());

  function write(...written: ChatMessage[]): void {
    messages.set(written);
    newMessages.next(written);
  }
  const texts = (): string[] => said.calls.allArgs().map(([text]) => String(text).replace(/[\u2068\u2069]/g, ''));

  it('say what is written while the chat is closed, and that somebody is a guest', () => {
    write(message(1), message(2, { displayName: 'Bert Brandt', guest: true }));
    jasmine.clock().tick(1_500);
    expect(texts()).toEqual(['Chat, Anna: Text 1 Chat, Bert Brandt (guest): Text 2']);
  });

  it('are not made of what an open chat shows, which is read as a log', () => {
    TestBed.inject(OpenPanel).name.set('chat');
    write(message(1));
    jasmine.clock().tick(10_000);
    expect(said).not.toHaveBeenCalled();
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

  it('read out the beginning of a long message, and cut no character in two', () => {
    write(message(1, { body: '👩‍👩‍👧'.repeat(200) }));
    jasmine.clock().tick(1_500);
    const [text] = texts();
    expect(text?.isWellFormed()).toBeTrue();
    expect(text?.endsWith('👩‍👩‍👧 …')).toBeTrue();
    expect(text?.length).toBeLessThan(250);
  });
});
