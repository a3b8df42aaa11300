/** Room aliases and the room directory, as other requests about rooms need them. */
import type { JsonObject } from '../../../federation/json.ts';

/** @see Matrix specification, client-server API, "Room aliases" */
export interface RoomAliases {
  /** The full alias for a localpart. @throws MatrixError 400 */
  aliasOf(localpart: string): string;
  exists(alias: string): Promise<boolean>;
  create(alias: string, roomId: string, userId: string): Promise<void>;
  /** @param userId who asks @throws MatrixError 404 when there is no such alias, or none for that user */
  resolve(alias: string, userId?: string): Promise<{ readonly roomId: string; readonly servers: readonly string[] }>;
  /** Moves aliases to the room that replaces another. */
  move(from: string, to: string): Promise<void>;
  /** @throws MatrixError 400 when an alias of the event does not point to the room */
  checkCanonical(roomId: string, content: JsonObject): Promise<void>;
}

/** @see Matrix specification, client-server API, "Published room directory" */
export interface PublishedRooms {
  set(roomId: string, isListed: boolean, by: string): Promise<void>;
  move(from: string, to: string): Promise<void>;
}
