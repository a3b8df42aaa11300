/**
 * What a user may do by the standing of their account, whatever their rights in a room: suspended users may read, leave
 * and redact their own events; locked and deactivated users may do nothing; guests take part, but cannot let others in.
 * All entry points ask here: the room engine before it writes for a user, requests of the Matrix API and of our own,
 * session requests, delayed events and guest links.
 *
 * @see Matrix specification, client-server API, "Account locking", "Account suspension", "Guest Access"
 */
import { LRUCache } from 'lru-cache';
import { atMost } from '../base/at-most.ts';
import { MatrixError } from '../base/errors.ts';
import type { LocalRights, RoomAct } from '../engine/rooms/ports.ts';
import type { Account, Accounts } from './accounts.ts';

type Flags = Pick<Account, 'guest' | 'suspended' | 'locked' | 'deactivated'>;

const CACHED = 20_000;
const NOT_FOR_GUESTS: ReadonlySet<RoomAct> = new Set(['create', 'invite', 'knock']);

export class Standing implements LocalRights {
  readonly #accounts: Accounts;
  readonly #known = new LRUCache<string, Flags>(atMost(CACHED));
  /** Incremented by each change: what was read before one is not cached. */
  #generation = 0;

  constructor(accounts: Accounts) {
    this.#accounts = accounts;
    accounts.onChange((userId) => {
      this.#generation += 1;
      this.#known.delete(userId);
    });
  }

  /** @throws MatrixError 403 M_USER_SUSPENDED, M_USER_LOCKED, M_USER_DEACTIVATED or M_GUEST_ACCESS_FORBIDDEN */
  async require(userId: string, act: RoomAct): Promise<{ readonly guest: boolean }> {
    const flags = await this.#flags(userId);
    if (!flags || flags.deactivated) throw new MatrixError(403, 'M_USER_DEACTIVATED', 'This account is deactivated.');
    if (flags.locked) throw new MatrixError(403, 'M_USER_LOCKED', 'This account is locked.');
    if (flags.suspended) throw suspended();
    if (flags.guest && NOT_FOR_GUESTS.has(act)) throw notForGuests();
    return { guest: flags.guest };
  }

  /** Whether an account is locked or suspended, even if it was deactivated since. */
  async isRestricted(userId: string): Promise<boolean> {
    const flags = await this.#flags(userId);
    return flags !== undefined && (flags.locked || flags.suspended);
  }

