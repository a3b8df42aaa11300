/** What each request of the session protocol does. Parameters were parsed by their schema before. */
import type { Logger } from 'pino';
import type { Method } from '../../../protocol/session.ts';
import type { Source } from '../../../protocol/media.ts';
import type { Conferences } from '../conference/conferences.ts';
import type { ModuleHost } from '../modules/host.ts';
import type { WaitingFeature } from '../waiting/index.ts';
import { ProtocolFailure } from './failure.ts';
import type { Handlers } from './handlers.ts';
import { moduleHandlers } from './module-requests.ts';
import type { Session } from './session.ts';

export interface RequestDeps {
  conferences: Conferences;
  modules: ModuleHost;
  waiting: Pick<WaitingFeature, 'wait' | 'stop'>;
  log: Logger;
}

/** Every method but `hello`, which makes the session and is handled by the session server. */
export function requestHandlers({ conferences, modules, waiting }: RequestDeps): Handlers<Exclude<Method, 'hello'>> {
  const { seats, media } = conferences;

  const setPaused = (session: Session, source: Source, paused: boolean): Promise<Record<string, never>> =>
    seats.change(session, async (seat, still) => {
      await media.setPaused(seat, source, paused, still);
      return {};
    });

  return {
    ...moduleHandlers(modules, conferences),
    ping: () => ({}),

    async 'conference.join'(session, { roomId, keepMedia }) {
      const snapshot = await conferences.join(roomId, { ...session.owner, holder: session }, keepMedia);
      waiting.stop(session);
      return snapshot;
    },

    async 'conference.leave'(session) {
      await seats.leaveAs(session, 'left');
      return {};
    },

    'conference.wait'(session, { roomId }) {
      if (seats.of(session)) throw new ProtocolFailure('conflict', 'You have a place in a conference.');
      return waiting.wait(roomId, { ...session.owner, holder: session });
    },

    'conference.stop-waiting'(session) {
      waiting.stop(session);
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
  };
}
