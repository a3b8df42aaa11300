/**
 * Space hierarchies, local and across servers.
 *
 * @see Matrix specification, client-server API, "Spaces"; server-server API, "Spaces"
 */
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import type { Visibility } from '../../engine/visibility.ts';
import { openToServer, openToUser } from './access.ts';
import { childrenOf } from './children.ts';
import type { Child } from './children.ts';
import type { RemoteRoom, RemoteSpaces } from './remote-spaces.ts';
import { summaryOf } from '../../engine/rooms/summary.ts';
import type { RoomSummary } from '../../engine/rooms/summary.ts';

/** A room of the hierarchy, in the format for clients and servers. */
export type HierarchyRoom = JsonObject;

export interface HierarchyQuery {
  readonly from?: string;
  readonly limit: number;
  readonly maxDepth?: number;
  readonly suggestedOnly: boolean;
}

export interface HierarchyOptions {
  readonly db: Database;
  readonly rooms: RoomReader;
  readonly serverName: string;
  readonly visibility: Visibility;
  readonly remote: RemoteSpaces;
}

/** A visible room and its children. */
interface Known {
  readonly room: HierarchyRoom;
  readonly children: readonly Child[];
  /** Children that the other server described as well. */
  readonly told: ReadonlyMap<string, RemoteRoom>;
  /** Children that are inaccessible according to the other server. */
  readonly closed: ReadonlySet<string>;
}

interface Step {
  readonly roomId: string;
  readonly via: readonly string[];
  readonly depth: number;
  readonly told?: RemoteRoom;
}

/** Most rooms visited for one page. */
const MAX_WALK = 2000;
/** Time limit for requests to other servers for one page, in ms; what is not received by then is left out. */
const PATIENCE_MS = 20_000;
/** Most children in a response to another server. */
const MAX_TOLD = 100;

export class Hierarchy {
  readonly #options: HierarchyOptions;

  constructor(options: HierarchyOptions) {
    this.#options = options;
  }

  /**
   * The hierarchy below a room that a user may see, depth first.
   *
   * @throws MatrixError 403 when the user may not see the room, 400 for a token of another request
   */
  async forUser(
    roomId: string,
    userId: string,
    query: HierarchyQuery,
  ): Promise<{ rooms: HierarchyRoom[]; nextBatch?: string }> {
    const ask = `${query.maxDepth === undefined ? '' : String(query.maxDepth)}.${query.suggestedOnly ? 1 : 0}`;
    const skip = offsetOf(query.from, ask);
    const found: HierarchyRoom[] = [];
    const seen = new Set([roomId]);
    const stack: Step[] = [{ roomId, via: [], depth: 0 }];
    const wanted = skip + query.limit + 1;
    const deadline = Date.now() + PATIENCE_MS;
    for (let walked = 0; found.length < wanted && walked < MAX_WALK; walked++) {
      const step = stack.pop();
      if (!step) break;
      const known = await this.#known(step, userId, query.suggestedOnly, deadline);
      if (!known) {
        if (step.depth === 0) throw new MatrixError(403, 'M_FORBIDDEN', 'You may not see this room.');
        continue;
      }
      found.push(known.room);
      if (query.maxDepth !== undefined && step.depth >= query.maxDepth) continue;
      // The last on the stack is the next.
      for (const child of [...known.children].reverse()) {
        const { roomId: below, via } = child;
        if (seen.has(below) || known.closed.has(below)) continue;
        const told = known.told.get(below);
        stack.push({ roomId: below, via, depth: step.depth + 1, ...(told === undefined ? {} : { told }) });
      }
      for (const child of known.children) seen.add(child.roomId);
    }
    return {
      rooms: found.slice(skip, skip + query.limit),
      ...(found.length === wanted ? { nextBatch: `h${String(skip + query.limit)}.${ask}` } : {}),
    };
  }

