/**
 * Answers of another homeserver to what ours asks it: keys, profiles, joins, state, media and the rest. A real homeserver
 * gives good answers; whoever stands between the two makes bad ones of them.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request as ask } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Random } from '../../../soak/random.ts';
import { at, startHomeservers } from '../../../support/homeservers.ts';
import type { TestFederation, TestUser } from '../../../support/homeservers.ts';
import type { Answered, Face } from '../face.ts';
import { answerHostilely } from '../hostile-answers.ts';
import { Sender } from '../http.ts';
import { named } from '../route-inputs.ts';
import type { Target } from '../target-process.ts';
import { World } from '../world.ts';

interface AnswersInput {
  /** What a person here does, so that the other homeserver is asked. */
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  /** Of the answers meanwhile. */
  readonly seed: number;
}

const ROOM = '{{farroom}}';
const VIA = 'server_name={{far}}';

/** All that makes our homeserver ask another one. `{{farroom}}` is a public room there that nobody here is in. */
const ACTIONS: readonly Omit<AnswersInput, 'seed'>[] = [
  { method: 'GET', path: '/_matrix/client/v3/profile/{{faruser}}' },
  { method: 'GET', path: '/_matrix/client/v3/profile/{{faruser}}/displayname' },
  { method: 'POST', path: '/_matrix/client/v3/keys/query', body: '{"device_keys":{"{{faruser}}":[]},"timeout":2000}' },
  {
    method: 'POST',
    path: '/_matrix/client/v3/keys/claim',
    body: '{"one_time_keys":{"{{faruser}}":{"D":"signed_curve25519"}}}',
  },
  { method: 'POST', path: `/_matrix/client/v3/join/${ROOM}?${VIA}`, body: '{}' },
  { method: 'POST', path: `/_matrix/client/v3/join/${ROOM}?${VIA}`, body: '{}' },
  { method: 'POST', path: `/_matrix/client/v3/knock/${ROOM}?${VIA}`, body: '{}' },
  { method: 'POST', path: '/_matrix/client/v3/join/{{faralias}}', body: '{}' },
  { method: 'GET', path: '/_matrix/client/v3/directory/room/{{faralias}}' },
  { method: 'GET', path: '/_matrix/client/v3/publicRooms?server={{far}}&limit=5' },
  {
    method: 'POST',
    path: '/_matrix/client/v3/publicRooms?server={{far}}',
    body: '{"filter":{"generic_search_term":"x"}}',
  },
  { method: 'GET', path: `/_matrix/client/v1/room_summary/${ROOM}?via={{far}}` },
  { method: 'GET', path: '/_matrix/client/v1/rooms/{{space}}/hierarchy?max_depth=3' },
  { method: 'GET', path: '/_matrix/client/v1/media/download/{{far}}/{{farmedia}}?timeout_ms=2000' },
  { method: 'GET', path: '/_matrix/client/v1/media/thumbnail/{{far}}/{{farmedia}}?width=32&height=32&timeout_ms=2000' },
  { method: 'GET', path: '/_matrix/client/v3/rooms/{{shared}}/messages?dir=b&limit=50' },
  { method: 'GET', path: '/_matrix/client/v1/rooms/{{shared}}/timestamp_to_event?ts=1000&dir=f' },
  { method: 'GET', path: '/_matrix/client/v3/rooms/{{shared}}/event/$unknown' },
  {
    method: 'PUT',
    path: '/_matrix/client/v3/rooms/{{shared}}/send/m.room.message/{{txn}}',
    body: '{"msgtype":"m.text","body":"x"}',
  },
  { method: 'POST', path: '/_matrix/client/v3/rooms/{{room}}/invite', body: '{"user_id":"@x{{txn}}:{{far}}"}' },
  {
    method: 'POST',
    path: '/_hansetag/client/v1/meetings',
    body: '{"title":"x","invite":["@y{{txn}}:{{far}}"],"transactionId":"{{txn}}"}',
  },
  {
    method: 'PUT',
    path: '/_matrix/client/v3/sendToDevice/m.x/{{txn}}',
    body: '{"messages":{"{{faruser}}":{"*":{"a":1}}}}',
  },
  { method: 'GET', path: '/_matrix/key/v2/query/{{far}}?minimum_valid_until_ts=9999999999999' },
  { method: 'GET', path: '/_hansetag/client/v1/meetings/{{shared}}' },
];
/** What the other homeserver answers with an error is answered with this sometimes. */
const INSTEAD: Readonly<Record<string, unknown>> = {
  get_missing_events: { events: [{ type: 'm.room.message', room_id: 'x', sender: '@a:b', content: {}, depth: 1 }] },
  state_ids: { pdu_ids: ['$a'], auth_chain_ids: ['$b'] },
  event: { origin: 'x', origin_server_ts: 1, pdus: [{ type: 'x', content: {} }] },
  devices: { user_id: '@a:b', stream_id: 1, devices: [{ device_id: 'D', keys: {} }] },
  publicRooms: { chunk: [{ room_id: '!a:b', num_joined_members: 1, world_readable: true, guest_can_join: true }] },
};
const GOOD_ANSWERS = 0.3;

class FarServer {
  readonly name: string;
  readonly #server: Server;
  readonly #agent: Agent;
  #federation: TestFederation | undefined;
  #random = new Random(0, 'nothing yet');
  /** Whether all answers are as the homeserver gives them. */
  honest = true;

