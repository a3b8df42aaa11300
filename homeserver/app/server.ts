/** One homeserver, put together: every part is made here and given what it needs. */
import { readFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import type { Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Logger } from 'pino';
import { FederationClient } from '../../federation/client.ts';
import { KeyRing } from '../../federation/keyring.ts';
import { OutboundQueue } from '../../federation/outbound-queue.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { SfuClient } from '../../sfu/client.ts';
import { Accounts } from '../accounts/accounts.ts';
import { Filters } from '../accounts/filters.ts';
import { Askers } from '../accounts/askers.ts';
import { ProfileAnnouncer } from '../accounts/announce-profile.ts';
import { RoomLeaver } from '../accounts/leave-rooms.ts';
import { LoginTokens } from '../accounts/login-tokens.ts';
import { IdentityProvider } from '../accounts/oidc.ts';
import { cleanUpOauth } from '../accounts/oauth/store.ts';
import { OpenIdTokens } from '../accounts/openid-tokens.ts';
import { PasswordLogin } from '../accounts/password-login.ts';
import { Passwords } from '../accounts/passwords.ts';
import { Profiles } from '../accounts/profiles.ts';
import { remoteProfile } from '../accounts/remote-profile.ts';
import { requireSession } from '../accounts/require-session.ts';
import { Standing } from '../accounts/standing.ts';
import { ServerNotices } from '../accounts/server-notices.ts';
import { Sessions } from '../accounts/sessions.ts';
import { Uia } from '../accounts/uia.ts';
import { clientApp } from './client-app.ts';
import { roomsRouter } from '../features/rooms/client-router.ts';
import { ACCOUNT_PATH } from '../accounts/oauth/account-page-router.ts';
import { GuestAccess } from '../accounts/guest-access.ts';
import { OAUTH_PATH } from '../accounts/oauth/router.ts';
import { CALLBACK_PATH } from '../accounts/sso-router.ts';
import type { Address, Config } from '../config.ts';
import { openDatabase } from '../database/database.ts';
import { migrate } from '../database/migrate.ts';
import type { Database } from '../database/database.ts';
import { StoredInvitePermissions } from '../features/account-data/invite-permissions.ts';
import { encryption } from '../features/devices/index.ts';
import { relationWrites } from '../features/relations/index-relation.ts';
import { wordsWrites } from '../features/search/index-words.ts';
import { stickyWrites } from '../features/sticky-events/index-sticky.ts';
import { accountRouter } from '../accounts/federation-router.ts';
import { federationApi, isRefusal, sendTransaction } from '../engine/federation/index.ts';
import { sqlKeyStore } from '../engine/federation/key-store.ts';
import { QueueSender, sqlQueueStore } from '../engine/federation/sender.ts';
import { federationApp } from './federation-app.ts';
import { lazy } from '../base/lazy.ts';
import { mediaRepository } from '../features/media/index.ts';
import { makeMeetings } from '../meetings/index.ts';
import { messages } from './messages.ts';
import { metrics } from '../base/metrics.ts';
import { rateLimits, unprovenLimit } from '../base/rate-limits.ts';
import { Rooms } from '../engine/rooms/rooms.ts';
import { loadSigningKey } from './signing-key-file.ts';
import { staticClient } from './static-client.ts';
import { Notifier } from '../engine/stream/notifier.ts';
import { personal } from './personal.ts';
import { Positions } from '../engine/stream/positions.ts';

export interface Homeserver {
  /** Ends everything that was started. Can be called more than once. */
  close(): Promise<void>;
}

/** How long requests may go on after the end was asked for, in ms. */
const GRACE_MS = 2_000;
const HEALTH_PATIENCE_MS = 2_000;
const CLEAN_UP_MS = 60 * 60 * 1000;

/**
 * Starts a homeserver: when the promise resolves, it listens.
 *
 * @throws the error of whatever could not be started; what was started before is closed then
 */
export async function startHomeserver(config: Config, log: Logger): Promise<Homeserver> {
  // Closed from the last to the first.
  const opened: (() => unknown)[] = [];
  let closing: Promise<void> | undefined;
  async function closeAll(): Promise<void> {
    for (const close of opened.reverse()) {
      try {
        await close();
      } catch (error) {
        log.warn({ err: error }, 'a part did not end well');
      }
    }
  }
  const homeserver: Homeserver = { close: () => (closing ??= closeAll()) };
  try {
    await start(config, log, opened);
  } catch (error) {
    await homeserver.close();
    throw error;
  }
  return homeserver;
}

async function start(config: Config, log: Logger, opened: (() => unknown)[]): Promise<void> {
  const { serverName, publicUrl } = config;
  const { version } = packageJson;
  const key = await loadSigningKey(config.signingKeyFile);
  const [cert, tlsKey, ca] = await Promise.all([
    readFile(config.federation.certFile),
    readFile(config.federation.keyFile),
    config.federation.caFile === undefined ? undefined : readFile(config.federation.caFile, 'utf8'),
  ]);
  const webClient = config.clientDir === undefined ? undefined : staticClient(config.clientDir);

  const db = await openDatabase(config.databaseUrl);
  opened.push(() => db.close());
  await migrate(db, log);

  const isTrusted = (server: string): boolean =>
    config.federation.trust === 'open' || config.federation.trustedServers.has(server);
  const askers = new Askers({ sharesRoomWith: (userId, server) => rooms.sharesRoomWith(userId, server) });
  const client = new FederationClient({
    serverName,
    signingKey: key,
    discovery: { hostOverrides: config.federation.hosts, allowedRanges: config.federation.allowedRanges },
    ...(ca === undefined ? {} : { ca }),
    isAllowed: isTrusted,
    requireMayAsk: (server, matter) => askers.require(server, matter),
  });
  opened.push(() => client.close());
  const keyring = new KeyRing({
    serverName,
    ownKeys: [key],
    client,
    store: sqlKeyStore(db),
    isNeighbour: (server) => rooms.isNeighbour(server),
    notaries: config.federation.notaries,
  });
  const measured = config.metricsListen && metrics();
  const queue = new OutboundQueue({
    store: sqlQueueStore(db),
    send: sendTransaction(client, serverName, () => rooms),
    isRefusal,
    onDropped: (_destination, kind) => measured?.countDropped(kind),
    log,
  });
  const sender = new QueueSender(db, queue);

  const accounts = new Accounts(db, serverName);
  const filters = new Filters(db, accounts);
  const sessions = new Sessions(db, accounts);
  const standing = new Standing(accounts);
  const profiles = new Profiles(db, accounts);
  const { rateLimitFactor, passwords } = config;
  const limits = rateLimits(rateLimitFactor);
  const passwordLogin = new PasswordLogin({ accounts, passwords: new Passwords(passwords.cost), rateLimitFactor });
  const uia = new Uia({
    accounts,
    passwordLogin,
    passwords: passwords.login,
    sso: config.oidc !== undefined,
    accountUrl: publicUrl + ACCOUNT_PATH,
  });
  const sessionRequired = requireSession(sessions);
  const hasOauth = config.oidc !== undefined || passwords.login;
  // Loading it takes a third of a second in which nobody else is served: now, and not when the first one asks.
  const provider = hasOauth ? await import('../accounts/oauth/provider.ts') : undefined;
  const issuer = publicUrl + OAUTH_PATH;
  const oauth = provider && lazy(() => provider.oauthProvider({ db, accounts, sessions, issuer, log }));
  if (oauth) opened.push(every(CLEAN_UP_MS, () => cleanUpOauth(db), log));
  const positions = await Positions.open(db);
  const notifier = new Notifier();
  const invitePermissions = new StoredInvitePermissions(db);
  const rooms = await Rooms.open({
    db,
    serverName,
    key,
    sender,
    positions,
    notifier,
    profile: (userId) => profiles.membership(userId),
    rights: standing,
    indexes: [relationWrites, wordsWrites, stickyWrites],
    invitePermissions,
    log,
  });
  opened.push(() => rooms.close());
  const federation = federationApi({
    serverName,
    version,
    key,
    keyring,
    client,
    queue,
    rooms,
    userExists: (userId) => accounts.exists(userId),
    db,
    isTrusted,
    unproven: unprovenLimit(rateLimitFactor),
    log,
  });
  opened.push(() => federation.close());
  opened.push(() => queue.close());
  const found = messages({
    serverName,
    db,
    rooms,
    positions,
    notifier,
    client,
    sender,
    requireSession: sessionRequired,
    signed: federation.signedRequest,
    profile: (userId) => profiles.membership(userId),
    userExists: (userId) => accounts.exists(userId),
    log,
  });
  opened.push(() => found.close());
  const openIdTokens = new OpenIdTokens(db, accounts);
  federation.router.use(
    '/_matrix/federation',
    accountRouter({ serverName, profiles, openIdTokens, signed: federation.signedRequest }),
    ...found.federation,
  );
  const guestAccess = new GuestAccess({
    rooms,
    accounts,
    requireSession: sessionRequired,
    roomOfAlias: async (alias) => {
      const known = await found.directory.resolve(alias).catch(() => undefined);
      return known?.roomId;
    },
    log,
  });
  opened.push(() => guestAccess.close());
  const leaver = new RoomLeaver(accounts, rooms, log);
  opened.push(() => leaver.close());
  const announcer = new ProfileAnnouncer(rooms, profiles, log);
  profiles.onChange(async (userId, field) => {
    if (field === 'displayname' || field === 'avatar_url') await announcer.announce(userId);
  });

  const media = await mediaRepository({
    serverName,
    config: config.media,
    db,
    client,
    web: { allowedRanges: config.federation.allowedRanges, hostOverrides: config.federation.hosts, ca },
    requireSession: sessionRequired,
    signed: federation.signedRequest,
    limitUploads: limits.uploads,
    isGuest: (userId) => standing.isGuest(userId),
    requireMayAskWeb: () => askers.require(undefined, 'person'),
    takeUploaded: limits.takeUploaded,
    limitAnonymous: limits.anonymous,
    log,
  });
  opened.push(() => media.close());
  federation.router.use('/_matrix/federation', media.federation);

  const sfu = config.sfu && new SfuClient({ socketPath: config.sfu.control, secret: config.sfu.secret, log });
  if (sfu) opened.push(() => sfu.close());
  const meetings =
    sfu &&
    makeMeetings({
      serverName,
      organisation: config.organisation,
      colour: config.colour,
      publicUrl,
      db,
      rooms,
      accounts,
      sessions,
      standing,
      sender,
      edus: federation.edus,
      client,
      key,
      keyring,
      sfu,
      ignored: (userId) => forEach.accountData.ignored(userId),
      requireSession: sessionRequired,
      limitAnonymous: limits.anonymous,
      limitSending: limits.takeSending,
      signedRequest: federation.signedRequest,
      log,
    });
  if (meetings) opened.push(() => meetings.close());

  const encrypted = encryption({
    serverName,
    db,
    rooms,
    positions,
    notifier,
    sender,
    client,
    sessions,
    edus: federation.edus,
    tellNames: config.federatedDeviceNames,
    isSuspended: (userId) => standing.isSuspended(userId),
    requireMayReach: (server) => askers.require(server, 'room'),
    onDropped: (messages) => measured?.countUndelivered(messages),
    limitToDevice: limits.toDevice,
    confirm: (userId, request) => uia.confirm(userId, request),
    requireSession: sessionRequired,
    signed: federation.signedRequest,
    log,
  });
  opened.push(() => encrypted.close());
  federation.router.use('/_matrix/federation', encrypted.federation);

  const forEach = personal({
    invitePermissions,
    serverName,
    sessions,
    db,
    rooms,
    positions,
    notifier,
    sender,
    edus: federation.edus,
    bundles: found.relations,
    isListed: (roomId) => found.publicRooms.listed(roomId),
    presence: config.presence,
    push: { allowedRanges: config.pushAllowedRanges, hosts: config.federation.hosts, ca },
    parts: [...encrypted.parts, ...found.syncParts],
    isGuest: (userId) => standing.isGuest(userId),
    storedFilter: (userId, filterId) => filters.get(userId, filterId),
    requireSession: sessionRequired,
    log,
  });
  opened.push(() => forEach.close());

  const forPeople = clientApp({
    publicUrl,
    wellKnown: config.wellKnown,
    proxies: config.proxies,
    info: {
      organisation: { serverName, displayName: config.organisation, colour: config.colour },
      version,
      login: { sso: config.oidc !== undefined, password: config.passwords.login },
    },
    accounts,
    filters,
    sessions,
    askers,
    loginTokens: new LoginTokens(),
    passwordLogin,
    passwords,
    uia,
    ...(oauth ? { oauth } : {}),
    guestAccess,
    notices: await ServerNotices.open({ db, accounts, rooms, organisation: config.organisation }),
    leaveRooms: (userId) => leaver.leave(userId),
    ...(config.oidc
      ? { provider: new IdentityProvider({ ...config.oidc, callbackUrl: publicUrl + CALLBACK_PATH, log }) }
      : {}),
    requireSession: sessionRequired,
    limits,
    databaseUp: () => answers(db),
    ...(sfu ? { sfuUp: () => sfu.hello !== undefined } : {}),
    profiles,
    openIdTokens,
    remoteProfile: (userId, field) => remoteProfile(client, userId, field),
    matrix: [
      roomsRouter({
        rooms,
        ignored: (userId) => forEach.accountData.ignored(userId),
        requireSession: sessionRequired,
        limitSending: limits.sending,
        ...found,
      }),
      ...found.matrix,
      ...forEach.matrix,
      ...encrypted.matrix,
    ],
    admin: [media.admin, ...found.admin],
    matrixRoot: [media.matrixRoot, ...found.matrixRoot, ...forEach.matrixRoot, ...encrypted.matrixRoot],
    federation: federation.router,
    ...(meetings ? { meetings: meetings.client } : {}),
    ...(measured ? { measure: measured.measure('client') } : {}),
    ...(webClient ? { webClient } : {}),
    log,
  });
  const forServers = federationApp({
    proxies: config.proxies,
    federation: federation.router,
    ...(meetings ? { meetings: meetings.federation } : {}),
    ...(measured ? { measure: measured.measure('federation') } : {}),
    log,
  });

  await forEach.start();
  const clientServer = createHttpServer((request, response) => void forPeople(request, response));
  meetings?.attach(clientServer);
  const federationServer = createHttpsServer({ cert, key: tlsKey }, (request, response) => {
    void forServers(request, response);
  });
  await listen(federationServer, config.federation.listen, opened);
  // What became due meanwhile is sent before clients look, and when other servers can already ask for our keys.
  await found.start();
  await listen(clientServer, config.clientListen, opened);
  // First of all: the connections of its sessions keep the server of people from closing.
  if (meetings) opened.push(() => meetings.close());
  if (measured && config.metricsListen) await listen(measured.server, config.metricsListen, opened);
  // Now others can ask for our keys, which they need to take what waits for them.
  await queue.wakeAll();
  rooms.start();
  await leaver.resume();
  log.info({ serverName, publicUrl, version }, 'the homeserver is ready');
}

async function listen(server: Server, { host, port }: Address, opened: (() => unknown)[]): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  opened.push(() => closeServer(server));
}

async function closeServer(server: Server): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS);
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeIdleConnections();
  });
  clearTimeout(timer);
}

/** Does something from time to time. @returns a function that ends that */
function every(ms: number, task: () => Promise<void>, log: Logger): () => void {
  const timer = setInterval(() => {
    task().catch((error: unknown) => log.warn({ err: error }, 'cleaning up failed'));
  }, ms);
  timer.unref();
  return () => clearInterval(timer);
}

/** Whether the database answers in reasonable time. */
async function answers(db: Database): Promise<boolean> {
  const late = new Promise<boolean>((resolve) => setTimeout(resolve, HEALTH_PATIENCE_MS, false).unref());
  const asked = db.query('SELECT 1').then(
    () => true,
    () => false,
  );
  return Promise.race([asked, late]);
}
