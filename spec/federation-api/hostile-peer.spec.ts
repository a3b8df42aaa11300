import { request as httpsRequest } from 'node:https';
import { readFileSync } from 'node:fs';
import { eventId } from '../../federation/event.ts';
import type { Pdu } from '../../federation/event.ts';
import { canonicalJson } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { signRequest } from '../../federation/x-matrix.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';
import type { PeerRoom } from '../support/peer.ts';

describe('A permanent attacker: a homeserver and a peer that lies', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let bert: TestUser;
  let peer: Peer;
  let mallory: string;
  let room: PeerRoom;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    const [only] = federation.servers;
    if (!only) throw new Error('There is no server.');
    server = only;
    bert = await server.register('bert');
    peer = await Peer.start(federation);
    mallory = peer.userId('mallory');
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });
  beforeEach(async () => {
    const { room_id: roomId } = (await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat' })) as {
      room_id: string;
    };
    peer.answer = () => undefined;
    peer.keysValidForMs = 60_000;
    room = await peer.join(server.serverName, roomId, mallory);
  });

  const message = (body: string): Pdu =>
    peer.event(room, { sender: mallory, type: 'm.room.message', content: { msgtype: 'm.text', body } });
  const idOf = (pdu: Pdu): string => eventId(pdu, room.version);
  const path = (rest: string): string => `client/v3/rooms/${encodeURIComponent(room.roomId)}/${rest}`;
  const bodies = async (): Promise<unknown[]> => {
    const chunk = at(await bert.must('GET', path('messages?dir=b&limit=50')), 'chunk');
    return (Array.isArray(chunk) ? (chunk as unknown[]) : []).map((event) => at(event, 'content', 'body'));
  };
  const shown = async (pdu: Pdu): Promise<number> =>
    (await bert.ask('GET', path(`event/${encodeURIComponent(idOf(pdu))}`))).status;

  /** Sends a request with any header and body that a liar may think of. */
  function raw(options: { body: JsonObject; authorization?: string }): Promise<{ status: number; errcode: unknown }> {
    return new Promise((resolve, reject) => {
      const [host = '', port = ''] = server.serverName.split(':');
      const request = httpsRequest(
        {
          host: '127.0.0.1',
          servername: host,
          port,
          method: 'PUT',
          path: '/_matrix/federation/v1/send/raw',
          ca: readFileSync(federation.tls.caFile),
          headers: options.authorization === undefined ? {} : { authorization: options.authorization },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () => {
            resolve({ status: response.statusCode ?? 0, errcode: at(JSON.parse(text), 'errcode') });
          });
        },
      );
      request.on('error', reject);
      request.end(canonicalJson(options.body));
    });
  }
  const transaction = (): JsonObject => ({ origin: peer.serverName, origin_server_ts: 1, pdus: [], edus: [] });
  const signed = (content: JsonObject, origin = peer.serverName, key = peer.key, destination = server.serverName) =>
    signRequest({ method: 'PUT', uri: '/_matrix/federation/v1/send/raw', origin, destination, content }, key);

  it('takes a properly signed request', async () => {
    const body = transaction();
    expect(await raw({ body, authorization: signed(body) })).toEqual({ status: 200, errcode: undefined });
  });

  it('refuses a request without a signature', async () => {
    expect(await raw({ body: transaction() })).toEqual({ status: 401, errcode: 'M_UNAUTHORIZED' });
  });

  it('refuses a signed request of which a byte was changed', async () => {
    const body = transaction();
    const authorization = signed(body);
    expect(await raw({ body: { ...body, origin_server_ts: 2 }, authorization })).toEqual({
      status: 401,
      errcode: 'M_UNAUTHORIZED',
    });
  });

  it('refuses a request in the name of another server', async () => {
    const body = transaction();
    expect(await raw({ body, authorization: signed(body, server.serverName) })).toEqual({
      status: 401,
      errcode: 'M_UNAUTHORIZED',
    });
  });

  it('refuses a request that is meant for another server', async () => {
    const body = transaction();
    const authorization = signed(body, peer.serverName, peer.key, 'elsewhere.example');
    expect(await raw({ body, authorization })).toEqual({ status: 401, errcode: 'M_UNAUTHORIZED' });
  });

  it('refuses a request signed with a key that the server does not publish', async () => {
    const body = transaction();
    const other = createSigningKey(generateSeed(), 'other');
    expect(await raw({ body, authorization: signed(body, peer.serverName, other) })).toEqual({
      status: 401,
      errcode: 'M_UNAUTHORIZED',
    });
  });

  it('refuses a request signed with a key that has expired', async () => {
    const late = await Peer.start(federation);
    late.keysValidForMs = -1;
    const body = { ...transaction(), origin: late.serverName };
    expect(await raw({ body, authorization: signed(body, late.serverName, late.key) })).toEqual({
      status: 401,
      errcode: 'M_UNAUTHORIZED',
    });
    await late.close();
  });

  it('processes a transaction that is sent again once, and answers the same', async () => {
    const pdu = message('once');
    const first = await peer.send(server.serverName, [pdu], 'again');
    expect(JSON.stringify(first)).toBe(JSON.stringify({ [idOf(pdu)]: {} }));
    const other = message('in its place');
    expect(JSON.stringify(await peer.send(server.serverName, [other], 'again'))).toBe(JSON.stringify(first));
    expect((await bodies()).filter((body) => body === 'once').length).toBe(1);
    expect(await bodies()).not.toContain('in its place');
  });

  it('takes only what is left after redaction of an event whose hash is wrong', async () => {
    const pdu = message('as it was signed');
    const changed = { ...pdu, content: { ...pdu.content, body: 'as it was changed' } } as Pdu;
    await peer.send(server.serverName, [changed]);
    expect(await shown(pdu)).toBe(200);
    expect(await bodies()).not.toContain('as it was changed');
  });

  it('drops an event whose signature is wrong', async () => {
    const pdu = message('forged');
    const liar = createSigningKey(generateSeed(), 'peer');
    const forged = { ...pdu, signatures: { [peer.serverName]: { [liar.keyId]: 'A'.repeat(86) } } } as unknown as Pdu;
    const results = await peer.send(server.serverName, [forged]);
    expect(at(results, idOf(pdu), 'error')).toMatch(/signature/i);
    expect(await shown(pdu)).toBe(404);
  });

  it('drops an event in the name of a user of another server', async () => {
    const pdu = peer.event(room, { sender: bert.userId, type: 'm.room.message', content: { body: 'not me' } });
    const results = await peer.send(server.serverName, [pdu]);
    expect(at(results, idOf(pdu), 'error')).toMatch(/signature/i);
    expect(await bodies()).not.toContain('not me');
  });

  it('rejects a state event that its sender has no right to', async () => {
    const pdu = peer.event(room, { sender: mallory, type: 'm.room.name', state_key: '', content: { name: 'Mine' } });
    const results = await peer.send(server.serverName, [pdu]);
    expect(at(results, idOf(pdu), 'error')).toMatch(/rejected/i);
    expect(await shown(pdu)).toBe(404);
    expect((await bert.ask('GET', path('state/m.room.name'))).status).toBe(404);
    const own = await bert.must('PUT', path('send/m.room.message/after'), { msgtype: 'm.text', body: 'goes on' });
    expect(at(own, 'event_id')).toBeDefined();
  });

  it('rejects power levels by which their sender makes himself powerful', async () => {
    const content = { users: { [mallory]: 100 } };
    const pdu = peer.event(room, { sender: mallory, type: 'm.room.power_levels', state_key: '', content });
    await peer.send(server.serverName, [pdu]);
    const levels = await bert.must('GET', path('state/m.room.power_levels'));
    expect(at(levels, 'users', mallory)).toBeUndefined();
  });

  it('does not let a bad event spoil the good ones of a transaction', async () => {
    const bad = { ...message('bad'), content: 'no object' } as unknown as JsonObject;
    const good = message('good');
    const results = await peer.send(server.serverName, [bad, { room_id: 7 }, good]);
    expect(JSON.stringify(results[idOf(good)])).toBe('{}');
    expect(await bodies()).toContain('good');
  });

  it('refuses a transaction with more than 50 events, and one that is no transaction', async () => {
    const many = Array.from({ length: 51 }, (_, index) => message(String(index)));
    const body = { origin: peer.serverName, origin_server_ts: 1, pdus: many, edus: [] };
    expect(await peer.ask(server.serverName, 'PUT', 'v1/send/many', body)).toEqual(
      jasmine.objectContaining({ ok: false, status: 400 }),
    );
    expect(await peer.ask(server.serverName, 'PUT', 'v1/send/none', { pdus: 'all of them' })).toEqual(
      jasmine.objectContaining({ ok: false, status: 400 }),
    );
  });

  it('asks for what came before an event, and takes it in its order', async () => {
    const missing: Pdu[] = [];
    for (const body of ['first', 'second', 'third']) {
      const pdu = message(body);
      missing.push(pdu);
      room.last = idOf(pdu);
      room.depth = pdu.depth;
    }
    const newest = message('newest');
    peer.answer = (asked) => (asked.includes('/get_missing_events/') ? { events: missing } : undefined);
    expect(JSON.stringify(await peer.send(server.serverName, [newest]))).toBe(JSON.stringify({ [idOf(newest)]: {} }));
    expect((await bodies()).slice(0, 4)).toEqual(['newest', 'third', 'second', 'first']);
  });

  it('does not take an event whose past its sender keeps to himself, and takes it when the past comes after all', async () => {
    const before = message('before');
    room.last = idOf(before);
    room.depth = before.depth;
    const after = message('after');
    expect(Object.keys(await peer.send(server.serverName, [after]))).toEqual([idOf(after)]);
    expect(await bodies()).not.toContain('after');
    const taken: object = await peer.send(server.serverName, [before, after]);
    expect(taken).toEqual({ [idOf(before)]: {}, [idOf(after)]: {} });
    expect((await bodies()).slice(0, 2)).toEqual(['after', 'before']);
  });

  it('gives nothing of a room to a server that is not in it', async () => {
    const outsider = await Peer.start(federation);
    const inRoom = encodeURIComponent(room.roomId);
    const newest = encodeURIComponent(room.last);
    for (const asked of [
      `v1/state_ids/${inRoom}?event_id=${newest}`,
      `v1/state/${inRoom}?event_id=${newest}`,
      `v1/backfill/${inRoom}?v=${newest}&limit=10`,
      `v1/event/${newest}`,
      `v1/event_auth/${inRoom}/${newest}`,
    ]) {
      const answer = await outsider.ask(server.serverName, 'GET', asked);
      expect(answer.ok).withContext(asked).toBeFalse();
      expect([403, 404]).toContain(at(answer, 'status') as number);
    }
    await outsider.close();
  });

  it('does not let somebody banned in by another name for the join', async () => {
    const eve = peer.userId('eve');
    await bert.must('POST', path('ban'), { user_id: eve });
    const inRoom = encodeURIComponent(room.roomId);
    const made = await peer.ask(
      server.serverName,
      'GET',
      `v1/make_join/${inRoom}/${encodeURIComponent(peer.userId('adam'))}?ver=12`,
    );
    const template = { ...(at(made, 'body', 'event') as JsonObject), sender: eve, state_key: eve };
    const join = peer.sign({ ...template, origin_server_ts: Date.now() } as unknown as Pdu, room.version);
    const answer = await peer.ask(
      server.serverName,
      'PUT',
      `v2/send_join/${inRoom}/${encodeURIComponent(idOf(join))}`,
      join,
    );
    expect(answer).toEqual({ ok: false, status: 403, errcode: 'M_FORBIDDEN' });
    const member = await bert.must('GET', path(`state/m.room.member/${encodeURIComponent(eve)}`));
    expect(at(member, 'membership')).toBe('ban');
  });

  it('does not believe a state that does not let its own user in', async () => {
    const lure = `!${'A'.repeat(43)}`;
    peer.answer = (asked): JsonObject | undefined =>
      asked.includes('/make_join/')
        ? {
            room_version: '12',
            event: {
              type: 'm.room.member',
              room_id: lure,
              sender: bert.userId,
              state_key: bert.userId,
              content: { membership: 'join' },
              prev_events: [],
              auth_events: [],
              depth: 5,
            },
          }
        : asked.includes('/send_join/')
          ? { state: [], auth_chain: [] }
          : undefined;
    const answer = await bert.ask(
      'POST',
      `client/v3/join/${encodeURIComponent(lure)}?server_name=${encodeURIComponent(peer.serverName)}`,
      {},
    );
    expect(answer.status).toBe(502);
    const joined = await eventually(
      () => bert.must('GET', 'client/v3/joined_rooms'),
      () => true,
    );
    expect(JSON.stringify(joined)).not.toContain(lure);
  });
});
