import { isDeepStrictEqual } from 'node:util';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import {
  claim,
  createRoom,
  crossSigningKey,
  deviceKeys,
  join,
  leave,
  lists,
  logIn,
  oneTimeKeys,
  query,
  register,
  sendTo,
  sign,
  signingKey,
  syncUntil,
  upload,
} from './support.ts';
import type { Device } from './support.ts';

describe('Devices across servers', () => {
  let federation: TestFederation;
  let here: TestHomeserver;
  let there: TestHomeserver;
  beforeAll(async () => {
    federation = await startHomeservers(2);
    [here, there] = federation.servers as [TestHomeserver, TestHomeserver];
  });
  afterAll(() => federation.close());

  const keysOf = async (reader: Device, device: Device): Promise<unknown> => {
    const found = at(await query(reader, device.userId), 'device_keys', device.userId, device.deviceId);
    return at(found, 'keys');
  };

  /** A change may be told of more than once: waits until one that is told shows what is wanted. @returns the token */
  async function toldUntil(
    device: Device,
    since: string,
    changed: { readonly userId: string },
    shows: () => Promise<boolean>,
  ): Promise<string> {
    for (let next = since; ;) {
      ({ next } = await syncUntil(device, next, lists('changed', changed.userId)));
      if (await shows()) return next;
    }
  }

  it('are found without a shared room, and their one-time keys claimed once', async () => {
    const [anna, bert] = [await register(here, 'anna1'), await register(there, 'bert1')];
    const keys = deviceKeys(bert);
    await upload(bert, { device_keys: keys, one_time_keys: oneTimeKeys('a') });
    const found = await query(anna, bert.userId, '@nobody:localhost:1');
    expect(at(found, 'device_keys', bert.userId, bert.deviceId, 'keys')).toEqual(keys['keys']);
    expect(at(found, 'failures', 'localhost:1'))
      .withContext('a server that is down')
      .toBeDefined();
    expect(await claim(anna, bert)).toEqual(oneTimeKeys('a'));
    expect(await claim(anna, bert)).toBeUndefined();
  });

  it('are told to who shares a room, when somebody joins and when keys change', async () => {
    const [anna, bert] = [await register(here, 'anna2'), await register(there, 'bert2')];
    await upload(bert, { device_keys: deviceKeys(bert) });
    const roomId = await createRoom(anna);
    const [annaSince, bertSince] = [await anna.now(), await bert.now()];
    await join(bert, roomId, here);
    const { next } = await syncUntil(anna, annaSince, lists('changed', bert.userId));
    const told = await syncUntil(bert, bertSince, lists('changed', anna.userId));
    expect(at(told.answer, 'device_lists')).toEqual({ changed: [anna.userId, bert.userId], left: [] });
    await keysOf(anna, bert);
    const keys = deviceKeys(bert);
    await upload(bert, { device_keys: keys });
    await toldUntil(anna, next, bert, async () => isDeepStrictEqual(await keysOf(anna, bert), keys['keys']));
  });

  it('are not told any more, nor remembered, when the last room is left', async () => {
    const [anna, bert] = [await register(here, 'anna3'), await register(there, 'bert3')];
    await upload(bert, { device_keys: deviceKeys(bert) });
    for (const leaver of [bert, anna]) {
      const roomId = await createRoom(anna);
      const since = await anna.now();
      await join(bert, roomId, here);
      let { next } = await syncUntil(anna, since, lists('changed', bert.userId));
      await keysOf(anna, bert);
      await leave(leaver, roomId);
      ({ next } = await syncUntil(anna, next, lists('left', bert.userId)));
      const keys = deviceKeys(bert);
      await upload(bert, { device_keys: keys });
      expect(await keysOf(anna, bert)).toEqual(keys['keys']);
      expect(lists('changed', bert.userId)(await anna.sync(next, 300))).toBeFalse();
    }
  });

  it('are new to who left and comes back', async () => {
    const [anna, bert] = [await register(here, 'anna4'), await register(there, 'bert4')];
    await upload(bert, { device_keys: deviceKeys(bert) });
    const roomId = await createRoom(anna);
    const since = await anna.now();
    await join(bert, roomId, here);
    await syncUntil(anna, since, lists('changed', bert.userId));
    await keysOf(anna, bert);
    await leave(bert, roomId);
    const { next } = await syncUntil(anna, since, lists('left', bert.userId));
    const keys = deviceKeys(bert);
    await upload(bert, { device_keys: keys });
    await join(bert, roomId, here);
    await syncUntil(anna, next, lists('changed', bert.userId));
    expect(await keysOf(anna, bert)).toEqual(keys['keys']);
  });

  it('tell of new signing keys and signatures', async () => {
    const [anna, bert] = [await register(here, 'anna5'), await register(there, 'bert5')];
    const [device, master, selfSigning] = [signingKey(), signingKey(), signingKey()];
    const keys = deviceKeys(bert, device);
    await upload(bert, { device_keys: keys });
    const roomId = await createRoom(anna);
    const since = await anna.now();
    await join(bert, roomId, here);
    let { next } = await syncUntil(anna, since, lists('changed', bert.userId));
    await query(anna, bert.userId);
    const masterKey = crossSigningKey(bert.userId, 'master', master);
    await bert.must('POST', 'client/v3/keys/device_signing/upload', {
      master_key: masterKey,
      self_signing_key: sign(
        crossSigningKey(bert.userId, 'self_signing', selfSigning),
        bert.userId,
        `ed25519:${master.publicKey}`,
        master,
      ),
    });
    next = await toldUntil(anna, next, bert, async () =>
      isDeepStrictEqual(at(await query(anna, bert.userId), 'master_keys', bert.userId), masterKey),
    );
    const signedDevice = sign(keys, bert.userId, `ed25519:${selfSigning.publicKey}`, selfSigning);
    const signedMaster = sign(masterKey, bert.userId, `ed25519:${bert.deviceId}`, device);
    await bert.must('POST', 'client/v3/keys/signatures/upload', {
      [bert.userId]: { [bert.deviceId]: signedDevice, [master.publicKey]: signedMaster },
    });
    await syncUntil(anna, next, lists('changed', bert.userId));
    const found = await eventually(
      () => query(anna, bert.userId),
      (answer) => at(answer, 'master_keys', bert.userId, 'signatures') !== undefined,
    );
    expect(at(found, 'master_keys', bert.userId)).toEqual(signedMaster);
    expect(at(found, 'device_keys', bert.userId, bert.deviceId, 'signatures')).toEqual(signedDevice['signatures']);
  });

  it('get messages from each other', async () => {
    const [anna, bert] = [await register(here, 'anna6'), await register(there, 'bert6')];
    const second = await logIn(there, bert);
    const since = await Promise.all([bert.now(), second.now()]);
    await sendTo(anna, { [bert.userId]: { [bert.deviceId]: { n: 1 } } }, { txn: 'one' });
    await sendTo(anna, { [bert.userId]: { [bert.deviceId]: { n: 1 } } }, { txn: 'one' });
    await sendTo(anna, { [bert.userId]: { '*': { n: 2 } } });
    const has = (count: number) => (answer: unknown) =>
      ((at(answer, 'to_device', 'events') ?? []) as unknown[]).length >= count;
    await eventually(() => bert.sync(since[0]), has(2));
    expect(at(await bert.sync(since[0]), 'to_device', 'events')).toEqual([
      { sender: anna.userId, type: 'm.test', content: { n: 1 } },
      { sender: anna.userId, type: 'm.test', content: { n: 2 } },
    ]);
    const answer = await eventually(() => second.sync(since[1]), has(1));
    expect(at(answer, 'to_device', 'events')).toEqual([{ sender: anna.userId, type: 'm.test', content: { n: 2 } }]);
  });

  it('catch up on keys and messages after an outage of both servers', async () => {
    const [anna, bert] = [await register(here, 'anna7'), await register(there, 'bert7')];
    const roomId = await createRoom(anna);
    const since = await bert.now();
    await join(bert, roomId, here);
    const { next } = await syncUntil(bert, since, lists('changed', anna.userId));
    await query(bert, anna.userId);
    await there.stop();
    const second = await logIn(here, anna, 'NEW_DEVICE');
    const keys = deviceKeys(second);
    await upload(second, { device_keys: keys });
    for (let index = 0; index < 25; index++) await upload(anna, { device_keys: deviceKeys(anna) });
    const last = deviceKeys(anna);
    await upload(anna, { device_keys: last });
    await sendTo(anna, { [bert.userId]: { [bert.deviceId]: { waits: true } } });
    await here.stop();
    await here.start();
    await there.start();
    // Whichever comes first: the messages are told once, and the lists as often as they change.
    const messages: unknown[] = [];
    const isChanged = lists('changed', anna.userId);
    let changed = false;
    await syncUntil(bert, next, (answer) => {
      messages.push(...((at(answer, 'to_device', 'events') ?? []) as unknown[]));
      changed ||= isChanged(answer);
      return changed && messages.length > 0;
    });
    expect(messages.map((message) => at(message, 'content'))).toEqual([{ waits: true }]);
    await eventually(
      () => keysOf(bert, second),
      (found) => isDeepStrictEqual(found, keys['keys']),
    );
    await eventually(
      () => keysOf(bert, anna),
      (found) => at(found, `ed25519:${anna.deviceId}`) === at(last, 'keys', `ed25519:${anna.deviceId}`),
    );
  });
});