  async isGuest(userId: string): Promise<boolean> {
    return (await this.#flags(userId))?.guest ?? false;
  }

  async isSuspended(userId: string): Promise<boolean> {
    return (await this.#flags(userId))?.suspended ?? false;
  }

  async #flags(userId: string): Promise<Flags | undefined> {
    const known = this.#known.get(userId);
    if (known) return known;
    const generation = this.#generation;
    const account = await this.#accounts.find(userId);
    if (account && generation === this.#generation) this.#known.set(userId, account);
    return account;
  }
}

/** A list of HTTP requests that change something, by method and path below the API version. */
interface Listed {
  readonly method: string;
  readonly path: RegExp;
}

/** Read-only requests, although their method is POST. */
const LOOKING = ['POST /search', 'POST /user_directory/search', 'POST /publicRooms', 'POST /keys/query'];

/** Requests that only concern the requester: their account, devices, keys and private data. */
const OWN = [
  'POST /login',
  'POST /login/get_token',
  'POST /register',
  'POST /refresh',
  'POST /logout',
  'POST /logout/all',
  'POST /account/deactivate',
  'POST /account/password',
  'PUT /devices/*',
  'DELETE /devices/*',
  'POST /delete_devices',
  'POST /user/*/filter',
  'PUT /user/*/account_data/*',
  'PUT /user/*/rooms/*/account_data/*',
  'DELETE /org.matrix.msc3391/user/*/account_data/*',
  'DELETE /org.matrix.msc3391/user/*/rooms/*/account_data/*',
  'PUT /user/*/rooms/*/tags/*',
  'DELETE /user/*/rooms/*/tags/*',
  'POST /keys/upload',
  'POST /keys/upload/*',
  'POST /keys/claim',
  'POST /keys/device_signing/upload',
  'POST /keys/signatures/upload',
  'PUT /sendToDevice/*/*',
  'POST /rooms/*/leave',
  'POST /rooms/*/forget',
  'PUT /rooms/*/redact/*/*',
  'POST /rooms/*/redact/*',
  // Anybody with the delay id may act; what is finally sent, and by whom, is checked then.
  'POST /org.matrix.msc4140/delayed_events/*',
  'POST /org.matrix.msc4140/delayed_events/*/*',
  'POST /_hansetag/client/v1/meetings/*/answer',
];

/** What suspended users may do; further checks are made where it is done (`rooms/`, `devices/to-device.ts`). */
const SUSPENDED = listed([
  ...LOOKING,
  ...OWN,
  'PUT /rooms/*/state/m.room.member/*',
  'PUT /rooms/*/send/m.room.redaction/*',
  'POST /rooms/*/receipt/m.read.private/*',
  'POST /room_keys/version',
  'PUT /room_keys/version/*',
  'DELETE /room_keys/version/*',
  'PUT /room_keys/keys',
  'DELETE /room_keys/keys',
  'PUT /room_keys/keys/*',
  'DELETE /room_keys/keys/*',
  'PUT /room_keys/keys/*/*',
  'DELETE /room_keys/keys/*/*',
  'PUT /org.matrix.msc3814.v1/dehydrated_device',
  'DELETE /org.matrix.msc3814.v1/dehydrated_device',
  'POST /org.matrix.msc3814.v1/dehydrated_device/*/events',
]);

/** What guests may do. */
const GUESTS = listed([
  ...LOOKING,
  ...OWN,
  'POST /join/*',
  'POST /rooms/*/join',
  'PUT /rooms/*/send/*/*',
  'POST /rooms/*/send/*',
  'PUT /rooms/*/state/*',
  'PUT /rooms/*/state/*/*',
  'PUT /rooms/*/typing/*',
  'POST /rooms/*/receipt/*/*',
  'POST /rooms/*/read_markers',
  'POST /rooms/*/report',
  'POST /rooms/*/report/*',
  'POST /users/*/report',
  'PUT /presence/*/status',
  'PUT /profile/*/*',
  'DELETE /profile/*/*',
  'PUT /pushrules/global/*/*',
  'DELETE /pushrules/global/*/*',
  'PUT /pushrules/global/*/*/enabled',
  'PUT /pushrules/global/*/*/actions',
  'POST /_matrix/media/upload',
  'PUT /_matrix/media/upload/*/*',
  'POST /_matrix/media/create',
  'POST /_hansetag/client/v1/links/*/join',
]);

/** Methods without side effects. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Whether a request may change something. */
export function isWrite(method: string): boolean {
  return !SAFE.has(method);
}

/**
 * The same for HTTP requests, checked before any router. What is not listed is refused, so that a new endpoint is
 * closed until it is considered.
 *
 * @param url path and query of the request
 * @throws MatrixError 403 M_USER_SUSPENDED or M_GUEST_ACCESS_FORBIDDEN
 */
export function requireMayRequest(
  { suspended: isSuspended, guest }: Pick<Account, 'suspended' | 'guest'>,
  method: string,
  url: string,
): void {
  if (!isWrite(method)) return;
  if (isSuspended && !SUSPENDED(method, url)) throw suspended();
  if (guest && !GUESTS(method, url)) throw notForGuests();
}

function listed(list: readonly string[]): (method: string, url: string) => boolean {
  const entries = list.map((entry): Listed => {
    const [method = '', path = ''] = entry.split(' ');
    const parts = path.split('/').map((part) => (part === '*' ? '[^/]+' : part.replaceAll('.', '\\.')));
    return { method, path: new RegExp(`^${parts.join('/')}/?$`) };
  });
  return (method, url) => {
    const path = plainPath(url);
    return entries.some((entry) => entry.method === method && entry.path.test(path));
  };
}

/** The path without the API version, as an endpoint exists under several. */
function plainPath(url: string): string {
  const path = url.replace(/[?#].*$/s, '');
  return path
    .replace(/^\/_matrix\/client\/(?:v[0-9]+|r0|unstable|api\/v1)(?=\/)/, '')
    .replace(/^(\/_matrix\/media)\/(?:v[0-9]+|r0)(?=\/)/, '$1');
}

function suspended(): MatrixError {
  return new MatrixError(403, 'M_USER_SUSPENDED', 'Your account is suspended: you can read, but not send.');
}

export function notForGuests(): MatrixError {
  return new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot do this.');
}
