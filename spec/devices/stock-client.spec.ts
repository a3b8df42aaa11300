/** matrix-js-sdk with its own encryption, as a client of ours: what people use is not written by us. */
import { ClientEvent, createClient, MatrixEventEvent, RoomEvent } from 'matrix-js-sdk';
import type { MatrixClient, MatrixEvent } from 'matrix-js-sdk';
import { startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { register } from './support.ts';

const PASSWORD = 'a long enough password';

describe('Real Matrix: a stock client with its own encryption', () => {
  let federation: TestFederation;
  const clients: MatrixClient[] = [];
  beforeAll(async () => {
    // It writes a lot about itself.
    for (const method of ['debug', 'info', 'warn', 'log'] as const) spyOn(console, method);
    federation = await startHomeservers(2);
  });
  afterAll(async () => {
    for (const client of clients) client.stopClient();
    await federation.close();
  });

  async function start(server: TestHomeserver, localpart: string): Promise<MatrixClient> {
    const device = await register(server, localpart);
    let secret: { keyId: string; key: Uint8Array<ArrayBuffer> } | undefined;
    const client = createClient({
      baseUrl: server.url,
      userId: device.userId,
      deviceId: device.deviceId,
      accessToken: device.token,
      cryptoCallbacks: {
        getSecretStorageKey: () => Promise.resolve(secret ? [secret.keyId, secret.key] : null),
        cacheSecretStorageKey: (keyId, _info, key) => {
          secret = { keyId, key };
        },
      },
    });
    clients.push(client);
    await client.initRustCrypto({ useIndexedDB: false });
    const synced = new Promise<void>((resolve) => {
      client.on(ClientEvent.Sync, (state) => {
        if (String(state) === 'PREPARED') resolve();
      });
    });
    await client.startClient({ initialSyncLimit: 10 });
    await synced;
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

  it('signs its devices, backs its keys up and reads encrypted messages across two servers', async () => {
    const [here, there] = federation.servers as [TestHomeserver, TestHomeserver];
    const [anna, bert] = [await start(here, 'anna'), await start(there, 'bert')];
    const crypto = anna.getCrypto();
    if (!crypto) throw new Error('There is no encryption.');
    await crypto.bootstrapCrossSigning({
      authUploadDeviceSigningKeys: async (upload) => {
        await upload(null);
      },
    });
    await crypto.bootstrapSecretStorage({
      createSecretStorageKey: () => crypto.createRecoveryKeyFromPassphrase(PASSWORD),
      setupNewSecretStorage: true,
      setupNewKeyBackup: true,
    });
    expect(await crypto.isCrossSigningReady()).toBeTrue();
    expect((await crypto.checkKeyBackupAndEnable())?.backupInfo.version).toBe('1');

    expect(await crypto.isDehydrationSupported()).toBeTrue();
    await crypto.startDehydration();

    const { room_id: roomId } = await anna.createRoom({
      invite: [bert.getSafeUserId()],
      initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
    });
    const toBert = nextText(bert);
    const told = new Promise<void>((resolve) => {
      anna.on(RoomEvent.Timeline, (event) => {
        if (event.getType() === 'm.room.member' && event.getStateKey() === bert.getUserId()) {
          if (event.getContent()['membership'] === 'join') resolve();
        }
      });
    });
    await bert.joinRoom(roomId, { viaServers: [here.serverName] });
    await told;
    await anna.sendTextMessage(roomId, 'Moin');
    expect(await toBert).toBe('Moin');
    const toAnna = nextText(anna);
    await bert.sendTextMessage(roomId, 'Moin moin');
    expect(await toAnna).toBe('Moin moin');
    const seen = await bert.getCrypto()?.getUserDeviceInfo([anna.getSafeUserId()], true);
    const devices = [...(seen?.get(anna.getSafeUserId())?.values() ?? [])];
    expect(devices.map((device) => device.dehydrated)).toEqual(jasmine.arrayWithExactContents([false, true]));
    expect(await bert.getCrypto()?.userHasCrossSigningKeys(anna.getSafeUserId(), true)).toBeTrue();
  });
});
