/** Puts the room endpoints for clients together. */
import type { Feature } from '../../engine/feature.ts';
import { roomsRouter } from './client-router.ts';
import type { RoomsRouterOptions } from './client-router.ts';

export function makeRooms(deps: RoomsRouterOptions): Feature {
  return { client: [roomsRouter(deps)] };
}
