/** What other servers ask and send, signed by a hostile one with valid keys; requests about links among it. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { eventId } from '../../../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../../../federation/event.ts';
import { canonicalJson, isJsonObject } from '../../../../federation/json.ts';
import type { JsonObject } from '../../../../federation/json.ts';
import { CALL_MEMBER, CONFERENCE_EDU } from '../../../../homeserver/base/names.ts';
import type { Random } from '../../../soak/random.ts';
import type { PeerRoom } from '../../../support/peer.ts';
import { ConferencePeer } from '../../kit/conference-peer.ts';
import { SessionClient } from '../../kit/session-client.ts';
import type { Answered, Face } from '../face.ts';
import { inside, Sender } from '../http.ts';
import type { Reply } from '../http.ts';
import { jsonText, mutate, RawJson } from '../mutate.ts';
import { addressOf, named, routeInput } from '../route-inputs.ts';
import type { Examples, RouteInput } from '../route-inputs.ts';
import type { Route } from '../target-messages.ts';
import type { Target } from '../target-process.ts';
import { World } from '../world.ts';

/** An event of a transaction: its text, and whether it is hashed and signed as it is. */
interface EventInput {
  readonly text: string;
  readonly signed: boolean;
}

interface FederationInput {
  readonly request: RouteInput;
  /** The body of a transaction is put together of these, or that of a membership is the first of them. */
  readonly events?: readonly EventInput[];
  readonly edus?: readonly string[];
  /** Header as it should be, or wrong. */
  readonly authorization: 'good' | 'none' | 'wrong signature' | 'unknown key' | 'nonsense';
}

const HALF = {
  port: 30_000,
  srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: `${'A'.repeat(59)}=` },
  probe_key: `${'B'.repeat(43)}=`,
};
const KEY_QUERY = { device_keys: { '{{user}}': [] } };
const EVENT = { type: 'm.room.message', content: { msgtype: 'm.text', body: 'hello' } };

/** All orders that there are. */
const ACTIONS = [
  'mute',
  'camera-off',
  'stop-share',
  'ask-unmute',
  'lower-hand',
  'rename',
  'remove',
  'ban',
  'wait',
  'end',
  'access-list',
];

