/**
 * Our own signing keys, and as a notary those of other servers with our signature added.
 *
 * @see Matrix specification, server-server API, "Retrieving server keys"
 */
import express from 'express';
import type { Response, Router } from 'express';
import { z } from 'zod';
import { isServerName } from '../../../federation/identifiers.ts';
import { canonicalJson, DEPTH } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { serverKeysDocument } from '../../../federation/keyring.ts';
import type { KeyRing } from '../../../federation/keyring.ts';
import { signJson } from '../../../federation/signing.ts';
import { dictionaryOf } from '../../../protocol/values.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { readBody } from '../../base/http.ts';
import { ANONYMOUS_BODY_BYTES } from '../../base/limits.ts';
import type { SigningKeyFile } from '../../base/signing-key-file.ts';
import type { Trust } from '../trust/trust.ts';

export interface KeyRouterOptions {
  readonly serverName: string;
  readonly signing: SigningKeyFile;
  readonly keyring: KeyRing;
  /** Servers that we do not federate with, as far as we know, are never queried for others. */
  readonly trust: Pick<Trust, 'decision'>;
}

/** How long others may cache our key, in ms. */
const KEY_VALID_MS = 24 * 60 * 60 * 1000;
/** Most servers of one query; each may cost us a request. */
const MAX_SERVERS = 20;
const MAX_KEYS = 1_000;

const querySchema = z.looseObject({
  server_keys: dictionaryOf(
    z.string().max(255),
    dictionaryOf(z.string().max(255), z.looseObject({ minimum_valid_until_ts: z.number().int().optional() }), MAX_KEYS),
    MAX_SERVERS,
  ),
});

/** Mounted at the root. */
export function keyRouter({ serverName, signing, keyring, trust }: KeyRouterOptions): Router {
  const router = express.Router();
  const key = signing.keys;
  const own = async (): Promise<JsonObject> => {
    // Whoever asks because of a key that was rolled a moment ago finds it.
    await signing.look();
    return serverKeysDocument({ serverName, keys: key.published(), oldKeys: key.old(), validForMs: KEY_VALID_MS });
  };

  async function documents(asked: Iterable<[server: string, validUntil: number]>): Promise<JsonObject[]> {
    const found = await Promise.all(
      [...asked].map(async ([server, validUntil]) => {
        if (server === serverName) return own();
        if (!isServerName(server) || !trust.decision(server)?.trusted) return undefined;
        const document = await keyring.document(server, validUntil);
        return document && signJson(document, serverName, key);
      }),
    );
    return found.filter((document) => document !== undefined);
  }

  // Some servers verify the signature over the bytes as sent, so these are canonical JSON.
  const send = (response: Response, document: JsonObject): void => {
    response.setHeader('Content-Type', 'application/json');
    response.send(Buffer.from(canonicalJson(document)));
  };
  for (const path of ['/_matrix/key/v2/server', '/_matrix/key/v2/server/:keyId']) {
    methods(router, path, { get: async (_request, response) => send(response, await own()) });
  }
  methods(router, '/_matrix/key/v2/query', {
    post: async (request, response) => {
      const { value } = await readBody(request, response, { limit: ANONYMOUS_BODY_BYTES, maxDepth: DEPTH.written });
      const parsed = querySchema.safeParse(value);
      if (!parsed.success) throw new MatrixError(400, 'M_BAD_JSON', 'The key query is malformed.');
      const asked = Object.entries(parsed.data.server_keys).map(([server, keys]): [string, number] => [
        server,
        Math.max(0, ...Object.values(keys).map((entry) => entry.minimum_valid_until_ts ?? 0)),
      ]);
      send(response, { server_keys: await documents(asked) });
    },
  });
  for (const path of ['/_matrix/key/v2/query/:server', '/_matrix/key/v2/query/:server/:keyId']) {
    methods(router, path, {
      get: async (request, response) => {
        const server = String(request.params['server']);
        const validUntil = Number(request.query['minimum_valid_until_ts'] ?? 0);
        if (!Number.isSafeInteger(validUntil)) {
          throw new MatrixError(400, 'M_INVALID_PARAM', 'minimum_valid_until_ts is malformed.');
        }
        send(response, { server_keys: await documents([[server, validUntil]]) });
      },
    });
  }
  return router;
}
