/**
 * Everything that instances say to each other about a conference, beyond room events. docs/federation.md describes it.
 * Field names are snake_case, as in Matrix.
 */
import { z } from 'zod';
import { signalsSchema } from '../../../protocol/modules/list.ts';
import { endForSchema } from '../../../protocol/modules/moderation.ts';
import { isJsonObject, type JsonObject } from '../../../federation/json.ts';
import { dictionaryOf, MAX_TIME } from '../../../protocol/values.ts';
import { MAIN_NODE, nodeNameSchema } from './link-node.ts';
import {
  idSchema,
  rtpParametersSchema,
  type Source,
  sourceSchema,
  srtpParametersSchema,
} from '../../../protocol/media.ts';

const port = z.number().int().min(1024).max(65535);
const MAX_SIGNATURES = 100;
/** Orders in one message. */
const MAX_ORDERS = 20;
const userId = z.string().min(3).max(255).startsWith('@');
const deviceId = z.string().min(1).max(255);

/** `GET /_hansetag/federation/v1/discovery`: who the instance is and where its SFU takes link media. Signed JSON. */
export const discoverySchema = z.object({
  server_name: z.string().min(1).max(255),
  organisation: z.object({ display_name: z.string().min(1).max(256), colour: z.string().regex(/^#[0-9a-fA-F]{6}$/) }),
  /** Where its people take part: the address of its client. What is no such address is left out. */
  client: z
    .url({ protocol: /^https?$/ })
    .max(1000)
    .optional()
    .catch(undefined),
  /** Absent while the instance has no SFU. */
  sfu: z
    .object({ address: z.union([z.ipv4(), z.ipv6()]), min_port: port, max_port: port, probe_port: port })
    .optional(),
  /** Both by the clock of the server: what counts is the time between them. */
  issued_ts: z.number().int().min(0).max(MAX_TIME).optional(),
  valid_until_ts: z.number().int().min(0).max(MAX_TIME),
  signatures: dictionaryOf(z.string(), dictionaryOf(z.string(), z.string(), MAX_SIGNATURES), MAX_SIGNATURES),
});
export type Discovery = z.infer<typeof discoverySchema>;

/** One source of a participant, as its instance says. */
export interface RemoteSource {
  readonly source: Source;
  /** Changes when the source is published anew. */
  readonly id: string;
  readonly paused: boolean;
  /**
   * When it was last published or resumed, Unix ms by the clock of its instance: another time shows that it was paused or
   * gone in between. Undefined where the instance does not know, as after a restart, or does not say.
   */
  readonly resumedAt?: number;
}
export const remoteSourceSchema = z
  .object({
    source: sourceSchema,
    id: idSchema,
    paused: z.boolean(),
    resumed_ts: z.number().int().min(0).max(MAX_TIME).optional(),
  })
  .transform(({ resumed_ts: resumedAt, ...source }): RemoteSource =>
    resumedAt === undefined ? source : { ...source, resumedAt },
  );

/** What a live message and its older form, the EDU, both say. */
const liveContentSchema = z.object({
  /** The whole state of each named participant; others are unchanged. */
  participants: z
    .array(
      z.object({
        user_id: userId,
        device_id: deviceId,
        sources: z.array(remoteSourceSchema).max(4),
        reconnecting: z.boolean().optional(),
        /** As clients see them. Instances without these modules do not send it. */
        signals: signalsSchema.optional().catch(undefined),
      }),
    )
    .max(500)
    .optional(),
  /** Short-lived data of modules, by the name of each: not kept, and not sent again. */
  modules: dictionaryOf(z.string().max(64), z.unknown(), 20).optional(),
  /** Asks the receiver to send the state of all its participants. */
  resend: z.boolean().optional(),
  /** Asks the instance that opens the link to open it anew. */
  relink: z.boolean().optional(),
});
export type LiveContent = z.infer<typeof liveContentSchema>;

/** Content of the EDU `org.hansetag.conference`, by which older builds say the same. */
export const conferenceEduSchema = liveContentSchema.extend({ room_id: z.string().max(255).startsWith('!') });

const orderFields = z.object({
  /** Higher than that of every order before, over restarts. */
  number: z.number().int().min(1),
  action: z.string().min(1).max(64),
  /** The giver, of the sender's server. */
  by: userId,
  participants: z.array(z.object({ user_id: userId, device_id: deviceId })).max(500),
  /** Of `end`: for whom, which each instance knows of its own people; `participants` names the first of them. */
  for: endForSchema.optional(),
  /** Of `rename`: the new name. */
  display_name: z.string().min(1).max(256).optional(),
  /** The signed event of an order that lasts. Its depth and form are checked where it is read. */
  event: z.custom<JsonObject>(isJsonObject).optional(),
});
/**
 * What somebody does to participants, who may be of any instance: see orders.ts. Only what lasts may be about nobody who is there now.
 */
export const orderSchema = orderFields.refine(
  ({ participants, event }) => participants.length > 0 || event !== undefined,
);
export type Order = z.infer<typeof orderSchema>;

/** Body of `PUT .../conference/{roomId}/live`. */
export const liveMessageSchema = liveContentSchema.extend({
  /** The sender's conference: another one has other numbers. */
  epoch: idSchema,
  /** Messages with `participants` that the sender has sent in this epoch, this one included. */
  number: z.number().int().min(0),
  /** Begins to name all participants of the sender: what was missed before does not matter any more. */
  whole: z.boolean().optional(),
  orders: z.array(orderSchema).max(MAX_ORDERS).optional(),
});
export type LiveMessage = z.infer<typeof liveMessageSchema>;

/** Its answer. */
export const liveAnswerSchema = z.object({
  /** Something is missing here: asks for the state of all participants. */
  resend: z.boolean().optional(),
  /** What became of each order, by its number. `repeated`: it was taken before. */
  orders: dictionaryOf(z.string(), z.enum(['taken', 'repeated', 'refused']), MAX_ORDERS).optional(),
});
export type LiveAnswer = z.infer<typeof liveAnswerSchema>;

/** Body and answer of `PUT .../link/{linkId}`: one half of a link each. */
export const linkHalfSchema = z.object({
  port,
  srtp: srtpParametersSchema,
  probe_key: z.string().regex(/^[A-Za-z0-9+/]{43}=$/),
  /** The SFU node whose half this is, and the node of the receiver that it is meant for. */
  node: nodeNameSchema.default(MAIN_NODE),
  to_node: nodeNameSchema.default(MAIN_NODE),
});
export type LinkHalf = z.infer<typeof linkHalfSchema>;

/** Body of `PUT .../link/{linkId}/wants`: the whole set of sources that somebody behind the asker watches or hears. */
export const wantsSchema = z.object({
  wants: z.array(z.object({ user_id: userId, device_id: deviceId, source: sourceSchema })).max(2000),
});

/** Answer: the wanted sources that exist; a missing one is not published (any more). */
export const offersSchema = z.object({
  sources: z
    .array(
      z.object({
        user_id: userId,
        device_id: deviceId,
        source: sourceSchema,
        id: idSchema,
        kind: z.enum(['audio', 'video']),
        paused: z.boolean(),
        rtp_parameters: rtpParametersSchema,
      }),
    )
    .max(2000),
});
export type Offer = z.infer<typeof offersSchema>['sources'][number];
