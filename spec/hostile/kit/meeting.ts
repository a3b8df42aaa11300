/** A homeserver with a real media server, its people, and rooms that are meetings. */
import { createHmac } from 'node:crypto';
import { CALL_MEMBER } from '../../../homeserver/base/names.ts';
import { at, startHomeservers } from '../../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../../support/homeservers.ts';
import type { PeerRoom } from '../../support/peer.ts';
import { ConferencePeer } from './conference-peer.ts';
import { MediaServer } from './media-server.ts';
import { SessionClient } from './session-client.ts';

/** Hashing passwords is not what these specs are about. */
const CHEAP_PASSWORDS = { HANSETAG_PASSWORD_COST: '10' };
export const ADMIN_SECRET = 'the secret of administrators in these specs';

export interface Member {
  readonly user: TestUser;
  readonly deviceId: string;
  readonly participantId: string;
  /** A new session of this device. */
  session(): Promise<SessionClient>;
}

export class MeetingPlace {
  readonly federation: TestFederation;
  readonly server: TestHomeserver;
  readonly media: MediaServer;
  readonly #sessions: SessionClient[] = [];

  private constructor(federation: TestFederation, server: TestHomeserver, media: MediaServer) {
    this.federation = federation;
    this.server = server;
    this.media = media;
  }

  /** @param host of the server's name; an address keeps it apart from peers where access lists name hosts */
  static async start(settings: Readonly<Record<string, string>> = {}, host = 'localhost'): Promise<MeetingPlace> {
    const media = await MediaServer.start();
    try {
      const federation = await startHomeservers(
        1,
        { ...CHEAP_PASSWORDS, HANSETAG_ADMIN_SECRET: ADMIN_SECRET, ...media.settings, ...settings },
        [host],
      );
      const [server] = federation.servers;
      if (!server) throw new Error('There is no server.');
      return new MeetingPlace(federation, server, media);
    } catch (error) {
      await media.close();
      throw error;
    }
  }

  async register(localpart: string): Promise<Member> {
    return this.member(await this.server.register(localpart));
  }

  /** Logs somebody in once more, with a device of its own. */
  async logIn(localpart: string, deviceId?: string): Promise<Member> {
    const body = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: localpart },
      password: 'a long enough password',
      ...(deviceId === undefined ? {} : { device_id: deviceId }),
    };
    const answer = await this.server.ask('POST', 'client/v3/login', body);
    const token = at(answer.body, 'access_token');
    if (typeof token !== 'string') throw new Error(`log-in: ${JSON.stringify(answer.body)}`);
    const ask: TestUser['ask'] = (method, path, content) => this.server.ask(method, path, content, token);
    return this.member({
      userId: String(at(answer.body, 'user_id')),
      token,
      ask,
      must: async (method, path, content) => {
        const { status, body: answered } = await ask(method, path, content);
        if (status !== 200) throw new Error(`${method} ${path}: ${String(status)} ${JSON.stringify(answered)}`);
        return answered;
      },
    });
  }

  /** Makes an administrator. @returns the access token */
  async registerAdmin(): Promise<string> {
    return registerAdmin(this.server.url, ADMIN_SECRET);
  }

  async member(user: TestUser): Promise<Member> {
    const deviceId = String(at(await user.must('GET', 'client/v3/account/whoami'), 'device_id'));
    return {
      user,
      deviceId,
      participantId: `${user.userId}|${deviceId}`,
      session: async () => {
        const session = await SessionClient.open(this.server.url, user.token);
        this.#sessions.push(session);
        return session;
      },
    };
  }

  /** A room in which everybody may enter the conference, and who was invited is in. */
  async meeting(host: Member, members: readonly Member[] = [], options: object = {}): Promise<string> {
    const room = await host.user.must('POST', 'client/v3/createRoom', {
      preset: 'private_chat',
      invite: members.map(({ user }) => user.userId),
      power_level_content_override: { events: { [CALL_MEMBER]: 0 } },
      ...options,
    });
    const roomId = String(at(room, 'room_id'));
    for (const { user } of members) await user.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/join`, {});
    return roomId;
  }

  /** A public meeting that another organisation, played by the spec, is in, with somebody in the conference. */
  async withPeer(
    host: Member,
    localpart = 'mallory',
    options: object = {},
    peerHost?: string,
  ): Promise<{ roomId: string; peer: ConferencePeer; room: PeerRoom }> {
    const roomId = await this.meeting(host, [], { preset: 'public_chat', ...options });
    const peer = await ConferencePeer.start(this.federation, peerHost);
    const room = await peer.peer.join(this.server.serverName, roomId, peer.peer.userId(localpart));
    await peer.enter(this.server.serverName, room, localpart);
    return { roomId, peer, room };
  }

  /** The same with one that opens links to ours, or waits for ours to do so: that goes by the names of both. */
  withPeerThat(
    opens: 'opens links' | 'waits for links',
    host: Member,
  ): Promise<{ roomId: string; peer: ConferencePeer; room: PeerRoom }> {
    return this.withPeer(host, undefined, {}, opens === 'opens links' ? 'hamburg.localhost' : 'luebeck.localhost');
  }

  /** Keys of the memberships that stand in the room, as somebody in it reads them. */
  async memberships(reader: Member, roomId: string): Promise<string[]> {
    const state = await reader.user.must('GET', `client/v3/rooms/${encodeURIComponent(roomId)}/state`);
    return (state as { type: string; state_key: string; content: object }[])
      .filter(({ type, content }) => type === CALL_MEMBER && Object.keys(content).length > 0)
      .map(({ state_key: key }) => key);
  }

  async close(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.close()));
    await this.federation.close();
    await this.media.close();
  }
}

/** Makes an administrator as the tools of Synapse do. @returns the access token */
export async function registerAdmin(serverUrl: string, secret: string, username = 'root'): Promise<string> {
  const url = `${serverUrl}/_synapse/admin/v1/register`;
  const { nonce } = (await (await fetch(url)).json()) as { nonce: string };
  const user = { username, password: 'a long enough password' };
  const mac = createHmac('sha1', secret)
    .update([nonce, user.username, user.password, 'admin'].join('\0'))
    .digest('hex');
  const body = JSON.stringify({ ...user, nonce, admin: true, mac });
  const made: unknown = await (await fetch(url, { method: 'POST', body })).json();
  return String(at(made, 'access_token'));
}
