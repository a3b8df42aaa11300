/** The log of meetings, put together: what feeds it, and who may read it. */
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import { systemClock } from '../../base/clock.ts';
import type { Database } from '../../database/database.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { ConferenceWatch } from '../conference/ports.ts';
import type { Clocks } from '../conference/room-memberships.ts';
import type { Rights } from '../rights.ts';
import { LogEvents } from './log-events.ts';
import { LogGaps } from './log-gaps.ts';
import { logRouter } from './log-router.ts';
import { MeetingLog, type MeetingLogPort } from './meeting-log.ts';

export interface MeetingLogFeatureDeps {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly rights: Pick<Rights, 'require'>;
  readonly clocks: Clocks;
  /** How long entries are kept, in days; 0: nothing is noted. */
  readonly meetingLogDays: number;
  readonly requireSession: RequestHandler;
  readonly log: Logger;
}

export interface MeetingLogFeature {
  readonly port: MeetingLogPort;
  /** Is told of conferences. */
  readonly watch: ConferenceWatch;
  readonly client: Router;
  close(): Promise<void>;
}

export function makeMeetingLog(deps: MeetingLogFeatureDeps): MeetingLogFeature {
  const { db, rooms, clocks, meetingLogDays: keptDays, log: logger } = deps;
  const log = new MeetingLog({ ...deps, keptDays, clock: systemClock });
  const events = new LogEvents({ log, rooms, clocks, now: () => Date.now(), logger });
  const gaps = new LogGaps({ db, log, clock: systemClock, logger });
  const stopListening = rooms.onEvent((event, { live }) => events.onEvent(event, live));
  return {
    port: log,
    watch: gaps,
    client: logRouter({ ...deps, log }),
    async close() {
      stopListening();
      await events.close();
      await gaps.close();
      await log.close();
    },
  };
}
