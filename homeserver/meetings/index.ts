/** Meetings of this instance, put together: routers, the session server, and the listeners between them. */
import type { Server } from 'node:http';
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import type { SigningKey } from '../../federation/signing.ts';
import type { KeyLookup } from '../../federation/keyring.ts';
import type { FederationClient } from '../../federation/client.ts';
import type { SfuClient } from '../../sfu/client.ts';
import type { Accounts } from '../accounts/accounts.ts';
import type { Sessions } from '../accounts/sessions.ts';
import type { Standing } from '../accounts/standing.ts';
import type { Database } from '../database/database.ts';
import type { Edus } from '../engine/federation/edus.ts';
import { CALL_MEMBER, CONFERENCE_EDU } from '../base/names.ts';
import type { Sender } from '../engine/rooms/ports.ts';
import { Relations } from '../features/relations/relations.ts';
import type { Rooms, StoredEvent } from '../engine/rooms/rooms.ts';
import { Serial } from '../base/serial.ts';
import { Chat } from './chat.ts';
import { meetingsClientRouter } from './client-router.ts';
import { Conferences } from './conference/conferences.ts';
import { linkPeers } from './conference/peers.ts';
import { Places } from './conference/places.ts';
import { meetingsFederationRouter } from './federation-router.ts';
import { GuestLinks } from './guest-links.ts';
import { Inviting } from './inviting.ts';
import { MeetingTransactions } from './meeting-transactions.ts';
import { Meetings } from './meetings.ts';
import { Organisations } from './organisations.ts';
import type { Session } from './session/session.ts';
import { SessionServer } from './session/session-server.ts';

export interface MeetingsOptions {
  serverName: string;
  organisation: string;
  colour: string;
  /** Address of the web client, without a slash at the end. */
  publicUrl: string;
  db: Database;
  rooms: Rooms;
  accounts: Accounts;
  sessions: Sessions;
  standing: Standing;
  sender: Sender;
  edus: Edus;
  client: FederationClient;
  key: SigningKey;
  keyring: KeyLookup;
  sfu: SfuClient;
  /** Whom a user does not want to hear. */
  ignored(userId: string): Promise<ReadonlySet<string>>;
  requireSession: RequestHandler;
  limitAnonymous: RequestHandler;
  /** Counts one message of a user. @throws MatrixError 429 */
  limitSending(userId: string): Promise<void>;
  signedRequest: RequestHandler;
  log: Logger;
}

export interface MeetingsParts {
  /** Mounted at `/_hansetag/client/v1` of the client server. */
  client: Router;
  /** Mounted at `/_hansetag/federation/v1` of the federation server. */
  federation: Router;
  /** Takes the session WebSocket from the client server. */
  attach(server: Server): void;
  /** Ends all sessions and conferences here; may be called again. */
  close(): Promise<void>;
}

export function meetingsRouters(options: MeetingsOptions): MeetingsParts {
  const { serverName, rooms, sfu, sender, sessions, log, db } = options;
  const organisations = new Organisations({ ...options, displayName: options.organisation });
  const conferences = new Conferences({
    serverName,
    rooms,
    rights: options.standing,
    sfu,
    sender,
    organisations,
    peers: linkPeers(options.client, sender, organisations),
    places: new Places(db),
    log,
    onLive: (roomId) => {
      meetingChanged(roomId).catch((error: unknown) => log.warn({ err: error, roomId }, 'a list was not updated'));
    },
  });
  const meetings = new Meetings({ rooms, conferences, organisations, serverName });
  const inviting = new Inviting({
    ...options,
    organisations,
    told: (userId, roomId, result) => {
      for (const session of sessionServer.all()) {
        if (session.owner.userId === userId) session.notify('invitation.finished', { roomId, ...result });
      }
    },
  });
  const chat = new Chat({ rooms, relations: new Relations(db, rooms), serverName, ignored: options.ignored });
  const sessionServer = new SessionServer({
    sessions,
    conferences,
    chat,
    limitSending: options.limitSending,
    organisation: organisations.own,
    organisationName: (server) => organisations.known(server).displayName,
    allowedOrigins: [new URL(options.publicUrl).origin],
    log,
  });

  /** People who are looking at their list of meetings see changes without asking. */
  async function meetingChanged(roomId: string): Promise<void> {
    for (const session of sessionServer.all()) {
      if (conferences.seats.of(session)) continue;
      const membership = await rooms.membership(roomId, session.owner.userId).catch(() => undefined);
      if (membership === 'join') session.notify('meetings.changed', {});
    }
  }

  /** Changes of one room's chat go out in the order in which they were made. */
  const inOrder = new Serial();
  async function deliverChat(event: StoredEvent): Promise<void> {
    const conference = conferences.get(event.roomId);
    if (!conference) return;
    const { roomId } = event;
    const change = await chat.change(event);
    if (!change) return;
    const present = (): Session[] =>
      [...sessionServer.all()].filter((session) => conferences.seats.of(session)?.conference === conference);
    if (change.kind === 'removed') {
      for (const session of present()) session.notify('chat.removed', { roomId, eventId: change.eventId });
      return;
    }
    const audience = await chat.audience(
      change.event,
      present().map(({ owner }) => owner.userId),
    );
    for (const session of present()) {
      const { userId } = session.owner;
      if (!audience.has(userId)) continue;
      const own = userId === event.pdu.sender && event.transactionId !== undefined && change.kind === 'message';
      const message = own ? { ...change.message, transactionId: event.transactionId } : change.message;
      session.notify(change.kind === 'message' ? 'chat.message' : 'chat.changed', message);
    }
  }

  const stopListening = rooms.onEvent((event, { live }) => {
    const { pdu, roomId } = event;
    if (!live) return;
    if (pdu.type === 'm.room.message' || pdu.type === 'm.room.redaction') {
      void inOrder
        .run(roomId, () => deliverChat(event))
        .catch((error: unknown) => log.warn({ err: error, roomId }, 'chat was not delivered'));
    } else if (pdu.type === 'm.room.member') {
      for (const session of sessionServer.all()) {
        if (session.owner.userId === pdu.state_key) session.notify('meetings.changed', {});
      }
    } else if (pdu.type === CALL_MEMBER || pdu.type === 'm.room.name') {
      void meetingChanged(roomId).catch((error: unknown) => log.warn({ err: error, roomId }, 'a list was not updated'));
    }
  });
  options.edus.on(CONFERENCE_EDU, (origin, content) => conferences.onEdu(origin, content));

  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    stopListening();
    inviting.close();
    conferences.close();
    await sessionServer.close();
  }

  return {
    client: meetingsClientRouter({
      ...options,
      meetings,
      inviting,
      transactions: new MeetingTransactions(db),
      links: new GuestLinks(db),
      organisations,
    }),
    federation: meetingsFederationRouter({
      conferences,
      sfu,
      organisations,
      signedRequest: options.signedRequest,
    }),
    attach: (server) => sessionServer.attach(server),
    close: () => (closing ??= close()),
  };
}
