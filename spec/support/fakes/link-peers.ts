/**
 * The requests that links make to other instances, between instances in this process: with the answers and refusals of the
 * real ones (it passes spec/meetings/contracts/link-peers.contract.ts), and a way on which requests get lost.
 */
import { FederationError } from '../../../federation/client.ts';
import type { Clock } from '../../../homeserver/base/clock.ts';
import { MatrixError } from '../../../homeserver/base/errors.ts';
import { UNKNOWN_LINK } from '../../../homeserver/base/names.ts';
import type { Link } from '../../../homeserver/meetings/conference/link.ts';
import type { LinkPeers } from '../../../homeserver/meetings/conference/link-ports.ts';
import {
  type Discovery,
  discoverySchema,
  linkHalfSchema,
  offersSchema,
} from '../../../homeserver/meetings/conference/messages.ts';
import { linkRefusal } from '../../../homeserver/meetings/federation-router.ts';

export type LinkRequest = 'discovery' | 'ask' | 'open' | 'check' | 'wants' | 'close' | 'askToOpen';

/**
 * What becomes of a request: it is answered, lost on its way, or carried out while the answer is lost (both end with the
 * time-out); nobody is reached; or the homeserver there fails.
 */
export type Fate = 'answered' | 'lost' | 'answer lost' | 'unreachable' | 'fails';

/** How long each request waits for its answer, in ms, as in peers.ts. */
const TIMEOUT_MS = 8_000;
const CHECK_TIMEOUT_MS = 4_000;

/** What an instance is asked about a link. */
export type AskedLink = Pick<Link, 'accept' | 'check' | 'serve' | 'closedByPeer' | 'reopen'>;

/** An instance, as the others reach it. */
export interface FakeInstance {
  readonly discovery: () => Discovery;
  /** The link of an asking instance in a conference; undefined where there is none with participants of both. */
  readonly link: (roomId: string, from: string) => AskedLink | undefined;
}

export class FakeNetwork {
  readonly #clock: Clock;
  readonly #instances = new Map<string, FakeInstance>();
  /** All requests that were made, in their order. */
  readonly requests: { readonly from: string; readonly to: string; readonly what: LinkRequest }[] = [];
  /** How long a message takes one way, in ms. */
  delay: (from: string, to: string) => number = () => 0;
  fate: (from: string, to: string, what: LinkRequest) => Fate = () => 'answered';
  /** Whether a live message arrives; where it does not, its sender waits for the answer to the end. */
  isHeard: (from: string, to: string) => boolean = () => true;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An instance comes to be. @returns how it reaches the others */
  add(serverName: string, instance: FakeInstance): LinkPeers {
    this.#instances.set(serverName, instance);
    return this.peersOf(serverName);
  }

  peersOf(from: string): LinkPeers {
    /** The link that is asked about. */
    const link = (to: FakeInstance, roomId: string): AskedLink => {
      const found = to.link(roomId, from);
      if (!found) throw new MatrixError(403, 'M_FORBIDDEN', 'There is no conference here with participants of both.');
      return found;
    };
    const discovery = (server: string, what: LinkRequest): Promise<Discovery> =>
      this.#request(from, server, what, TIMEOUT_MS, (to) => Promise.resolve(discoverySchema.parse(to.discovery())));
    return {
      discovery: ({ server }) => discovery(server, 'discovery'),
      forgetDiscovery: () => undefined,
      ask: async ({ server }) => {
        await discovery(server, 'ask');
      },
      open: ({ server }, roomId, linkId, half) =>
        this.#request(from, server, 'open', TIMEOUT_MS, async (to) =>
          linkHalfSchema.parse(await link(to, roomId).accept(linkId, linkHalfSchema.parse(half))),
        ),
      check: ({ server }, roomId, linkId) =>
        this.#request(from, server, 'check', CHECK_TIMEOUT_MS, (to) => Promise.resolve(link(to, roomId).check(linkId))),
      wants: ({ server }, roomId, linkId, keys) =>
        this.#request(from, server, 'wants', TIMEOUT_MS, async (to) => {
          const sources = await link(to, roomId).serve(linkId, [...new Set(keys)]);
          return offersSchema.parse({ sources }).sources;
        }),
      close: ({ server }, roomId, linkId) =>
        this.#request(from, server, 'close', TIMEOUT_MS, (to) =>
          Promise.resolve(to.link(roomId, from)?.closedByPeer(linkId)),
        ),
      askToOpen: ({ server }, roomId) => {
        this.#request(from, server, 'askToOpen', TIMEOUT_MS, (to) =>
          Promise.resolve(to.link(roomId, from)?.reopen()),
        ).catch(() => undefined);
      },
      isUnknownLink: (error) => error instanceof FederationError && error.errcode === UNKNOWN_LINK,
      isSilence: (error) =>
        error instanceof FederationError && ['NOT_FOUND', 'UNREACHABLE', 'TIMEOUT'].includes(error.code),
    };
  }

  async #request<T>(
    from: string,
    to: string,
    what: LinkRequest,
    timeoutMs: number,
    carryOut: (to: FakeInstance) => Promise<T>,
  ): Promise<T> {
    this.requests.push({ from, to, what });
    const fate = this.fate(from, to, what);
    const there = this.#instances.get(to);
    if (fate === 'unreachable' || !there) throw new FederationError('UNREACHABLE', to, 'nobody is reached');
    return new Promise<T>((resolve, reject) => {
      const cancel = this.#clock.after(timeoutMs, () =>
        reject(new FederationError('TIMEOUT', to, 'no answer came in time')),
      );
      const answer = (settle: () => void): void => {
        if (fate === 'answer lost') return;
        this.#clock.after(this.delay(to, from), () => {
          cancel();
          settle();
        });
      };
      if (fate === 'lost') return;
      this.#clock.after(this.delay(from, to), () => {
        if (fate === 'fails') {
          answer(() => reject(refusal(to, new MatrixError(500, 'M_UNKNOWN', 'it failed'))));
          return;
        }
        // What is refused at once is refused as what is refused later.
        Promise.resolve()
          .then(() => carryOut(there))
          .then(
            (result) => answer(() => resolve(result)),
            (error: unknown) => answer(() => reject(refusal(to, error))),
          );
      });
    });
  }
}

/** What the asker gets to see of an error. */
function refusal(server: string, error: unknown): FederationError {
  const told = linkRefusal(error);
  const { status, errcode } = told instanceof MatrixError ? told : { status: 500, errcode: 'M_UNKNOWN' };
  return new FederationError('REFUSED', server, `refused: ${String(error)}`, { status, errcode });
}
