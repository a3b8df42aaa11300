/** What each request of the session protocol does. Parameters were parsed by their schema before. */
import type { Logger } from 'pino';
import type { ChatMessage } from '../../../protocol/modules/chat.ts';
import type { Method, Params, Result } from '../../../protocol/session.ts';
import type { Source } from '../../../protocol/media.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';
import { chatPosition, type Chat } from '../chat.ts';
import type { Conferences } from '../conference/conferences.ts';
import { ProtocolFailure } from './failure.ts';
import type { Session } from './session.ts';

export interface RequestDeps {
  conferences: Conferences;
  chat: Chat;
  /** Counts one message of a user. @throws MatrixError 429 above the limit that holds for the Matrix API as well */
  limitSending(userId: string): Promise<void>;
  log: Logger;
}

/** Every method but `hello`, which makes the session and is handled by the session server. */
type Handlers = {
  [M in Exclude<Method, 'hello'>]: (session: Session, params: Params<M>) => Promise<Result<M>> | Result<M>;
};

export function requestHandlers({ conferences, chat, limitSending }: RequestDeps): Handlers {
  const { seats, media } = conferences;

  const setPaused = (session: Session, source: Source, paused: boolean): Promise<Record<string, never>> =>
    seats.change(session, async (seat, still) => {
      await media.setPaused(seat, source, paused, still);
      return {};
    });

  const notYet = (): never => {
    throw new ProtocolFailure('not-found', 'This server does not offer this yet.');
  };

  return {
    'hands.raise': notYet,
    'hands.lower': notYet,
    'hands.lower-all': notYet,
    'hands.switch': notYet,
    'moderation.mute': notYet,
    'moderation.remove': notYet,

    ping: () => ({}),

    'conference.join': (session, { roomId, keepMedia }) =>
      conferences.join(roomId, { ...session.owner, holder: session }, keepMedia),

    async 'conference.leave'(session) {
      await seats.leaveAs(session, 'left');
      return {};
    },

    'media.open': (session) => seats.change(session, (seat, still) => media.open(seat, still)),

    'media.connect': (session, params) =>
      seats.change(session, async (seat) => {
        await media.connect(seat, params);
        return {};
      }),

    'media.restart-ice': (session, params) => seats.change(session, (seat) => media.restartIce(seat, params)),

    'media.publish': (session, params) =>
      seats.change(session, async (seat, still) => ({ producerId: await media.publish(seat, params, still) })),

    'media.pause': (session, { source }) => setPaused(session, source, true),
    'media.resume': (session, { source }) => setPaused(session, source, false),

    'media.unpublish': (session, { source }) =>
      seats.change(session, async (seat) => {
        await media.unpublish(seat, source);
        return {};
      }),

    'media.watch': (session, params) =>
      seats.change(session, async (seat) => {
        media.watch(seat, params);
        return {};
      }),

    'media.ready': (session, { consumerIds }) =>
      seats.change(session, async (seat) => {
        await media.ready(seat, consumerIds);
        return {};
      }),

    async 'chat.send'(session, { roomId, transactionId, body }) {
      await limitSending(session.owner.userId);
      const event: StoredEvent = await chat.send(roomId, session.owner, transactionId, body);
      return { eventId: event.eventId, position: chatPosition(event) };
    },

    async 'chat.history'(session, { roomId, before, limit }): Promise<{ messages: ChatMessage[]; next?: string }> {
      return chat.history(roomId, session.owner.userId, before, limit ?? 50);
    },
  };
}