const EXAMPLES: Examples = {
  askers: [[1, 'peer']],
  parameters: {
    roomId: '{{room}}',
    userId: '{{mallory}}',
    eventId: '{{event}}',
    transactionId: '{{txn}}',
    mediaId: '{{media}}',
    server: '{{peer}}',
    keyId: 'ed25519:peer',
    linkId: '{{link}}',
  },
  of: {
    'GET /backfill/:roomId': { query: { v: '{{event}}', limit: '10' } },
    'GET /state/:roomId': { query: { event_id: '{{event}}' } },
    'GET /state_ids/:roomId': { query: { event_id: '{{event}}' } },
    'GET /make_join/:roomId/:userId': { query: { ver: '12' } },
    'GET /make_knock/:roomId/:userId': { query: { ver: '12' } },
    'GET /hierarchy/:roomId': { query: { suggested_only: 'true' } },
    'GET /timestamp_to_event/:roomId': { query: { ts: '1700000000000', dir: 'b' } },
    'GET /query/directory': { query: { room_alias: '#alias:{{server}}' } },
    'GET /query/profile': { query: { user_id: '{{user}}', field: 'displayname' } },
    'GET /publicRooms': { query: { limit: '5', since: 'x', include_all_networks: 'false' } },
    'GET /openid/userinfo': { query: { access_token: 'x' } },
    'GET /media/thumbnail/:mediaId': { query: { width: '32', height: '32', method: 'scale' } },
    'GET /user/devices/:userId': { parameters: { userId: '{{user}}' } },
    'GET /query/:server': { query: { minimum_valid_until_ts: '1' } },
    'POST /key/v2/query': { body: { server_keys: { '{{peer}}': { 'ed25519:peer': { minimum_valid_until_ts: 1 } } } } },
    'POST /publicRooms': { body: { limit: 5, since: 'x', filter: { generic_search_term: 'x' } } },
    'POST /user/keys/query': { body: KEY_QUERY },
    'POST /user/keys/claim': { body: { one_time_keys: { '{{user}}': { D: 'signed_curve25519' } } } },
    'POST /get_missing_events/:roomId': {
      body: { limit: 10, min_depth: 1, earliest_events: ['{{create}}'], latest_events: ['{{event}}'] },
    },
    'PUT /link/:linkId': { body: HALF },
    'PUT /live': {
      body: {
        epoch: 'a',
        number: 1,
        whole: true,
        orders: ACTIONS.map((action, index) => ({
          number: index + 1,
          action,
          by: '{{mallory}}',
          participants: [{ user_id: '{{user}}', device_id: '{{device}}' }],
          for: 'participants',
          display_name: 'Mallory',
          event: EVENT,
        })),
        participants: [
          {
            user_id: '{{mallory}}',
            device_id: 'DEVICE',
            sources: [{ source: 'camera', id: 'a', paused: false }],
            reconnecting: false,
          },
        ],
        resend: true,
        relink: true,
      },
    },
    'PUT /waiting': {
      body: { waiting: [{ user_id: '{{mallory}}', display_name: 'M', guest: false, since_ts: 1 }], count: 1 },
    },
    'POST /links/redeem': { body: { code: 'abcdefghijklmnopqrstuv', user_id: '{{mallory}}' } },
    'PUT /wants': { body: { wants: [{ user_id: '{{user}}', device_id: '{{device}}', source: 'camera' }] } },
    'PUT /v2/invite/:roomId/:eventId': {
      body: {
        room_version: '12',
        event: EVENT,
        invite_room_state: [{ ...EVENT, sender: '{{mallory}}', state_key: '' }],
      },
    },
    'PUT /v1/invite/:roomId/:eventId': { body: { ...EVENT, state_key: '{{user}}' } },
  },
};

/** Events as a member of the room sends them; what places them in the room is added. */
const EVENTS: readonly JsonObject[] = [
  EVENT,
  {
    type: 'm.room.message',
    content: {
      msgtype: 'm.text',
      body: 'x',
      'm.relates_to': { rel_type: 'm.replace', event_id: '{{event}}' },
      'm.new_content': { msgtype: 'm.text', body: 'y' },
    },
  },
  {
    type: 'm.room.member',
    state_key: '{{mallory}}',
    content: { membership: 'join', displayname: 'Mallory', avatar_url: 'mxc://a/b' },
  },
  {
    type: 'm.room.member',
    state_key: '@new:{{peer}}',
    content: {
      membership: 'invite',
      third_party_invite: { display_name: 'x', signed: { mxid: 'x', token: 'y', signatures: {} } },
    },
  },
  { type: 'm.room.topic', state_key: '', content: { topic: 'x' } },
  { type: 'm.room.power_levels', state_key: '', content: { users: {}, users_default: 0, events: {} } },
  { type: 'm.room.server_acl', state_key: '', content: { allow: ['*'], deny: [] } },
  { type: 'm.room.redaction', content: { redacts: '{{event}}', reason: 'x' } },
  { type: 'm.room.encrypted', content: { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'x', session_id: 'y' } },
  { type: 'm.reaction', content: { 'm.relates_to': { rel_type: 'm.annotation', event_id: '{{event}}', key: 'x' } } },
  { type: 'm.room.create', state_key: '', content: { room_version: '12' } },
  {
    type: CALL_MEMBER,
    state_key: '_{{mallory}}_DEVICE',
    content: {
      application: 'm.call',
      call_id: '',
      scope: 'm.room',
      device_id: 'DEVICE',
      expires: 7_200_000,
      focus_active: { type: 'org.hansetag.sfu' },
      foci_preferred: [{ type: 'org.hansetag.sfu', server_name: '{{peer}}' }],
    },
  },
];

