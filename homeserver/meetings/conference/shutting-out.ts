/**
 * Shutting a whole organisation out of a meeting, and letting it in again: by the room's access list, which every server of
 * the room keeps to, and by an order with its signed event, so that it holds at once and while room events are late.
 */
import type { Logger } from 'pino';
import { BadEventError, BadSignatureError, eventId, serverOf, wireForm } from '../../../federation/event.ts';
import { IdentifierError } from '../../../federation/identifiers.ts';
import { isJsonObject, type JsonObject } from '../../../federation/json.ts';
import type { KeyLookup } from '../../../federation/keyring.ts';
import { accessListName, serverAllowed } from '../../../federation/server-acl.ts';
import { MatrixError } from '../../base/errors.ts';
import { unexpected } from '../../base/log.ts';
import { Serial } from '../../base/serial.ts';
import { checkedEvent } from '../../engine/federation/checked-events.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Rights } from '../rights.ts';
import type { Conference } from './conference.ts';
import type { Order } from './messages.ts';
import type { Orders } from './orders.ts';
import type { ServerAccess } from './server-access.ts';

const SERVER_ACL = 'm.room.server_acl';
const ACCESS_LIST_ORDER = 'access-list';
/** Entries of an access list that we write. */
const MAX_SHUT_OUT = 500;
/** People of an organisation that are taken out of the room; of more, the rest is kept out by the access list alone. */
const MAX_REMOVED = 500;

export interface ShuttingOutDeps {
  readonly serverName: string;
  readonly rooms: Pick<Rooms, 'version' | 'stateEvent' | 'stateOfType' | 'event' | 'send' | 'receive' | 'memberships'>;
  readonly rights: Pick<Rights, 'require' | 'may'>;
  readonly keyring: KeyLookup;
  readonly orders: Pick<Orders, 'on' | 'give'>;
  readonly access: Pick<ServerAccess, 'tell'>;
  readonly log: Logger;
  /** Who may be in the conference of a room may be others now. */
  changed(roomId: string): Promise<void>;
}

export class ShuttingOut {
  readonly #deps: ShuttingOutDeps;
  /** The list of a room is read and written in one turn. */
  readonly #turns = new Serial();

  constructor(deps: ShuttingOutDeps) {
    this.#deps = deps;
    deps.orders.on(ACCESS_LIST_ORDER, {
      right: 'shut-out',
      // What it says of servers holds for all their people: `admit` sees to it.
      apply: () => undefined,
      admit: (roomId, order) => this.#admit(roomId, order),
    });
  }

  /**
   * Shuts an organisation out: its link is closed and its people are out of the conference at once, then out of the room.
   *
   * @param by the user id of somebody of ours
   * @param server as in ids, or as an access list names it: its host
   * @returns the server names of the organisations that were not reached
   * @throws MatrixError 403 without the right, or where it would shut out the own or the host's organisation; 400
   */
  shutOut(conference: Conference, by: string, server: string): Promise<{ unreached: string[] }> {
    return this.#turns.run(conference.roomId, () => this.#shutOut(conference, by, server));
  }

