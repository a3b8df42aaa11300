/** Puts a homeserver together: each part is made by one call and gets what it needs. */
import type { Logger } from 'pino';
import packageJson from '../../package.json' with { type: 'json' };
import { SfuClient } from '../../sfu/client.ts';
import { Askers } from '../accounts/askers.ts';
import { makeAccountsInRooms } from '../accounts/in-rooms.ts';
import { makeAccounts } from '../accounts/index.ts';
import { metrics } from '../base/metrics.ts';
import { rateLimits } from '../base/rate-limits.ts';
import { openSigningKeys } from '../base/signing-key-file.ts';
import type { Config } from '../config.ts';
import { openDatabase } from '../database/database.ts';
import { migrate } from '../database/migrate.ts';
import { makeEngine } from '../engine/index.ts';
import type { Engine } from '../engine/index.ts';
import { StoredInvitePermissions } from '../features/account-data/invite-permissions.ts';
import { makeDevices } from '../features/devices/index.ts';
import { makeMedia } from '../features/media/index.ts';
import { makeMeetings } from '../meetings/index.ts';
import { EVENT_INDEXES, makeFeatures } from './features.ts';
import { makeHttpServers, readTlsFiles } from './http-servers.ts';
import { Running } from './running.ts';

/** `close` closes everything that was started. */
export type Homeserver = Pick<Running, 'close'>;

/**
 * Starts a homeserver: when the promise resolves, it listens.
 *
 * @throws the error of the part that could not be started; the others are closed
 */
export async function startHomeserver(config: Config, log: Logger): Promise<Homeserver> {
  const running = new Running(log);
  try {
    await start(config, log, running);
  } catch (error) {
    await running.close();
    throw error;
  }
  return running;
}

async function start(config: Config, log: Logger, running: Running): Promise<void> {
  const { hosts, allowedRanges } = config.federation;
  const { version } = packageJson;
  const signing = await openSigningKeys(config.signingKeyFile, log);
  // Wrong settings are reported before anything is started.
  const tls = await readTlsFiles(config.federation);
  const { ca } = tls;
  const measured = config.metricsListen && metrics();
  const limits = rateLimits(config.rateLimitFactor);
  const db = running.add(await openDatabase(config.databaseUrl));
  await migrate(db, log);

  const people = running.add(await makeAccounts({ ...config, db, log }));
  const askers: Askers = new Askers({
    sharesRoomWith: (userId, server) => engine.rooms.sharesRoomWith(userId, server),
  });
  const common = {
    ...people,
    ...config,
    db,
    version,
    signing,
    key: signing.keys,
    limits,
    invitePermissions: new StoredInvitePermissions(db),
    limitAnonymous: limits.anonymous,
    log,
  };
  const engine: Engine = running.add(
    await makeEngine({
      ...common,
      federation: { ...config.federation, ca },
      requireMayAsk: (server, onBehalfOf) => askers.require(server, onBehalfOf),
      rights: people.standing,
      indexes: EVENT_INDEXES,
      onDropped: (kind) => measured?.countDropped(kind),
    }),
  );
  const parts = { ...common, ...engine };
  const media = await makeMedia({
    ...parts,
    config: config.media,
    web: { allowedRanges, hostOverrides: hosts, ca },
    limitUploads: limits.uploads,
    takeUploaded: limits.takeUploaded,
    requireMayAskWeb: () => askers.require(undefined, 'person'),
  });
  const devices = makeDevices({
    ...parts,
    tellNames: config.federatedDeviceNames,
    requireMayReach: (server) => askers.require(server, 'room'),
    onDropped: (messages) => measured?.countUndelivered(messages),
    limitToDevice: limits.toDevice,
  });
  const features = running.add(
    makeFeatures({
      ...parts,
      push: { allowedRanges: config.pushAllowedRanges, hosts, ca },
      limitSending: limits.sending,
      others: [media, devices],
    }),
  );
  const inRooms = running.add(
    await makeAccountsInRooms({
      ...parts,
      roomOfAlias: async (alias, userId) =>
        (await features.directory.resolve(alias, userId).catch(() => undefined))?.roomId,
    }),
  );
  const sfu = running.add(
    config.sfu && new SfuClient({ socketPath: config.sfu.control, secret: config.sfu.secret, log }),
  );
  const meetings =
    sfu &&
    makeMeetings({
      ...parts,
      sfu,
      ignored: (userId) => features.accountData.ignored(userId),
      relations: features.relations,
      limitSending: limits.takeSending,
    });
  running.add(meetings);

  const { people: forPeople, servers: forServers } = makeHttpServers({
    ...parts,
    ...inRooms,
    tls,
    askers,
    features,
    meetings,
    metrics: measured,
    ...(sfu ? { sfuUp: () => sfu.hello !== undefined } : {}),
  });

  await running.listen(forServers, config.federation.listen);
  // What became due meanwhile is sent before clients sync, and when other servers can already fetch our keys.
  await features.start();
  await running.listen(forPeople, config.clientListen);
  // Closed first: the connections of its sessions keep the client server from closing.
  running.add(meetings);
  if (measured && config.metricsListen) await running.listen(measured.server, config.metricsListen);
  // Now other servers can fetch our keys, which they need to accept what is queued for them.
  await engine.start();
  await inRooms.start();
  log.info({ serverName: config.serverName, publicUrl: config.publicUrl, version }, 'the homeserver is ready');
}
