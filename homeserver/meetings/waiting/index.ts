/** The waiting rooms of meetings, put together. */
import type { Logger } from 'pino';
import type { FederationClient } from '../../../federation/client.ts';
import { serverOf } from '../../../federation/event.ts';
import type { WaitingList } from '../../../protocol/modules/waiting.ts';
import type { Result } from '../../../protocol/session.ts';
import type { Accounts } from '../../accounts/accounts.ts';
import { systemClock } from '../../base/clock.ts';
import { unexpected } from '../../base/log.ts';
import { ADMISSION, CALL_MEMBER } from '../../base/names.ts';
import type { Database } from '../../database/database.ts';
import type { LocalRights } from '../../engine/rooms/ports.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import type { Trust } from '../../engine/trust/trust.ts';
import { type EntryRule, WAITING } from '../conference/entry-rule.ts';
import type { ModuleConference } from '../conference/module-ports.ts';
import type { Notifier } from '../conference/notification.ts';
import { type Clocks, membershipsIn } from '../conference/room-memberships.ts';
import type { Joiner } from '../conference/seats.ts';
import type { GuestLinks } from '../guest-links.ts';
import type { MeetingLogPort } from '../log/meeting-log.ts';
import type { Rights } from '../rights.ts';
import type { ServiceUser } from '../service-user.ts';
import { Admitting } from './admitting.ts';
import { MAX_SERVERS, type WaitingAnswer, waitingAnswerSchema, type WaitingMessage } from './messages.ts';
import { WaitingRecords } from './records.ts';
import { WaitingElsewhere } from './waiting-elsewhere.ts';
import { WaitingLists, type WaitingOf } from './waiting-list.ts';
import { WaitingRoom } from './waiting-room.ts';
import { WaitingSignals } from './waiting-signals.ts';

const TIMEOUT_MS = 5_000;
const MAX_ANSWER_BYTES = 64 * 1024;

export interface WaitingDeps {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly rights: Pick<Rights, 'require'>;
  readonly standing: LocalRights;
  readonly entry: EntryRule;
  readonly links: Pick<GuestLinks, 'cameBy'>;
  readonly service: Pick<ServiceUser, 'hosts' | 'userId'>;
  readonly accounts: Pick<Accounts, 'displayName'>;
  readonly clocks: Clocks;
  readonly trust: Pick<Trust, 'isTrusted'>;
  readonly client: Pick<FederationClient, 'request'>;
  readonly meetingLog: MeetingLogPort;
  readonly log: Logger;
  conference(roomId: string): ModuleConference | undefined;
}

interface Outcome {
  readonly failed: string[];
}

export interface WaitingFeature {
  // ---- whoever waits ----
  /** @throws MatrixError 403 for who was refused, 404 for who has nothing to wait for */
  wait(roomId: string, joiner: Joiner): Promise<Result<'conference.wait'>>;
  stop(holder: Notifier): void;
  /** Something besides the room has changed that lets people of ours wait. */
  review(roomId: string): void;
  /** Somebody has accepted an invitation to a meeting in which they must wait: they join when they are admitted. */
  accept(roomId: string, userId: string): Promise<void>;
  // ---- moderators ----
  admit(roomId: string, by: string, userIds: readonly string[]): Promise<Outcome>;
  admitAll(roomId: string, by: string): Promise<Outcome>;
  refuse(roomId: string, by: string, userIds: readonly string[]): Promise<Outcome>;
  list(roomId: string): WaitingList;
  /** Who may admit in a conference here may have changed. */
  moderatorsChanged(roomId: string): void;
  // ---- others ----
  take(origin: string, roomId: string, message: WaitingMessage): Promise<WaitingAnswer>;
  onEvent(event: StoredEvent, live: boolean): void;
  close(): void;
}

