/**
 * The predefined push rules.
 *
 * @see Matrix specification, client-server API, "Predefined Rules"
 */
import type { JsonObject } from '../../../federation/json.ts';

export const KINDS = ['override', 'content', 'room', 'sender', 'underride'] as const;
export type RuleKind = (typeof KINDS)[number];

/** As clients see it. */
export interface PushRule {
  readonly rule_id: string;
  readonly default: boolean;
  readonly enabled: boolean;
  /** Strings, and objects with `set_tweak`. */
  readonly actions: readonly (string | JsonObject)[];
  /** For override and underride rules: all conditions must hold. */
  readonly conditions?: readonly JsonObject[];
  /** For content rules: the pattern for the body of a message. */
  readonly pattern?: string;
}

export type RuleSet = Readonly<Record<RuleKind, readonly PushRule[]>>;

/** The only predefined rule that comes before the user's own. */
export const MASTER = '.m.rule.master';

const match = (key: string, pattern: string): JsonObject => ({ kind: 'event_match', key, pattern });
const ofType = (type: string): JsonObject => match('type', type);
const sound = (value: string): JsonObject => ({ set_tweak: 'sound', value });
const HIGHLIGHT: JsonObject = { set_tweak: 'highlight' };
const TO_THE_ROOM: JsonObject = { kind: 'sender_notification_permission', key: 'room' };
const TWO_PEOPLE: JsonObject = { kind: 'room_member_count', is: '2' };

function rule(
  id: string,
  conditions: readonly JsonObject[],
  actions: readonly (string | JsonObject)[],
  enabled = true,
): PushRule {
  return { rule_id: id, default: true, enabled, conditions, actions };
}

const RULES = {
  master: rule(MASTER, [], [], false),
  notices: rule('.m.rule.suppress_notices', [match('content.msgtype', 'm.notice')], []),
  members: rule('.m.rule.member_event', [ofType('m.room.member')], []),
  roomMention: rule(
    '.m.rule.is_room_mention',
    [{ kind: 'event_property_is', key: 'content.m\\.mentions.room', value: true }, TO_THE_ROOM],
    ['notify', HIGHLIGHT],
  ),
  roomNotice: rule('.m.rule.roomnotif', [match('content.body', '@room'), TO_THE_ROOM], ['notify', HIGHLIGHT]),
  tombstone: rule('.m.rule.tombstone', [ofType('m.room.tombstone'), match('state_key', '')], ['notify', HIGHLIGHT]),
  reaction: rule('.m.rule.reaction', [ofType('m.reaction')], []),
  serverAcl: rule('.m.rule.room.server_acl', [ofType('m.room.server_acl'), match('state_key', '')], []),
  edits: rule(
    '.m.rule.suppress_edits',
    [{ kind: 'event_property_is', key: 'content.m\\.relates_to.rel_type', value: 'm.replace' }],
    [],
  ),
  pollResponse: rule('.org.matrix.msc3930.rule.poll_response', [ofType('org.matrix.msc3381.poll.response')], []),
} as const;
/** Poll rules, with the unstable names that clients use. @see MSC3930 */
const [POLL_START, POLL_END] = [ofType('org.matrix.msc3381.poll.start'), ofType('org.matrix.msc3381.poll.end')];
const UNDERRIDE = [
  rule('.m.rule.call', [ofType('m.call.invite')], ['notify', sound('ring')]),
  rule('.org.matrix.msc4075.rule.rtc', [ofType('org.matrix.msc4075.rtc.notification')], ['notify', sound('ring')]),
  rule('.m.rule.encrypted_room_one_to_one', [TWO_PEOPLE, ofType('m.room.encrypted')], ['notify', sound('default')]),
  rule('.m.rule.room_one_to_one', [TWO_PEOPLE, ofType('m.room.message')], ['notify', sound('default')]),
  rule('.m.rule.message', [ofType('m.room.message')], ['notify']),
  rule('.m.rule.encrypted', [ofType('m.room.encrypted')], ['notify']),
  rule('.org.matrix.msc3930.rule.poll_start_one_to_one', [TWO_PEOPLE, POLL_START], ['notify', sound('default')]),
  rule('.org.matrix.msc3930.rule.poll_start', [POLL_START], ['notify']),
  rule('.org.matrix.msc3930.rule.poll_end_one_to_one', [TWO_PEOPLE, POLL_END], ['notify', sound('default')]),
  rule('.org.matrix.msc3930.rule.poll_end', [POLL_END], ['notify']),
];
const DISPLAY_NAME = rule(
  '.m.rule.contains_display_name',
  [{ kind: 'contains_display_name' }],
  ['notify', sound('default'), HIGHLIGHT],
);
const IMPARTIAL: ReadonlySet<PushRule> = new Set([...Object.values(RULES), ...UNDERRIDE]);

/** Whether the conditions of a rule are the same for all users, so that one evaluation is enough. */
export function isImpartial(rule: PushRule): boolean {
  return IMPARTIAL.has(rule);
}

/** Most of the rules are shared objects. */
export function defaultRules(userId: string): RuleSet {
  const localpart = userId.slice(1, userId.indexOf(':'));
  return {
    override: [
      RULES.master,
      RULES.notices,
      rule(
        '.m.rule.invite_for_me',
        [ofType('m.room.member'), match('content.membership', 'invite'), match('state_key', userId)],
        ['notify', sound('default')],
      ),
      RULES.members,
      rule(
        '.m.rule.is_user_mention',
        [{ kind: 'event_property_contains', key: 'content.m\\.mentions.user_ids', value: userId }],
        ['notify', sound('default'), HIGHLIGHT],
      ),
      DISPLAY_NAME,
      RULES.roomMention,
      RULES.roomNotice,
      RULES.tombstone,
      RULES.reaction,
      RULES.serverAcl,
      RULES.edits,
      RULES.pollResponse,
    ],
    content: [
      {
        rule_id: '.m.rule.contains_user_name',
        default: true,
        enabled: true,
        pattern: localpart,
        actions: ['notify', sound('default'), HIGHLIGHT],
      },
    ],
    room: [],
    sender: [],
    underride: UNDERRIDE,
  };
}
