/** Makes the form of events that one client gets. */
import type { JsonObject } from '../../federation/json.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';
import { clientEvent } from './client-event.ts';

/** For a user on a device. */
export type ShowFor = (userId: string, deviceId: string) => (event: StoredEvent) => Promise<JsonObject>;

export function showFor(rooms: Rooms): ShowFor {
  return () => async (event) => clientEvent(event, (await rooms.version(event.roomId))?.id ?? '');
}
