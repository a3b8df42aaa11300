/** Meetings of this instance, put together: routers, the session server, and the listeners between them. */
import type { Server } from 'node:http';
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import type { SigningKey } from '../../federation/signing.ts';
import type { KeyLookup } from '../../federation/keyring.ts';
import type { FederationClient } from '../../federation/client.ts';
import type { SfuClient } from '../../sfu/client.ts';
import type { Accounts } from '../accounts/accounts.ts';
import type { PasswordConfig } from '../accounts/passwords.ts';
import type { ShortLived } from '../accounts/short-lived.ts';
import type { Seal } from '../accounts/seal.ts';
import type { Tenants } from '../accounts/tenants/tenants.ts';
import type { Sessions } from '../accounts/sessions.ts';
import type { Profiles } from '../accounts/profiles.ts';
import type { Standing } from '../accounts/standing.ts';
import type { Database } from '../database/database.ts';
import type { Edus } from '../engine/federation/edus.ts';
import { unexpected } from '../base/log.ts';
import { CALL_MEMBER, CONFERENCE_EDU } from '../base/names.ts';
import type { Sender } from '../engine/rooms/ports.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { Visibility } from '../engine/visibility.ts';
import type { Trust } from '../engine/trust/trust.ts';
import { meetingsClientRouter } from './client-router.ts';
import { Conferences } from './conference/conferences.ts';
import { EntryRule } from './conference/entry-rule.ts';
import { leavingAlone } from './conference/leaving-alone.ts';
import { livePeers } from './conference/live-peers.ts';
import { Moderation } from './conference/moderation.ts';
import { OrderNumbers } from './conference/order-numbers.ts';
import { linkPeers } from './conference/peers.ts';
import { Places } from './conference/places.ts';
import { Removals } from './conference/removals.ts';
import { ServerAccess } from './conference/server-access.ts';
import { ShuttingOut } from './conference/shutting-out.ts';
import { Silences } from './conference/silences.ts';
import { meetingsFederationRouter } from './federation-router.ts';
import { Inviting } from './inviting.ts';
import { makeLinks } from './links.ts';
import { ListNews } from './list-news.ts';
import { makeMeetingLog } from './log/index.ts';
import { MeetingTransactions } from './meeting-transactions.ts';
import { Meetings } from './meetings.ts';
import { ModuleHost, modulePowerLevels } from './modules/host.ts';
import { meetingModules, type ModuleDeps } from './modules/list.ts';
import { Organisations } from './organisations.ts';
import { Rights } from './rights.ts';
import { Roles } from './roles.ts';
import { rolesRouter } from './roles-router.ts';
import { ChatRule } from './rules/chat-rule.ts';
import { MeetingRules } from './rules/meeting-rules.ts';
import { ServiceUser } from './service-user.ts';
import { SessionServer } from './session/session-server.ts';
import { UndeliveredInvitations } from './undelivered-invitations.ts';
import { makeWaiting } from './waiting/index.ts';

export interface MeetingsDeps {
  serverName: string;
  organisation: string;
  colour: string;
  /** Address of the web client, without a slash at the end. */
  publicUrl: string;
  db: Database;
  rooms: Rooms;
  accounts: Accounts;
  profiles: Pick<Profiles, 'set'>;
  visibility: Visibility;
  tenants: Pick<Tenants, 'organisationOf'>;
  seal: Seal;
  shortLived: ShortLived;
  passwords: PasswordConfig;
  rateLimitFactor: number;
  sessions: Sessions;
  standing: Standing;
  sender: Sender;
  edus: Edus;
  client: FederationClient;
  key: SigningKey;
  keyring: KeyLookup;
  sfu: SfuClient;
  trust: Trust;
  relations: ModuleDeps['relations'];
  /** Whom a user does not want to hear. */
  ignored(userId: string): Promise<ReadonlySet<string>>;
  requireSession: RequestHandler;
  limitAnonymous: RequestHandler;
  /** Counts one message of a user. @throws MatrixError 429 */
  limitSending(userId: string): Promise<void>;
  signed: RequestHandler;
  /** How long is known what happened in meetings, in days; 0: nothing of it is kept. */
  meetingLogDays: number;
  /** What becomes of who is alone in a meeting. */
  alone: ModuleDeps['alone']['times'];
  log: Logger;
}