  /**
   * A local room and its children, as far as another server may see them.
   *
   * @throws MatrixError 404
   */
  async forServer(
    roomId: string,
    server: string,
    suggestedOnly: boolean,
  ): Promise<{ room: HierarchyRoom; children: HierarchyRoom[]; inaccessible: string[] }> {
    const { db } = this.#options;
    const own = await this.#own(roomId, suggestedOnly);
    if (!own || !(await openToServer(db, server, roomId, own.summary))) {
      throw new MatrixError(404, 'M_NOT_FOUND', 'No such room, or your server may not see it.');
    }
    const children: HierarchyRoom[] = [];
    const inaccessible: string[] = [];
    for (const child of own.children.slice(0, MAX_TOLD)) {
      const below = (await this.#isOurs(child.roomId)) ? await summaryOf(this.#options.rooms, child.roomId) : undefined;
      if (!below) continue;
      if (await openToServer(db, server, child.roomId, below)) children.push({ ...below });
      else inaccessible.push(child.roomId);
    }
    return { room: own.room, children, inaccessible };
  }

  /**
   * The summary of a room that a user may see.
   *
   * @param via servers that may be in the room
   * @throws MatrixError 404
   */
  async summary(roomId: string, userId: string, via: readonly string[]): Promise<HierarchyRoom> {
    const known = await this.#known({ roomId, via, depth: 0 }, userId, true);
    if (!known) throw new MatrixError(404, 'M_NOT_FOUND', 'No such room, or you may not see it.');
    const { children_state: _children, ...room } = known.room;
    const membership = await this.#options.rooms.membership(roomId, userId);
    return { ...room, ...(membership === undefined ? {} : { membership }) };
  }

  /** A room that a user may see. */
  async #known(step: Step, userId: string, suggestedOnly: boolean, deadline = Infinity): Promise<Known | undefined> {
    const { remote } = this.#options;
    const { roomId, told } = step;
    if (await this.#isOurs(roomId)) {
      const own = await this.#own(roomId, suggestedOnly);
      if (!own || !(await openToUser(this.#options, userId, roomId, own.summary))) return undefined;
      return { room: own.room, children: own.children, told: new Map(), closed: new Set() };
    }
    // The description by the space's server suffices for a room without children.
    if (told && told.room_type !== 'm.space') {
      if (!(await openToUser(this.#options, userId, roomId, told))) return undefined;
      return { room: { ...told, children_state: [] }, children: [], told: new Map(), closed: new Set() };
    }
    if (Date.now() > deadline) return undefined;
    const answer = await remote.ask(roomId, step.via, suggestedOnly);
    if (!answer || !(await openToUser(this.#options, userId, roomId, answer.room))) return undefined;
    return {
      room: { ...answer.room },
      children: answer.below,
      told: new Map(answer.children.map((child) => [child.room_id, child])),
      closed: new Set(answer.inaccessible),
    };
  }

  async #own(
    roomId: string,
    suggestedOnly: boolean,
  ): Promise<{ summary: RoomSummary; room: HierarchyRoom; children: readonly Child[] } | undefined> {
    const { rooms } = this.#options;
    const summary = await summaryOf(rooms, roomId);
    if (!summary) return undefined;
    const state = summary.room_type === 'm.space' ? await rooms.stateOfType(roomId, 'm.space.child') : [];
    const children = childrenOf(
      state
        .filter(({ redactedBy }) => redactedBy === undefined)
        .map(({ pdu }) => ({
          type: pdu.type,
          state_key: pdu.state_key ?? '',
          content: pdu.content,
          sender: pdu.sender,
          origin_server_ts: pdu.origin_server_ts,
          room_id: roomId,
        })),
    ).filter((child) => !suggestedOnly || member(child.event.content, 'suggested') === true);
    return { summary, room: { ...summary, children_state: children.map(({ event }) => ({ ...event })) }, children };
  }

  async #isOurs(roomId: string): Promise<boolean> {
    const { rooms, serverName } = this.#options;
    return (await rooms.joinedServers(roomId)).has(serverName);
  }
}

/** @throws MatrixError 400 M_INVALID_PARAM */
function offsetOf(token: string | undefined, ask: string): number {
  if (token === undefined || token === '') return 0;
  const match = /^h([0-9]{1,6})\.(.*)$/.exec(token);
  if (match?.[2] !== ask) throw new MatrixError(400, 'M_INVALID_PARAM', 'from belongs to another request.');
  return Number(match[1]);
}
