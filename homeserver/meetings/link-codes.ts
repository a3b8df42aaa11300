/**
 * One-time codes by which somebody who has a guest link here goes on with an account of another organisation. A code counts
 * once, for two minutes, for one link, and for one organisation's server, which redeems it by a signed request. The link
 * and its password stay here.
 */
import type { Request } from 'express';
import { isServerName } from '../../federation/identifiers.ts';
import { serverOf } from '../../federation/event.ts';
import { LINK_ERRORS } from '../../protocol/guest-links.ts';
import type { Organisation } from '../../protocol/session.ts';
import { newSecret } from '../accounts/secrets.ts';
import type { ShortLived, ShortLivedValues } from '../accounts/short-lived.ts';
import { MatrixError } from '../base/errors.ts';
import { LINK_CODE_RATE, LINK_CODE_RATE_OF_LINK, LINK_REDEEM_RATE } from '../base/limits.ts';
import { addressKey, limiter, type Take, unprovenLimit } from '../base/rate-limits.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import { refusedByUs, type Trust, UntrustedError } from '../engine/trust/trust.ts';
import type { GuestLink } from './guest-links.ts';
import type { Elsewhere, LinkEntry } from './link-entry.ts';
import type { Organisations } from './organisations.ts';

/** A person logs in within this time, in ms; with a session at their organisation it takes a second. */
export const CODE_LIFE_MS = 2 * 60 * 1000;

export interface LinkCodesOptions {
  readonly serverName: string;
  readonly publicUrl: string;
  readonly shortLived: ShortLived;
  readonly rooms: Pick<Rooms, 'serverAllowed'>;
  readonly entry: Pick<LinkEntry, 'again' | 'invite' | 'requireStranger'>;
  readonly organisations: Pick<Organisations, 'own' | 'ofClient' | 'clientOf' | 'info'>;
  readonly trust: Pick<Trust, 'settle'>;
  /** The limits are multiplied by it; 0 turns them off. */
  readonly rateLimitFactor: number;
}

/** What a code stands for. */
type Kept = Pick<GuestLink, 'linkId' | 'tokenHash'>;

export interface Onward {
  readonly organisation: Organisation;
  /** In the client of that organisation. */
  readonly url: string;
}

export class LinkCodes {
  readonly #options: LinkCodesOptions;
  readonly #codes: ShortLivedValues<Kept>;
  readonly #lookUps;
  readonly #ofAddress: Take;
  readonly #ofLink: Take;
  readonly #ofServer: Take;

  constructor(options: LinkCodesOptions) {
    const { shortLived, rateLimitFactor } = options;
    this.#options = options;
    this.#codes = shortLived.of('guest-link-code', CODE_LIFE_MS);
    this.#lookUps = unprovenLimit(rateLimitFactor);
    this.#ofAddress = limiter(LINK_CODE_RATE, rateLimitFactor);
    this.#ofLink = limiter(LINK_CODE_RATE_OF_LINK, rateLimitFactor);
    this.#ofServer = limiter(LINK_REDEEM_RATE, rateLimitFactor);
  }

  /**
   * A code for the organisation that somebody named, and the way there. What they typed leads nowhere: the address is that
   * of the organisation's signed discovery document.
   *
   * @param typed a server name, a Matrix id, a mail address or the address of a client
   * @throws MatrixError 404 for what is no organisation of ours to go on with, 403 for one that is not trusted or is shut
   *   out of the meeting, or without the link's password, 429
   */
  async issue(
    link: GuestLink,
    token: string,
    typed: string,
    password: string | undefined,
    request: Request,
  ): Promise<Onward> {
    const { serverName, publicUrl, organisations, entry, rooms } = this.#options;
    await this.#ofAddress?.(addressKey(request.ip));
    await entry.requireStranger(link, { password, address: request.ip });
    const names = namesIn(typed);
    const known = organisations.ofClient(names.address);
    const candidates = known === undefined ? names.servers : [known];
    if (candidates.includes(serverName)) {
      return {
        organisation: organisations.own,
        url: `${publicUrl}/login?then=${encodeURIComponent(`/join/${token}`)}`,
      };
    }
    const { server, client } = await this.#lookUps.lookUp(request, () => this.#find(candidates));
    if (!(await rooms.serverAllowed(link.roomId, server))) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'This organisation is shut out of this meeting.', {
        organisation: server,
      });
    }
    await this.#ofLink?.(link.linkId);
    const code = newSecret('');
    await this.#codes.set(keyOf(server, code), { linkId: link.linkId, tokenHash: link.tokenHash });
    const url = new URL('join-from', `${client}/`);
    url.searchParams.set('server', serverName);
    url.searchParams.set('code', code);
    return { organisation: await organisations.info(server), url: url.href };
  }

  /**
   * Redeems a code for one of the asking server's people.
   *
   * @param origin the server, which has signed the request
   * @throws MatrixError 404 for a code that is unknown, used, over, for another server, or of a link that has ended; 403
   *   where the meeting does not let that person in; 429
   */
  async redeem(origin: string, code: string, userId: string): Promise<{ roomId: string; go: Elsewhere }> {
    const { entry, rooms } = this.#options;
    await this.#ofServer?.(origin);
    if (serverOf(userId) !== origin) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'A server redeems codes for its own people only.');
    }
    // Under its server: another one that has got hold of the code does not even use it up.
    const kept = await this.#codes.take(keyOf(origin, code));
    if (!kept) throw new MatrixError(404, LINK_ERRORS.code, 'This code is not valid (any more).');
    const link = await entry.again(kept);
    if (!(await rooms.serverAllowed(link.roomId, origin))) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'This organisation is shut out of this meeting.');
    }
    return { roomId: link.roomId, go: await entry.invite(link, userId) };
  }

  /** The first of these servers that is trusted and says where its people take part. */
  async #find(servers: readonly string[]): Promise<{ server: string; client: string }> {
    const { trust, organisations } = this.#options;
    let refusal: MatrixError | undefined;
    for (const server of servers) {
      const decision = await trust.settle(server);
      if (!decision.trusted) {
        refusal ??= refusedByUs(new UntrustedError(server, decision));
        continue;
      }
      const client = await organisations.clientOf(server);
      if (client !== undefined) return { server, client };
    }
    throw (
      refusal ??
      new MatrixError(
        404,
        LINK_ERRORS.noOrganisation,
        'No organisation of this name was found that you could go on with.',
      )
    );
  }
}

function keyOf(server: string, code: string): string {
  return `${server} ${code}`;
}

/** What somebody may mean: the address as it stands, and servers by the likelihood that it is theirs. */
function namesIn(typed: string): { address: string; servers: readonly string[] } {
  const text = typed.trim().toLowerCase();
  const url = /^https?:\/\//.test(text) && URL.canParse(text) ? new URL(text).host : undefined;
  // "@anna:hamburg.example", "anna@hamburg.example", "hamburg.example/", "hamburg.example"
  const address =
    url ??
    text
      .replace(/^@[^:]*:/, '')
      .replace(/^.*@/, '')
      .replace(/[/?#].*$/, '');
  // The client of "hamburg.example" is at "meet.hamburg.example", as often as not.
  const [, above] = /^[^.:[\]]+\.([^:[\]]+\.[^:[\]]+)$/.exec(address) ?? [];
  return { address, servers: [address, ...(above === undefined ? [] : [above])].filter(isServerName) };
}
