/** `device_lists` and the counts of the device's own keys, in `/sync`. */
import type { ChangedLists } from './changed-lists.ts';
import type { DeviceKeys } from './device-keys.ts';
import type { SyncPart } from '../../engine/sync/part.ts';

export function devicesPart(lists: ChangedLists, keys: DeviceKeys): SyncPart {
  return {
    name: 'device_lists',
    async collect({ userId, since, upTo }, answer) {
      // On an initial sync, clients query all keys that they need.
      if (since === undefined) return;
      const { changed, left } = await lists.between(userId, since, upTo);
      if (changed.length + left.length > 0) answer['device_lists'] = { changed, left };
    },
    async always({ userId, deviceId }, answer) {
      const [counts, unused] = await Promise.all([
        keys.counts(userId, deviceId),
        keys.unusedFallback(userId, deviceId),
      ]);
      answer['device_one_time_keys_count'] = counts;
      answer['device_unused_fallback_key_types'] = unused;
      // The unstable name.
      answer['org.matrix.msc2732.device_unused_fallback_key_types'] = unused;
    },
  };
}