/** Meetings, put together. */
export interface MeetingsFeature {
  /** Mounted at `/_hansetag/client/v1` of the client server. */
  client: Router;
  /** Mounted at `/_hansetag/federation/v1` of the federation server. */
  federation: Router;
  /** Takes the session WebSocket from the client server. */
  attach(server: Server): void;
  /** Ends all sessions and conferences here; may be called again. */
  close(): Promise<void>;
}

/** Makes the meetings of this instance; from here on they listen to rooms, to other servers and to the SFU. */
export function makeMeetings(deps: MeetingsDeps): MeetingsFeature {
  const { serverName, rooms, sfu, sessions, log, db } = deps;
  const organisations = new Organisations({ ...deps, displayName: deps.organisation });
  const rights = new Rights(deps);
  const rules = new MeetingRules({ rooms, rights, failed: unexpected(log, 'a rule of a meeting was not told') });
  const removals = new Removals(db, rooms);
  const meetingLog = makeMeetingLog({ ...deps, rights, clocks: organisations });
  const access = new ServerAccess(db, rooms);
  const entry = new EntryRule({ serverName, rooms, cameBy: (...of) => guestLinks.links.cameBy(...of) });
  const service = new ServiceUser(deps);
  const roles = new Roles({
    rooms,
    rights,
    service,
    isAdmin: async (userId) => (await deps.accounts.find(userId))?.admin === true,
    present: (roomId) =>
      conferences
        .get(roomId)
        ?.participants()
        .map(({ userId }) => userId) ?? [],
  });
  const chatRule = new ChatRule({ rooms, rules });
  rooms.useSendRule((roomId, sender, event) => chatRule.check(roomId, sender, event));
  const installed = meetingModules({
    ...deps,
    shows: (event) => chatRule.shows(event),
    rules,
    moderation: {
      act: (roomId, ...order) => moderation.act(conferences.require(roomId), ...order),
      remove: (roomId, ...order) => moderation.remove(conferences.require(roomId), ...order),
      rename: (roomId, ...order) => moderation.rename(conferences.require(roomId), ...order),
      end: (roomId, ...order) => moderation.end(conferences.require(roomId), ...order),
    },
    alone: { times: deps.alone, ...leavingAlone(() => conferences, log) },
    waiting: {
      admit: (...admitted) => waiting.admit(...admitted),
      admitAll: (...admitted) => waiting.admitAll(...admitted),
      refuse: (...refused) => waiting.refuse(...refused),
      list: (roomId) => waiting.list(roomId),
    },
    roles,
    shuttingOut: {
      shutOut: (roomId, ...order) => shuttingOut.shutOut(conferences.require(roomId), ...order),
      letIn: (roomId, ...order) => shuttingOut.letIn(conferences.require(roomId), ...order),
      shutOutOf: (roomId) => shuttingOut.shutOutOf(roomId),
    },
  });
  const modules: ModuleHost = new ModuleHost({
    modules: installed,
    rooms,
    rights,
    rules,
    clockAhead: (server) => organisations.clockAhead(server),
    conference: (roomId) => conferences.get(roomId),
    order: (roomId, ...order) => conferences.orders.give(conferences.require(roomId), ...order),
    keep: (roomId, participantId) => conferences.seats.records.keep(roomId, participantId),
    tell: (roomId, module, data) => conferences.tell(roomId, module, data),
    log,
  });
  const conferences: Conferences = new Conferences({
    serverName,
    rooms,
    standing: deps.standing,
    rights,
    rules,
    sfu,
    organisations,
    trust: deps.trust,
    peers: linkPeers(deps.client, organisations, ({ server }, roomId) => conferences.askToOpen(server, roomId)),
    live: livePeers(deps.client, deps.sender),
    places: new Places(db),
    removals,
    access,
    silences: new Silences(db),
    orderNumbers: new OrderNumbers(db),
    watch: meetingLog.watch,
    noted: meetingLog.port,
    modules,
    entry,
    log,
    onLive: (roomId) => news.meetingChanged(roomId),
    onRights: (roomId) => waiting.moderatorsChanged(roomId),
  });
  const { orders, seats, media } = conferences;
  modules.takeOrders(orders);
  const moderation = new Moderation({
    ...deps,
    rights,
    orders,
    seats,
    media,
    removals,
    rename: (userId, name) => deps.profiles.set(userId, 'displayname', name),
  });
  const changed = (roomId: string): Promise<void> => conferences.checkEverybody(roomId);
  const shuttingOut = new ShuttingOut({ ...deps, rights, orders, access, changed });
  const waiting = makeWaiting({
    ...deps,
    rights,
    entry,
    links: { cameBy: (...of) => guestLinks.links.cameBy(...of) },
    service,
    clocks: organisations,
    meetingLog: meetingLog.port,
    conference: (roomId) => conferences.get(roomId),
  });
  const meetings = new Meetings({
    rooms,
    rights,
    service,
    conferences,
    organisations,
    rules,
    serverName,
    modulePowerLevels: modulePowerLevels(installed),
  });
  const inviting = new Inviting({
    ...deps,
    organisations,
    undelivered: new UndeliveredInvitations(db),
    told: (userId, roomId, result) => news.invitationFinished(userId, roomId, result),
  });
  const guestLinks = makeLinks({
    ...deps,
    rights,
    service,
    meetings,
    organisations,
    rules,
    ended: (roomId) => waiting.review(roomId),
  });
  const sessionServer = new SessionServer({
    sessions,
    conferences,
    modules,
    waiting,
    organisation: organisations.own,
    organisationName: (server) => organisations.known(server).displayName,
    allowedOrigins: [new URL(deps.publicUrl).origin],
    log,
  });
  const toSessions = { conferences, sessions: () => sessionServer.all(), log };
  const news = new ListNews({ ...toSessions, rooms });

  inviting.resume().catch(unexpected(log, 'invitations were not gone on with'));
  const stopRules = rules.start();
  const stopListening = rooms.onEvent((event, { live }) => {
    const { pdu, roomId } = event;
    modules.onEvent(event, live);
    waiting.onEvent(event, live);
    if (!live) return;
    if (pdu.type === 'm.room.member') news.membershipChanged(pdu.state_key ?? '');
    else if (pdu.type === CALL_MEMBER || pdu.type === 'm.room.name') news.meetingChanged(roomId);
  });
  deps.edus.on(CONFERENCE_EDU, (origin, content) => conferences.signals.onEdu(origin, content));

  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    stopListening();
    stopRules();
    inviting.close();
    waiting.close();
    conferences.close();
    await sessionServer.close();
    await meetingLog.close();
  }

  return {
    client: meetingsClientRouter({
      ...deps,
      rights,
      rules,
      meetings,
      inviting,
      waiting: { reason: (roomId, userId) => entry.reason(roomId, { userId, guest: false }), ...waiting },
      transactions: new MeetingTransactions(db),
      links: guestLinks.client,
      organisations,
    })
      .use(meetingLog.client)
      .use(rolesRouter({ ...deps, roles })),
    federation: meetingsFederationRouter({
      conferences,
      waiting,
      sfu,
      organisations,
      links: guestLinks.federation,
      signed: deps.signed,
    }),
    attach: (server) => sessionServer.attach(server),
    close: () => (closing ??= close()),
  };
}
