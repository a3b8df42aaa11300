/** The rules of a meeting, in rooms of a real homeserver. */
import type { JsonObject } from '../../../federation/json.ts';
import {
  MAX_ALLOWED,
  NO_RULES,
  type RuleName,
  ruleChangeSchema,
  ruleNameSchema,
} from '../../../protocol/modules/rules.ts';
import type { MeetingRules } from '../../../homeserver/meetings/rules/meeting-rules.ts';
import { eventually } from '../../support/homeservers.ts';
import { startMeetings, type TestMeetings } from '../support.ts';

const SETTING = 'org.hansetag.setting.';
const FORBIDDEN = jasmine.objectContaining({ status: 403 });
const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `@p${String(index)}:a.example`);

describe('Mute / mic restriction: the rules of a meeting', () => {
  let all: TestMeetings;
  let rules: MeetingRules;
  let owner: string;
  let participant: string;
  let roomId: string;
  let told: RuleName[];
  let stop: () => void;

  beforeAll(async () => {
    all = await startMeetings();
    ({ rules } = all);
    owner = (await all.server.person('owner')).userId;
    participant = (await all.server.person('participant')).userId;
    stop = rules.start();
  });
  afterAll(async () => {
    stop();
    await all.server.close();
  });
  beforeEach(async () => {
    roomId = await all.meetings.create(owner, { title: 'Deich' });
    await all.meetings.enter(owner, roomId);
    await all.service.admit(roomId, participant);
    told = [];
    const of = roomId;
    const end = rules.onChanged((room, name) => {
      if (room === of) told.push(name);
    });
    stops.push(end);
  });
  const stops: (() => void)[] = [];
  afterEach(() => stops.splice(0).forEach((end) => end()));

  /** As another server, or another client, may write it. */
  async function write(name: string, content: JsonObject): Promise<string> {
    return (await all.server.rooms.send(roomId, owner, { type: SETTING + name, stateKey: '', content })).eventId;
  }

  it('restrict nothing at first, and are what was set last', async () => {
    expect(await rules.of(roomId)).toEqual(NO_RULES);
    await rules.set(roomId, owner, 'microphone', { restricted: true, allow: [participant] });
    await rules.set(roomId, owner, 'lock', { locked: true });
    await rules.set(roomId, owner, 'limit', { participants: 25, endsAt: 1_900_000_000_000 });
    await rules.set(roomId, owner, 'waiting', { for: 'guests' });
    const set = await rules.of(roomId);
    expect(set).toEqual({
      ...NO_RULES,
      microphone: { restricted: true, allow: [participant] },
      lock: { locked: true },
      limit: { participants: 25, endsAt: 1_900_000_000_000 },
      waiting: { for: 'guests' },
    });
    await rules.set(roomId, owner, 'limit', { participants: 30 });
    expect((await rules.of(roomId)).limit).toEqual({ participants: 30 });
    expect(told).toEqual(['microphone', 'lock', 'limit', 'waiting', 'limit']);
    expect((await all.meetings.details(owner, roomId)).rules).toEqual(await rules.of(roomId));
  });

  it('let owners, moderators and whoever is named do what is restricted, and nobody else', async () => {
    const allowed = (userId: string): Promise<boolean> => rules.allows(roomId, userId, 'camera');
    expect(await allowed(participant)).toBeTrue();
    await rules.set(roomId, owner, 'camera', { restricted: true, allow: [] });
    expect([await allowed(owner), await allowed(participant)]).toEqual([true, false]);
    expect(await rules.allows(roomId, participant, 'microphone')).toBeTrue();
    await rules.set(roomId, owner, 'camera', { restricted: true, allow: [participant] });
    expect(await allowed(participant)).toBeTrue();
    await rules.set(roomId, owner, 'camera', { restricted: true, allow: [] });
    const levels = await all.server.rooms.stateEvent(roomId, 'm.room.power_levels', '');
    const content = { ...levels?.pdu.content, users: { [owner]: 100, [participant]: 50 } };
    await all.server.rooms.send(roomId, owner, { type: 'm.room.power_levels', stateKey: '', content });
    expect(await allowed(participant)).toBeTrue();
  });

  it('are set by those who have the right only', async () => {
    const set = rules.set(roomId, participant, 'microphone', { restricted: true, allow: [] });
    await expectAsync(set).toBeRejectedWith(FORBIDDEN);
    expect(await rules.of(roomId)).toEqual(NO_RULES);
    expect(told).toEqual([]);
  });

  it('and the switch of the same name keep each other, also when both change at once', async () => {
    const content = async (): Promise<unknown> =>
      (await all.server.rooms.stateEvent(roomId, `${SETTING}hands`, ''))?.pdu.content;
    await Promise.all([
      rules.set(roomId, owner, 'hands', { restricted: true, allow: [participant] }),
      rules.turnSwitch(roomId, owner, 'hands', false),
    ]);
    expect(await content()).toEqual({ restricted: true, allow: [participant], enabled: false });
    await rules.set(roomId, owner, 'hands', { restricted: false, allow: [] });
    expect(await content()).toEqual({ restricted: false, allow: [], enabled: false });
  });

  it('that were redacted restrict nothing', async () => {
    await rules.set(roomId, owner, 'chat', { restricted: true, allow: [] });
    const event = await all.server.rooms.stateEvent(roomId, `${SETTING}chat`, '');
    await all.server.rooms.send(roomId, owner, {
      type: 'm.room.redaction',
      content: { redacts: event?.eventId ?? '' },
    });
    expect((await rules.of(roomId)).chat).toEqual({ restricted: false, allow: [] });
    await eventually(
      async () => told,
      ({ length }) => length >= 2,
    );
    expect(told).toEqual(['chat', 'chat']);
  });

  it('that cannot be read restrict nothing, but for a restriction without a readable list', async () => {
    const unreadable: JsonObject[] = [
      {},
      { restricted: 'true', allow: 'all' },
      { restricted: 1 },
      { locked: 'yes', for: 7, participants: -1, ends_at: 'soon' },
      { locked: 1, for: 'friends', participants: '2', ends_at: -1 },
      { participants: 10_000_000, ends_at: 9_000_000_000_000_000, allow: { '0': participant } },
    ];
    for (const content of unreadable) {
      for (const name of ruleNameSchema.options) await write(name, content as JsonObject);
      expect(await rules.of(roomId))
        .withContext(JSON.stringify(content))
        .toEqual(NO_RULES);
    }
    for (const allow of [undefined, 'all', 5, [5, null, {}, 'anna', '@no-server']]) {
      await write('screen', { restricted: true, ...(allow === undefined ? {} : { allow }) } as JsonObject);
      expect((await rules.of(roomId)).screen).toEqual({ restricted: true, allow: [] });
    }
    await write('screen', { restricted: true, allow: ['nobody', participant, 7, participant] } as JsonObject);
    expect((await rules.of(roomId)).screen).toEqual({ restricted: true, allow: [participant] });
  });

  it('count the first 500 people of a longer list of another server, and are refused with such a list here', async () => {
    const many = ids(1_000);
    await write('microphone', { restricted: true, allow: many });
    expect((await rules.of(roomId)).microphone.allow).toEqual(many.slice(0, MAX_ALLOWED));
    const tooMany = { rule: 'microphone', value: { restricted: true, allow: ids(10_000) } };
    const parsed = ruleChangeSchema.safeParse(tooMany);
    expect(parsed.error?.issues[0]?.message).toBe('names more than 500 people');
    expect(ruleChangeSchema.safeParse({ ...tooMany, value: { restricted: true, allow: ids(500) } }).success).toBeTrue();
  });

  it('whose list no event can hold are refused, and stay as they were', async () => {
    const long = Array.from({ length: 500 }, (_, index) => `@${'x'.repeat(200)}${String(index)}:a.example`);
    const set = rules.set(roomId, owner, 'microphone', { restricted: true, allow: long });
    await expectAsync(set).toBeRejectedWith(jasmine.objectContaining({ status: 413 }));
    expect(await rules.of(roomId)).toEqual(NO_RULES);
  });
});
