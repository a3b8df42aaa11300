/** What each request of the session protocol does. Parameters were parsed by their schema before. */
import type { Logger } from 'pino';
import type { Method } from '../../../protocol/session.ts';
import type { Source } from '../../../protocol/media.ts';
import type { Conferences } from '../conference/conferences.ts';
import type { ModuleHost } from '../modules/host.ts';
import { ProtocolFailure } from './failure.ts';
import type { Handlers } from './handlers.ts';
import { moduleHandlers } from './module-requests.ts';
import type { Session } from './session.ts';

export interface RequestDeps {
  conferences: Conferences;
  modules: ModuleHost;
  log: Logger;
}

/** Every method but `hello`, which makes the session and is handled by the session server. */
export function requestHandlers({ conferences, modules }: RequestDeps): Handlers<Exclude<Method, 'hello'>> {
  const { seats, media } = conferences;

  const setPaused = (session: Session, source: Source, paused: boolean): Promise<Record<string, never>> =>
    seats.change(session, async (seat, still) => {
      await media.setPaused(seat, source, paused, still);
      return {};
    });

  return {
    ...moduleHandlers(modules, conferences),
    ping: () => ({}),

    'conference.join': (session, { roomId, keepMedia }) =>
      conferences.join(roomId, { ...session.owner, holder: session }, keepMedia),

    async 'conference.leave'(session) {
      await seats.leaveAs(session, 'left');
      return {};
    },

    'conference.wait': () => {
      throw new ProtocolFailure('not-found', 'Nobody waits in this meeting.');
    },
    'conference.stop-waiting': () => ({}),

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
