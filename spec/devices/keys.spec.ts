import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import {
  claim,
  createRoom,
  crossSigningKey,
  deviceKeys,
  join,
  lists,
  logIn,
  oneTimeKeys,
  password,
  query,
  register,
  sign,
  signingKey,
  syncUntil,
  upload,
} from './support.ts';

describe('Keys of devices', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  beforeAll(async () => {
    federation = await startHomeservers(1);
    server = federation.servers[0] as TestHomeserver;
  });
  afterAll(() => federation.close());

  it('are stored, counted and answered to others with the name of the device', async () => {
    const [anna, bert] = [await register(server, 'anna1'), await register(server, 'bert1')];
    const keys = deviceKeys(anna);
    const answer = await upload(anna, { device_keys: keys, one_time_keys: oneTimeKeys('a', 'b') });
    expect(at(answer, 'one_time_key_counts')).toEqual({ signed_curve25519: 2 });
    await anna.must('PUT', `client/v3/devices/${anna.deviceId}`, { display_name: 'Phone' });
    const found = await query(bert, anna.userId, bert.userId);
    expect(at(found, 'device_keys', anna.userId, anna.deviceId)).toEqual({
      ...keys,
      unsigned: { device_display_name: 'Phone' },
    });
    expect(at(found, 'device_keys', bert.userId))
      .withContext('somebody without keys')
      .toEqual({});
    expect(at(found, 'failures')).toEqual({});
    const some = await bert.must('POST', 'client/v3/keys/query', { device_keys: { [anna.userId]: ['OTHER'] } });
    expect(at(some, 'device_keys', anna.userId))
      .withContext('of other devices')
      .toEqual({});
  });

  it('are refused when they are those of another user or device, or incomplete', async () => {
    const [anna, bert] = [await register(server, 'anna2'), await register(server, 'bert2')];
    for (const device_keys of [
      deviceKeys(anna),
      { ...deviceKeys(bert), device_id: 'OTHER' },
      { user_id: bert.userId, device_id: bert.deviceId },
    ]) {
      const { status } = await bert.ask('POST', 'client/v3/keys/upload', { device_keys });
      expect(status).toBe(400);
    }
    const { status, body } = await anna.ask('POST', 'client/v3/keys/query', {
      device_keys: { [bert.userId]: { [bert.deviceId]: true } },
    });
    expect([status, at(body, 'errcode')]).toEqual([400, 'M_BAD_JSON']);
  });

  it('for one use are given out once each, the oldest first, and counted in syncs', async () => {
    const anna = await register(server, 'anna3');
    await upload(anna, { one_time_keys: oneTimeKeys('2') });
    await upload(anna, { one_time_keys: oneTimeKeys('1', '0') });
    expect(await claim(anna, anna)).toEqual(oneTimeKeys('2'));
    expect(at(await anna.sync(), 'device_one_time_keys_count')).toEqual({ signed_curve25519: 2 });
    expect(await claim(anna, anna)).toEqual(oneTimeKeys('1'));
    expect(await claim(anna, anna)).toEqual(oneTimeKeys('0'));
    expect(await claim(anna, anna)).toBeUndefined();
    expect(at(await anna.sync(), 'device_one_time_keys_count')).toEqual({ signed_curve25519: 0 });
  });

  it('for one use are never given to two who ask at the same time', async () => {
    const anna = await register(server, 'anna4');
    await upload(anna, { one_time_keys: oneTimeKeys(...Array.from({ length: 30 }, (_, index) => String(index))) });
    const claimed = await Promise.all(Array.from({ length: 40 }, () => claim(anna, anna)));
    const ids = claimed.filter((keys) => keys !== undefined).map((keys) => Object.keys(keys as object)[0]);
    expect(ids).toHaveSize(30);
    expect(new Set(ids)).toHaveSize(30);
  });

  it('may be uploaded again, but not with another content', async () => {
    const anna = await register(server, 'anna5');
    await upload(anna, { one_time_keys: oneTimeKeys('a', 'b', 'c') });
    const again = await upload(anna, { one_time_keys: oneTimeKeys('b', 'c', 'd') });
    expect(at(again, 'one_time_key_counts', 'signed_curve25519')).toBe(4);
    const other = { 'signed_curve25519:new': { key: 'n' }, 'signed_curve25519:a': { key: 'other' } };
    expect((await anna.ask('POST', 'client/v3/keys/upload', { one_time_keys: other })).status).toBe(400);
    expect(at(await upload(anna, {}), 'one_time_key_counts', 'signed_curve25519')).toBe(4);
  });

  it('of last resort are given to everybody when the others are used up, and shown as used', async () => {
    const anna = await register(server, 'anna6');
    const fallback = { 'signed_curve25519:f': { key: 'last', fallback: true, signatures: {} } };
    await upload(anna, { one_time_keys: oneTimeKeys('a'), fallback_keys: fallback });
    expect(at(await anna.sync(), 'device_unused_fallback_key_types')).toEqual(['signed_curve25519']);
    expect(await claim(anna, anna)).toEqual(oneTimeKeys('a'));
    expect(await claim(anna, anna)).toEqual(fallback);
    expect(await claim(anna, anna)).toEqual(fallback);
    expect(at(await anna.sync(), 'device_unused_fallback_key_types')).toEqual([]);
    await upload(anna, { fallback_keys: fallback });
    expect(at(await anna.sync(), 'device_unused_fallback_key_types'))
      .withContext('the same again')
      .toEqual([]);
    await upload(anna, { fallback_keys: { 'signed_curve25519:g': { key: 'next', fallback: true } } });
    expect(at(await anna.sync(), 'device_unused_fallback_key_types')).toEqual(['signed_curve25519']);
  });

  it('of several devices are claimed together, each as it has some', async () => {
    const anna = await register(server, 'anna10');
    const [second, third] = [await logIn(server, anna, 'SECOND'), await logIn(server, anna, 'THIRD')];
    const fallback = { 'signed_curve25519:f': { key: 'last', fallback: true } };
    await upload(anna, { one_time_keys: oneTimeKeys('a', 'b'), fallback_keys: fallback });
    await upload(second, { fallback_keys: fallback });
    const devices = [anna, second, third].map(({ deviceId }) => [deviceId, 'signed_curve25519']);
    const one_time_keys = { [anna.userId]: Object.fromEntries(devices) as Record<string, string> };
    const claimed = await anna.must('POST', 'client/v3/keys/claim', { one_time_keys });
    expect(claimed).toEqual({
      one_time_keys: { [anna.userId]: { [anna.deviceId]: oneTimeKeys('a'), SECOND: fallback } },
      failures: {},
    });
    expect(at(await anna.sync(), 'device_one_time_keys_count')).toEqual({ signed_curve25519: 1 });
    expect(at(await anna.sync(), 'device_unused_fallback_key_types')).toEqual(['signed_curve25519']);
  });

  it('are gone with the device, and those who share a room are told', async () => {
    const [anna, bert] = [await register(server, 'anna7'), await register(server, 'bert7')];
    await join(bert, await createRoom(anna));
    const second = await logIn(server, anna, 'SECOND');
    const since = await bert.now();
    await upload(second, { device_keys: deviceKeys(second), one_time_keys: oneTimeKeys('a') });
    const { next } = await syncUntil(bert, since, lists('changed', anna.userId));
    const changes = await bert.must('GET', `client/v3/keys/changes?from=${since}&to=${next}`);
    expect(changes).toEqual({ changed: [anna.userId], left: [] });
    await second.must('POST', 'client/v3/logout', {});
    await syncUntil(bert, next, lists('changed', anna.userId));
    expect(at(await query(bert, anna.userId), 'device_keys', anna.userId)).toEqual({});
    expect(await claim(bert, second)).toBeUndefined();
  });

  it('that sign others need a confirmation only when there are such keys already', async () => {
    const anna = await register(server, 'anna8');
    const [master, selfSigning] = [signingKey(), signingKey()];
    const path = 'client/v3/keys/device_signing/upload';
    const master_key = crossSigningKey(anna.userId, 'master', master);
    await anna.must('POST', path, { master_key });
    await anna.must('POST', path, { master_key });
    const unsigned = crossSigningKey(anna.userId, 'self_signing', selfSigning);
    const refused = await anna.ask('POST', path, { self_signing_key: unsigned });
    expect([refused.status, at(refused.body, 'errcode')]).toEqual([400, 'M_INVALID_SIGNATURE']);
    const self_signing_key = sign(unsigned, anna.userId, `ed25519:${master.publicKey}`, master);
    const { status, body } = await anna.ask('POST', path, { self_signing_key });
    expect(status).toBe(401);
    expect(at(body, 'flows') as unknown[]).toContain({ stages: ['m.login.password'] });
    await anna.must('POST', path, { self_signing_key, auth: password(anna, at(body, 'session')) });
    const found = await query(anna, anna.userId);
    expect(at(found, 'master_keys', anna.userId)).toEqual(master_key);
    expect(at(found, 'self_signing_keys', anna.userId)).toEqual(self_signing_key);
  });

  it('carry the signatures that their owner and the reader made, and nobody else', async () => {
    const [anna, bert, carl] = await Promise.all(['anna9', 'bert9', 'carl9'].map((name) => register(server, name)));
    if (!anna || !bert || !carl) throw new Error('Somebody is missing.');
    await Promise.all([join(bert, await createRoom(anna)), join(carl, await createRoom(anna))]);
    const [master, selfSigning, device] = [signingKey(), signingKey(), signingKey()];
    const keys = deviceKeys(anna, device);
    await upload(anna, { device_keys: keys });
    const masterKey = crossSigningKey(anna.userId, 'master', master);
    await anna.must('POST', 'client/v3/keys/device_signing/upload', {
      master_key: masterKey,
      self_signing_key: sign(
        crossSigningKey(anna.userId, 'self_signing', selfSigning),
        anna.userId,
        `ed25519:${master.publicKey}`,
        master,
      ),
    });
    const signedDevice = sign(keys, anna.userId, `ed25519:${selfSigning.publicKey}`, selfSigning);
    const signedMaster = sign(masterKey, anna.userId, `ed25519:${anna.deviceId}`, device);
    const since = await bert.now();
    const own = await anna.must('POST', 'client/v3/keys/signatures/upload', {
      [anna.userId]: { [anna.deviceId]: signedDevice, [master.publicKey]: signedMaster, NONE: keys },
    });
    expect(at(own, 'failures', anna.userId, 'NONE', 'errcode')).toBe('M_NOT_FOUND');
    await syncUntil(bert, since, lists('changed', anna.userId));

    const [bertsMaster, bertsUserSigning] = [signingKey(), signingKey()];
    await bert.must('POST', 'client/v3/keys/device_signing/upload', {
      master_key: crossSigningKey(bert.userId, 'master', bertsMaster),
      user_signing_key: sign(
        crossSigningKey(bert.userId, 'user_signing', bertsUserSigning),
        bert.userId,
        `ed25519:${bertsMaster.publicKey}`,
        bertsMaster,
      ),
    });
    const bySomebody = sign(masterKey, bert.userId, `ed25519:${bertsUserSigning.publicKey}`, bertsUserSigning);
    const carlSince = await carl.now();
    const trust = await bert.must('POST', 'client/v3/keys/signatures/upload', {
      [anna.userId]: { [master.publicKey]: bySomebody },
    });
    expect(at(trust, 'failures')).toEqual({});
    const forged = sign(masterKey, bert.userId, `ed25519:${bertsUserSigning.publicKey}`, signingKey());
    const lie = await bert.must('POST', 'client/v3/keys/signatures/upload', {
      [anna.userId]: { [master.publicKey]: forged },
    });
    expect(at(lie, 'failures', anna.userId, master.publicKey, 'errcode')).toBe('M_INVALID_SIGNATURE');

    const [seenByBert, seenByCarl] = [await query(bert, anna.userId), await query(carl, anna.userId)];
    for (const seen of [seenByBert, seenByCarl]) {
      expect(at(seen, 'device_keys', anna.userId, anna.deviceId, 'signatures')).toEqual(signedDevice['signatures']);
      expect(at(seen, 'user_signing_keys')).toBeUndefined();
    }
    expect(at(seenByCarl, 'master_keys', anna.userId)).toEqual(signedMaster);
    expect(at(seenByBert, 'master_keys', anna.userId, 'signatures', bert.userId)).toEqual(
      at(bySomebody, 'signatures', bert.userId),
    );
    expect(at(await query(bert, bert.userId), 'user_signing_keys', bert.userId)).toBeDefined();
    const quiet = await carl.sync(carlSince);
    expect(lists('changed', anna.userId)(quiet)).withContext('whom Bert trusts is not told to Carl').toBeFalse();
  });
});
