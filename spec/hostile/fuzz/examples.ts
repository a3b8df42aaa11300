/** Good requests of clients to every path that takes more than its parameters. */
import type { Examples } from './route-inputs.ts';
import type { Route } from './target-messages.ts';

const MESSAGE = { msgtype: 'm.text', body: 'hello', 'm.mentions': { user_ids: ['{{other}}'] } };
const RELATED = {
  ...MESSAGE,
  'm.relates_to': { rel_type: 'm.thread', event_id: '{{event}}', 'm.in_reply_to': { event_id: '{{event}}' } },
};
const ALGORITHMS = ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'];
const KEY = 'VXt0VXEDIFFWFzHNZWV5hVBWWaQbQ5XN4JVoaWjuSlE';
const SIGNED = { '{{user}}': { 'ed25519:{{device}}': `${KEY}${KEY}` } };
const CROSS_SIGNING = { user_id: '{{user}}', usage: ['master'], keys: { [`ed25519:${KEY}`]: KEY }, signatures: SIGNED };
const DEVICE_KEYS = {
  user_id: '{{user}}',
  device_id: '{{device}}',
  algorithms: ALGORITHMS,
  keys: { 'curve25519:{{device}}': KEY, 'ed25519:{{device}}': KEY },
  signatures: SIGNED,
};
const ONE_TIME = { 'signed_curve25519:AAAA': { key: KEY, signatures: SIGNED } };
const BACKUP = { algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2', auth_data: { public_key: KEY, signatures: {} } };
const SESSION_DATA = {
  first_message_index: 1,
  forwarded_count: 0,
  is_verified: true,
  session_data: { ciphertext: 'a', ephemeral: KEY, mac: 'b' },
};
const ROOM_KEYS = { sessions: { '{{session}}': SESSION_DATA } };
const PASSWORD_AUTH = {
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: '{{user}}' },
  password: 'a long enough password',
  session: '{{uia}}',
};
const REASON = { user_id: '{{other}}', reason: 'for a reason' };
const PAGE = {
  from: '{{token}}',
  to: '{{token}}',
  dir: 'b',
  limit: '10',
  filter: '{"types":["m.room.*"],"lazy_load_members":true}',
};
const FILTER = {
  event_fields: ['type', 'content.body'],
  event_format: 'client',
  presence: { types: ['*'], not_senders: ['{{other}}'], limit: 5 },
  account_data: { types: ['m.*'], limit: 5 },
  room: {
    rooms: ['{{room}}'],
    not_rooms: [],
    include_leave: true,
    timeline: { limit: 5, types: ['m.room.*', '*'], contains_url: false, unread_thread_notifications: true },
    state: { lazy_load_members: true, include_redundant_members: true },
    ephemeral: { types: ['m.typing'] },
    account_data: { not_types: ['x'] },
  },
};
const RULE = {
  actions: ['notify', { set_tweak: 'sound', value: 'default' }],
  conditions: [
    { kind: 'event_match', key: 'content.body', pattern: '*h?llo*' },
    { kind: 'room_member_count', is: '>=2' },
    { kind: 'event_property_contains', key: 'content.list', value: 1 },
    { kind: 'sender_notification_permission', key: 'room' },
  ],
  pattern: 'h*llo',
};
const LEVELS = {
  users: { '{{user}}': 100, '{{other}}': 50 },
  events: { 'm.room.name': 50 },
  users_default: 0,
  ban: 50,
};

