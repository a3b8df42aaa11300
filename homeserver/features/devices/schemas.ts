/**
 * Schemas of keys as clients upload them and other servers send them. Unknown members are kept, because signatures
 * cover them.
 *
 * @see Matrix specification, client-server API, "End-to-End Encryption"
 */
import { z } from 'zod';
import { isUserId } from '../../../federation/identifiers.ts';
import { isJsonObject } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import { dictionaryOf } from '../../../protocol/values.ts';

/** Longest key or signature: far more than any current algorithm needs. */
const MAX_KEY = 8192;
const MAX_ALGORITHMS = 50;
const MAX_SIGNERS = 50;
/** Most one-time keys of one upload. */
const MAX_KEYS = 2000;
/** Most devices of a remote user. */
export const MAX_DEVICES = 1000;
/** Most users of one query. */
const MAX_USERS = 10_000;

/** A name of at most `max` characters. PostgreSQL cannot store NUL in text. */
function name(max: number): z.ZodString {
  return z
    .string()
    .max(max)
    .regex(/^[^\0]*$/, 'has a NUL');
}

export const deviceIdSchema = name(255).min(1);
export const userIdSchema = z.string().refine(isUserId, 'is not a user id');
const keyIdSchema = name(512).min(1);
/** Text of a key or a signature. */
const keyTextSchema = name(MAX_KEY);
const valueSchema = z.custom<JsonValue>((value) => value !== undefined);

const signaturesSchema = dictionaryOf(name(255), dictionaryOf(keyIdSchema, keyTextSchema, MAX_SIGNERS), MAX_SIGNERS);

const keysSchema = dictionaryOf(keyIdSchema, keyTextSchema, MAX_SIGNERS);

/** Identity keys of a device. */
export const deviceKeysSchema = z.looseObject({
  user_id: name(255),
  device_id: deviceIdSchema,
  algorithms: z.array(name(255)).max(MAX_ALGORITHMS),
  keys: keysSchema,
  signatures: signaturesSchema.optional(),
});

/** A one-time or fallback key: text, or an object that is signed. */
const signedKeySchema = z.union([
  keyTextSchema,
  z.looseObject({ key: keyTextSchema, signatures: signaturesSchema.optional() }),
]);
const namedKeysSchema = dictionaryOf(
  keyIdSchema.regex(/^[^:]+:./s, 'is not an algorithm and a key id'),
  signedKeySchema,
  MAX_KEYS,
);

export const uploadSchema = z.looseObject({
  device_keys: deviceKeysSchema.nullish(),
  one_time_keys: namedKeysSchema.nullish(),
  fallback_keys: namedKeysSchema.nullish(),
  'org.matrix.msc2732.fallback_keys': namedKeysSchema.nullish(),
});
export type Upload = z.output<typeof uploadSchema>;

/** A dehydrated device. @see MSC3814 */
export const dehydratedSchema = uploadSchema.extend({
  device_id: deviceIdSchema,
  device_data: z.custom<JsonObject>(isJsonObject),
  initial_device_display_name: name(255).nullish(),
  device_keys: deviceKeysSchema,
});
export type DehydratedUpload = z.output<typeof dehydratedSchema>;

/** A cross-signing key. */
export const crossSigningKeySchema = z.looseObject({
  user_id: name(255),
  usage: z.array(name(255)).max(20),
  keys: keysSchema.refine((keys) => Object.keys(keys).length === 1, 'must have exactly one key'),
  signatures: signaturesSchema.optional(),
});

export const signingUploadSchema = z.looseObject({
  master_key: crossSigningKeySchema.nullish(),
  self_signing_key: crossSigningKeySchema.nullish(),
  user_signing_key: crossSigningKeySchema.nullish(),
});
export type SigningUpload = z.output<typeof signingUploadSchema>;

export const signaturesUploadSchema = dictionaryOf(
  name(255),
  dictionaryOf(keyIdSchema, z.custom<JsonObject>(isJsonObject), MAX_DEVICES),
  MAX_DEVICES,
);
export type SignaturesUpload = z.output<typeof signaturesUploadSchema>;

export const querySchema = z.looseObject({
  device_keys: dictionaryOf(name(255), z.array(name(255)).max(MAX_DEVICES), MAX_USERS),
  timeout: z.number().int().nonnegative().nullish(),
});
export type KeyQuestion = z.output<typeof querySchema>;

export const claimSchema = z.looseObject({
  one_time_keys: dictionaryOf(name(255), dictionaryOf(name(255), name(255), MAX_DEVICES), MAX_USERS),
  timeout: z.number().int().nonnegative().nullish(),
});
export type KeyClaim = z.output<typeof claimSchema>;

/** The response of another server with the device list of a user. */
export const remoteListSchema = z.looseObject({
  user_id: name(255),
  stream_id: z.number().int().nonnegative(),
  devices: z
    .array(
      z.looseObject({
        device_id: deviceIdSchema,
        keys: deviceKeysSchema,
        device_display_name: name(1000).nullish(),
      }),
    )
    .max(MAX_DEVICES),
  master_key: crossSigningKeySchema.nullish(),
  self_signing_key: crossSigningKeySchema.nullish(),
});
export type RemoteList = z.output<typeof remoteListSchema>;

/** The response of another server to a key query. Entries are checked one by one. */
export const remoteKeysSchema = z.looseObject({
  device_keys: dictionaryOf(z.string(), dictionaryOf(z.string(), valueSchema, MAX_DEVICES), MAX_USERS).optional(),
  master_keys: dictionaryOf(z.string(), valueSchema, MAX_USERS).optional(),
  self_signing_keys: dictionaryOf(z.string(), valueSchema, MAX_USERS).optional(),
});

export const remoteClaimSchema = z.looseObject({
  one_time_keys: dictionaryOf(
    z.string(),
    dictionaryOf(z.string(), dictionaryOf(z.string(), valueSchema, MAX_KEYS), MAX_DEVICES),
    MAX_USERS,
  ).optional(),
});

/** @see Matrix specification, server-server API, "Device Management" */
export const deviceListUpdateSchema = z.looseObject({
  user_id: userIdSchema,
  device_id: deviceIdSchema,
  stream_id: z.number().int().nonnegative(),
  prev_id: z.array(z.number().int().nonnegative()).max(1000).default([]),
  keys: deviceKeysSchema.nullish(),
  deleted: z.boolean().nullish(),
  device_display_name: name(1000).nullish(),
});
export type DeviceListUpdate = z.output<typeof deviceListUpdateSchema>;

export const signingKeyUpdateSchema = z.looseObject({
  user_id: userIdSchema,
  master_key: crossSigningKeySchema.nullish(),
  self_signing_key: crossSigningKeySchema.nullish(),
});
export type SigningKeyUpdate = z.output<typeof signingKeyUpdateSchema>;

/** @see Matrix specification, server-server API, "Send-to-device messaging" */
export const directToDeviceSchema = z.looseObject({
  sender: userIdSchema,
  type: name(255),
  message_id: name(255),
  messages: dictionaryOf(
    name(255),
    dictionaryOf(name(255), z.custom<JsonObject>(isJsonObject), MAX_DEVICES),
    MAX_USERS,
  ),
});

export const sendToDeviceSchema = z.looseObject({
  messages: dictionaryOf(
    name(255),
    dictionaryOf(name(255), z.custom<JsonObject>(isJsonObject), MAX_DEVICES),
    MAX_USERS,
  ),
});
