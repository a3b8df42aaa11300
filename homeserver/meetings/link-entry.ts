/** Who comes in by a guest link, and when: the link, its maker's right, and the room's own rules have to allow it. */
import type { Accounts } from '../accounts/accounts.ts';
import type { Standing } from '../accounts/standing.ts';
import { MatrixError } from '../base/errors.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import { letsGuestsIn } from './conference/admission.ts';
import type { GuestLink, GuestLinks } from './guest-links.ts';
import type { Rights } from './rights.ts';
import type { ServiceUser } from './service-user.ts';

export interface LinkEntryOptions {
  readonly links: GuestLinks;
  readonly rooms: Rooms;
  readonly rights: Pick<Rights, 'may'>;
  readonly accounts: Pick<Accounts, 'isGuest'>;
  readonly standing: Pick<Standing, 'isRestricted'>;
  readonly service: ServiceUser;
}

const MAX_TOKEN = 64;

export class LinkEntry {
  readonly #options: LinkEntryOptions;

  constructor(options: LinkEntryOptions) {
    this.#options = options;
  }

  /** The link of a token. @throws MatrixError 404 for one that lets nobody in */
  async find(token: string): Promise<GuestLink> {
    const link = token.length <= MAX_TOKEN ? await this.#options.links.find(token) : undefined;
    if (!link || !(await this.#isBacked(link))) throw notValid();
    return link;
  }

  /** @throws MatrixError 403 */
  async requireGuestsIn(roomId: string): Promise<void> {
    if (await letsGuestsIn(this.#options.rooms, roomId)) return;
    throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'This meeting does not let guests in.');
  }

  /**
   * Who was banned as a guest does not come in anew with the same browser. Another browser is another person to us: a
   * link is for whoever has it, and only its end shuts everybody out.
   *
   * @throws MatrixError 403
   */
  async requireNoBan(roomId: string, browser: string): Promise<void> {
    const { links, rooms } = this.#options;
    for (const userId of await links.ofBrowser(roomId, browser)) {
      if ((await rooms.membership(roomId, userId)) !== 'ban') continue;
      throw new MatrixError(403, 'M_FORBIDDEN', 'You have been removed from this meeting.');
    }
  }

  /** Lets somebody in, by the room's own rules. @throws MatrixError 403, or 404 when the link ended meanwhile */
  async enter(link: GuestLink, userId: string, browser?: string): Promise<void> {
    const { links, rooms, accounts, service } = this.#options;
    const { roomId, linkId } = link;
    const guest = await accounts.isGuest(userId);
    if (guest) {
      await this.requireGuestsIn(roomId);
      await links.noteEntry(linkId, userId, browser);
    }
    if ((await rooms.membership(roomId, userId)) === 'join') return;
    if (await service.hosts(roomId)) await service.admit(roomId, userId);
    else await rooms.memberships.admit(roomId, link.createdBy, userId);
    // Whoever revoked the link or removed its maker meanwhile may not have found the guest in the room yet.
    if (!guest || ((await links.isValid(linkId)) && (await this.#isBacked(link)))) return;
    await rooms.leave(roomId, userId);
    throw notValid();
  }

  /**
   * Whether somebody's right stands behind a link. Its maker may still invite; or has left, by no doing of others: then
   * the meeting goes on with it, where the service user lets people in.
   */
  async #isBacked({ roomId, createdBy }: GuestLink): Promise<boolean> {
    const { rooms, rights, standing, service } = this.#options;
    if (await rights.may(roomId, createdBy, 'invite')) return true;
    if (!(await service.hosts(roomId)) || (await standing.isRestricted(createdBy))) return false;
    const member = await rooms.stateEvent(roomId, 'm.room.member', createdBy);
    return member?.pdu.content['membership'] === 'leave' && member.pdu.sender === createdBy;
  }
}

function notValid(): MatrixError {
  return new MatrixError(404, 'M_NOT_FOUND', 'This link is not valid (any more). Ask for a new one.');
}
