import type { JsonObject } from '../../federation/json.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';
import { createRoom, deviceKeys, logIn, register, upload } from './support.ts';
import type { Device } from './support.ts';

for (const tellsNames of [false, true]) {
  describe(`Devices told to other servers, ${tellsNames ? 'with' : 'without'} their names`, () => {
    let federation: TestFederation;
    let server: TestHomeserver;
    let peer: Peer;
    let updates: JsonObject[] = [];

    beforeAll(async () => {
      federation = await startHomeservers(1, { HANSETAG_FEDERATED_DEVICE_NAMES: tellsNames ? '1' : '0' });
      [server] = federation.servers as [TestHomeserver];
      peer = await Peer.start(federation);
      peer.answer = (path, body) => {
        if (!path.includes('/send/')) return undefined;
        for (const edu of (at(body, 'edus') ?? []) as JsonObject[]) {
          if (edu['edu_type'] === 'm.device_list_update') updates.push(edu['content'] as JsonObject);
        }
        return { pdus: {} };
      };
    });
    afterAll(async () => {
      await peer.close();
      await federation.close();
    });
    beforeEach(() => {
      updates = [];
    });

    const of = (device: Device): JsonObject[] => updates.filter((update) => update['device_id'] === device.deviceId);
    const told = (device: Device, wanted: (update: JsonObject) => boolean): Promise<JsonObject[]> =>
      eventually(
        () => Promise.resolve(of(device)),
        (all) => all.some(wanted),
      );
    const rename = (device: Device, name: string): Promise<unknown> =>
      device.must('PUT', `client/v3/devices/${device.deviceId}`, { display_name: name });
    const nameOf = (name: string): string | undefined => (tellsNames ? name : undefined);

    it('are announced when their user comes in, those without keys as well', async () => {
      const anna = await register(server, 'anna1');
      const second = await logIn(server, anna);
      await upload(second, { device_keys: deviceKeys(second) });
      await rename(anna, 'Telephone of the town hall');
      const bert = await register(server, 'bert1');
      const roomId = await createRoom(bert);
      await peer.join(server.serverName, roomId, peer.userId('charlie'));
      await anna.must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
      const [without] = await told(anna, () => true);
      expect(at(without, 'keys')).toBeUndefined();
      expect(at(without, 'device_display_name')).toBe(nameOf('Telephone of the town hall'));
      const [withKeys] = await told(second, () => true);
      expect(at(withKeys, 'keys', 'device_id')).toBe(second.deviceId);
    });

    it('are announced with their name when they get another one', async () => {
      const anna = await register(server, 'anna2');
      const second = await logIn(server, anna);
      await upload(second, { device_keys: deviceKeys(second) });
      const roomId = await createRoom(anna);
      await peer.join(server.serverName, roomId, peer.userId('charlie'));
      for (const device of [anna, second]) {
        await rename(device, 'Mayor');
        const all = await told(device, () => true);
        const last: unknown = all.at(-1);
        expect(at(last, 'device_display_name')).toBe(nameOf('Mayor'));
        expect(at(last, 'keys', 'device_id')).toBe(device === second ? second.deviceId : undefined);
        expect(JSON.stringify(updates).includes('Mayor')).toBe(tellsNames);
      }
    });

    it('are told on a question by the same rule', async () => {
      const anna = await register(server, 'anna3');
      await upload(anna, { device_keys: deviceKeys(anna) });
      await rename(anna, 'Mayor');
      const list = await peer.ask(server.serverName, 'GET', `v1/user/devices/${encodeURIComponent(anna.userId)}`);
      expect(at(list, 'body', 'devices', 0, 'device_display_name')).toBe(nameOf('Mayor'));
      const keys = await peer.ask(server.serverName, 'POST', 'v1/user/keys/query', {
        device_keys: { [anna.userId]: [] },
      });
      const own = at(keys, 'body', 'device_keys', anna.userId, anna.deviceId);
      expect(at(own, 'unsigned', 'device_display_name')).toBe(nameOf('Mayor'));
    });
  });
}