  private constructor(server: Server, agent: Agent, name: string) {
    this.#server = server;
    this.#agent = agent;
    this.name = name;
  }

  /** A homeserver that is known by the name of who stands before it. */
  static async start(target: Target): Promise<FarServer> {
    const { tls } = target.homeserver;
    const ca = readFileSync(tls.caFile);
    const server = createServer({ cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const name = `localhost:${String((server.address() as AddressInfo).port)}`;
    const far = new FarServer(server, new Agent({ ca, keepAlive: true }), name);
    far.#federation = await startHomeservers(1, {
      HANSETAG_SERVER_NAME: name,
      HANSETAG_FEDERATION_CERT: tls.certFile,
      HANSETAG_FEDERATION_KEY: tls.keyFile,
      HANSETAG_FEDERATION_CA: tls.caFile,
      HANSETAG_PASSWORD_COST: '10',
    });
    const port = Number(far.homeserver.serverName.split(':')[1]);
    server.on('request', (request, response) => far.#relay(port, request, response));
    return far;
  }

  get homeserver(): TestFederation['servers'][number] {
    const [server] = this.#federation?.servers ?? [];
    if (!server) throw new Error('The other homeserver is not there.');
    return server;
  }

  answerBy(seed: number): void {
    this.#random = new Random(seed, 'answers');
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.#federation?.close();
  }

  #relay(port: number, request: IncomingMessage, response: ServerResponse): void {
    const random = this.#random;
    const { method, headers, url = '' } = request;
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const onward = ask({
      host: '127.0.0.1',
      port,
      method,
      path: url,
      headers,
      agent: this.#agent,
      servername: 'localhost',
    });
    onward.on('error', () => response.destroy());
    onward.on('response', (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => {
        const status = answer.statusCode ?? 500;
        const type = answer.headers['content-type'] ?? 'application/json';
        const body = Buffer.concat(chunks);
        if (this.honest || random.chance(GOOD_ANSWERS)) {
          response.writeHead(status, { 'Content-Type': type });
          response.end(body);
          return;
        }
        const [, what = ''] = /v[12]\/(?:user\/)?([a-zA-Z_]+)/.exec(url) ?? [];
        const instead = INSTEAD[what];
        if (status >= 400 && instead !== undefined) {
          answerHostilely(random, response, { status: 200, type, body: Buffer.from(JSON.stringify(instead)) });
        } else answerHostilely(random, response, { status, type, body });
      });
    });
    request.pipe(onward);
  }
}

export async function answersFace(target: Target): Promise<Face<AnswersInput>> {
  const far = await FarServer.start(target);
  const world = new World(target);
  const { names } = world;
  const { hostname, port } = new URL(target.homeserver.url);
  const sender = new Sender({ host: hostname, port: Number(port) });
  let farUser: TestUser;
  let transactions = 0;
  let round = 0;

  const farRoom = async (): Promise<string> => {
    const made = await farUser.must('POST', 'client/v3/createRoom', { preset: 'public_chat', visibility: 'public' });
    return String(at(made, 'room_id'));
  };
  const mend = async (): Promise<void> => {
    far.honest = true;
    try {
      round += 1;
      await world.people(['user']);
      await world.room(['user']);
      names.set('farroom', await farRoom());
      const alias = `#a${String(round)}:${far.name}`;
      await farUser.must('PUT', `client/v3/directory/room/${encodeURIComponent(alias)}`, {
        room_id: names.get('farroom'),
      });
      names.set('faralias', alias);
      const shared = await farRoom();
      for (let count = 0; count < 30; count += 1) {
        const path = `client/v3/rooms/${encodeURIComponent(shared)}/send/m.room.message/${randomUUID()}`;
        await farUser.must('PUT', path, { msgtype: 'm.text', body: `message ${String(count)}` });
      }
      // Whom earlier lies have shut out does without.
      await world
        .person('user')
        .ask('POST', `client/v3/join/${encodeURIComponent(shared)}?server_name=${far.name}`, {});
      names.set('shared', shared);
      const space = await world.person('user').must('POST', 'client/v3/createRoom', {
        creation_content: { type: 'm.space' },
        initial_state: [{ type: 'm.space.child', state_key: names.get('farroom'), content: { via: [far.name] } }],
      });
      names.set('space', String(at(space, 'room_id')));
      const media = await farUser.must('POST', 'media/v3/upload?filename=a.txt', { a: randomUUID() });
      names.set('farmedia', String(at(media, 'content_uri')).split('/').at(-1) ?? '');
    } finally {
      far.honest = false;
    }
  };

  try {
    farUser = await far.homeserver.register('far');
    names.set('far', far.name);
    names.set('faruser', farUser.userId);
    await mend();
  } catch (error) {
    await far.close();
    throw error;
  }
  let closing: Promise<void> | undefined;
  return {
    make: (random) => ({ ...random.of(ACTIONS), seed: random.whole(0, 2 ** 31) }),
    send: async ({ method, path, body, seed }): Promise<Answered> => {
      names.set('txn', `t${String((transactions += 1))}`);
      far.answerBy(seed);
      return sender.send({
        method,
        path: named(path, new Map([...names].map(([name, value]) => [name, encodeURIComponent(value)]))),
        headers: { Authorization: `Bearer ${world.tokens.get('user') ?? ''}` },
        delivery: 'whole',
        ...(body === undefined ? {} : { body: named(body, names) }),
      });
    },
    mend,
    close: () => {
      sender.close();
      return (closing ??= far.close());
    },
  };
}
