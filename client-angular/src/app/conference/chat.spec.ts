import { TestBed } from '@angular/core/testing';
import type { ChatMessage } from '../../../../protocol/session.ts';
import { Session } from '../session/session.ts';
import { SessionError } from '../session/session-error.ts';
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

describe('The chat', () => {
  let chat: Chat;
  let request: jasmine.Spy;

  beforeEach(async () => {
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
    chat = TestBed.inject(Chat);
    request.and.resolveTo({ messages: [message('$2'), message('$3')], next: 'older' });
    await chat.open(ROOM);
  });

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

  it('counts what others wrote since one looked; history does not count', () => {
    expect(chat.unread()).toBe(0);
    chat.received(message('$4'));
    chat.received(message('$5', { sender: '@bert:luebeck.example' }));
    expect(chat.unread()).toBe(1);
    chat.read();
    expect(chat.unread()).toBe(0);
  });

  it('shows an own message once, whether the answer or the message comes first', async () => {
    request.and.resolveTo({ eventId: '$8', position: [8, 0] });
    await chat.send(' Moin ');
    chat.received(message('$8', { sender: '@bert:luebeck.example', body: 'Moin' }));
    expect(chat.outgoing()).toEqual([]);
    expect(ids()).toEqual(['$2', '$3', '$8']);
    let answer: (value: unknown) => void = () => undefined;
    request.and.returnValue(new Promise((resolve) => (answer = resolve)));
    const sending = chat.send('Tschüss');
    expect(chat.outgoing().length).toBe(1);
    chat.received(message('$9', { sender: '@bert:luebeck.example', body: 'Tschüss' }));
    expect(chat.outgoing()).toEqual([]);
    answer({ eventId: '$9', position: [9, 0] });
    await sending;
    expect(ids()).toEqual(['$2', '$3', '$8', '$9']);
  });

  it('keeps what could not be sent, and sends it again under the same transaction', async () => {
    request.and.rejectWith(new SessionError('connection-lost', ''));
    await chat.send('Moin');
    const [failed] = chat.outgoing();
    if (!failed) throw new Error('nothing is kept');
    expect(failed.failed).toBeTrue();
    request.and.resolveTo({ eventId: '$9', position: [9, 0] });
    await chat.retry(failed);
    const ids = request.calls.allArgs().map(([, params]) => (params as { transactionId?: string }).transactionId);
    expect(ids.slice(-2)).toEqual([failed.transactionId, failed.transactionId]);
    expect(chat.outgoing()).toEqual([]);
  });

  it('does not show messages of another meeting', () => {
    chat.received(message('$4', { roomId: '!other' }));
    expect(ids()).toEqual(['$2', '$3']);
  });
});