/** Log-in, log-out and what ends accounts are the face `accounts`. */
export const CLIENT_EXAMPLES: Examples = {
  askers: [
    [60, 'user'],
    [15, 'other'],
    [15, 'guest'],
    [6, 'admin'],
    [4, 'nobody'],
  ],
  parameters: {
    roomId: '{{room}}',
    room: '{{room}}',
    id: '{{room}}',
    userId: '{{user}}',
    eventId: '{{event}}',
    deviceId: '{{device}}',
    alias: '{{alias}}',
    type: 'm.room.message',
    eventType: 'm.room.message',
    stateKey: '',
    key: '',
    field: 'displayname',
    tag: 'u.work',
    kind: 'override',
    ruleId: 'a.rule',
    version: '{{backup}}',
    sessionId: '{{session}}',
    filterId: '{{filter}}',
    transactionId: '{{txn}}',
    server: '{{server}}',
    mediaId: '{{media}}',
    fileName: 'file.txt',
    relType: 'm.thread',
    delayId: '{{delay}}',
    reportId: '1',
    linkId: '{{link}}',
    token: '{{linktoken}}',
    medium: 'email',
    action: 'add',
    protocol: 'irc',
  },
  of: {
    'GET /sync': {
      query: { since: '{{since}}', timeout: '0', filter: '{{filter}}', full_state: 'false', set_presence: 'online' },
    },
    'GET /events': { query: { from: '{{since}}', timeout: '0', room_id: '{{room}}' } },
    'GET /initialSync': { query: { limit: '5', archived: 'true' } },
    'GET /messages': { query: PAGE },
    'GET /context/:eventId': { query: { limit: '5', filter: '{"limit":3}' } },
    'GET /members': { query: { membership: 'join', not_membership: 'leave', at: '{{since}}' } },
    'GET /keys/changes': { query: { from: '{{since}}', to: '{{since}}' } },
    'GET /join-from': { query: { server: '127.0.0.1:1' } },
    'GET /notifications': { query: { from: '{{token}}', limit: '5', only: 'highlight' } },
    'GET /publicRooms': { query: { limit: '5', since: '{{token}}', server: '{{server}}' } },
    'GET /register/available': { query: { username: 'somebody' } },
    'GET /room_keys/keys': { query: { version: '{{backup}}' } },
    'GET /room_keys/keys/:roomId': { query: { version: '{{backup}}' } },
    'GET /room_keys/keys/:roomId/:sessionId': { query: { version: '{{backup}}' } },
    'DELETE /room_keys/keys': { query: { version: '{{backup}}' } },
    'DELETE /room_keys/keys/:roomId': { query: { version: '{{backup}}' } },
    'DELETE /room_keys/keys/:roomId/:sessionId': { query: { version: '{{backup}}' } },
    'GET /mutual_rooms': { query: { user_id: '{{other}}', batch_token: 'x' } },
    'GET /hierarchy': { query: { from: '{{token}}', limit: '5', max_depth: '2', suggested_only: 'true' } },
    'GET /relations/:eventId': { query: { ...PAGE, recurse: 'true' } },
    'GET /relations/:eventId/:relType': { query: PAGE },
    'GET /relations/:eventId/:relType/:eventType': { query: PAGE },
    'GET /threads': { query: { from: '{{token}}', include: 'participated', limit: '5' } },
    'GET /timestamp_to_event': { query: { ts: '1700000000000', dir: 'f' } },
    'GET /summary': { query: { via: '{{server}}' } },
    'GET /room_summary/:room': { query: { via: '{{server}}' } },
    'GET /thumbnail/:server/:mediaId': {
      query: { width: '32', height: '32', method: 'crop', animated: 'true', timeout_ms: '20' },
    },
    'GET /download/:server/:mediaId': { query: { timeout_ms: '20', allow_remote: 'true' } },
    'GET /preview_url': { query: { url: 'https://127.0.0.1:1/page', ts: '1' } },
    'GET /thread_subscriptions': { query: { from: '{{token}}', limit: '5', dir: 'b' } },
    'GET /delayed_events': { query: { from: '{{token}}', status: 'scheduled' } },
    'GET /users/:userId/media': { query: { from: '0', limit: '5', order_by: 'media_length', dir: 'f' } },
    'GET /event_reports': { query: { from: '0', limit: '5', dir: 'b', user_id: '{{user}}', room_id: '{{room}}' } },
    'DELETE /users/:userId/media': { query: { from: '0', limit: '5' } },
    'GET /pushrules': {},
    'POST /createRoom': {
      body: {
        preset: 'private_chat',
        name: 'A room',
        topic: 'About something',
        room_version: '12',
        visibility: 'private',
        room_alias_name: 'alias{{txn}}',
        invite: ['{{other}}'],
        is_direct: false,
        initial_state: [
          { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'shared' } },
        ],
        power_level_content_override: { events: { 'm.room.name': 50 }, users_default: 0 },
        creation_content: { 'm.federate': true, type: 'm.space' },
      },
    },
    'POST /join/:room': {
      query: { server_name: '{{server}}' },
      body: {
        reason: 'x',
        third_party_signed: { mxid: '{{user}}', sender: '{{other}}', signatures: SIGNED, token: 'x' },
      },
    },
    'POST /join/:roomId': { query: { via: '{{server}}' }, body: { reason: 'x' } },
    'POST /knock/:room': { query: { via: '{{server}}' }, body: { reason: 'x' } },
    'POST /knock/:roomId': { query: { via: '{{server}}' }, body: { reason: 'x' } },
    'POST /ban': { body: REASON },
    'POST /unban': { body: REASON },
    'POST /kick': { body: REASON },
    'POST /invite': { body: REASON },
    'POST /join': { body: { reason: 'x' } },
    'POST /leave': { body: { reason: 'x' } },
    'POST /forget': { body: {} },
    'POST /upgrade': { body: { new_version: '12', additional_creators: ['{{other}}'] } },
    'POST /send/:type': { body: MESSAGE },
    'POST /send/:eventType': { body: MESSAGE },
    'PUT /send/:type/:id': {
      parameters: { id: '{{txn}}' },
      query: { 'org.matrix.msc4140.delay': '600000', 'org.matrix.msc4354.sticky_duration_ms': '1000' },
      body: MESSAGE,
    },
    'PUT /send/:eventType/:transactionId': { query: { ts: '1' }, body: RELATED },
    'PUT /redact/:eventId/:id': { parameters: { id: '{{txn}}' }, body: { reason: 'x' } },
    'PUT /redact/:eventId/:transactionId': { body: { reason: 'x' } },
    'POST /redact/:eventId': { body: { reason: 'x' } },
    'PUT /state/:type': { parameters: { type: 'm.room.power_levels' }, body: LEVELS },
    'PUT /state/:type/:key': {
      parameters: { type: 'org.matrix.msc3401.call.member', key: '_{{user}}_{{device}}' },
      body: {
        application: 'm.call',
        call_id: '',
        device_id: '{{device}}',
        expires: 7_200_000,
        focus_active: { type: 'org.hansetag.sfu' },
        foci_preferred: [{ type: 'org.hansetag.sfu', server_name: '{{server}}' }],
      },
    },
    'PUT /state/:eventType': {
      parameters: { eventType: 'm.room.join_rules' },
      body: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: '{{room}}' }] },
    },
    'PUT /state/:eventType/:stateKey': {
      parameters: { eventType: 'm.room.member', stateKey: '{{user}}' },
      body: { membership: 'join', displayname: 'x', avatar_url: 'mxc://{{server}}/{{media}}' },
    },
    'PUT /state/m.room.guest_access{/:key}': { body: { guest_access: 'can_join' } },
    'PUT /typing/:userId': { body: { typing: true, timeout: 30_000 } },
    'POST /read_markers': {
      body: { 'm.fully_read': '{{event}}', 'm.read': '{{event}}', 'm.read.private': '{{event}}' },
    },
    'POST /receipt/:kind/:eventId': { parameters: { kind: 'm.read' }, body: { thread_id: 'main' } },
    'POST /report': { body: { reason: 'x' } },
    'POST /report/:eventId': { body: { reason: 'x', score: -100 } },
    'PUT /sendToDevice/:eventType/:transactionId': {
      body: { messages: { '{{other}}': { '*': { text: 'x' }, '{{device}}': { a: 1 } } } },
    },
    'PUT /account_data/:type': {
      parameters: { type: 'org.example.data' },
      body: { a: { b: 1 }, ignored_users: { '{{other}}': {} } },
    },
    'PUT /tags/:tag': { body: { order: 0.5 } },
    'PUT /presence/:userId/status': {
      parameters: { userId: '{{user}}' },
      body: { presence: 'online', status_msg: 'here' },
    },
    'PUT /profile/:userId/:key': { parameters: { key: 'org.example.field' }, body: { 'org.example.field': { a: 1 } } },
    'PUT /profile/:userId/:field': { body: { displayname: 'Anna' } },
    'PUT /pushrules': { body: RULE },
    'PUT /pushrules/global': { body: RULE },
    'PUT /pushrules/global/:kind': { body: RULE },
    'PUT /pushrules/global/:kind/:ruleId': { query: { before: 'a', after: 'b' }, body: RULE },
    'PUT /actions': { body: { actions: RULE.actions } },
    'PUT /enabled': { body: { enabled: false } },
    'POST /pushers/set': {
      body: {
        kind: 'http',
        app_id: 'app',
        pushkey: 'key',
        app_display_name: 'App',
        device_display_name: 'D',
        lang: 'de',
        data: { url: 'https://127.0.0.1:1/_matrix/push/v1/notify', format: 'event_id_only' },
        append: true,
      },
    },
    'POST /search': {
      query: { next_batch: '{{token}}' },
      body: {
        search_categories: {
          room_events: {
            search_term: 'hello',
            keys: ['content.body'],
            order_by: 'recent',
            filter: { rooms: ['{{room}}'], limit: 5 },
            event_context: { before_limit: 2, after_limit: 2, include_profile: true },
            include_state: true,
            groupings: { group_by: [{ key: 'room_id' }] },
          },
        },
      },
    },
    'POST /filter': { body: FILTER },
    'POST /publicRooms': {
      query: { server: '{{server}}' },
      body: { limit: 5, since: '{{token}}', filter: { generic_search_term: 'x', room_types: [null, 'm.space'] } },
    },
    'POST /openid/request_token': { body: {} },
    'POST /user_directory/search': { body: { search_term: 'anna', limit: 5 } },
    'POST /keys/claim': {
      body: { one_time_keys: { '{{other}}': { '{{device}}': 'signed_curve25519' } }, timeout: 100 },
    },
    'POST /keys/device_signing/upload': {
      body: {
        master_key: CROSS_SIGNING,
        self_signing_key: { ...CROSS_SIGNING, usage: ['self_signing'] },
        user_signing_key: { ...CROSS_SIGNING, usage: ['user_signing'] },
        auth: PASSWORD_AUTH,
      },
    },
    'POST /keys/query': { body: { device_keys: { '{{user}}': [], '{{other}}': ['{{device}}'] }, timeout: 100 } },
    'POST /keys/signatures/upload': { body: { '{{user}}': { '{{device}}': DEVICE_KEYS, [KEY]: CROSS_SIGNING } } },
    'POST /keys/upload': {
      body: {
        device_keys: DEVICE_KEYS,
        one_time_keys: ONE_TIME,
        fallback_keys: { 'signed_curve25519:BBBB': { key: KEY, fallback: true, signatures: SIGNED } },
      },
    },
    'POST /keys/upload/:deviceId': { body: { one_time_keys: ONE_TIME } },
    'PUT /devices/:deviceId': { body: { display_name: 'My device' } },
    'PUT /dehydrated_device': {
      body: {
        device_id: 'DEHYDRATED',
        initial_device_display_name: 'x',
        device_data: { algorithm: 'x', account: 'y' },
        device_keys: { ...DEVICE_KEYS, device_id: 'DEHYDRATED' },
        one_time_keys: ONE_TIME,
      },
    },
    'POST /dehydrated_device/:deviceId/events': {
      parameters: { deviceId: 'DEHYDRATED' },
      body: { next_batch: '{{token}}' },
    },
    'POST /delayed_events/:delayId': { body: { action: 'restart' } },
    'POST /delayed_events/:delayId/cancel': { body: {} },
    'POST /delayed_events/:delayId/restart': { body: {} },
    'POST /delayed_events/:delayId/send': { body: {} },
    'POST /room_keys/version': { body: BACKUP },
    'PUT /room_keys/version/:version': { body: { ...BACKUP, version: '{{backup}}' } },
    'PUT /room_keys/keys': { query: { version: '{{backup}}' }, body: { rooms: { '{{room}}': ROOM_KEYS } } },
    'PUT /room_keys/keys/:roomId': { query: { version: '{{backup}}' }, body: ROOM_KEYS },
    'PUT /room_keys/keys/:roomId/:sessionId': { query: { version: '{{backup}}' }, body: SESSION_DATA },
    'PUT /directory/room/:alias': { parameters: { alias: '#new{{txn}}:{{server}}' }, body: { room_id: '{{room}}' } },
    'PUT /directory/list/room/:id': { body: { visibility: 'public' } },
    'PUT /directory/list/room/:roomId': { body: { visibility: 'public' } },
    'PUT /subscription': { body: { automatic: '{{event}}' } },
    'POST /upload': { query: { filename: 'a.txt' }, body: { a: 'file' } },
    'POST /create': { body: {} },
    'PUT /upload/:server/:mediaId': { query: { filename: 'a.txt' }, body: { a: 'file' } },
    'POST /users/:userId/report': { body: { reason: 'x' } },
    'POST /meetings': {
      body: {
        title: 'A meeting',
        start: '2026-12-01T10:00:00Z',
        invite: ['{{other}}', '@a:127.0.0.1:1'],
        transactionId: '{{txn}}',
      },
    },
    'POST /meetings/:roomId/invitations': { body: { userIds: ['{{other}}', '@nobody:{{server}}'] } },
    'POST /meetings/:roomId/answer': { body: { answer: 'accept' } },
    'PUT /meetings/:roomId/roles/:userId': { parameters: { userId: '{{other}}' }, body: { role: 'moderator' } },
    'PUT /meetings/:roomId/rules/:name': { parameters: { name: 'log' }, body: { for: 'everybody' } },
    'POST /meetings/:roomId/links': {
      body: { expiresAt: 4_000_000_000_000, purpose: 'Press', maxUses: 9, mode: 'waiting', password: 'long enough' },
    },
    'POST /meetings/:roomId/links/:linkId/replace': { body: {} },
    'POST /links/:token/join': { body: { displayName: 'A guest' } },
    'POST /links/:token/elsewhere': { body: { organisation: '127.0.0.1:1' } },
    'POST /join-from': { body: { server: '127.0.0.1:1', code: 'abcdefghijklmnopqrstuv' } },
    'PUT /suspend/:userId': { parameters: { userId: '@nobody:{{server}}' }, body: { suspended: false } },
    'PUT /lock/:userId': { parameters: { userId: '@nobody:{{server}}' }, body: { locked: false } },
    'POST /media/delete': { query: { before_ts: '1', size_gt: '1', keep_profiles: 'true' }, body: {} },
    'POST /purge_media_cache': { query: { before_ts: '1' }, body: {} },
    'POST /quarantine/:server/:mediaId': { body: {} },
    'POST /unquarantine/:server/:mediaId': { body: {} },
    'POST /send_server_notice': { body: { user_id: '{{other}}', content: { msgtype: 'm.text', body: 'x' } } },
    'PUT /send_server_notice/:transactionId': {
      body: { user_id: '{{other}}', content: { msgtype: 'm.text', body: 'x' } },
    },
    'POST /account/3pid': { body: { three_pid_creds: { client_secret: 'x', sid: '1' } } },
    'POST /account/3pid/:action': { body: { client_secret: 'x', sid: '1' } },
    'POST /account/3pid/:medium/requestToken': { body: { client_secret: 'x', email: 'a@b', send_attempt: 1 } },
  },
};

