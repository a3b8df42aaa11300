/** The client API, as people of all kinds ask it, and log-in with what ends accounts and the OAuth API. */
import type { Random } from '../../../soak/random.ts';
import { ACCOUNT_EXAMPLES, CLIENT_EXAMPLES, OAUTH_ROUTES } from '../examples.ts';
import type { Answered, Face } from '../face.ts';
import { inside, Sender } from '../http.ts';
import { addressOf, named, routeInput } from '../route-inputs.ts';
import type { Examples, RouteInput } from '../route-inputs.ts';
import type { Route } from '../target-messages.ts';
import type { Target } from '../target-process.ts';
import { World } from '../world.ts';

const OF_CLIENTS = /^\/(_matrix\/(client|media)|_synapse|_hansetag\/(client|health)|\.well-known|oauth2)(\/|$)/;
const OF_ACCOUNTS =
  /\/(login|logout|register|refresh|delete_devices|sso|auth|oauth2|oidc|admin\/whois)(\/|$)|\/account\/(password|deactivate)|whois/;
/** Older ways to the same handlers. */
const OLDER = /^\/_matrix\/(client\/(r0|api\/v1)|media\/(r0|v1))\//;

/** Of the routes those that this face is about, each handler once. */
export function clientRoutes(routes: readonly Route[], about: 'client' | 'accounts'): Route[] {
  const all = new Set(routes.map(({ method, path }) => `${method} ${path}`));
  const once = routes.filter(({ method, path }) => {
    if (!OF_CLIENTS.test(path) || OLDER.test(path)) return false;
    return !path.includes('/client/unstable/') || !all.has(`${method} ${path.replace('/unstable/', '/v3/')}`);
  });
  const isOfAccounts = ({ method, path }: Route): boolean =>
    OF_ACCOUNTS.test(path) || (method === 'DELETE' && path.endsWith('/devices/:deviceId'));
  const chosen = once.filter((route) => isOfAccounts(route) === (about === 'accounts'));
  const lines = [...new Set(chosen.map(({ method, path }) => `${method} ${path}`))].sort();
  const unique = lines.map((line) => {
    const [method = '', path = ''] = line.split(' ');
    return { method, path };
  });
  return about === 'accounts' ? [...unique, ...OAUTH_ROUTES] : unique;
}

/** Members of answers that later inputs name. */
const FURTHER: readonly (readonly [key: string, name: string])[] = [
  ['session', 'uia'],
  ['client_id', 'client'],
  ['refresh_token', 'refresh'],
  ['delay_id', 'delay'],
];

class ClientFace implements Face<RouteInput> {
  readonly #routes: readonly Route[];
  readonly #examples: Examples;
  readonly #world: World;
  readonly #sender: Sender;
  readonly #again: (world: World) => Promise<void>;
  #transactions = 0;

  constructor(target: Target, about: 'client' | 'accounts', world: World, again: (world: World) => Promise<void>) {
    const { url, routes } = target.homeserver;
    const { hostname, port } = new URL(url);
    this.#routes = clientRoutes(routes, about);
    this.#examples = about === 'client' ? CLIENT_EXAMPLES : ACCOUNT_EXAMPLES;
    this.#world = world;
    this.#sender = new Sender({ host: hostname, port: Number(port) });
    this.#again = again;
  }

  make(random: Random): RouteInput {
    return routeInput(random, this.#routes, this.#examples);
  }

  async send(input: RouteInput): Promise<Answered> {
    const { names, tokens } = this.#world;
    names.set('txn', String((this.#transactions += 1)));
    const token = tokens.get(input.as);
    const reply = await this.#sender.send({
      method: input.route.method,
      path: addressOf(input, names),
      headers: { ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }), ...input.headers },
      delivery: input.delivery,
      ...(input.body === undefined ? {} : { body: named(input.body, names) }),
    });
    // The next steps of what was begun.
    for (const [key, name] of FURTHER) {
      const value = inside(reply, key);
      if (typeof value === 'string') names.set(name, value);
    }
    return reply;
  }

  mend(): Promise<void> {
    return this.#again(this.#world);
  }

  close(): Promise<void> {
    this.#sender.close();
    return Promise.resolve();
  }
}

/** Rooms and things of a member of the staff, a colleague and a guest. */
export async function clientFace(target: Target): Promise<Face<RouteInput>> {
  const world = new World(target);
  const again = async (): Promise<void> => {
    await world.people(['user', 'other']);
    await world.room(['user', 'other']);
    await world.things();
  };
  await world.admin();
  await again();
  return new ClientFace(target, 'client', world, again);
}

/** `spare` loses sessions and devices, `user` is only named. */
export async function accountsFace(target: Target): Promise<Face<RouteInput>> {
  const world = new World(target);
  const again = async (): Promise<void> => {
    await world.people(['spare', 'user']);
  };
  await world.admin();
  await again();
  // The first who asks waits until the provider is loaded.
  await fetch(`${target.homeserver.url}/oauth2/jwks`);
  return new ClientFace(target, 'accounts', world, again);
}