const EDUS: readonly JsonObject[] = [
  { edu_type: 'm.typing', content: { room_id: '{{room}}', user_id: '{{mallory}}', typing: true } },
  {
    edu_type: 'm.receipt',
    content: {
      '{{room}}': { 'm.read': { '{{mallory}}': { data: { ts: 1, thread_id: 'main' }, event_ids: ['{{event}}'] } } },
    },
  },
  {
    edu_type: 'm.presence',
    content: {
      push: [
        { user_id: '{{mallory}}', presence: 'online', last_active_ago: 1, currently_active: true, status_msg: 'x' },
      ],
    },
  },
  {
    edu_type: 'm.device_list_update',
    content: {
      user_id: '{{mallory}}',
      device_id: 'D',
      stream_id: 1,
      prev_id: [],
      keys: { user_id: '{{mallory}}', device_id: 'D', algorithms: [], keys: {}, signatures: {} },
    },
  },
  {
    edu_type: 'm.signing_key_update',
    content: { user_id: '{{mallory}}', master_key: { user_id: '{{mallory}}', usage: ['master'], keys: {} } },
  },
  {
    edu_type: 'm.direct_to_device',
    content: { sender: '{{mallory}}', type: 'm.x', message_id: '{{txn}}', messages: { '{{user}}': { '*': { a: 1 } } } },
  },
  {
    edu_type: CONFERENCE_EDU,
    content: {
      room_id: '{{room}}',
      participants: [
        {
          user_id: '{{mallory}}',
          device_id: 'DEVICE',
          sources: [{ source: 'camera', id: 'a', paused: false }],
          reconnecting: false,
        },
      ],
      resend: true,
      relink: true,
    },
  },
];

const OFFERS: JsonObject = {
  sources: [
    {
      user_id: '{{mallory}}',
      device_id: 'DEVICE',
      source: 'microphone',
      id: 'a',
      kind: 'audio',
      paused: false,
      rtp_parameters: {
        codecs: [{ mimeType: 'audio/opus', payloadType: 100, clockRate: 48_000, channels: 2 }],
        encodings: [{ ssrc: 1 }],
      },
    },
  ],
};

class FederationFace implements Face<FederationInput> {
  readonly #target: Target;
  readonly #about: 'federation' | 'links';
  readonly #routes: readonly Route[];
  readonly #world: World;
  readonly #peer: ConferencePeer;
  readonly #sender: Sender;
  #room: PeerRoom | undefined;
  #inside: SessionClient | undefined;
  #count = 0;
  #closing: Promise<void> | undefined;

