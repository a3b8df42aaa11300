/** Formats events for one client. */
import type { JsonObject } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';
import { olderForm } from './client-event.ts';
import { ClientEvents } from './client-events.ts';

/**
 * In the format of everything but `/sync`, for one device of a user. Events requested at the same time are loaded
 * together.
 *
 * @param ofState for a state and not for a history: what the reader was at the time of each event is left out
 */
export type ShowFor = (
  userId: string,
  deviceId: string,
  ofState?: boolean,
) => (event: StoredEvent) => Promise<JsonObject>;

export function showFor(db: Database, rooms: Rooms): ShowFor {
  const clientEvents = new ClientEvents(db, rooms);
  return (userId, deviceId, ofState) => {
    const show = clientEvents.inBatches({ userId, deviceId }, ofState !== true);
    return async (event) => olderForm(await show(event));
  };
}
