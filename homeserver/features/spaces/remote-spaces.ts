/** Hierarchies and summaries of remote rooms, from other servers. */
import { z } from 'zod';
import { LIST_BYTES } from '../../../federation/client.ts';
import type { FederationClient } from '../../../federation/client.ts';
import { isRoomId } from '../../../federation/identifiers.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import { askServer } from '../../engine/federation/ask.ts';
import { childEventSchema, childrenOf } from './children.ts';
import type { Child } from './children.ts';

const text = (max: number) => z.string().max(max).nullish().catch(undefined);

/** Only known fields are copied, with limits. */
const roomSchema = z.object({
  room_id: z.string().max(255).refine(isRoomId),
  name: text(500),
  topic: text(5000),
  avatar_url: text(1000),
  canonical_alias: text(255),
  num_joined_members: z.number().int().min(0).catch(0),
  join_rule: z
    .string()
    .max(100)
    .nullish()
    .transform((rule) => rule ?? 'public'),
  world_readable: z.boolean().catch(false),
  guest_can_join: z.boolean().catch(false),
  room_type: text(255),
  room_version: text(64),
  encryption: text(255),
  allowed_room_ids: z.array(z.string().max(255)).max(100).nullish().catch(undefined),
});
const answerSchema = z.looseObject({
  room: roomSchema.extend({ children_state: z.array(z.unknown()).max(2000).default([]) }),
  children: z.array(z.unknown()).max(2000).default([]),
  inaccessible_children: z.array(z.string().max(255)).max(2000).default([]),
});

export type RemoteRoom = JsonObject & {
  readonly room_id: string;
  readonly join_rule: string;
  readonly world_readable: boolean;
  readonly room_type?: string;
  readonly allowed_room_ids?: string[];
};

export interface RemoteAnswer {
  /** With `children_state`. */
  readonly room: RemoteRoom;
  /** Its children, in order. */
  readonly below: readonly Child[];
  /** Those of the children that the server described. */
  readonly children: readonly RemoteRoom[];
  readonly inaccessible: readonly string[];
}

const TIMEOUT_MS = 10_000;
/** How long a response is cached, in ms: a hierarchy is requested page by page. */
const KEPT_MS = 30_000;
const MAX_KEPT = 500;
const MAX_SERVERS = 3;

export class RemoteSpaces {
  readonly #client: FederationClient;
  readonly #serverName: string;
  readonly #kept = new Map<string, { until: number; answer: Promise<RemoteAnswer | undefined> }>();

  constructor(client: FederationClient, serverName: string) {
    this.#client = client;
    this.#serverName = serverName;
  }

  /**
   * Tries one server after the other. @returns undefined when none responds
   *
   * @returns undefined when none tells anything
   */
  async ask(roomId: string, via: readonly string[], suggestedOnly: boolean): Promise<RemoteAnswer | undefined> {
    const colon = roomId.indexOf(':');
    const servers = new Set([...via, ...(colon > 0 ? [roomId.slice(colon + 1)] : [])]);
    servers.delete(this.#serverName);
    for (const server of [...servers].slice(0, MAX_SERVERS)) {
      const answer = await this.#keptOrAsked(server, roomId, suggestedOnly);
      if (answer) return answer;
    }
    return undefined;
  }

  async #keptOrAsked(server: string, roomId: string, suggestedOnly: boolean): Promise<RemoteAnswer | undefined> {
    const key = `${server} ${roomId} ${String(suggestedOnly)}`;
    const kept = this.#kept.get(key);
    if (kept && kept.until > Date.now()) return kept.answer;
    const answer = this.#askServer(server, roomId, suggestedOnly);
    this.#kept.delete(key);
    this.#kept.set(key, { until: Date.now() + KEPT_MS, answer });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    // Failures are not cached.
    answer.then(
      (given) => given ?? this.#kept.delete(key),
      () => this.#kept.delete(key),
    );
    return answer;
  }

  async #askServer(server: string, roomId: string, suggestedOnly: boolean): Promise<RemoteAnswer | undefined> {
    const query = new URLSearchParams({ suggested_only: String(suggestedOnly) });
    let answer: JsonObject;
    try {
      answer = await askServer(this.#client, {
        destination: server,
        method: 'GET',
        path: `/_matrix/federation/v1/hierarchy/${encodeURIComponent(roomId)}?${query.toString()}`,
        timeoutMs: TIMEOUT_MS,
        maxBytes: LIST_BYTES,
      });
    } catch (error) {
      if (error instanceof MatrixError) return undefined;
      throw error;
    }
    const parsed = answerSchema.safeParse(answer);
    if (!parsed.success || parsed.data.room.room_id !== roomId) return undefined;
    const { children_state: state, ...room } = parsed.data.room;
    const events = state.map((event) => childEventSchema.safeParse(event).data).filter((event) => event !== undefined);
    const below = childrenOf(
      events.map(({ type, state_key: key, content, sender, origin_server_ts: at }) => ({
        type,
        state_key: key,
        content,
        sender,
        origin_server_ts: at,
        room_id: roomId,
      })),
    );
    return {
      room: { ...without(room), children_state: below.map(({ event }) => event) },
      below,
      children: parsed.data.children
        .map((child) => roomSchema.safeParse(child).data)
        .filter((child) => child !== undefined)
        .map((child) => without(child)),
      inaccessible: parsed.data.inaccessible_children,
    };
  }
}

/** Without undefined members. */
function without(room: z.output<typeof roomSchema>): RemoteRoom {
  return Object.fromEntries(
    Object.entries(room).filter(([, value]) => value !== undefined && value !== null),
  ) as RemoteRoom;
}
