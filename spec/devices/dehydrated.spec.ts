import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { claim, deviceKeys, oneTimeKeys, query, register, sendTo } from './support.ts';
import type { Device } from './support.ts';

const PATH = 'client/unstable/org.matrix.msc3814.v1/dehydrated_device';

describe('A dehydrated device', () => {
  let federation: TestFederation;
  let anna: Device;
  let bert: Device;
  beforeAll(async () => {
    federation = await startHomeservers(1);
    const server = federation.servers[0] as TestHomeserver;
    [anna, bert] = await Promise.all([register(server, 'anna'), register(server, 'bert')]);
  });
  afterEach(() => anna.ask('DELETE', PATH));
  afterAll(() => federation.close());

  const put = async (deviceId: string): Promise<Device> => {
    const device = { ...anna, deviceId };
    await anna.must('PUT', PATH, {
      device_id: deviceId,
      device_data: { algorithm: 'a', device_pickle: deviceId },
      device_keys: { ...deviceKeys(device), dehydrated: true },
      one_time_keys: oneTimeKeys('a'),
    });
    return device;
  };
  const page = async (deviceId: string, token?: unknown): Promise<unknown> =>
    anna.must('POST', `${PATH}/${deviceId}/events`, token === undefined ? {} : { next_batch: token });

  it('is there for others like any device, and in the place of the one before', async () => {
    expect(at((await anna.ask('GET', PATH)).body, 'errcode')).toBe('M_NOT_FOUND');
    await put('FIRST');
    const device = await put('SECOND');
    expect(await anna.must('GET', PATH)).toEqual({
      device_id: 'SECOND',
      device_data: { algorithm: 'a', device_pickle: 'SECOND' },
    });
    const found = at(await query(bert, anna.userId), 'device_keys', anna.userId);
    expect(Object.keys(found as object)).toEqual(['SECOND']);
    expect(await claim(bert, device)).toEqual(oneTimeKeys('a'));
    expect(await anna.must('DELETE', PATH)).toEqual({ device_id: 'SECOND' });
    expect(at(await query(bert, anna.userId), 'device_keys', anna.userId)).toEqual({});
  });

  it('gets messages, which stay until it ends', async () => {
    await put('FIRST');
    for (let n = 0; n < 3; n++) await sendTo(bert, { [anna.userId]: { FIRST: { n } } });
    for (let turn = 0; turn < 2; turn++) {
      const first = await page('FIRST');
      expect((at(first, 'events') as unknown[]).map((event) => at(event, 'content', 'n'))).toEqual([0, 1, 2]);
      expect(at(await page('FIRST', at(first, 'next_batch')), 'events')).toEqual([]);
    }
    await put('FIRST');
    expect(at(await page('FIRST'), 'events')).toEqual([]);
  });

  it('is no device that somebody is logged in with, and nobody else’s', async () => {
    const taken = await anna.ask('PUT', PATH, {
      device_id: anna.deviceId,
      device_data: {},
      device_keys: deviceKeys(anna),
    });
    expect(taken.status).toBe(400);
    await anna.must('GET', 'client/v3/account/whoami');
    const foreign = { device_id: bert.deviceId, device_data: {}, device_keys: deviceKeys(bert) };
    expect((await anna.ask('PUT', PATH, foreign)).status).toBe(400);
    await put('FIRST');
    expect((await bert.ask('POST', `${PATH}/FIRST/events`, {})).status).toBe(403);
    expect((await anna.ask('POST', `${PATH}/${anna.deviceId}/events`, {})).status).toBe(403);
  });
});
