/**
 * Judges a kept run again: what each server should have made of what it took, and when, event by event; and what its
 * people see, where that was kept.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { canonicalJson } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import { judge } from './compare.ts';
import { isIdleRedaction } from './excuses.ts';
import { STANDINGS, RoomGraph } from './graph.ts';
import type { Arrival } from './graph.ts';
import type { SoakServer } from './servers.ts';
import { droppedIn } from './synapse-log.ts';

const Event = z.object({
  roomId: z.string(),
  eventId: z.string(),
  position: z.number().nullable(),
  standing: z.enum(STANDINGS),
  event: z.custom<JsonObject>(),
});
const Place = z.object({
  server: z.string(),
  roomId: z.string(),
  version: z.string(),
  extremities: z.array(z.string()),
});

const ViewLine = z.object({
  roomId: z.string(),
  server: z.number(),
  state: z.array(z.tuple([z.string(), z.string()])),
  history: z.array(z.string()),
});
const AcknowledgedLine = z.object({ roomId: z.string(), server: z.number(), eventId: z.string() });
const ShutOutLine = z.object({ roomId: z.string(), shutOut: z.array(z.array(z.string())) });

interface Kept {
  readonly kind: SoakServer['kind'];
  readonly events: readonly z.infer<typeof Event>[];
  readonly places: readonly z.infer<typeof Place>[];
  readonly dropped: ReadonlySet<string>;
}

/** @param folder as `record` wrote it @returns what was not right, one line each */
export async function replay(folder: string): Promise<string[]> {
  const servers = readdirSync(folder)
    .filter((name) => /^\d+-/.test(name))
    .toSorted((a, b) => parseInt(a, 10) - parseInt(b, 10))
    .map((name) => read(join(folder, name), name.endsWith('synapse') ? 'synapse' : 'ours'));
  const views = z.array(ViewLine).parse(linesOf(join(folder, 'views.jsonl')));
  const acknowledged = z.array(AcknowledgedLine).parse(linesOf(join(folder, 'acknowledged.jsonl')));
  const shutOut = z.array(ShutOutLine).parse(linesOf(join(folder, 'shut-out.jsonl')));
  const wrong: string[] = [];
  for (const { roomId, version } of servers[0]?.places ?? []) {
    const names = servers.map(({ kind, places }) => ({ kind, name: places[0]?.server ?? '' }));
    const graph = RoomGraph.of(
      servers.map(({ events }) => arrivals(events, roomId)),
      names,
      version,
    );
    for (const [index, { kind, name }] of names.entries()) {
      const say = (what: string, eventId: string): void => {
        wrong.push(`${roomId} ${name} (${kind}) ${what} ${graph.describe(eventId)}`);
      };
      for (const eventId of await graph.misjudged(index)) say('misjudges', eventId);
      for (const eventId of graph.events.keys()) {
        if (graph.standing(index, eventId) !== 'soft-failed') continue;
        if (await isIdleRedaction(index, eventId, graph)) continue;
        if (!(await graph.hadToSoftFail(index, eventId))) say('hides', eventId);
      }
    }
    // Of a run that broke off there are none.
    if (views.length === 0) continue;
    const { excused, differences } = await judge({
      graph,
      views: views
        .filter((one) => one.roomId === roomId)
        .map(({ server, state, history }) => ({ server, state: new Map(state), history: new Set(history) })),
      ends: servers.map(({ places }) => places.find((one) => one.roomId === roomId)?.extremities ?? []),
      shutOut: shutOut.find((one) => one.roomId === roomId)?.shutOut ?? [],
      acknowledged: acknowledged.filter((one) => one.roomId === roomId),
      dropped: servers.map((one) => one.dropped),
    });
    wrong.push(...differences.map((difference) => `${roomId} ${difference}`));
    for (const [name, count] of excused) console.error(`${roomId} excused: ${String(count)} by ${name}`);
  }
  return wrong;
}

function read(folder: string, kind: SoakServer['kind']): Kept {
  return {
    kind,
    events: z.array(Event).parse(linesOf(join(folder, 'events.jsonl'))),
    places: z.array(Place).parse(linesOf(join(folder, 'rooms.jsonl'))),
    dropped: droppedIn(kind === 'synapse' ? readFileSync(join(folder, 'log'), 'utf8') : ''),
  };
}

function linesOf(file: string): unknown[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line): unknown => JSON.parse(line));
}

function arrivals(events: Kept['events'], wanted: string): Arrival[] {
  return events
    .filter(({ roomId }) => roomId === wanted)
    .map(({ eventId, position, standing, event }) => ({ eventId, position, standing, json: canonicalJson(event) }));
}
