import { signal, type WritableSignal } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { CHAT_MAX_LENGTH, type ChatMessage } from '../../../../../protocol/modules/chat.ts';
import { Auth, UNSENT_KEY } from '../../core/auth.ts';
import { Session } from '../../session/session.ts';
import { SessionError } from '../../session/session-error.ts';
import { Chat } from './chat.ts';

const ROOM = '!r';

function message(eventId: string, change: Partial<ChatMessage> = {}): ChatMessage {
  return {
    eventId,
    roomId: ROOM,
    sender: '@anna:hamburg.example',
    displayName: 'Anna',
    organisation: 'hamburg.example',
    guest: false,
    body: eventId,
    sentAt: Number(eventId.slice(1)),
    position: [Number(eventId.slice(1)), 0],
    ...change,
  };
}

describe('Chat: messages of a meeting', () => {
  let chat: Chat;
  let request: jasmine.Spy;

  let userId: WritableSignal<string>;

  function openChat(): Chat {
    // Nobody is logged in as far as the session goes, so that it stays closed.
    TestBed.configureTestingModule({ providers: [{ provide: Auth, useValue: { userId, loggedIn: signal(false) } }] });
    const session = TestBed.inject(Session);
    request = spyOn(session, 'request');
    spyOn(session, 'hello').and.returnValue({
      sessionId: 's',
      userId: '@bert:luebeck.example',
      deviceId: 'D',
      displayName: 'Bert',
      organisation: { serverName: 'luebeck.example', displayName: 'Lübeck', colour: '#a3262f' },
      resumed: false,
      guest: false,
    });
    return TestBed.inject(Chat);
  }

  beforeEach(async () => {
    sessionStorage.removeItem(UNSENT_KEY);
    localStorage.removeItem('hansetag-chat-read');
    userId = signal('@bert:luebeck.example');
    chat = openChat();
    request.and.resolveTo({ messages: [message('$2'), message('$3')], next: 'older' });
    await chat.open(ROOM);
  });

  function say(text: string): Promise<void> {
    chat.write(text);
    return chat.send();
  }

  const ids = (): string[] => chat.messages().map(({ eventId }) => eventId);

  it('pages back and shows each message once, the oldest first', async () => {
    expect(chat.hasOlder()).toBeTrue();
    request.and.resolveTo({ messages: [message('$1'), message('$2')] });
    await chat.older();
    chat.received(message('$4'));
    chat.received(message('$4'));
    expect(ids()).toEqual(['$1', '$2', '$3', '$4']);
    expect(chat.hasOlder()).toBeFalse();
  });

  it('stands in the order of the server, whatever the clocks of the senders say', async () => {
    request.and.resolveTo({ messages: [message('$1', { sentAt: 9_000 }), message('$2', { sentAt: 1 })] });
    await chat.open('!other');
    chat.received(message('$4', { roomId: '!other', sentAt: 5 }));
    chat.received(message('$3', { roomId: '!other', sentAt: 700_000 }));
    expect(ids()).toEqual(['$1', '$2', '$3', '$4']);
  });

  it('counts what others wrote since one looked, and also what came before one entered', () => {
    expect(chat.unread()).toBe(2);
    chat.seen(['$2', '$3']);
    chat.received(message('$4'));
    chat.received(message('$4'));
    chat.received(message('$5', { sender: '@bert:luebeck.example' }));
    expect(chat.unread()).toBe(1);
    chat.seen(chat.unseen());
    expect(chat.unread()).toBe(0);
  });

  it('counts what came while the connection was lost, and nothing twice', async () => {
    chat.seen(['$2', '$3']);
    const told = jasmine.createSpy();
    chat.newMessages.subscribe(told);
    request.and.resolveTo({ messages: [message('$1'), message('$2'), message('$3'), message('$4'), message('$5')] });
    await chat.open(ROOM);
    expect([...chat.unseen()]).toEqual(['$4', '$5']);
    expect(told.calls.allArgs()).toEqual([[[message('$4'), message('$5')]]]);
  });

  it('remembers in this browser what was read, of this account only', async () => {
    chat.seen(['$2']);
    const reopen = async (): Promise<number> => {
      TestBed.resetTestingModule();
      chat = openChat();
      request.and.resolveTo({ messages: [message('$2'), message('$3')] });
      await chat.open(ROOM);
      return chat.unread();
    };
    expect(await reopen()).toBe(1);
    chat.seen(['$3']);
    expect(await reopen()).toBe(0);
    userId.set('@clara:luebeck.example');
    expect(await reopen()).toBe(2);
  });

  it('shows an edit in place of the message, and a deleted one not at all', async () => {
    chat.changed(message('$3', { body: 'better', editedAt: 5 }));
    expect(chat.messages().at(-1)?.body).toBe('better');
    chat.changed(message('$9', { body: 'of a page that is not loaded' }));
    chat.removed({ roomId: ROOM, eventId: '$2' });
    expect(ids()).toEqual(['$3']);
    expect([...chat.unseen()]).toEqual(['$3']);
    // A page that was read before says otherwise.
    request.and.resolveTo({ messages: [message('$1'), message('$2'), message('$3')] });
    await chat.older();
    expect(chat.messages().map(({ body }) => body)).toEqual(['$1', 'better']);
    chat.received(message('$2'));
    expect(ids()).toEqual(['$1', '$3']);
  });

  it('shows no more what was deleted while the connection was lost', async () => {
    request.and.resolveTo({ messages: [message('$3', { body: 'edited' }), message('$4')], next: 'older' });
    await chat.open(ROOM);
    expect(chat.messages().map(({ body }) => body)).toEqual(['edited', '$4']);
    expect([...chat.unseen()]).toEqual(['$3', '$4']);
  });

  it('forgets what comes for a meeting that is not open any more', async () => {
    let answer: (value: unknown) => void = () => undefined;
    request.and.returnValue(new Promise((resolve) => (answer = resolve)));
    const opening = chat.open('!other');
    request.and.resolveTo({ messages: [message('$7')] });
    await chat.open(ROOM);
    answer({ messages: [message('$8', { roomId: '!other' })], next: 'wrong' });
    await opening;
    expect(ids()).toEqual(['$7']);
    expect(chat.hasOlder()).toBeFalse();
  });

  it('shows an own message once, whether the answer or the message comes first', async () => {
    request.and.resolveTo({ eventId: '$8', position: [8, 0] });
    await say(' Moin ');
    chat.received(message('$8', { sender: '@bert:luebeck.example', body: 'Moin' }));
    expect(chat.outgoing()).toEqual([]);
    expect(ids()).toEqual(['$2', '$3', '$8']);
    let answer: (value: unknown) => void = () => undefined;
    request.and.returnValue(new Promise((resolve) => (answer = resolve)));
    const sending = say('Tschüss');
    expect(chat.outgoing().length).toBe(1);
    chat.received(message('$9', { sender: '@bert:luebeck.example', body: 'Tschüss' }));
    expect(chat.outgoing()).toEqual([]);
    answer({ eventId: '$9', position: [9, 0] });
    await sending;
    expect(ids()).toEqual(['$2', '$3', '$8', '$9']);
  });

  it('keeps what could not be sent, and sends it again under the same transaction', async () => {
    request.and.rejectWith(new SessionError('connection-lost', ''));
    await say('Moin');
    const [failed] = chat.outgoing();
    if (!failed) throw new Error('nothing is kept');
    expect(failed.failed).toBe('connection-lost');
    request.and.resolveTo({ eventId: '$9', position: [9, 0] });
    await chat.retry(failed);
    const ids = request.calls.allArgs().map(([, params]) => (params as { transactionId?: string }).transactionId);
    expect(ids.slice(-2)).toEqual([failed.transactionId, failed.transactionId]);
    expect(chat.outgoing()).toEqual([]);
  });

  it('keeps the draft of each meeting, also when the page is loaded again', async () => {
    chat.write('Half a sen');
    await chat.open('!other');
    expect(chat.draft()).toBe('');
    chat.write('Other');
    TestBed.resetTestingModule();
    userId.set('@bert:luebeck.example');
    chat = openChat();
    await chat.open(ROOM);
    expect(chat.draft()).toBe('Half a sen');
    await chat.open('!other');
    expect(chat.draft()).toBe('Other');
  });

  it('keeps what was not sent when the page is loaded again, under the same transaction', async () => {
    request.and.returnValue(new Promise(() => undefined));
    void say('Moin');
    const [sending] = chat.outgoing();
    TestBed.resetTestingModule();
    chat = openChat();
    await chat.open(ROOM);
    expect(chat.outgoing()).toEqual([{ transactionId: sending?.transactionId ?? '', body: 'Moin', failed: '' }]);
  });

  it('shows no draft to another account', async () => {
    chat.write('Only mine');
    userId.set('@clara:luebeck.example');
    expect(chat.draft()).toBe('');
    TestBed.tick();
    expect(sessionStorage.getItem(UNSENT_KEY)).toBeNull();
    userId.set('@bert:luebeck.example');
    expect(chat.draft()).toBe('');
    await chat.open(ROOM);
    expect(chat.draft()).toBe('');
  });

  it('keeps a draft that is too long whole, and sends nothing of it', async () => {
    const long = `${'x'.repeat(CHAT_MAX_LENGTH - 1)}😀`;
    await say(long);
    expect(request.calls.allArgs().filter(([method]) => method === 'chat.send')).toEqual([]);
    expect(chat.draft()).toBe(long);
    expect(chat.draftLength()).toBe(CHAT_MAX_LENGTH + 1);
    request.and.resolveTo({ eventId: '$9', position: [9, 0] });
    await say(`  ${long.slice(1)}  `);
    expect(request.calls.mostRecent().args[1]).toEqual(jasmine.objectContaining({ body: long.slice(1) }));
    expect(chat.draft()).toBe('');
  });

  it('gives back what could not be sent, before what was written since', async () => {
    request.and.rejectWith(new SessionError('too-large', ''));
    await say('First');
    chat.write('Second');
    const [failed] = chat.outgoing();
    if (failed) chat.edit(failed);
    expect(chat.draft()).toBe('First\nSecond');
    expect(chat.outgoing()).toEqual([]);
  });

  it('does not show messages of another meeting', () => {
    chat.received(message('$4', { roomId: '!other' }));
    expect(ids()).toEqual(['$2', '$3']);
  });
});
