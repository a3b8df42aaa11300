/** Meetings as a person sees them: a room with a meeting's state, who is in it, and what one may do there. */
import { stateKey } from '../../federation/auth-rules.ts';
import { isUserId, serverOf, type Pdu } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import { displayTitle } from '../../protocol/display-text.ts';
import { isTime, isTimeZone } from '../../protocol/values.ts';
import type { Meeting, MeetingDetails } from '../../protocol/client-api.ts';
import { MatrixError } from '../base/errors.ts';
import { MEETING } from '../base/names.ts';
import type { Rooms, StoredEvent } from '../engine/rooms/rooms.ts';
import type { Conferences } from './conference/conferences.ts';
import { titleOf } from './conference/room-facts.ts';
import type { Organisations } from './organisations.ts';
import { isGuest, nameIn } from './people.ts';
import { meetingLevels, type Rights } from './rights.ts';
import type { MeetingRules } from './rules/meeting-rules.ts';
import { isHostOnly, isServiceUser, type ServiceUser } from './service-user.ts';

type State = ReadonlyMap<string, StoredEvent>;

/** Organisations shown with a meeting; more would be no information. */
const MAX_ORGANISATIONS = 50;

export interface MeetingPlan {
  title: string;
  startsAt?: number | undefined;
  endsAt?: number | undefined;
  timeZone?: string | undefined;
}

export class Meetings {
  readonly #rooms: Rooms;
  readonly #rights: Rights;
  readonly #service: ServiceUser;
  readonly #conferences: Pick<Conferences, 'liveCount'>;
  readonly #organisations: Pick<Organisations, 'known' | 'info'>;
  readonly #rules: Pick<MeetingRules, 'of'>;
  readonly #serverName: string;
  readonly #modulePowerLevels: Readonly<Record<string, number>>;

  constructor(options: {
    rooms: Rooms;
    rights: Rights;
    service: ServiceUser;
    conferences: Pick<Conferences, 'liveCount'>;
    organisations: Pick<Organisations, 'known' | 'info'>;
    rules: Pick<MeetingRules, 'of'>;
    serverName: string;
    /** What modules write into a meeting, by event type. */
    modulePowerLevels: Readonly<Record<string, number>>;
  }) {
    this.#rooms = options.rooms;
    this.#rights = options.rights;
    this.#service = options.service;
    this.#conferences = options.conferences;
    this.#organisations = options.organisations;
    this.#rules = options.rules;
    this.#serverName = options.serverName;
    this.#modulePowerLevels = options.modulePowerLevels;
  }

