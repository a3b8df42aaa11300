/** matrix-js-sdk with its own encryption: one of our people and one of Synapse's. */
import { ClientEvent, createClient, EventType, MatrixEventEvent, RoomEvent } from 'matrix-js-sdk';
import type { MatrixClient, MatrixEvent } from 'matrix-js-sdk';
import { at } from '../support/homeservers.ts';
import type { TestHomeserver } from '../support/homeservers.ts';
import { eventually, servers, stateOf } from './support.ts';

const DELAY_MS = 2_000;

describe('Real Matrix: stock clients of ours and of Synapse', () => {
  const clients: MatrixClient[] = [];
  let anna: MatrixClient;
  let bert: MatrixClient;
  let roomId: string;

  beforeAll(async () => {
    // They write a lot about themselves.
    for (const method of ['debug', 'info', 'warn', 'log'] as const) spyOn(console, method);
    const { ours, synapse } = await servers();
    [anna, bert] = [await start(ours, 'stock-anna'), await start(synapse, 'stock-bert')];
    const created = await anna.createRoom({
      invite: [bert.getSafeUserId()],
      initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
    });
    roomId = created.room_id;
    const told = new Promise<void>((resolve) => {
      anna.on(RoomEvent.Timeline, (event) => {
        const isJoin = event.getStateKey() === bert.getUserId() && event.getContent()['membership'] === 'join';
        if (event.getType() === 'm.room.member' && isJoin) resolve();
      });
    });
    await bert.joinRoom(roomId, { viaServers: [ours.serverName] });
    await told;
  });
  afterAll(() => {
    for (const client of clients) client.stopClient();
  });

  async function start(server: TestHomeserver, localpart: string): Promise<MatrixClient> {
    const user = await server.register(localpart);
    const deviceId = String(at(await user.must('GET', 'client/v3/account/whoami'), 'device_id'));
    const { userId, token: accessToken } = user;
    const client = createClient({ baseUrl: server.url, userId, deviceId, accessToken });
    clients.push(client);
    await client.initRustCrypto({ useIndexedDB: false });
    const crypto = client.getCrypto();
    if (!crypto) throw new Error('There is no encryption.');
    const synced = new Promise<void>((resolve) => {
      client.on(ClientEvent.Sync, (state) => {
        if (String(state) === 'PREPARED') resolve();
      });
    });
    await client.startClient({ initialSyncLimit: 10 });
    await synced;
    await crypto.bootstrapCrossSigning({
      authUploadDeviceSigningKeys: async (upload) => {
        await upload(null);
      },
    });
    return client;
  }

  /** The text of the next message of somebody else that can be read. */
  function nextText(client: MatrixClient): Promise<unknown> {
    return new Promise((resolve) => {
      const look = (event: MatrixEvent): void => {
        if (event.getType() !== 'm.room.message' || event.getSender() === client.getUserId()) return;
        resolve(event.getContent()['body']);
      };
      client.on(RoomEvent.Timeline, look);
      client.on(MatrixEventEvent.Decrypted, look);
    });
  }

  it('read what each encrypts for the other', async () => {
    for (const [from, to, text] of [
      [anna, bert, 'Moin'],
      [bert, anna, 'Moin moin'],
      [anna, bert, 'And again'],
    ] as const) {
      const read = nextText(to);
      await from.sendTextMessage(roomId, text);
      expect(await read).toBe(text);
    }
  });

  it('know the keys by which each signs their devices', async () => {
    for (const [asks, of] of [
      [anna, bert],
      [bert, anna],
    ] as const) {
      expect(await asks.getCrypto()?.userHasCrossSigningKeys(of.getSafeUserId(), true)).toBeTrue();
      const devices = await asks.getCrypto()?.getUserDeviceInfo([of.getSafeUserId()], true);
      expect([...(devices?.get(of.getSafeUserId())?.keys() ?? [])]).toContain(of.getDeviceId() ?? '');
    }
  });

  it('fetch the files of the other', async () => {
    for (const [from, to] of [
      [anna, bert],
      [bert, anna],
    ] as const) {
      const { content_uri: uri } = await from.uploadContent(new Blob(['tide table']), { type: 'text/plain' });
      const url = to.mxcUrlToHttp(uri, undefined, undefined, undefined, false, true, true) ?? '';
      const response = await fetch(url, { headers: { authorization: `Bearer ${to.getAccessToken() ?? ''}` } });
      expect(await response.text()).toBe('tide table');
    }
  });

  it('see that somebody left a call whose client is gone, by a delayed event', async () => {
    const { synapse } = await servers();
    const watcher = await synapse.register('stock-watcher');
    await anna.invite(roomId, watcher.userId);
    await eventually(
      () => watcher.ask('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {}),
      ({ status }) => status === 200,
    );
    const key = `_${anna.getSafeUserId()}_${anna.getDeviceId() ?? ''}_m.call`;
    const content = {
      application: 'm.call',
      call_id: '',
      scope: 'm.room' as const,
      device_id: anna.getDeviceId() ?? '',
      focus_active: { type: 'livekit', focus_selection: 'oldest_membership' },
      foci_preferred: [],
    };
    const { delay_id: delayId } = await anna._unstable_sendDelayedStateEvent(
      roomId,
      { delay: DELAY_MS },
      EventType.GroupCallMemberPrefix,
      {},
      key,
    );
    expect(delayId).not.toBe('');
    await anna.sendStateEvent(roomId, EventType.GroupCallMemberPrefix, content, key);
    const seen = (): Promise<unknown> => stateOf(watcher, roomId, EventType.GroupCallMemberPrefix, key);
    await eventually(seen, (now) => at(now, 'application') === 'm.call');
    // Nobody says that Anna is still there.
    await eventually(seen, (now) => now !== undefined && at(now, 'application') === undefined);
  });
});
