/** Guest links, put together: what they are, who comes in by them, and the way for people of other organisations. */
import type { RequestHandler, Router } from 'express';
import type { FederationClient } from '../../federation/client.ts';
import type { Accounts } from '../accounts/accounts.ts';
import type { PasswordConfig } from '../accounts/passwords.ts';
import type { Sessions } from '../accounts/sessions.ts';
import type { ShortLived } from '../accounts/short-lived.ts';
import type { Standing } from '../accounts/standing.ts';
import type { Tenants } from '../accounts/tenants/tenants.ts';
import type { Seal } from '../accounts/seal.ts';
import type { Database } from '../database/database.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { Trust } from '../engine/trust/trust.ts';
import { GuestLinks } from './guest-links.ts';
import { JoinFrom } from './join-from.ts';
import { joinFromFederationRouter, joinFromRouter } from './join-from-router.ts';
import { LinkCodes } from './link-codes.ts';
import { LinkEntry } from './link-entry.ts';
import { LinkPasswords } from './link-passwords.ts';
import { linksRouter } from './links-router.ts';
import type { Meetings } from './meetings.ts';
import type { Organisations } from './organisations.ts';
import type { Rights } from './rights.ts';
import type { MeetingRules } from './rules/meeting-rules.ts';
import type { ServiceUser } from './service-user.ts';

export interface LinksDeps {
  readonly serverName: string;
  readonly publicUrl: string;
  readonly db: Database;
  readonly seal: Seal;
  readonly shortLived: ShortLived;
  readonly passwords: PasswordConfig;
  readonly rateLimitFactor: number;
  readonly rooms: Rooms;
  readonly rights: Rights;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly standing: Standing;
  readonly tenants: Pick<Tenants, 'organisationOf'>;
  readonly service: ServiceUser;
  readonly rules: Pick<MeetingRules, 'rule'>;
  readonly meetings: Pick<Meetings, 'title'>;
  readonly organisations: Organisations;
  readonly trust: Trust;
  readonly client: FederationClient;
  readonly requireSession: RequestHandler;
  readonly limitAnonymous: RequestHandler;
  readonly signed: RequestHandler;
  /** A link of a room was ended: who came by it may wait no more. */
  ended(roomId: string): void;
}

export interface LinksFeature {
  readonly links: GuestLinks;
  readonly entry: LinkEntry;
  readonly client: readonly Router[];
  readonly federation: Router;
}

export function makeLinks(deps: LinksDeps): LinksFeature {
  const links = new GuestLinks(deps.db, deps.seal);
  const passwords = new LinkPasswords({ cost: deps.passwords.cost, rateLimitFactor: deps.rateLimitFactor });
  const entry = new LinkEntry({ ...deps, links, passwords });
  const codes = new LinkCodes({ ...deps, entry });
  return {
    links,
    entry,
    client: [
      linksRouter({ ...deps, links, entry, passwords }),
      joinFromRouter({ ...deps, entry, codes, joinFrom: new JoinFrom(deps) }),
    ],
    federation: joinFromFederationRouter({ codes, signed: deps.signed }),
  };
}