  constructor(target: Target, about: 'federation' | 'links', world: World, peer: ConferencePeer) {
    const { serverName, tls, routes } = target.homeserver;
    this.#target = target;
    this.#about = about;
    this.#world = world;
    this.#peer = peer;
    const paths = about === 'federation' ? /^\/_matrix\/(federation|key)\// : /^\/_hansetag\/federation\//;
    const lines = new Set(routes.filter(({ path }) => paths.test(path)).map(({ method, path }) => `${method} ${path}`));
    this.#routes = [...lines].sort().map((line) => {
      const [method = '', path = ''] = line.split(' ');
      return { method, path };
    });
    const port = Number(serverName.split(':')[1]);
    this.#sender = new Sender({ host: '127.0.0.1', port, ca: readFileSync(tls.caFile, 'utf8') });
    world.names.set('peer', peer.serverName);
    world.names.set('mallory', peer.peer.userId('mallory'));
  }

  make(random: Random): FederationInput {
    const authorization = random.weighted<FederationInput['authorization']>([
      [94, 'good'],
      [2, 'none'],
      [2, 'wrong signature'],
      [1, 'unknown key'],
      [1, 'nonsense'],
    ]);
    const request = routeInput(random, this.#routes, EXAMPLES);
    const isTransaction = this.#about === 'links' ? random.chance(0.2) : random.chance(0.5);
    if (isTransaction) {
      const list = this.#about === 'links' ? EVENTS.filter(({ type }) => type === CALL_MEMBER) : EVENTS;
      const edus = this.#about === 'links' ? EDUS.filter(({ edu_type: type }) => type === CONFERENCE_EDU) : EDUS;
      return {
        request: { ...request, route: TRANSACTION, parameters: { transactionId: '{{txn}}' }, query: {} },
        events: several(random, 4, () => eventInput(random, random.of(list))),
        edus: several(random, 3, () =>
          jsonText(random.chance(0.2) ? random.of(edus) : mutate(random, random.of(edus))),
        ),
        authorization,
      };
    }
    const isMembership = /\/send_(join|leave|knock)\//.test(request.route.path);
    return {
      request,
      authorization,
      ...(isMembership ? { events: [eventInput(random, membership(request.route.path))] } : {}),
    };
  }

  async send({ request, events, edus, authorization }: FederationInput): Promise<Answered> {
    const { names } = this.#world;
    this.#count += 1;
    names.set('txn', `t${String(this.#count)}`);
    const built = events?.map((event) => this.#event(event)) ?? [];
    const texts = built.map(({ text }) => text);
    let body = request.body === undefined ? undefined : named(request.body, names);
    if (edus) {
      const list = edus.map((edu) => named(edu, names)).join(',');
      body = `{"origin":"${this.#peer.serverName}","origin_server_ts":${String(Date.now())},"pdus":[${texts.join(',')}],"edus":[${list}]}`;
    } else if (texts[0] !== undefined) body = texts[0];
    // A GET with a body is another request.
    if (request.route.method === 'GET') body = undefined;
    const path = addressOf(request, names);
    const { method } = request.route;
    const header = this.#authorization(authorization, method, path, body);
    const reply = await this.#sender.send({
      method,
      path,
      headers: { ...(header === undefined ? {} : { Authorization: header }), ...request.headers },
      delivery: request.delivery,
      ...(body === undefined ? {} : { body }),
    });
    this.#learn(reply, built);
    return reply;
  }

  async mend(): Promise<void> {
    await this.#world.people(['user']);
    await this.#world.room(['user'], 'public_chat');
    const { serverName, url } = this.#target.homeserver;
    const roomId = this.#world.names.get('room') ?? '';
    const room = await this.#peer.peer.join(serverName, roomId, this.#peer.peer.userId('mallory'));
    await this.#peer.enter(serverName, room, 'mallory');
    this.#room = room;
    const create = room.state.find(({ type }) => type === 'm.room.create');
    if (create) this.#world.names.set('create', eventId(create, room.version));
    if (this.#about !== 'links') return;
    await this.#inside?.close();
    this.#inside = await SessionClient.open(url, this.#world.person('user').token);
    await this.#inside.join(roomId);
    await this.#inside.publish('camera');
    const linkId = randomUUID();
    this.#world.names.set('link', linkId);
    await this.#peer.askLink(serverName, 'PUT', roomId, linkId, this.#peer.half());
  }

  close(): Promise<void> {
    this.#sender.close();
    return (this.#closing ??= Promise.all([this.#inside?.close(), this.#peer.close()]).then(() => undefined));
  }

  /** An event at the end of the room, as its text says. */
  #event({ text, signed }: EventInput): { text: string; id?: string } {
    const room = this.#room;
    if (!room) return { text };
    const { names } = this.#world;
    const cited = (type: string, key: string): string[] => {
      const found = room.state.findLast((pdu) => pdu.type === type && pdu.state_key === key);
      return found ? [eventId(found, room.version)] : [];
    };
    const auth = [...cited('m.room.power_levels', ''), ...cited('m.room.member', names.get('mallory') ?? '')];
    const here = new Map([
      ...names,
      ['last', room.last],
      ['depth', String(room.depth + 1)],
      ['now', String(Date.now())],
      ['auth', auth.map((id) => JSON.stringify(id)).join(',')],
    ]);
    const whole = named(text, here);
    if (!signed) return { text: whole };
    try {
      const pdu: Pdu = this.#peer.peer.sign(JSON.parse(whole) as UnsignedPdu, room.version);
      return { text: JSON.stringify(pdu), id: eventId(pdu, room.version) };
    } catch {
      // What has no canonical form can not be signed.
      return { text: whole };
    }
  }

  /** What was taken is the end of the room now. */
  #learn(reply: Partial<Reply>, built: readonly { id?: string }[]): void {
    const results = inside(reply, 'pdus');
    const room = this.#room;
    if (!isJsonObject(results) || !room) return;
    for (const { id } of built) {
      const result = id === undefined ? undefined : results[id];
      if (id === undefined || !isJsonObject(result) || Object.keys(result).length > 0) continue;
      room.last = id;
      room.depth += 1;
      this.#world.names.set('event', id);
    }
  }

  #authorization(
    how: FederationInput['authorization'],
    method: string,
    uri: string,
    body?: string,
  ): string | undefined {
    const { serverName: origin, peer } = this.#peer;
    const destination = this.#target.homeserver.serverName;
    if (how === 'none') return undefined;
    if (how === 'nonsense') return 'X-Matrix origin="a",key="ed25519:a",sig=,,"';
    const rest = canonicalJson({ method, uri, origin, destination });
    const text = body === undefined ? rest : `{"content":${body},${rest.slice(1)}`;
    const signature = peer.key.sign(how === 'wrong signature' ? `${text} ` : text);
    const keyId = how === 'unknown key' ? 'ed25519:unknown' : peer.key.keyId;
    return `X-Matrix origin="${origin}",destination="${destination}",key="${keyId}",sig="${signature}"`;
  }
}

