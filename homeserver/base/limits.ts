/**
 * The bounds of what people, guests and other servers may ask of this homeserver and have it keep: one table, of which
 * docs/limits.md is the form for administrators. Bounds of the protocol library are in federation/, which knows nothing
 * of this; those of a page, a cache or a pause stand where they are used. Sizes are in bytes, times in ms.
 */

/** How often something may be asked: so many times in so many seconds. */
export interface Rate {
  readonly points: number;
  readonly seconds: number;
}

// ---- rates, all multiplied by HANSETAG_RATE_LIMIT_FACTOR ----

/** Requests that need no log-in, by address. Many people of one authority may share an address. */
export const ANONYMOUS_RATE: Rate = { points: 600, seconds: 60 };
/** Steps of a log-in and exchanges of tokens, by address. */
export const LOGIN_RATE: Rate = { points: 200, seconds: 60 };
/** All requests that change something, whatever they are, by account: what a new endpoint has without asking for it. */
export const WRITING_RATE: Rate = { points: 600, seconds: 10 };
/** The same for guests. */
export const GUEST_WRITING_RATE: Rate = { points: 200, seconds: 10 };
/** Requests that change something and come without a valid token, by address. */
export const UNKNOWN_WRITING_RATE: Rate = { points: 1_200, seconds: 60 };
/** Events and rooms, by account. */
export const SENDING_RATE: Rate = { points: 200, seconds: 10 };
/** Requests to send messages to devices, by account. */
export const TO_DEVICE_RATE: Rate = { points: 300, seconds: 10 };
/** Files and previews of pages, by account. */
export const UPLOAD_RATE: Rate = { points: 120, seconds: 60 };
/** Bytes of files, by account. */
export const UPLOADED_BYTES_RATE: Rate = { points: 2 * 1024 ** 3, seconds: 3_600 };
/** Requests of other servers that failed before their sender was proven, by address. */
export const UNPROVEN_RATE: Rate = { points: 30, seconds: 60 };
/** Look-ups of servers that only a request names: so many at a time for one address. */
export const LOOK_UPS_AT_ONCE = 10;
/** Wrong passwords of guest links, by address. */
export const LINK_PASSWORD_RATE_OF_ADDRESS: Rate = { points: 30, seconds: 600 };
/** Wrong passwords of one guest link, from all addresses. */
export const LINK_PASSWORD_RATE: Rate = { points: 200, seconds: 3_600 };
/** Codes by which people of other organisations go on with their own account, by address. */
export const LINK_CODE_RATE: Rate = { points: 30, seconds: 60 };
/** Such codes of one guest link. */
export const LINK_CODE_RATE_OF_LINK: Rate = { points: 300, seconds: 60 };
/** Such codes that one server redeems. */
export const LINK_REDEEM_RATE: Rate = { points: 600, seconds: 60 };
/** Reactions of one participant. */
export const REACTION_RATE: Rate = { points: 10, seconds: 5 };
/** Requests of one device over its session; more at once wait. */
export const SESSION_RATE: Rate = { points: 40, seconds: 1 };

// ---- one request ----

/** A body of the client API. */
export const CLIENT_BODY_BYTES = 1024 * 1024;
/** A body of a request that needs neither log-in nor signature. */
export const ANONYMOUS_BODY_BYTES = 64 * 1024;
/** A message from device to device, for one of the devices. A transaction of a hundred fits into what servers take. */
export const TO_DEVICE_BYTES = 64 * 1024;
/** A stored filter, in characters. */
export const FILTER_CHARACTERS = 20_000;
/** The name of a tag. */
export const TAG_BYTES = 255;
/** The `auth_data` of a backup of keys. */
export const BACKUP_AUTH_BYTES = 64 * 1024;
/** A time after which an event is to be sent. */
export const DELAY_MS = 24 * 60 * 60 * 1000;

// ---- what is kept for one account ----

