/** All unstable Matrix names and our own names, in one table: a rename is one line. */

/** MatrixRTC membership of one device (MSC3401, as MSC4143 clients use it today). */
export const CALL_MEMBER = 'org.matrix.msc3401.call.member';
/** Transport type in a membership: media through the participant's own instance. */
export const SFU_TRANSPORT = 'org.hansetag.sfu';
/** Event without content that merges forward extremities, named as in Synapse. Never shown to users. */
export const DUMMY_EVENT = 'org.matrix.dummy_event';
/** State event that makes a room a meeting: planned times and settings. */
export const MEETING = 'org.hansetag.meeting';
/** Prefix of the types of state events with one setting of a meeting each: `org.hansetag.setting.hands`. */
export const SETTING = 'org.hansetag.setting.';
/** State event that says whether one person is admitted to the conference; its key is `_<user id>`. */
export const ADMISSION = 'org.hansetag.admission';
/** EDU with transient facts of a conference: sources, mute states, requests to repeat them. */
export const CONFERENCE_EDU = 'org.hansetag.conference';
/** Error code of the end of a meeting's time. */
export const TIME_LIMIT = 'ORG.HANSETAG.TIME_LIMIT';
/** Error code for requests about a link that the other side does not have. */
export const UNKNOWN_LINK = 'ORG.HANSETAG.UNKNOWN_LINK';
/** Field of an error: why an organisation does not federate with another one (docs/trust.md). */
export const TRUST_REASON = 'org.hansetag.trust';
/** Field of a membership, in the room and in a conference: the person entered by a guest link. */
export const GUEST_FIELD = 'org.hansetag.guest';
/** Log-in type of services: an access token of the identity provider, by client credentials. */
export const SERVICE_LOGIN = 'org.hansetag.login.service';