const TRANSACTION: Route = { method: 'PUT', path: '/_matrix/federation/v1/send/:transactionId' };

function several<T>(random: Random, most: number, make: () => T): T[] {
  return Array.from({ length: random.whole(0, most) }, make);
}

function eventInput(random: Random, event: JsonObject): EventInput {
  const placed = {
    sender: '{{mallory}}',
    room_id: '{{room}}',
    origin_server_ts: new RawJson('{{now}}'),
    depth: new RawJson('{{depth}}'),
    prev_events: ['{{last}}'],
    auth_events: new RawJson('[{{auth}}]'),
    ...event,
  };
  const content = random.chance(0.5)
    ? { ...placed, content: mutate(random, event['content']) }
    : mutate(random, placed);
  return { text: jsonText(random.chance(0.2) ? placed : content), signed: random.chance(0.9) };
}

function membership(path: string): JsonObject {
  const [, how = 'join'] = /send_(join|leave|knock)/.exec(path) ?? [];
  return { type: 'm.room.member', state_key: '{{mallory}}', content: { membership: how } };
}

async function openFace(target: Target, about: 'federation' | 'links'): Promise<Face<FederationInput>> {
  const world = new World(target);
  const peer = await ConferencePeer.start(target.homeserver);
  // Questions about links are answered in a good way now, in a bad one then.
  let questions = 0;
  peer.onLink = (_method, _roomId, _linkId, wants) => {
    questions += 1;
    if (!wants) return peer.half();
    return (JSON.parse(named(JSON.stringify(questions % 2 === 0 ? OFFERS : { sources: [{}] }), world.names)) ??
      {}) as JsonObject;
  };
  try {
    await world.people(['user']);
    const face = new FederationFace(target, about, world, peer);
    await face.mend();
    return face;
  } catch (error) {
    await peer.close();
    throw error;
  }
}

export const federationFace = (target: Target): Promise<Face<FederationInput>> => openFace(target, 'federation');
export const linksFace = (target: Target): Promise<Face<FederationInput>> => openFace(target, 'links');
