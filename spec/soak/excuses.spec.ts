import { judge } from './compare.ts';
import { excuse } from './excuses.ts';
import type { View } from './excuses.ts';
import type { RoomGraph } from './graph.ts';
import { ANNA, BERT, EVE, Sketch } from './sketch.ts';
import { droppedIn, errorsIn, isItsOwn } from './synapse-log.ts';

const MIXED = ['ours', 'synapse', 'synapse'] as const;
const OURS = ['ours', 'ours', 'ours'] as const;

describe('What a soak excuses', () => {
  const room = new Sketch();
  const { create, anna, levels, rules, bert, eve } = room;
  const said = (by: string, after: string, membership: string): string =>
    room.event(by, [after], room.message, [create, levels, membership]);
  const view = (server: number, members: readonly string[], shown: readonly string[] = []): View => ({
    server,
    state: new Map([create, levels, rules, ...members].map((id) => [id, id])),
    history: new Set(shown),
  });
  const views = [0, 1, 2].map((server) => view(server, [anna, bert, eve]));
  const why = (server: number, eventId: string, graph: RoomGraph, among = views): ReturnType<typeof excuse> =>
    excuse(among[server] ?? view(server, []), eventId, graph, among);

  it('nothing excuses a server of ours that lacks a message', async () => {
    const message = said(ANNA, eve, anna);
    const graph = room.graph(OURS, [[message, 'accepted']], [], [[message, 'outlier']]);
    expect(await why(1, message, graph)).toBeUndefined();
    expect(await why(2, message, graph)).toBeUndefined();
  });

  it('a redaction that redacts nothing may be hidden, and be lacked where it is of a Synapse', async () => {
    const message = said(ANNA, eve, anna);
    const idle = room.event(BERT, [message], room.redaction(message), [create, levels, bert]);
    const both = [message, idle].map((id) => [id, 'accepted'] as const);
    const lacking = [[message, 'accepted']] as const;
    expect(await why(0, idle, room.graph(OURS, both, both, both))).toBe('idle_redaction');
    expect(await why(0, idle, room.graph(OURS, lacking, both, both))).toBeUndefined();
    expect(await why(0, idle, room.graph(MIXED, lacking, both, both))).toBe('idle_redaction_withheld_by_synapse');
    // Another one of ours would have given it.
    expect(await why(0, idle, room.graph(['ours', 'synapse', 'ours'], lacking, both, both))).toBeUndefined();
  });

  it('Synapse may hide a redaction of what it lacks, ours may not lack it', async () => {
    const message = said(EVE, eve, eve);
    const redaction = room.event(ANNA, [eve], room.redaction(message), [create, levels, anna]);
    const both = [message, redaction].map((id) => [id, 'accepted'] as const);
    const graph = room.graph(MIXED, both, [[redaction, 'accepted']], both);
    expect(await why(1, redaction, graph)).toBe('early_redaction');
    expect(await why(1, message, graph)).toBeUndefined();
    expect(await why(0, redaction, room.graph(MIXED, [], both, both))).toBeUndefined();
  });

  it('what Synapse lacks for want of another Synapse is only excused where it asks that first', async () => {
    const message = said(BERT, eve, bert);
    const idle = room.event(EVE, [message], room.redaction(message), [create, levels, eve]);
    const after = said(EVE, idle, eve);
    const all = [message, idle, after].map((id) => [id, 'accepted'] as const);
    const graph = room.graph(MIXED, all, [[message, 'accepted']], all);
    expect(await why(1, after, graph)).toBeUndefined();
    const again = room.event(ANNA, [eve], room.member(ANNA, 'join'), [create, levels, rules, anna]);
    const later = views.map(({ server }) => view(server, [again, bert, eve]));
    const known = [...all, [again, 'accepted'] as const];
    expect(await why(1, after, room.graph(MIXED, known, [[message, 'accepted']], all), later)).toBe(
      'history_asked_of_synapse',
    );
  });

  it('what Synapse lacks for want of another Synapse is excused as well where who came before that has parted from it', async () => {
    const old = [rules].map((id) => [id, 'outlier'] as const);
    const graph = room.graph(MIXED, [], old, [...old, [bert, 'outlier']]);
    expect(await why(2, bert, graph)).toBeUndefined();
    const ban = room.event(ANNA, [eve], room.member(EVE, 'ban'), [create, anna, levels, eve]);
    const parted = [view(0, [anna, bert, ban]), ...views.slice(1)];
    const after = room.graph(MIXED, [[ban, 'accepted']], old, [...old, [bert, 'outlier']]);
    expect(await why(2, bert, after, parted)).toBe('history_asked_of_synapse');
    // Where the other one has it all, it gives it.
    const known = room.graph(MIXED, [[ban, 'accepted']], [], [...old, [bert, 'outlier']]);
    expect(await why(2, bert, known, parted)).toBeUndefined();
    // One of ours may not believe the first who answers.
    const ours = room.graph(['ours', 'synapse', 'ours'], [[ban, 'accepted']], old, [...old, [bert, 'outlier']]);
    expect(await why(2, bert, ours, parted)).toBeUndefined();
  });

  it('the leave of the last member of a Synapse is excused where nobody else has heard of it, and no other leave', async () => {
    const leave = room.event(BERT, [eve], room.member(BERT, 'leave'), [create, levels, bert]);
    const kept = [[leave, 'accepted']] as const;
    expect(await why(0, leave, room.graph(MIXED, [], kept, []))).toBe('last_leave_kept_by_synapse');
    expect(await why(0, leave, room.graph(MIXED, [], kept, kept))).toBeUndefined();
    expect(await why(0, leave, room.graph(OURS, [], kept, []))).toBeUndefined();
    const said = room.event(BERT, [eve], room.message, [create, levels, bert]);
    expect(await why(0, said, room.graph(MIXED, [], [[said, 'accepted']], []))).toBeUndefined();
  });

  it('what rests on an event that a Synapse took with it is excused, but not while anybody has that', async () => {
    const lost = said(EVE, eve, eve);
    const after = said(ANNA, lost, anna);
    const all = [lost, after].map((id) => [id, 'accepted'] as const);
    const present = views.slice(0, 2);
    expect(await why(1, after, room.graph(MIXED, [[after, 'accepted']], [], all), present)).toBe('rests_on_lost');
    expect(await why(1, after, room.graph(MIXED, all, [], all), present)).toBeUndefined();
    expect(await why(1, after, room.graph(MIXED, [[after, 'accepted']], [], all), views)).toBeUndefined();
    expect(await why(1, after, room.graph(OURS, [[after, 'accepted']], [], all), present)).toBeUndefined();
  });

  it('servers that have parted still owe each other what was said before', async () => {
    const before = said(ANNA, eve, anna);
    const ban = room.event(ANNA, [before], room.member(BERT, 'ban'), [create, anna, levels, bert]);
    const after = said(ANNA, ban, anna);
    const all = [before, ban, after];
    const graph = room.graph(
      OURS,
      all.map((id) => [id, 'accepted'] as const),
      [],
    );
    const { differences, excused, parted } = await judge({
      graph,
      views: [view(0, [anna, ban, eve], all), view(1, [anna, bert, eve])],
      ends: [[after], [eve], []],
      shutOut: [],
      acknowledged: [],
      dropped: [],
    });
    expect(parted).toBe(1);
    expect([...excused]).toEqual([['parted', 1]]);
    const missing = differences.filter((difference) => difference.startsWith('history: server 1'));
    expect(missing.map((difference) => all.findIndex((id) => difference.includes(id)))).toEqual([0, 1]);
  });

  it('a Synapse that has parted from a server does not owe it what it said before, and ours does', async () => {
    const message = said(BERT, eve, bert);
    const kick = room.event(ANNA, [message], room.member(EVE, 'leave'), [create, anna, levels, eve]);
    const all = [message, kick].map((id) => [id, 'accepted'] as const);
    const evidence = {
      views: [
        view(0, [anna, bert], [message, kick]),
        view(1, [anna, bert], [message, kick]),
        view(2, [anna, bert, eve]),
      ],
      ends: [[kick], [kick], [eve]],
      shutOut: [],
      acknowledged: [],
      dropped: [],
    };
    const missing = async (kinds: typeof MIXED | typeof OURS): Promise<string[]> =>
      (await judge({ ...evidence, graph: room.graph(kinds, all, all, []) })).differences.filter((difference) =>
        difference.startsWith('history: server 2'),
      );
    expect(await missing(MIXED)).toEqual([jasmine.stringContaining(kick) as unknown as string]);
    expect(await missing(OURS)).toHaveSize(2);
    // What it says to have thrown away was delivered.
    const log = `WARNING x Error handling PDU ${kick}: ERROR 403: Your server isn't divulging details about prev_events referenced`;
    const told = { ...evidence, dropped: [new Set<string>(), new Set<string>(), droppedIn(log)] };
    const { excused } = await judge({ ...told, graph: room.graph(MIXED, all, all, []) });
    expect([...excused].sort()).toEqual([
      ['dropped_by_synapse', 1],
      ['undelivered_by_synapse', 1],
    ]);
  });

  it('a server that has lost what it acknowledged, or lets nobody in the room look, is reported', async () => {
    const graph = room.graph(OURS, [], [], []);
    const lost = said(BERT, eve, bert);
    const { differences } = await judge({
      graph,
      views: [],
      ends: [[], [eve], []],
      shutOut: [],
      acknowledged: [{ server: 1, eventId: lost }],
      dropped: [],
    });
    expect(differences).toEqual([
      `state: server 1 does not let ${BERT} look`,
      jasmine.stringContaining(`server 1 has lost ${lost}`) as unknown as string,
    ]);
  });

  describe('in the log of Synapse', () => {
    const entry = (text: string): string => `2026-01-01 10:00:00,000 ${text}`;
    /** As Synapse 1.163.2 of Eve writes it, which in its task asks one after the other. */
    const givenUp = (task: string, answers: readonly (readonly [from: string, reason: string])[]): string =>
      [
        ...answers.map(([from, reason]) =>
          entry(
            `synapse.handlers.federation_event WARNING ${task}-$join _compute_event_context_with_maybe_missing_prevs(event_id=$join): Error attempting to resolve state from ${from} for missing prev_events: ${reason}`,
          ),
        ),
        entry(
          `synapse.handlers.federation ERROR ${task} Failed to get state for !room:a.example at <Event event_id=$join, type=m.room.member, state_key=${EVE}, membership=join> from ${answers.at(-1)?.[0] ?? ''} because ERROR 403: We can't get valid state history., giving up!`,
        ),
        entry(
          `synapse.metrics.background_process_metrics ERROR ${task} Background process 'sync_partial_state_room' threw an exception`,
        ),
        'Traceback (most recent call last):',
        'synapse.api.errors.HttpResponseException: 404: Not Found',
        '',
        'During handling of the above exception, another exception occurred:',
        '',
        'Traceback (most recent call last):',
        "synapse.api.errors.FederationError: ERROR 403: We can't get valid state history.",
      ].join('\n');

    it('that it gave up a room because another Synapse did not have it, and not because of what ours answered', async () => {
      const graphs = [room.graph(MIXED, [], [], [])];
      const own = async (log: string): Promise<boolean[]> =>
        Promise.all(errorsIn(log).map((error) => isItsOwn(2, error, graphs)));
      const task = 'sync_partial_state_room-1';
      const [ours, other, itself] = ['a.example', 'b.example', 'c.example'];
      const notFound = '404: Not Found';
      const closed = 'Failed to send request: ConnectionDone: Connection was closed cleanly.';
      const justTried = `Not retrying server ${ours} because we tried it recently retry_last_ts=1795748086636 and we won't check for another retry_interval=1000ms.`;
      const reached = [
        [ours, justTried],
        [other, notFound],
      ] as const;
      expect(await own(givenUp(task, reached))).toEqual([true, true]);
      expect(await own(givenUp(task, [[ours, closed], ...reached.slice(1), [itself, closed]]))).toEqual([true, true]);
      expect(await own(givenUp(task, [[ours, notFound]]))).toEqual([false, false]);
      expect(
        await own(
          givenUp(task, [
            [ours, notFound],
            [other, closed],
          ]),
        ),
      ).toEqual([false, false]);
      expect(await own(givenUp(task, [['elsewhere.example', notFound]]))).toEqual([false, false]);
      expect(await own(givenUp(task, []))).toEqual([false, false]);
      // It does not say why it has no event, but others of its tasks say that they do not ask for any.
      const unable = givenUp(task, [
        [ours, 'Unable to get missing prev_event $said'],
        [other, '403: Forbidden'],
      ]);
      const missed = entry(
        `synapse.handlers.federation_event WARNING ${task}-$join-$said-$said Server ${ours} didn't return event $said`,
      );
      const passedOver = (tried: number): string =>
        entry(
          `synapse.handlers.federation_event WARNING other-task Failed to get prev_events: Not retrying server ${ours} because we tried it recently retry_last_ts=${String(tried)} and we won't check for another retry_interval=1000ms.`,
        );
      const now = Date.parse('2026-01-01T10:00:00.000');
      expect(await own([missed, passedOver(now - 900), unable].join('\n'))).toEqual([true, true]);
      expect(await own([missed, passedOver(now - 1100), unable].join('\n'))).toEqual([false, false]);
      expect(await own([missed, unable].join('\n'))).toEqual([false, false]);
      expect(await own([passedOver(now - 900), unable].join('\n'))).toEqual([false, false]);
      // It was refused, rightly where it had left meanwhile.
      const refused = givenUp(task, [[ours, '403: Forbidden']]).replaceAll('$join', eve);
      expect(await own(refused)).toEqual([false, false]);
      const leave = room.event(EVE, [eve], room.member(EVE, 'leave'), [create, levels, eve]);
      graphs[0] = room.graph(MIXED, [[leave, 'accepted']], [], [[leave, 'accepted']]);
      expect(await own(refused)).toEqual([true, true]);
      graphs[0] = room.graph(MIXED, [], [], [[leave, 'accepted']]);
      expect(await own(refused)).toEqual([false, false]);
      // What another task was answered, or one of the same number before a start, is no reason.
      const before = [givenUp(task, [[ours, notFound]]), givenUp('sync_partial_state_room-2', reached)].join('\n');
      const start = entry('synapse.config.logger WARNING main ***** STARTING SERVER *****');
      expect(await own([before, start, givenUp(task, reached)].join('\n'))).toEqual([
        ...[false, false, true, true],
        ...[true, true],
      ]);
      expect(await own([givenUp(task, reached), start, givenUp(task, [])].join('\n'))).toEqual([
        ...[true, true],
        ...[false, false],
      ]);
    });

    it('that it does not find an event to send, when that is a redaction that redacts nothing, or nothing yet', async () => {
      const message = said(ANNA, eve, anna);
      const idle = room.event(BERT, [message], room.redaction(message), [create, levels, bert]);
      const right = room.event(ANNA, [message], room.redaction(message), [create, levels, anna]);
      const late = said(ANNA, eve, anna);
      const early = room.event(ANNA, [message], room.redaction(late), [create, levels, anna]);
      const all = [message, idle, right, early, late].map((id) => [id, 'accepted'] as const);
      const graphs = [room.graph(MIXED, all, all, all)];
      const own = async (id: string): Promise<boolean[]> => {
        const log = entry(
          `synapse.federation.sender.per_destination_queue ERROR x y\nAssertionError: No events retrieved when we asked for ['${id}']. This should not happen.\n`,
        );
        return Promise.all(errorsIn(log).map((error) => isItsOwn(1, error, graphs)));
      };
      expect(await own(idle)).toEqual([true]);
      expect(await own(early)).toEqual([true]);
      expect(await own(right)).toEqual([false]);
      expect(await own('$unknown')).toEqual([false]);
    });
  });
});
