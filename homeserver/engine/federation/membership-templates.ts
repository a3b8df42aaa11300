/** Membership templates (`make_join`, `make_knock`, `make_leave`), fetched from another server and signed. */
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import type { FederationClient } from '../../../federation/client.ts';
import { BadEventError, hashAndSign, parsePdu, wireForm } from '../../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../../federation/event.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { OutboundQueue } from '../../../federation/outbound-queue.ts';
import { roomVersion } from '../../../federation/room-versions.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import type { SigningKey } from '../../../federation/signing.ts';
import { storedForm } from '../../../federation/wire-form.ts';
import { MatrixError } from '../../base/errors.ts';
import type { RoomReader } from '../rooms/room-reader.ts';
import { ask, badAnswer, objectSchema, parse, V1 } from './remote-answers.ts';

/** How often a server is asked that is still behind our events, and how long it gets each time. */
const TEMPLATE_ATTEMPTS = 4;
const TEMPLATE_PAUSE_MS = 1_000;

const templateSchema = z.looseObject({ room_version: z.string().max(32).default('1'), event: objectSchema });

type TemplateQuestion = readonly [
  server: string,
  kind: 'make_join' | 'make_knock' | 'make_leave',
  roomId: string,
  userId: string,
  content: JsonObject,
  query: string,
];

/** A membership event that a resident server proposed and we signed. */
export interface Template {
  readonly pdu: Pdu;
  readonly version: RoomVersion;
}

export interface MembershipTemplatesDeps {
  readonly serverName: string;
  readonly key: SigningKey;
  readonly client: FederationClient;
  readonly queue: Pick<OutboundQueue, 'flush'>;
  readonly rooms: RoomReader;
}

export class MembershipTemplates {
  readonly #deps: MembershipTemplatesDeps;

  constructor(deps: MembershipTemplatesDeps) {
    this.#deps = deps;
  }

  /**
   * Fetches the template of a membership event. The other server may not have received yet that a user of ours left, or
   * was unbanned, and its template would undo that: queued events are sent first, and a server that is behind is asked
   * again.
   */
  async fetch(...asked: TemplateQuestion): Promise<Template> {
    const [server, , roomId, userId] = asked;
    await this.#deps.queue.flush(server);
    for (let attempt = 1; ; attempt += 1) {
      const template = await this.#oneTemplate(...asked);
      if (attempt === TEMPLATE_ATTEMPTS || !(await this.#isBehind(template.pdu, roomId, userId))) return template;
      await setTimeout(TEMPLATE_PAUSE_MS);
    }
  }

  /** Whether a template references a membership event that we know to be outdated. */
  async #isBehind({ auth_events: cited }: Pdu, roomId: string, userId: string): Promise<boolean> {
    const { rooms } = this.#deps;
    const own = await rooms.stateEvent(roomId, 'm.room.member', userId);
    if (!own || cited.includes(own.eventId)) return false;
    const known = await rooms.events(cited);
    return own.pdu.auth_events.some((id) => {
      const before = known.get(id)?.pdu;
      return before?.type === 'm.room.member' && before.state_key === userId;
    });
  }

  /** Checks that the template matches the request, and signs it. */
  async #oneTemplate(...[server, kind, roomId, userId, content, query]: TemplateQuestion): Promise<Template> {
    const { client, serverName, key } = this.#deps;
    const answer = await ask(client, server, {
      method: 'GET',
      path: `${V1}/${kind}/${encodeURIComponent(roomId)}/${encodeURIComponent(userId)}${query}`,
      onBehalfOf: kind === 'make_leave' ? 'server' : 'person',
    });
    const template = parse(templateSchema, answer, server);
    const version = roomVersion(template.room_version);
    if (!version) {
      throw new MatrixError(
        400,
        'M_UNSUPPORTED_ROOM_VERSION',
        `Room version ${template.room_version} is not supported.`,
      );
    }
    const { event } = template;
    const asked = member(content, 'membership');
    const given = member(event, 'content');
    if (
      event['type'] !== 'm.room.member' ||
      event['room_id'] !== roomId ||
      event['sender'] !== userId ||
      event['state_key'] !== userId ||
      !isJsonObject(given) ||
      given['membership'] !== asked
    ) {
      throw badAnswer(server, 'its template does not match the request');
    }
    const authoriser = member(given, 'join_authorised_via_users_server');
    const wire = {
      type: 'm.room.member',
      room_id: roomId,
      sender: userId,
      state_key: userId,
      content: {
        ...content,
        ...(authoriser === undefined ? {} : { join_authorised_via_users_server: authoriser }),
      },
      prev_events: event['prev_events'] ?? [],
      auth_events: event['auth_events'] ?? [],
      depth: event['depth'] ?? 1,
      origin_server_ts: Date.now(),
    };
    const draft = storedForm(wire, version);
    if (!draft) throw badAnswer(server, 'its template is malformed');
    const pdu = hashAndSign(draft as UnsignedPdu, version, serverName, key);
    try {
      parsePdu(wireForm(pdu, version), version, { outsideRoom: kind !== 'make_join' });
    } catch (error) {
      if (!(error instanceof BadEventError)) throw error;
      throw badAnswer(server, `its template is malformed: ${error.message}`);
    }
    return { pdu, version };
  }
}
