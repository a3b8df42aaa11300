import { type EventIds, REFERENCE_HASHES } from './wire-form.ts';

/** Which content members survive a redaction; `all` keeps the whole content. A nested list keeps only those members. */
export type ContentKeepList =
  'all' | readonly (string | { readonly member: string; readonly only: readonly string[] })[];

/** What a redaction keeps of an event. Everything that is not listed is removed. */
export interface RedactionRules {
  readonly topLevel: ReadonlySet<string>;
  /** By event type; types that are not listed keep no content. */
  readonly content: ReadonlyMap<string, ContentKeepList>;
}

/** Everything in which room versions differ, as data. @see Matrix specification, "Room Versions" */
export interface RoomVersion {
  readonly id: string;
  readonly redaction: RedactionRules;
  /** v1 in 1, v2 up to 11. */
  readonly stateResolution: 'v1' | 'v2' | 'v2.1';
  readonly eventIds: EventIds;
  /** Keys must have been valid at `origin_server_ts`. From 5. */
  readonly keyValidity: boolean;
  /** `m.room.aliases` has an auth rule of its own. Before 6. */
  readonly aliasesRule: boolean;
  /** The auth rules check `notifications` in power levels as well. From 6. */
  readonly notificationLevels: boolean;
  /** `knock` is a membership and a join rule. From 7. */
  readonly knocking: boolean;
  /** `restricted` is a join rule. From 8. */
  readonly restrictedJoins: boolean;
  /** `knock_restricted` is a join rule. From 10. */
  readonly knockRestricted: boolean;
  /** Power levels must be integers; before, strings of digits count too. From 10. */
  readonly integerPowerLevels: boolean;
  /** The sender of the create event is the creator; before, `content.creator` says so. From 11. */
  readonly implicitCreator: boolean;
  /** `redacts` is in the content; before, it is at the top level. From 11. */
  readonly redactsInContent: boolean;
  /** The limits of 255 count UTF-8 bytes; before, deployed servers count code points. From 11. */
  readonly byteLimits: boolean;
  /** The room id is the id of the create event, which carries no `room_id` and is never an auth event. From 12. */
  readonly hashRoomIds: boolean;
  /** Creators (sender and `additional_creators`) have infinite power and must not be in `m.room.power_levels`. From 12. */
  readonly privilegedCreators: boolean;
  /** State keys may start with a user id, and users with more power may set the state of others. @see MSC3757 */
  readonly ownedState: boolean;
}

const TOP_LEVEL = [
  'event_id',
  'type',
  'room_id',
  'sender',
  'state_key',
  'content',
  'hashes',
  'signatures',
  'depth',
  'prev_events',
  'auth_events',
  'origin_server_ts',
];
const TOP_LEVEL_BEFORE_11 = [...TOP_LEVEL, 'prev_state', 'origin', 'membership'];
const POWER_LEVELS = ['ban', 'events', 'events_default', 'kick', 'redact', 'state_default', 'users', 'users_default'];

const REDACTION_3 = rules(TOP_LEVEL_BEFORE_11, {
  'm.room.member': ['membership'],
  'm.room.create': ['creator'],
  'm.room.join_rules': ['join_rule'],
  'm.room.power_levels': POWER_LEVELS,
  'm.room.history_visibility': ['history_visibility'],
  'm.room.aliases': ['aliases'],
});
// The hashes of referenced events are kept in a member of their own: see wire-form.ts.
const REDACTION_1 = { ...REDACTION_3, topLevel: new Set([...TOP_LEVEL_BEFORE_11, REFERENCE_HASHES]) };
const REDACTION_6 = extend(REDACTION_3, { 'm.room.aliases': [] });
const REDACTION_8 = extend(REDACTION_6, { 'm.room.join_rules': ['join_rule', 'allow'] });
const REDACTION_9 = extend(REDACTION_8, { 'm.room.member': ['membership', 'join_authorised_via_users_server'] });
const REDACTION_11 = {
  ...extend(REDACTION_9, {
    'm.room.create': 'all',
    'm.room.member': [
      'membership',
      'join_authorised_via_users_server',
      { member: 'third_party_invite', only: ['signed'] },
    ],
    'm.room.power_levels': [...POWER_LEVELS, 'invite'],
    'm.room.redaction': ['redacts'],
  }),
  topLevel: new Set(TOP_LEVEL),
};

const V1: RoomVersion = {
  id: '1',
  redaction: REDACTION_1,
  stateResolution: 'v1',
  eventIds: 'given',
  keyValidity: false,
  aliasesRule: true,
  notificationLevels: false,
  knocking: false,
  restrictedJoins: false,
  knockRestricted: false,
  integerPowerLevels: false,
  implicitCreator: false,
  redactsInContent: false,
  byteLimits: false,
  hashRoomIds: false,
  privilegedCreators: false,
  ownedState: false,
};
const V2: RoomVersion = { ...V1, id: '2', stateResolution: 'v2' };
const V3: RoomVersion = { ...V2, id: '3', redaction: REDACTION_3, eventIds: 'base64' };
const V4: RoomVersion = { ...V3, id: '4', eventIds: 'base64url' };
const V5: RoomVersion = { ...V4, id: '5', keyValidity: true };
const V6: RoomVersion = {
  ...V5,
  id: '6',
  redaction: REDACTION_6,
  aliasesRule: false,
  notificationLevels: true,
};
const V7: RoomVersion = { ...V6, id: '7', knocking: true };
const V8: RoomVersion = { ...V7, id: '8', redaction: REDACTION_8, restrictedJoins: true };
const V9: RoomVersion = { ...V8, id: '9', redaction: REDACTION_9 };
const V10: RoomVersion = { ...V9, id: '10', integerPowerLevels: true, knockRestricted: true };
const V11: RoomVersion = {
  ...V10,
  id: '11',
  redaction: REDACTION_11,
  implicitCreator: true,
  redactsInContent: true,
  byteLimits: true,
};
const V12: RoomVersion = {
  ...V11,
  id: '12',
  stateResolution: 'v2.1',
  hashRoomIds: true,
  privilegedCreators: true,
};

/** Not in the specification; other homeservers support them too. */
const OWNED_STATE = [V10, V11].map((base) => ({ ...base, id: `org.matrix.msc3757.${base.id}`, ownedState: true }));

const VERSIONS: ReadonlyMap<string, RoomVersion> = new Map(
  [V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12, ...OWNED_STATE].map((version) => [version.id, version]),
);

/** Ids of the supported room versions, oldest first. */
export const SUPPORTED_ROOM_VERSIONS: readonly string[] = [...VERSIONS.keys()];

/** The version of the rooms that we create. */
export const DEFAULT_ROOM_VERSION = '12';

/** Looks a room version up; undefined when we do not support it. */
export function roomVersion(id: string): RoomVersion | undefined {
  return VERSIONS.get(id);
}

function rules(topLevel: readonly string[], content: Record<string, ContentKeepList>): RedactionRules {
  return { topLevel: new Set(topLevel), content: new Map(Object.entries(content)) };
}

function extend(base: RedactionRules, content: Record<string, ContentKeepList>): RedactionRules {
  return { topLevel: base.topLevel, content: new Map([...base.content, ...Object.entries(content)]) };
}
