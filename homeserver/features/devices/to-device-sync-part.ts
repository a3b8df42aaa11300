/** To-device messages of the syncing device, in `/sync`. */
import type { ToDevice } from './to-device.ts';
import type { SyncPart } from '../../engine/sync/part.ts';

export function toDevicePart(toDevice: ToDevice): SyncPart {
  return {
    name: 'to_device',
    async collect({ userId, deviceId, since, upTo }, answer) {
      const events = await toDevice.take(userId, deviceId, since, upTo);
      if (events.length > 0) answer['to_device'] = { events };
    },
  };
}
