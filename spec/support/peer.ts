/** A server of the federation that specs play themselves: with own keys, and free to lie. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { FederationClient, FederationError } from '../../federation/client.ts';
import { eventId, hashAndSign } from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import { canonicalJson, isJsonObject } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import { serverKeysDocument } from '../../federation/keyring.ts';
import { roomVersion } from '../../federation/room-versions.ts';
import type { RoomVersion } from '../../federation/room-versions.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import type { SigningKey } from '../../federation/signing.ts';
import { at, CITIES, type TestFederation } from './homeservers.ts';

/** A room as the peer knows it after its join. */
export interface PeerRoom {
  readonly roomId: string;
  readonly version: RoomVersion;
  readonly state: Pdu[];
  /** Id of the newest event that the peer knows. */
  last: string;
  depth: number;
}

export type PeerAnswer = (
  path: string,
  body: unknown,
  method: string,
) => JsonObject | undefined | Promise<JsonObject | undefined>;

export class Peer {
  readonly serverName: string;
  readonly key: SigningKey;
  readonly client: FederationClient;
  /** What it was asked, as `METHOD /path`. */
  readonly asked: string[] = [];
  /** Answers other questions than that for keys; undefined is a 404, and so is an answer with an `errcode`. */
  answer: PeerAnswer = () => undefined;
  /** How long its keys are said to be valid, in ms; negative for expired ones. */
  keysValidForMs = 60_000;
  /** Its keys can not be had. */
  hidesKeys = false;
  readonly #close: () => Promise<void>;

  private constructor(serverName: string, key: SigningKey, client: FederationClient, close: () => Promise<void>) {
    this.serverName = serverName;
    this.key = key;
    this.client = client;
    this.#close = close;
  }

  /** @param host of its name: one of `CITIES`, where access lists are to tell it from other servers */
  static async start(
    { tls: own, tlsOf }: Pick<TestFederation, 'tls'> & Partial<Pick<TestFederation, 'tlsOf'>>,
    host = 'localhost',
  ): Promise<Peer> {
    const tls = host === 'localhost' || !tlsOf ? own : await tlsOf(host);
    const server = createServer({ cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const serverName = `${host}:${String((server.address() as AddressInfo).port)}`;
    const key = createSigningKey(generateSeed(), 'peer');
    const client = new FederationClient({
      serverName,
      signingKey: key,
      discovery: {
        hostOverrides: new Map(['localhost', ...CITIES].map((name) => [name, '127.0.0.1'])),
        allowedRanges: ['127.0.0.0/8'],
      },
      ca: readFileSync(tls.caFile, 'utf8'),
    });
    const peer = new Peer(serverName, key, client, async () => {
      await client.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    server.on('request', (request, response) => {
      let text = '';
      request.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      request.on('end', () => {
        reply().catch(() => response.destroy());
      });
      const reply = async (): Promise<void> => {
        const path = request.url ?? '';
        peer.asked.push(`${request.method ?? ''} ${path}`);
        const forKeys = path.startsWith('/_matrix/key/v2/server');
        const answer = forKeys
          ? !peer.hidesKeys && serverKeysDocument({ serverName, keys: [key], validForMs: peer.keysValidForMs })
          : await peer.answer(path, text === '' ? undefined : JSON.parse(text), request.method ?? '');
        const isRefusal = !answer || 'errcode' in answer;
        response.writeHead(isRefusal ? 404 : 200, { 'Content-Type': 'application/json' });
        response.end(canonicalJson(answer || { errcode: 'M_NOT_FOUND' }));
      };
    });
    return peer;
  }

  close(): Promise<void> {
    return this.#close();
  }

  userId(localpart: string): string {
    return `@${localpart}:${this.serverName}`;
  }

  /** Asks a homeserver. @returns the answer, or the status and code of the refusal */
  async ask(
    destination: string,
    method: string,
    path: string,
    body?: JsonObject,
  ): Promise<{ ok: true; body: JsonObject } | { ok: false; status: number | undefined; errcode: string | undefined }> {
    try {
      const answer = await this.client.request({
        destination,
        method,
        path: `/_matrix/federation/${path}`,
        ...(body === undefined ? {} : { body }),
      });
      return { ok: true, body: answer };
    } catch (error) {
      if (!(error instanceof FederationError)) throw error;
      return { ok: false, status: error.status, errcode: error.errcode };
    }
  }

  /** Joins a room of a homeserver properly. */
  async join(destination: string, roomId: string, userId: string): Promise<PeerRoom> {
    const versions = ['10', '11', '12'].map((id) => `ver=${id}`).join('&');
    const room = encodeURIComponent(roomId);
    const made = await this.ask(destination, 'GET', `v1/make_join/${room}/${encodeURIComponent(userId)}?${versions}`);
    const template = made.ok ? made.body['event'] : undefined;
    const version = made.ok ? roomVersion(String(made.body['room_version'])) : undefined;
    if (!isJsonObject(template) || !version) throw new Error(`make_join: ${JSON.stringify(made)}`);
    const join = this.sign({ ...template, origin_server_ts: Date.now() } as UnsignedPdu, version);
    const id = eventId(join, version);
    const sent = await this.ask(destination, 'PUT', `v2/send_join/${room}/${encodeURIComponent(id)}`, join);
    if (!sent.ok) throw new Error(`send_join: ${JSON.stringify(sent)}`);
    const state = [...(sent.body['state'] as unknown as Pdu[]), join];
    return { roomId, version, state, last: id, depth: join.depth };
  }

  sign(pdu: UnsignedPdu, version: RoomVersion): Pdu {
    return hashAndSign(pdu, version, this.serverName, this.key);
  }

  /** An event at the end of the room as the peer knows it. */
  event(room: PeerRoom, event: { sender: string; type: string; content: JsonObject; state_key?: string }): Pdu {
    const cited = (type: string, key: string): string[] => {
      const found = room.state.findLast((pdu) => pdu.type === type && pdu.state_key === key);
      return found ? [eventId(found, room.version)] : [];
    };
    const pdu = this.sign(
      {
        ...event,
        room_id: room.roomId,
        origin_server_ts: Date.now(),
        depth: room.depth + 1,
        prev_events: [room.last],
        auth_events: [
          ...(room.version.hashRoomIds ? [] : cited('m.room.create', '')),
          ...cited('m.room.power_levels', ''),
          ...cited('m.room.member', event.sender),
        ],
      } as UnsignedPdu,
      room.version,
    );
    return pdu;
  }

  /** Sends a transaction. @returns what became of each event */
  async send(destination: string, pdus: readonly JsonObject[], txnId = String(Math.random())): Promise<JsonObject> {
    const body = { origin: this.serverName, origin_server_ts: Date.now(), pdus: [...pdus], edus: [] };
    const answer = await this.ask(destination, 'PUT', `v1/send/${txnId}`, body);
    const results = at(answer, 'body', 'pdus');
    if (!isJsonObject(results)) throw new Error(`send: ${JSON.stringify(answer)}`);
    return results;
  }
}