/** Makes the waiting rooms; they hear of rooms by `onEvent` only. */
export function makeWaiting(deps: WaitingDeps): WaitingFeature {
  const { serverName, rooms, links, service, accounts, clocks, trust, client, log } = deps;
  const clock = systemClock;
  const failed = unexpected(log, 'waiting: something was not done');
  const shared = { ...deps, clock, failed };
  const isTold = (roomId: string): boolean => lists.isTold(roomId) || signals.isTold(roomId);
  const changed = (roomId: string): void => {
    signals.changed(roomId);
    lists.changed(roomId);
  };

  /** Other servers with people in the conference. */
  async function conferring(roomId: string): Promise<string[]> {
    const state = await rooms.state(roomId);
    const servers = [...membershipsIn(state, clocks, trust)].map(({ membership }) => serverOf(membership.userId));
    return [...new Set(servers)];
  }

  async function targets(roomId: string): Promise<{ servers: string[]; isInside: boolean }> {
    const isInside = (await rooms.joinedServers(roomId)).has(serverName);
    const known = await conferring(roomId).catch(() => []);
    const inviters = isInside
      ? []
      : await Promise.all(room.of(roomId).map(async ({ userId }) => (await rooms.invitation(roomId, userId))?.sender));
    const servers = [...known, ...inviters.flatMap((sender) => (sender === undefined ? [] : [serverOf(sender)]))];
    return { servers: [...new Set(servers)].filter((server) => server !== serverName).slice(0, MAX_SERVERS), isInside };
  }

  /** Where everybody who waits is let in, those who have asked by a knock are let in by the host. */
  async function switchedOff(roomId: string): Promise<void> {
    if (!(await service.hosts(roomId))) return;
    const rule = await rooms.stateEvent(roomId, WAITING, '');
    if (rule?.pdu.content['for'] !== 'nobody') return;
    for (const { pdu } of await rooms.stateOfType(roomId, 'm.room.member')) {
      const { state_key: userId } = pdu;
      if (userId === undefined || pdu.content['membership'] !== 'knock') continue;
      const isOurs = serverOf(userId) === serverName;
      const letIn = isOurs
        ? rooms.memberships.admit(roomId, service.userId, userId)
        : rooms.invite(roomId, service.userId, userId);
      await letIn.catch((error: unknown) => log.info({ err: error, roomId }, 'who knocks was not let in'));
    }
  }

  const room = new WaitingRoom({
    ...shared,
    records: new WaitingRecords(deps.db),
    nameOf: (userId) => accounts.displayName(userId),
    async linkInviter(roomId, userId) {
      const link = await links.cameBy(roomId, userId);
      if (!link) return undefined;
      return (await service.hosts(roomId)) ? service.userId : link.createdBy;
    },
    isTold,
    changed,
  });
  const signals: WaitingSignals = new WaitingSignals({
    ...shared,
    waiting: (roomId) => shownHere(roomId),
    targets,
    async say(server, roomId, body) {
      const answer = await client.request({
        destination: server,
        method: 'PUT',
        onBehalfOf: 'server',
        path: `/_hansetag/federation/v1/conference/${encodeURIComponent(roomId)}/waiting`,
        body,
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_ANSWER_BYTES,
      });
      return waitingAnswerSchema.parse(answer);
    },
    answered(roomId, { admitted, refused }) {
      room.free(roomId, admitted);
      room.refused(roomId, refused);
    },
    toldChanged: (roomId) => room.toldChanged(roomId),
  });
  const elsewhere = new WaitingElsewhere({
    ...shared,
    isTold: (roomId) => lists.isTold(roomId),
    async conferring(roomId) {
      return (await conferring(roomId)).slice(0, MAX_SERVERS);
    },
    changed: (roomId) => lists.changed(roomId),
  });
  const lists: WaitingLists = new WaitingLists({
    ...shared,
    waiting: (roomId) => [ownOf(roomId), ...elsewhere.of(roomId)],
    shown: (roomId) => room.toldChanged(roomId),
  });
  const admitting = new Admitting({
    ...shared,
    log: deps.meetingLog,
    waiting(roomId) {
      const all = [{ people: shownHere(roomId) }, ...elsewhere.of(roomId)].flatMap(({ people }) => [...people]);
      return new Map(all.map(({ userId, displayName, guest }) => [userId, { displayName, guest }]));
    },
    admitLater: (roomId, admit) => elsewhere.admitLater(roomId, admit),
  });

  /** Our people whom moderators can let in: nobody can where there is no room. */
  function shownHere(roomId: string): ReturnType<WaitingRoom['of']> {
    return room.of(roomId).filter(({ reason }) => reason !== 'full');
  }
  function ownOf(roomId: string): WaitingOf {
    const people = shownHere(roomId);
    const shown = people.map(({ userId, displayName, guest, since }) => ({ userId, displayName, guest, since }));
    return { server: serverName, people: shown, count: people.length };
  }

  return {
    wait: (roomId, joiner) => room.wait(roomId, joiner),
    stop: (holder) => room.stop(holder),
    review: (roomId) => void room.reviewAll(roomId).catch(failed),
    accept: (roomId, userId) => room.accept(roomId, userId),
    admit: (roomId, by, userIds) => admitting.admit(roomId, by, userIds),
    async admitAll(roomId, by) {
      const knocks = await rooms.stateOfType(roomId, 'm.room.member');
      const knocking = knocks.filter(({ pdu }) => pdu.content['membership'] === 'knock');
      return admitting.admitAll(
        roomId,
        by,
        knocking.flatMap(({ pdu }) => pdu.state_key ?? []),
      );
    },
    refuse: (roomId, by, userIds) => admitting.refuse(roomId, by, userIds),
    list: (roomId) => lists.of(roomId),
    moderatorsChanged: (roomId) => lists.changed(roomId),
    take: (origin, roomId, message) => elsewhere.take(origin, roomId, message),
    onEvent(event, live) {
      room.onEvent(event);
      const { roomId, pdu } = event;
      if (!live) return;
      if (pdu.type === CALL_MEMBER) {
        changed(roomId);
        room.toldChanged(roomId);
      } else if (pdu.type === 'm.room.member' || pdu.type === ADMISSION) lists.changed(roomId);
      else if (pdu.type === WAITING) switchedOff(roomId).catch(failed);
    },
    close() {
      room.close();
      signals.close();
      lists.close();
    },
  };
}
