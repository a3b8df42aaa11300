import { TestBed } from '@angular/core/testing';
import { CHAT_MAX_LENGTH, type ChatMessage } from '../../../../../protocol/modules/chat.ts';
import { Chat } from './chat.ts';
import { Session } from '../../session/session.ts';
import { ChatPanel } from './chat-panel.ts';

const ROOM = '!r';
const LIMIT_MS = 10_000;

function message(count: number, change: Partial<ChatMessage> = {}): ChatMessage {
  return {
    eventId: `$${String(count)}`,
    roomId: ROOM,
    sender: '@anna:hamburg.example',
    displayName: 'Anna',
    organisation: 'hamburg.example',
    guest: false,
    body: `Message ${String(count)}\nof two lines`,
    sentAt: 1,
    position: [count, count],
    ...change,
  };
}

describe('Chat: the panel', () => {
  let chat: Chat;
  let root: HTMLElement;

  async function open(messages: ChatMessage[]): Promise<void> {
    sessionStorage.clear();
    localStorage.removeItem('hansetag-chat-read');
    chat = TestBed.inject(Chat);
    spyOn(TestBed.inject(Session), 'request').and.resolveTo({ messages } as never);
    await chat.open(ROOM);
    show();
  }

  function show(): void {
    const fixture = TestBed.createComponent(ChatPanel);
    root = fixture.nativeElement as HTMLElement;
    root.style.height = '400px';
    fixture.autoDetectChanges();
  }

  const get = <T extends HTMLElement>(testid: string): T | null => root.querySelector<T>(`[data-testid=${testid}]`);

  function type(text: string): void {
    const field = get<HTMLTextAreaElement>('chat-input');
    if (!field) throw new Error('no field');
    field.value = text;
    field.dispatchEvent(new Event('input'));
    TestBed.tick();
  }

  it('keeps the draft when it is closed and opened again', async () => {
    await open([]);
    type('Half a sen');
    root.remove();
    show();
    expect(get<HTMLTextAreaElement>('chat-input')?.value).toBe('Half a sen');
  });

  it('lets a long text in, says its length, and sends nothing of it', async () => {
    await open([]);
    type('x'.repeat(CHAT_MAX_LENGTH + 500));
    expect(get('chat-length')?.textContent?.trim()).toBe('4,500 of 4,000 characters');
    expect(get('chat-too-long')?.textContent).toContain('Too long');
    get('chat-input')?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', cancelable: true }));
    TestBed.tick();
    expect(get<HTMLTextAreaElement>('chat-input')?.value.length).toBe(CHAT_MAX_LENGTH + 500);
    expect(chat.outgoing()).toEqual([]);
    type('short');
    expect(get('chat-length')).toBeNull();
    expect(get('chat-too-long')?.textContent?.trim()).toBe('');
  });

  it('says who is a guest and what was edited, and keeps names in their own direction', async () => {
    await open([message(1), message(2, { guest: true, displayName: 'Bert Brandt', editedAt: 2 })]);
    const [first, second] = root.querySelectorAll('article');
    expect(first?.querySelector('[data-testid=guest-mark]')).toBeNull();
    expect(second?.querySelector('[data-testid=guest-mark]')?.textContent).toBe('Guest');
    expect(second?.querySelector('[data-testid=chat-edited]')).not.toBeNull();
    expect(second?.querySelector('strong bdi')?.textContent).toBe('Bert Brandt');
  });

  it('shows no time where the server of the sender gives none', async () => {
    await open([message(1, { sentAt: 0 })]);
    expect(root.querySelector('time')?.textContent).toBe('');
  });

  it('brings new messages into view and counts them as seen, wherever in the order they stand', async () => {
    await open(Array.from({ length: 30 }, (_, index) => message(index * 10)));
    const list = root.querySelector<HTMLElement>('.list');
    if (!list) throw new Error('no list');
    // Opened at the first message that is new.
    expect(list.scrollTop).toBeLessThan(40);
    expect(chat.unread()).toBeGreaterThan(10);
    list.scrollTop = list.scrollHeight;
    await until(() => chat.unread() === 0);
    chat.received(message(1_000));
    await until(() => chat.unread() === 0);
    expect(list.scrollHeight - list.scrollTop - list.clientHeight).toBeLessThan(48);
    // One that was under way for long stands far above.
    chat.received(message(5));
    await until(() => get('chat-unseen') !== null);
    expect(get('chat-unseen')?.textContent).toContain('1 new message');
    get('chat-unseen')?.click();
    await until(() => chat.unread() === 0);
    expect(list.scrollTop).toBeLessThan(100);
  }, 60_000);
});

/** A busy machine draws few frames, and scrolling is told by frames. */
async function until(check: () => boolean): Promise<void> {
  for (const end = performance.now() + LIMIT_MS; performance.now() < end;) {
    if (check()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`not within ${String(LIMIT_MS)} ms: ${check.toString()}`);
}
