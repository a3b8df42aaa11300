import { isJsonObject, member } from './json.ts';
import type { JsonObject } from './json.ts';
import type { ContentKeepList, RoomVersion } from './room-versions.ts';

/**
 * Removes everything from an event that redaction in its room version does not keep. Works on parts of events too.
 *
 * @returns a copy, without `unsigned`
 * @see Matrix specification, client-server API, "Redactions", and the page of each room version
 */
export function redactFields(event: JsonObject, version: RoomVersion): JsonObject {
  const redacted: JsonObject = {};
  for (const [key, value] of Object.entries(event)) {
    if (version.redaction.topLevel.has(key)) redacted[key] = value;
  }
  const type = member(event, 'type');
  const keep = typeof type === 'string' ? version.redaction.content.get(type) : undefined;
  const content = member(event, 'content');
  redacted['content'] = isJsonObject(content) ? keepOf(content, keep ?? []) : {};
  return redacted;
}

function keepOf(content: JsonObject, keep: ContentKeepList): JsonObject {
  if (keep === 'all') return content;
  const kept: JsonObject = {};
  for (const entry of keep) {
    const name = typeof entry === 'string' ? entry : entry.member;
    const value = member(content, name);
    if (value === undefined) continue;
    if (typeof entry === 'string') {
      kept[name] = value;
      continue;
    }
    const inner = isJsonObject(value) ? keepOf(value, entry.only) : {};
    if (Object.keys(inner).length > 0) kept[name] = inner;
  }
  return kept;
}