  async #shutOut(conference: Conference, by: string, server: string): Promise<{ unreached: string[] }> {
    const { serverName } = this.#deps;
    const { roomId } = conference;
    const name = nameOf(server);
    const list = await this.#list(roomId);
    const deny = [...new Set([...list.deny, name])];
    if (deny.length > MAX_SHUT_OUT) throw new MatrixError(400, 'M_TOO_LARGE', 'Too many organisations are shut out.');
    const content = { ...list, deny };
    for (const kept of [serverName, serverOf(await this.#creator(roomId))]) {
      if (serverAllowed(content, kept)) continue;
      throw new MatrixError(403, 'M_FORBIDDEN', 'Nobody can shut out the own organisation, or the one of the meeting.');
    }
    const unreached = await this.#write(conference, by, content);
    this.#removeAll(roomId, by, content).catch(unexpected(this.#deps.log, 'people shut out were not removed'));
    return unreached;
  }

  /**
   * Lets an organisation in again. Its people need an invitation.
   * @throws MatrixError 403 without the right, 400 where another entry of the access list shuts it out
   */
  letIn(conference: Conference, by: string, server: string): Promise<{ unreached: string[] }> {
    return this.#turns.run(conference.roomId, () => this.#letIn(conference, by, server));
  }

  async #letIn(conference: Conference, by: string, server: string): Promise<{ unreached: string[] }> {
    const name = nameOf(server);
    const list = await this.#list(conference.roomId);
    const content = { ...list, deny: list.deny.filter((entry) => entry.toLowerCase() !== name) };
    if (!serverAllowed(content, name)) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'Another entry of the access list shuts this organisation out.');
    }
    return this.#write(conference, by, content);
  }

  /** The servers that the access list of a room shuts out by name. */
  async shutOutOf(roomId: string): Promise<string[]> {
    const { deny } = await this.#list(roomId);
    return deny.filter((entry) => !/[*?]/.test(entry)).slice(0, MAX_SHUT_OUT);
  }

  async #write(conference: Conference, by: string, content: JsonObject): Promise<{ unreached: string[] }> {
    const { rooms, rights, orders } = this.#deps;
    const { roomId } = conference;
    await rights.require(roomId, by, 'shut-out');
    // Before the room tells of it: then they are not in the conference any more.
    const servers = conference.servers();
    const { pdu } = await rooms.send(roomId, by, { type: SERVER_ACL, stateKey: '', content });
    const version = await rooms.version(roomId);
    if (!version) return { unreached: [] };
    const lasting = { event: wireForm(pdu, version), servers };
    const { unreached } = await orders.give(conference, by, ACCESS_LIST_ORDER, [], { lasting });
    return { unreached };
  }

  /** By the room's own rules; who has as much power as the owner is kept out by the access list alone. */
  async #removeAll(roomId: string, by: string, list: JsonObject): Promise<void> {
    const { rooms, log } = this.#deps;
    const members = await rooms.stateOfType(roomId, 'm.room.member', (key) => !serverAllowed(list, serverOf(key)));
    const there = members.filter(({ pdu }) => ['join', 'invite', 'knock'].includes(String(pdu.content['membership'])));
    for (const { pdu } of there.slice(0, MAX_REMOVED)) {
      const target = pdu.state_key ?? '';
      await rooms.memberships.change('kick', { roomId, sender: by, target }).catch((error: unknown) => {
        if (!(error instanceof MatrixError)) throw error;
        log.info({ err: error, roomId }, 'somebody of an organisation that was shut out stays a member');
      });
    }
  }

  /** By our own state of the room the giver may do so (orders.ts); the list must be signed, and of this room. */
  async #admit(roomId: string, order: Order): Promise<boolean> {
    const { rooms, keyring, access, changed, log } = this.#deps;
    const version = await rooms.version(roomId);
    if (!version || !isJsonObject(order.event)) return false;
    try {
      const pdu = await checkedEvent(order.event, version, keyring);
      if (pdu.type !== SERVER_ACL || pdu.state_key !== '' || pdu.room_id !== roomId || pdu.sender !== order.by)
        return false;
      // Nobody shuts out the organisation whose meeting it is, nor that of the giver.
      const kept = [serverOf(await this.#creator(roomId)), serverOf(order.by)];
      if (!kept.every((server) => serverAllowed(pdu.content, server))) return false;
      const id = eventId(pdu, version);
      const known = await rooms.event(id);
      if (known && !known.outlier) return true;
      await access.tell(roomId, id, pdu.content);
      changed(roomId).catch(unexpected(log, 'an access list was not applied'));
      rooms.receive(roomId, pdu, serverOf(order.by)).catch((error: unknown) => {
        // It comes with a transaction as well, and is kept there until it has its place.
        log.info({ err: error, roomId }, 'the event of an access list was not taken yet');
      });
      return true;
    } catch (error) {
      if (error instanceof BadEventError || error instanceof BadSignatureError) return false;
      throw error;
    }
  }

  async #list(roomId: string): Promise<JsonObject & { deny: string[] }> {
    const event = await this.#deps.rooms.stateEvent(roomId, SERVER_ACL, '');
    const content = event?.pdu.content ?? { allow: ['*'], allow_ip_literals: true };
    const { deny } = content;
    return { ...content, deny: Array.isArray(deny) ? deny.filter((entry) => typeof entry === 'string') : [] };
  }

  async #creator(roomId: string): Promise<string> {
    const create = await this.#deps.rooms.stateEvent(roomId, 'm.room.create', '');
    if (!create) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such meeting here.');
    return create.pdu.sender;
  }
}

/** @throws MatrixError 400 */
function nameOf(server: string): string {
  try {
    return accessListName(server);
  } catch (error) {
    if (!(error instanceof IdentifierError)) throw error;
    throw new MatrixError(400, 'M_INVALID_PARAM', 'This is no name of an organisation.');
  }
}
