/** Server information, versions and capabilities. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { DEFAULT_ROOM_VERSION, SUPPORTED_ROOM_VERSIONS } from '../../federation/room-versions.ts';
import type { Info } from '../../protocol/client-api.ts';
import type { PasswordConfig } from '../accounts/passwords.ts';
import type { WellKnownConfig } from '../config.ts';
import type { Trust } from '../engine/trust/trust.ts';
import { methods } from '../base/errors.ts';
import type { CertificateHealth } from '../engine/trust/own-statement.ts';
import { requesterOf } from '../base/parse.ts';

export interface CapabilitiesRouterOptions {
  readonly publicUrl: string;
  readonly wellKnown: WellKnownConfig;
  readonly info: Info;
  readonly passwords: PasswordConfig;
  readonly requireSession: RequestHandler;
  readonly databaseUp: () => Promise<boolean>;
  /** Absent without an SFU. */
  readonly sfuUp?: () => boolean;
  /** Absent when there is no identity provider. */
  readonly provider?: { readonly isUp: boolean };
  /** Absent when the organisation has no certificate. */
  readonly ownStatement?: { readonly health: CertificateHealth } | undefined;
  readonly trust: Pick<Trust, 'summary'>;
}

/** Supported versions of the client-server API. */
const VERSIONS = Array.from({ length: 16 }, (_, index) => `v1.${String(index + 1)}`);

/**
 * Unstable features that clients look for. Only features that are complete under their unstable names are announced;
 * clients find specified ones by the version.
 */
const UNSTABLE = {
  // Threads, in their stable form.
  'org.matrix.msc3440.stable': true,
  // Filtering by relations.
  'org.matrix.msc3874': true,
  // Room summaries; mutual rooms.
  'im.nheko.summary': true,
  'uk.half-shot.msc2666.query_mutual_rooms': true,
  // Sticky events.
  'org.matrix.msc4354': true,
  // Invite permissions; deleting account data.
  'org.matrix.msc4155': true,
  'org.matrix.msc3391': true,
  // Redactions sent by `/send`.
  'com.beeper.msc4169': true,
  // Delayed events.
  'org.matrix.msc4140': true,
};

/** Mounted at the root of the client server. */
export function capabilitiesRouter(options: CapabilitiesRouterOptions): Router {
  const { publicUrl, wellKnown, info, passwords, requireSession, databaseUp, sfuUp, provider, ownStatement, trust } =
    options;
  const router = express.Router();

  methods(router, '/.well-known/matrix/client', {
    get: (_request, response) => {
      response.json({ 'm.homeserver': { base_url: publicUrl } });
    },
  });
  const { server, supportEmail, supportPage } = wellKnown;
  if (server !== undefined) {
    methods(router, '/.well-known/matrix/server', {
      get: (_request, response) => void response.json({ 'm.server': server }),
    });
  }
  if (supportEmail !== undefined || supportPage !== undefined) {
    methods(router, '/.well-known/matrix/support', {
      get: (_request, response) => {
        response.json({
          ...(supportEmail === undefined ? {} : { contacts: [{ role: 'm.role.admin', email_address: supportEmail }] }),
          ...(supportPage === undefined ? {} : { support_page: supportPage }),
        });
      },
    });
  }
  methods(router, '/_matrix/client/versions', {
    get: (_request, response) => {
      response.json({ versions: VERSIONS, unstable_features: UNSTABLE });
    },
  });
  for (const version of ['v3', 'r0']) {
    methods(router, `/_matrix/client/${version}/capabilities`, {
      get: [
        requireSession,
        (_request, response) => {
          const available = Object.fromEntries(
            SUPPORTED_ROOM_VERSIONS.map((version) => [version, /^\d+$/.test(version) ? 'stable' : 'unstable']),
          );
          response.json({
            capabilities: {
              'm.room_versions': { default: DEFAULT_ROOM_VERSION, available },
              'm.change_password': { enabled: passwords.login },
              'm.set_displayname': { enabled: true },
              'm.set_avatar_url': { enabled: true },
              'm.profile_fields': { enabled: true },
              'm.3pid_changes': { enabled: false },
              'm.get_login_token': { enabled: true },
              ...(requesterOf(response).admin ? { 'm.account_moderation': { lock: true, suspend: true } } : {}),
            },
          });
        },
      ],
    });
  }

  methods(router, '/_hansetag/client/v1/info', {
    get: (_request, response) => {
      response.json(info);
    },
  });
  methods(router, '/_hansetag/health', {
    get: async (_request, response) => {
      const database = await databaseUp();
      const sfu = sfuUp?.();
      const identityProvider = provider?.isUp;
      const certificate = ownStatement?.health;
      const isVouchedFor = certificate === undefined || ['valid', 'ends-soon'].includes(certificate.state);
      response.status(database ? 200 : 503).json({
        status: database && sfu !== false && identityProvider !== false && isVouchedFor ? 'ok' : 'degraded',
        database: database ? 'up' : 'down',
        sfu: stateOf(sfu),
        identityProvider: stateOf(identityProvider),
        ...(certificate ? { organisationCertificate: certificate } : {}),
        // Anybody may ask: which organisations these are is in the log.
        trust: trust.summary(),
      });
    },
  });

  return router;
}

function stateOf(isUp: boolean | undefined): 'off' | 'up' | 'down' {
  if (isUp === undefined) return 'off';
  return isUp ? 'up' : 'down';
}
