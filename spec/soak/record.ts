/**
 * What is kept of a soak that did not pass, to find out why and to judge it again: of each server its events in the order
 * in which it took them with its verdicts, where its rooms stand, what its people see of them, and its log; and what was
 * acknowledged, and what people and troubles did when.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseStrict } from '../../federation/json.ts';
import type { Town } from './actions.ts';
import type { Comparison } from './compare.ts';
import { arrivals, extremities } from './graph.ts';
import type { Journal } from './journal.ts';
import type { SoakServers } from './servers.ts';

/**
 * Writes it.
 *
 * @param result what the soak says of itself
 * @returns the folder
 */
export async function record(
  { servers }: SoakServers,
  town: Town | undefined,
  journal: Journal,
  comparisons: readonly Comparison[],
  result: object,
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'hansetag-soak-kept-'));
  writeFileSync(join(folder, 'result.json'), `${JSON.stringify(result, undefined, 2)}\n`);
  writeFileSync(join(folder, 'journal.jsonl'), lines(journal.entries));
  writeFileSync(join(folder, 'acknowledged.jsonl'), lines(town?.acknowledged ?? []));
  writeFileSync(
    join(folder, 'views.jsonl'),
    lines(
      comparisons.flatMap(({ roomId, views }) =>
        views.map(({ server, state, history }) => ({ roomId, server, state: [...state], history: [...history] })),
      ),
    ),
  );
  writeFileSync(join(folder, 'shut-out.jsonl'), lines(comparisons.map(({ roomId, shutOut }) => ({ roomId, shutOut }))));
  for (const [index, server] of servers.entries()) {
    const own = join(folder, `${String(index)}-${server.kind}`);
    mkdirSync(own);
    if (existsSync(server.logFile)) copyFileSync(server.logFile, join(own, 'log'));
    const events: object[] = [];
    const rooms: object[] = [];
    for (const { roomId, version } of town?.rooms ?? []) {
      for (const { json, ...arrival } of await arrivals(server, roomId)) {
        events.push({ roomId, ...arrival, event: parseStrict(json) });
      }
      rooms.push({ server: server.name, roomId, version, extremities: await extremities(server, roomId) });
    }
    writeFileSync(join(own, 'events.jsonl'), lines(events));
    writeFileSync(join(own, 'rooms.jsonl'), lines(rooms));
  }
  return folder;
}

function lines(all: readonly object[]): string {
  return all.map((one) => `${JSON.stringify(one)}\n`).join('');
}