/** Account data and tags of an account, with the names of types and rooms. All of it is told at the first `/sync`. */
export const ACCOUNT_DATA_BYTES = 10 * 1024 * 1024;
/** The same for a guest. */
export const GUEST_ACCOUNT_DATA_BYTES = 256 * 1024;
/** Added to each entry of account data for what it costs besides its text. */
export const ACCOUNT_DATA_ENTRY_BYTES = 64;
/** What an account has changed of the push rules: each new event is held against it. */
export const PUSH_RULES_BYTES = 64 * 1024;
/** Rules of an account's own. */
export const PUSH_RULES = 1_000;
/** Places where the devices of an account want to be told of notices. */
export const PUSHERS = 50;
/** Stored filters of an account, together. */
export const FILTERS_BYTES = 1024 * 1024;
/** Keys in all backups of an account, together. */
export const KEY_BACKUP_BYTES = 32 * 1024 * 1024;
/** Backups of keys that an account has at the same time; deleted ones do not count. */
export const KEY_BACKUPS = 20;
/** One-time keys of a device that nobody has taken yet; clients keep some fifty. */
export const ONE_TIME_KEYS = 1_000;
/** Devices of an account. */
export const DEVICES = 1_000;
/** Devices of a guest. */
export const GUEST_DEVICES = 10;
/** Messages that wait for one device. */
export const TO_DEVICE_WAITING = 50_000;
/** The same from one sender. */
export const TO_DEVICE_WAITING_OF_SENDER = 5_000;
/** Messages that wait for one device, together. */
export const TO_DEVICE_WAITING_BYTES = 64 * 1024 * 1024;
/** What a dehydrated device keeps of itself. */
export const DEHYDRATED_DATA_BYTES = 64 * 1024;
/** Threads of a room of which it is kept how far a user has read; of more, those read longest ago are forgotten. */
export const THREAD_RECEIPTS = 1_000;
/** Threads that an account follows, or has ceased to follow. */
export const THREAD_SUBSCRIPTIONS = 10_000;
/** Files of a guest, together; those of an account are bounded by HANSETAG_MEDIA_QUOTA_BYTES. */
export const GUEST_FILES_BYTES = 10 * 1024 * 1024;
/** Files that somebody has announced and not sent. */
export const ANNOUNCED_FILES = 20;
/** Events that an account has waiting for their time. */
export const DELAYED_EVENTS = 100;
/** Reports of an account in a day. */
export const REPORTS_A_DAY = 200;
/** The profile of an account. */
export const PROFILE_BYTES = 64 * 1024;

// ---- sessions and meetings ----

/** Sessions of one device at the same time: tabs, and those that wait for a client to come back. */
export const SESSIONS_OF_DEVICE = 16;
/** Notifications kept for a client that comes back. */
export const KEPT_NOTIFICATIONS = 500;
/** The same, together. */
export const KEPT_NOTIFICATION_BYTES = 256 * 1024;
/** What a client may be behind in reading before it is cut off. */
export const UNREAD_BYTES = 1024 * 1024;
/** People who wait for a conference of whom an instance tells another one, or its moderators, by organisation. */
export const WAITING_TOLD = 50;
/** People who wait whom a moderator is shown. */
export const WAITING_SHOWN = 500;
/** Lists of other instances of who waits, in all rooms. */
export const WAITING_LISTS = 5_000;
/** Such lists of one instance. */
export const WAITING_RATE: Rate = { points: 100, seconds: 10 };
/** Links to one meeting that let people in. */
export const LINKS_OF_MEETING = 100;

// ---- other servers and the identity provider ----

/** A body of another server that may hold events. */
export const EVENTS_BODY_BYTES = 10 * 1024 * 1024;
/** Any other body of another server. */
export const SERVER_BODY_BYTES = 1024 * 1024;
/** Events of a transaction. */
export const TRANSACTION_PDUS = 50;
/** Ephemeral messages of a transaction. */
export const TRANSACTION_EDUS = 100;
/** Requests to other servers so that one event gets its place. */
export const EVENT_REQUESTS = 100;
/** Those to one server. */
export const EVENT_REQUESTS_TO_ONE = 60;
/** Such requests at the same time for all events of a room. */
export const ROOM_REQUESTS_AT_ONCE = 24;
/** How long other servers are asked for one event, in ms, before it is kept to be tried again. */
export const EVENT_PATIENCE_MS = 10_000;
/** State keys in which a server's events after old ones may differ from a room's current state, at once. */
export const FORKED_STATE_KEYS = 100_000;
/** What comes back of these each second. */
export const FORKED_STATE_KEYS_A_SECOND = 2_000;
/** Orders about participants in conferences (to mute, to remove), by server. */
export const ORDER_RATE: Rate = { points: 100, seconds: 10 };
/** Servers of which it is in memory whether they are trusted. */
export const TRUST_PEERS = 5_000;
/** Servers that were never trusted of which it is kept why. */
export const REFUSED_STRANGERS = 1_000;
/** An answer of the identity provider. */
export const IDENTITY_ANSWER_BYTES = 256 * 1024;
/** Log-ins under way, login tokens and the like, of each kind. Anybody can begin them: the newest are kept. */
export const SHORT_LIVED_OF_A_KIND = 50_000;
