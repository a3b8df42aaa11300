/** Who comes in by a guest link, and when: the link, its maker's right, and the room's own rules have to allow it. */
import { type GuestRule, LINK_ERRORS } from '../../protocol/guest-links.ts';
import type { Accounts } from '../accounts/accounts.ts';
import type { Standing } from '../accounts/standing.ts';
import { MatrixError } from '../base/errors.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import { letsGuestsIn } from './conference/admission.ts';
import type { GuestLink, GuestLinks, LinkEnd, LinkUser } from './guest-links.ts';
import type { LinkPasswords } from './link-passwords.ts';
import type { Rights } from './rights.ts';
import type { MeetingRules } from './rules/meeting-rules.ts';
import type { ServiceUser } from './service-user.ts';

export interface LinkEntryOptions {
  readonly links: GuestLinks;
  readonly passwords: Pick<LinkPasswords, 'require'>;
  readonly rooms: Rooms;
  readonly rights: Pick<Rights, 'may'>;
  readonly accounts: Pick<Accounts, 'isGuest' | 'createGuest'>;
  readonly standing: Pick<Standing, 'isRestricted'>;
  readonly service: ServiceUser;
  readonly rules: Pick<MeetingRules, 'rule'>;
}

/** What somebody shows who comes by a link. */
export interface Shown {
  readonly password: string | undefined;
  /** IP address of the asker. */
  readonly address: string | undefined;
}

export interface Entered {
  /** Not in the room yet: a moderator lets them in. */
  readonly waiting: boolean;
}

/** How somebody of another organisation goes on: by an invitation that is on its way, or by knocking. */
export type Elsewhere = 'join' | 'wait' | 'knock';

const MAX_TOKEN = 64;

export class LinkEntry {
  readonly #options: LinkEntryOptions;

  constructor(options: LinkEntryOptions) {
    this.#options = options;
  }

