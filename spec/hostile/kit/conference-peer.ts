/** Another organisation in a conference, played by the spec: it enters, opens links and speaks, true or not. */
import { randomBytes } from 'node:crypto';
import { FederationError } from '../../../federation/client.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { signJson } from '../../../federation/signing.ts';
import { joinedContent, membershipKey, participantIdOf } from '../../../homeserver/meetings/conference/membership.ts';
import { CALL_MEMBER, CONFERENCE_EDU } from '../../../homeserver/base/names.ts';
import type { TestFederation } from '../../support/homeservers.ts';
import { Peer, type PeerRoom } from '../../support/peer.ts';

const DISCOVERY = '/_hansetag/federation/v1/discovery';
const LIVE = /^\/_hansetag\/federation\/v1\/conference\/([^/]+)\/live$/;
const LINK = /^\/_hansetag\/federation\/v1\/conference\/([^/]+)\/link\/([^/]+)(\/wants)?$/;

/** What an answer of a homeserver to a request of ours came to. */
export type Answered =
  { readonly body: JsonObject } | { readonly status: number | undefined; readonly errcode?: string };

export class ConferencePeer {
  readonly peer: Peer;
  /** Where its media server takes media of links; nothing listens there unless the spec does. */
  sfu: JsonObject = { address: '127.0.0.9', min_port: 30_000, max_port: 30_099, probe_port: 30_100 };
  /** How far its clock is ahead, in ms. */
  clockAheadMs = 0;
  /** Answers requests about links: undefined leaves them without an answer for ever. */
  onLink: (method: string, roomId: string, linkId: string, wants: boolean) => JsonObject | undefined = () =>
    this.half();

  /** Live messages that came to it. */
  readonly live: Record<string, unknown>[] = [];
  /** Answers live messages: undefined leaves them without an answer for ever. An `errcode` makes it a 404. */
  onLive: (message: JsonObject) => JsonObject | undefined = () => ({});
  /** Answers transactions: undefined leaves them without an answer for ever. */
  onTransaction: () => JsonObject | undefined = () => ({ pdus: {} });
  readonly #epoch = randomBytes(6).toString('hex');
  #number = 0;

  private constructor(peer: Peer) {
    this.peer = peer;
    peer.answer = (path, body, method) => this.#answer(path, body, method);
  }

  /** @param host of its name, as in `Peer.start` */
  static async start(
    federation: Pick<TestFederation, 'tls'> & Partial<Pick<TestFederation, 'tlsOf'>>,
    host?: string,
  ): Promise<ConferencePeer> {
    return new ConferencePeer(await Peer.start(federation, host));
  }

  get serverName(): string {
    return this.peer.serverName;
  }

  participantId(localpart: string): string {
    return participantIdOf(this.peer.userId(localpart), 'DEVICE');
  }

  /** Its user enters the conference of a room that it is in. */
  async enter(destination: string, room: PeerRoom, localpart: string): Promise<void> {
    const userId = this.peer.userId(localpart);
    const now = Date.now() + this.clockAheadMs;
    const { serverName } = this.peer;
    await this.say(destination, room, {
      type: CALL_MEMBER,
      sender: userId,
      state_key: membershipKey(userId, 'DEVICE'),
      content: joinedContent({ deviceId: 'DEVICE', serverName, joinedAt: now, guest: false, now }),
    });
  }

  /** Sends an event at the end of the room. @throws Error when it is refused */
  async say(
    destination: string,
    room: PeerRoom,
    event: { type: string; sender: string; state_key?: string; content: JsonObject },
  ): Promise<void> {
    const pdu = this.peer.event(room, event);
    const results = await this.peer.send(destination, [pdu]);
    for (const [id, result] of Object.entries(results)) {
      if (Object.keys(result as JsonObject).length > 0) throw new Error(`refused: ${JSON.stringify(result)}`);
      room.last = id;
      room.depth += 1;
    }
  }

  /** Sends EDUs about a conference in one transaction. */
  async speak(destination: string, contents: readonly JsonObject[]): Promise<void> {
    const edus = contents.map((content) => ({ edu_type: CONFERENCE_EDU, content }));
    const body = { origin: this.serverName, origin_server_ts: Date.now(), pdus: [], edus };
    const answer = await this.peer.ask(destination, 'PUT', `v1/send/${randomBytes(6).toString('hex')}`, body);
    if (!answer.ok) throw new Error(`the transaction was refused: ${String(answer.errcode)}`);
  }

  /** Sends a live message; without a number it is the next one. */
  async tell(destination: string, roomId: string, message: JsonObject): Promise<unknown> {
    if (message['participants'] !== undefined) this.#number += 1;
    const body = { epoch: this.#epoch, number: this.#number, ...message };
    return this.#ask(destination, 'PUT', `${encodeURIComponent(roomId)}/live`, body);
  }

  /** Tells who of its people waits for a place. */
  async wait(destination: string, roomId: string, message: JsonObject): Promise<unknown> {
    return this.#ask(destination, 'PUT', `${encodeURIComponent(roomId)}/waiting`, message);
  }

  /** What its user sends, as it tells others. */
  state(roomId: string, localpart: string, sources: readonly JsonObject[]): JsonObject {
    return {
      room_id: roomId,
      participants: [{ user_id: this.peer.userId(localpart), device_id: 'DEVICE', sources: [...sources] }],
    };
  }

  half(port = 30_000): JsonObject {
    return {
      port,
      srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: randomBytes(44).toString('base64') },
      probe_key: randomBytes(32).toString('base64'),
    };
  }

  /** A request about a link. */
  async askLink(
    destination: string,
    method: string,
    roomId: string,
    linkId: string,
    body?: JsonObject,
    more = '',
  ): Promise<Answered> {
    return this.#ask(destination, method, `${encodeURIComponent(roomId)}/link/${linkId}${more}`, body);
  }

  async #ask(destination: string, method: string, about: string, body?: JsonObject): Promise<Answered> {
    const path = `/_hansetag/federation/v1/conference/${about}`;
    try {
      return { body: await this.peer.client.request({ destination, method, path, ...(body ? { body } : {}) }) };
    } catch (error) {
      if (!(error instanceof FederationError)) throw error;
      return { status: error.status, ...(error.errcode === undefined ? {} : { errcode: error.errcode }) };
    }
  }

  close(): Promise<void> {
    return this.peer.close();
  }

  #document(): JsonObject {
    const now = Date.now() + this.clockAheadMs;
    return signJson(
      {
        server_name: this.serverName,
        organisation: { display_name: 'Peer', colour: '#102030' },
        sfu: this.sfu,
        issued_ts: now,
        valid_until_ts: now + 600_000,
      },
      this.serverName,
      this.peer.key,
    );
  }

  async #answer(path: string, body: unknown, method: string): Promise<JsonObject | undefined> {
    if (path === DISCOVERY) return this.#document();
    if (path.startsWith('/_matrix/federation/v1/send/')) return this.onTransaction() ?? new Promise(() => undefined);
    if (LIVE.test(path)) {
      this.live.push(body as JsonObject);
      return this.onLive(body as JsonObject) ?? new Promise(() => undefined);
    }
    const [, roomId, linkId, wants] = LINK.exec(path) ?? [];
    if (roomId === undefined || linkId === undefined) return undefined;
    const answer = this.onLink(method, decodeURIComponent(roomId), linkId, wants !== undefined);
    return answer ?? new Promise(() => undefined);
  }
}