  /**
   * A new meeting: a private room of version 12, on which others may knock, and in which every member may enter the
   * conference. Its maker owns it, and is
   * not in it before `enter`.
   *
   * @returns the room id
   */
  async create(userId: string, plan: MeetingPlan): Promise<string> {
    const content: JsonObject = {
      host: userId,
      ...(plan.startsAt === undefined ? {} : { starts_at: plan.startsAt }),
      ...(plan.endsAt === undefined ? {} : { ends_at: plan.endsAt }),
      ...(plan.timeZone === undefined ? {} : { time_zone: plan.timeZone }),
    };
    return this.#service.create({
      name: plan.title,
      preset: 'private_chat',
      initialState: [
        { type: MEETING, stateKey: '', content },
        // Whoever knows of the meeting may ask to be let in, with any Matrix client.
        { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'knock' } },
      ],
      powerLevelContentOverride: meetingLevels(userId, this.#modulePowerLevels),
    });
  }

  /** Lets the maker of a meeting in, however often it is called: not again after having left. */
  async enter(userId: string, roomId: string): Promise<void> {
    const membership = await this.#rooms.membership(roomId, userId);
    if (membership === undefined || membership === 'invite') await this.#service.admit(roomId, userId);
  }

  /**
   * Meetings that a person is in or invited to, the newest membership first. When a room was made is of the clock of
   * whoever made it and orders nothing.
   */
  async list(userId: string): Promise<Meeting[]> {
    const rooms = await this.#rooms.roomsOf(userId, ['join', 'invite']);
    const meetings = await Promise.all(
      rooms.map(({ roomId, membership, since }) =>
        membership === 'invite' ? this.#invitation(roomId, userId, since) : this.#meeting(roomId, userId),
      ),
    );
    return meetings.filter((meeting) => meeting !== undefined).reverse();
  }

  /** @throws MatrixError 404 when the person is not a member: who is no member learns nothing of the room */
  async details(userId: string, roomId: string): Promise<Omit<MeetingDetails, 'invitations'>> {
    const meeting = await this.#meeting(roomId, userId);
    if (!meeting) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such meeting, or you are not a member.');
    const state = await this.#rooms.state(roomId);
    const creator = state.get(stateKey('m.room.create', ''))?.pdu.sender ?? '';
    const members: MeetingDetails['members'] = [];
    for (const event of state.values()) {
      const { type, state_key: member, content } = event.pdu;
      const membership = content['membership'];
      if (type !== 'm.room.member' || member === undefined || isServiceUser(member, creator)) continue;
      if (membership !== 'join' && membership !== 'invite' && membership !== 'knock') continue;
      members.push({
        ...this.#person(state, member),
        membership,
        role: await this.#rights.roleOf(roomId, member),
      });
    }
    const rights = await this.#rights.all(roomId, userId);
    return { ...meeting, members, rights, rules: await this.#rules.of(roomId) };
  }

  async title(roomId: string): Promise<{ title: string; startsAt?: number }> {
    const state = await this.#rooms.state(roomId);
    const { startsAt } = times(state.get(stateKey(MEETING, ''))?.pdu.content);
    return { title: titleOf(state), ...(startsAt === undefined ? {} : { startsAt }) };
  }

  async #meeting(roomId: string, userId: string): Promise<Meeting | undefined> {
    const state = await this.#rooms.state(roomId).catch(() => undefined);
    const plan = state?.get(stateKey(MEETING, ''));
    const create = state?.get(stateKey('m.room.create', ''));
    if (!state || !plan || !create) return undefined;
    if (state.get(stateKey('m.room.member', userId))?.pdu.content['membership'] !== 'join') return undefined;
    const creator = create.pdu.sender;
    const inside = await this.#rooms.joinedServers(roomId);
    const servers = [...inside].filter((server) => !isHostOnly(server, creator, joinedIn(state)));
    return {
      roomId,
      title: titleOf(state),
      membership: 'join',
      role: await this.#rights.roleOf(roomId, userId),
      host: this.#person(state, hostOf(plan, creator)),
      ...times(plan.pdu.content),
      createdAt: isTime(create.pdu.origin_server_ts) ? create.pdu.origin_server_ts : 0,
      liveCount: this.#conferences.liveCount(state),
      organisations: servers.slice(0, MAX_ORGANISATIONS).map((server) => this.#organisations.known(server)),
    };
  }

  async #invitation(roomId: string, userId: string, since: number): Promise<Meeting | undefined> {
    const elsewhere = await this.#rooms.invitation(roomId, userId);
    // When this server is in the room, the room itself says what the invitation is to.
    const state = elsewhere ? undefined : await this.#rooms.state(roomId).catch(() => undefined);
    const sender = elsewhere?.sender ?? state?.get(stateKey('m.room.member', userId))?.pdu.sender;
    if (sender === undefined) return undefined;
    const find = (type: string, key: string): Pdu | undefined =>
      elsewhere
        ? elsewhere.state.find((pdu) => pdu.type === type && pdu.state_key === key)
        : state?.get(stateKey(type, key))?.pdu;
    // An invitation to a room of ours that is no meeting, such as a chat, is for other clients.
    if (state && !find(MEETING, '')) return undefined;
    const title = find('m.room.name', '')?.content['name'];
    const inviter = find('m.room.member', sender);
    const server = serverOf(sender);
    return {
      roomId,
      title: displayTitle(title) ?? '',
      membership: 'invite',
      role: 'participant',
      host: {
        userId: sender,
        displayName: nameIn(inviter, sender),
        organisation: server,
        guest: isGuest(sender, inviter, this.#serverName),
      },
      ...times(find(MEETING, '')?.content),
      createdAt: isTime(since) ? since : 0,
      liveCount: 0,
      organisations: [await this.#organisations.info(server)],
    };
  }

  #person(state: State, userId: string): Meeting['host'] {
    const member = state.get(stateKey('m.room.member', userId))?.pdu;
    return {
      userId,
      displayName: nameIn(member, userId),
      organisation: serverOf(userId),
      guest: isGuest(userId, member, this.#serverName),
    };
  }
}

/** Who has made a meeting. Whoever may change its plan may say so, but only of people of the server that has it. */
function hostOf({ pdu }: StoredEvent, creator: string): string {
  const host = pdu.content['host'];
  return typeof host === 'string' && isUserId(host) && serverOf(host) === serverOf(creator) ? host : creator;
}

function* joinedIn(state: State): Generator<string> {
  for (const { pdu } of state.values()) {
    if (pdu.type !== 'm.room.member' || pdu.content['membership'] !== 'join') continue;
    if (pdu.state_key !== undefined) yield pdu.state_key;
  }
}

/** Planned times of a meeting's state event, which any member's server may have written: only what can be shown. */
function times(content: JsonObject | undefined): { startsAt?: number; endsAt?: number; timeZone?: string } {
  const startsAt = content?.['starts_at'];
  const endsAt = content?.['ends_at'];
  const timeZone = content?.['time_zone'];
  return {
    ...(isTime(startsAt) ? { startsAt } : {}),
    ...(isTime(endsAt) && endsAt >= (isTime(startsAt) ? startsAt : 0) ? { endsAt } : {}),
    ...(isTimeZone(timeZone) ? { timeZone } : {}),
  };
}