  /** The link of a token. @throws MatrixError 404 for one that lets nobody in */
  async find(token: string): Promise<GuestLink> {
    const found = token.length <= MAX_TOKEN ? await this.#options.links.find(token) : undefined;
    if (found === undefined || typeof found === 'string') throw ended(found);
    if (!(await this.#isBacked(found))) throw ended('revoked');
    return found;
  }

  /** The link of an id, if it has had no other secret since. @throws MatrixError 404 for one that lets nobody in */
  async again({ linkId, tokenHash }: Pick<GuestLink, 'linkId' | 'tokenHash'>): Promise<GuestLink> {
    const link = await this.#options.links.byId(linkId);
    if (link?.tokenHash !== tokenHash || !(await this.#isBacked(link))) throw ended('revoked');
    return link;
  }

  /** What becomes of guests who come into a meeting. @param link by this one */
  async guestRule(roomId: string, link?: GuestLink): Promise<GuestRule> {
    if (!(await letsGuestsIn(this.#options.rooms, roomId))) return 'no';
    const waits = link?.mode === 'waiting' || (await this.#waitingRule(roomId)) !== 'nobody';
    return waits ? 'wait' : 'enter';
  }

  /** @throws MatrixError 404 for a link by which nobody new comes in */
  async requireUses(link: GuestLink): Promise<void> {
    if (await this.#options.links.isUsedUp(link)) throw ended('used-up');
  }

  /** What is asked of somebody without a session before there is anything of them here. @throws MatrixError 403, 404, 429 */
  async requireStranger(link: GuestLink, shown: Shown): Promise<void> {
    await this.requireUses(link);
    await this.#options.passwords.require(link, shown.password, shown.address);
  }

  /**
   * Lets somebody in who has no account, or lets them wait until a moderator does.
   *
   * @param browser what the guest's browser was given to be known by
   * @returns the account that was made for them
   * @throws MatrixError 403, 404 when the link lets nobody in any more, 429 after too many wrong passwords
   */
  async enterAsGuest(
    link: GuestLink,
    displayName: string,
    browser: string,
    shown: Shown,
  ): Promise<Entered & { userId: string }> {
    await this.#requireGuestsIn(link.roomId);
    await this.#requireNoBan(link.roomId, browser);
    await this.requireStranger(link, shown);
    const userId = await this.#options.accounts.createGuest(displayName, link.createdBy);
    return { userId, ...(await this.#enter(link, { userId, guest: true, browser })) };
  }

  /** The same for somebody with an account, or with a guest's session of before. */
  async enterAs(link: GuestLink, userId: string, shown: Shown): Promise<Entered> {
    const { links, accounts, rooms, passwords } = this.#options;
    const guest = await accounts.isGuest(userId);
    if (guest) await this.#requireGuestsIn(link.roomId);
    // Whom the meeting knows, or who came by this link before, need not show its password.
    if (!isExpected(await rooms.membership(link.roomId, userId)) && !(await links.hasEntry(link.linkId, userId))) {
      await this.requireUses(link);
      await passwords.require(link, shown.password, shown.address);
    }
    return this.#enter(link, { userId, guest });
  }

  /**
   * Lets somebody of another organisation come, who has shown the link here by a code: by an invitation, or by word that
   * they may knock.
   *
   * @throws MatrixError 403, or 404 when the link ended meanwhile
   */
  async invite(link: GuestLink, userId: string): Promise<Elsewhere> {
    const { rooms } = this.#options;
    const { roomId } = link;
    const present = await rooms.membership(roomId, userId);
    if (present === 'join') return 'join';
    const goesOn = (await this.#waits(link, { guest: false, present })) ? 'wait' : 'join';
    if (present === 'invite') return goesOn;
    return this.#counted(link, { userId, guest: false }, async () => {
      if (link.mode === 'waiting') return 'knock';
      await rooms.invite(roomId, await this.#inviter(link), userId);
      return goesOn;
    });
  }

  async #enter(link: GuestLink, user: LinkUser): Promise<Entered> {
    const { links, rooms } = this.#options;
    const { roomId } = link;
    const { userId, guest } = user;
    const present = await rooms.membership(roomId, userId);
    if (present === 'join') return { waiting: false };
    const waiting = await this.#waits(link, { guest, present });
    const come = async (): Promise<void> => {
      if (!waiting) await rooms.memberships.admit(roomId, await this.#inviter(link), userId);
      else if (!guest && !isExpected(present)) await this.#askIn(link, userId);
    };
    if (present === 'invite') await come();
    else await this.#counted(link, user, come);
    // Whoever revoked the link or removed its maker meanwhile may not have found the guest in the room yet.
    if (!guest || waiting || ((await links.byId(link.linkId)) !== undefined && (await this.#isBacked(link)))) {
      return { waiting };
    }
    await rooms.leave(roomId, userId);
    throw ended('revoked');
  }

  /** Counts a use of the link, unless it leads to nothing. @throws MatrixError 404 when the link lets nobody in any more */
  async #counted<T>(link: GuestLink, user: LinkUser, come: () => Promise<T>): Promise<T> {
    const { links } = this.#options;
    const noted = await links.noteEntry(link, user);
    if (noted !== 'new' && noted !== 'again') throw ended(noted);
    try {
      return await come();
    } catch (error) {
      if (noted === 'new') await links.forgetEntry(link.linkId, user.userId);
      throw error;
    }
  }

  async #waits(
    { mode, roomId }: GuestLink,
    { guest, present }: { guest: boolean; present: string | undefined },
  ): Promise<boolean> {
    // A guest has an invitation only when a moderator has let them in meanwhile.
    if (present === 'invite' && guest) return false;
    if (mode === 'waiting' && present !== 'invite') return true;
    const rule = await this.#waitingRule(roomId);
    return rule === 'everybody' || (rule === 'guests' && guest);
  }

  /** Who has to wait in a meeting before they are let in. */
  async #waitingRule(roomId: string): Promise<'nobody' | 'guests' | 'everybody'> {
    return (await this.#options.rules.rule(roomId, 'waiting')).for;
  }

  /** Somebody with an account waits by knocking; by an invitation where everybody waits and the link leads in. */
  async #askIn(link: GuestLink, userId: string): Promise<void> {
    const { rooms } = this.#options;
    if (link.mode === 'waiting') await rooms.memberships.knock(userId, link.roomId, {});
    else await rooms.invite(link.roomId, await this.#inviter(link), userId);
  }

  /** @throws MatrixError 403 */
  async #requireGuestsIn(roomId: string): Promise<void> {
    if (await letsGuestsIn(this.#options.rooms, roomId)) return;
    throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'This meeting does not let guests in.');
  }

  /**
   * Who was banned as a guest does not come in anew with the same browser. Another browser is another person to us: a
   * link is for whoever has it, and only its end shuts everybody out.
   *
   * @throws MatrixError 403
   */
  async #requireNoBan(roomId: string, browser: string): Promise<void> {
    const { links, rooms } = this.#options;
    for (const userId of await links.ofBrowser(roomId, browser)) {
      if ((await rooms.membership(roomId, userId)) !== 'ban') continue;
      throw new MatrixError(403, 'M_FORBIDDEN', 'You have been removed from this meeting.');
    }
  }

  /** In whose name somebody is let in. */
  async #inviter({ roomId, createdBy }: Pick<GuestLink, 'roomId' | 'createdBy'>): Promise<string> {
    const { service } = this.#options;
    return (await service.hosts(roomId)) ? service.userId : createdBy;
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

/** Whether the meeting waits for somebody, or has them. */
function isExpected(present: string | undefined): boolean {
  return present === 'join' || present === 'invite' || present === 'knock';
}

function ended(end: LinkEnd | undefined): MatrixError {
  if (end === 'expired') {
    return new MatrixError(404, LINK_ERRORS.expired, 'The time of this link is over. Ask for a new one.');
  }
  if (end === 'used-up') {
    return new MatrixError(
      404,
      LINK_ERRORS.usedUp,
      'As many people as this link is for have come by it. Ask for a new one.',
    );
  }
  return new MatrixError(404, 'M_NOT_FOUND', 'This link is not valid (any more). Ask for a new one.');
}