const AUTHORIZATION = {
  client_id: '{{client}}',
  response_type: 'code',
  response_mode: 'query',
  redirect_uri: 'https://client.example/',
  scope: 'urn:matrix:org.matrix.msc2967.client:api:* urn:matrix:org.matrix.msc2967.client:device:ABCDEFGHIJ',
  state: 'x',
  nonce: 'y',
  code_challenge: 'x'.repeat(43),
  code_challenge_method: 'S256',
  prompt: 'login',
};

/** What the OAuth provider answers; it is no part of the route table. */
export const OAUTH_ROUTES: readonly Route[] = [
  'GET /oauth2/auth',
  'POST /oauth2/auth',
  'POST /oauth2/token',
  'POST /oauth2/token/revocation',
  'POST /oauth2/device/auth',
  'GET /oauth2/device',
  'POST /oauth2/device',
  'POST /oauth2/reg',
  'GET /oauth2/jwks',
  'GET /oauth2/.well-known/openid-configuration',
].map((line) => {
  const [method = '', path = ''] = line.split(' ');
  return { method, path };
});

/** Log-in, registration, sessions, what confirms and what ends accounts. */
export const ACCOUNT_EXAMPLES: Examples = {
  askers: [
    [45, 'nobody'],
    [45, 'spare'],
    [10, 'admin'],
  ],
  parameters: { ...CLIENT_EXAMPLES.parameters, version: 'v3', provider: 'x', uid: 'something', deviceId: '{{device}}' },
  of: {
    'GET /login': {},
    'GET /register/available': { query: { username: 'somebody' } },
    'GET /register/m.login.registration_token/validity': { query: { token: 'x' } },
    'GET /account': { query: { action: 'org.matrix.device_view', device_id: '{{device}}' } },
    'GET /redirect{/:provider}': { query: { redirectUrl: 'https://app.example/' } },
    'GET /web': { query: { session: '{{uia}}', confirm: 'x' } },
    'GET /callback': { query: { state: 'x', code: 'y', iss: 'z' } },
    'GET /whois/:userId': { parameters: { userId: '@spare:{{server}}' } },
    'POST /login': {
      body: {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: 'anna' },
        password: 'wrong',
        device_id: 'D',
        initial_device_display_name: 'x',
        refresh_token: true,
      },
    },
    'POST /login/get_token': { body: { auth: PASSWORD_AUTH } },
    'POST /logout': { body: {} },
    'POST /logout/all': { body: {} },
    'POST /refresh': { body: { refresh_token: '{{refresh}}' } },
    'POST /v3/register': {
      query: { kind: 'user' },
      body: {
        username: 'new{{txn}}',
        password: 'a long enough password',
        auth: { type: 'm.login.dummy' },
        inhibit_login: false,
        device_id: 'D',
      },
    },
    'POST /v1/register': {
      body: { nonce: 'x', username: 'x{{txn}}', password: 'y', admin: false, mac: '0'.repeat(40) },
    },
    'POST /requestToken': { body: { client_secret: 'x', email: 'a@b', send_attempt: 1 } },
    'POST /account/password': {
      body: { new_password: 'another long password', logout_devices: true, auth: PASSWORD_AUTH },
    },
    'POST /account/deactivate': {
      body: { auth: { ...PASSWORD_AUTH, password: 'wrong' }, erase: false, id_server: 'x' },
    },
    'POST /delete_devices': { body: { devices: ['{{device}}', 'B'], auth: PASSWORD_AUTH } },
    'DELETE /devices/:deviceId': { body: { auth: PASSWORD_AUTH } },
    'POST /oauth2/account': {
      form: { user: '{{user}}', password: 'a long enough password', do: 'end', device: 'D', token: 'x' },
    },
    'POST /oauth2/interaction/:uid': { form: { user: '{{user}}', password: 'x', decision: 'allow' } },
    'GET /oauth2/auth': { query: { ...AUTHORIZATION, request: 'x', claims: '{}', login_hint: 'x' } },
    'POST /oauth2/auth': { form: AUTHORIZATION },
    'POST /oauth2/token': {
      form: {
        grant_type: 'authorization_code',
        code: 'x',
        client_id: '{{client}}',
        redirect_uri: 'https://client.example/',
        code_verifier: 'x'.repeat(43),
        refresh_token: 'x',
        device_code: 'x',
      },
    },
    'POST /oauth2/token/revocation': { form: { token: 'x', token_type_hint: 'access_token', client_id: '{{client}}' } },
    'POST /oauth2/device/auth': { form: { client_id: '{{client}}', scope: AUTHORIZATION.scope } },
    'GET /oauth2/device': { query: { user_code: 'ABCD-EFGH' } },
    'POST /oauth2/device': { form: { user_code: 'ABCD-EFGH', xsrf: 'x', confirm: 'yes' } },
    'POST /oauth2/reg': {
      body: {
        client_name: 'A client',
        client_uri: 'https://client.example/',
        redirect_uris: ['https://client.example/'],
        logo_uri: 'https://client.example/logo.png',
        tos_uri: 'https://client.example/tos',
        policy_uri: 'https://client.example/policy',
        application_type: 'web',
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
        contacts: ['a@b'],
        'client_name#de': 'Ein Programm',
        jwks: { keys: [] },
        sector_identifier_uri: 'https://127.0.0.1:1/',
      },
    },
  },
};
