/**
 * How fast orders of another organisation cross while its room is backed up: `npm run bench -- orders [events]`.
 *
 * A scripted organisation mutes and removes people of a homeserver with its media server, first while nothing else
 * happens, then while the homeserver works through ten thousand events that the same organisation sends into the same room.
 * All of it is one process, so what it costs to make the events slows the orders down as well. The last line is JSON.
 */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { CALL_MEMBER } from '../../homeserver/base/names.ts';
import { eventId } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import { ConferencePeer } from '../hostile/kit/conference-peer.ts';
import { MeetingPlace, type Member } from '../hostile/kit/meeting.ts';
import type { SessionClient } from '../hostile/kit/session-client.ts';
import type { PeerRoom } from '../support/peer.ts';

const EVENTS = Number(process.argv[2] ?? 10_000);
const TRIES = 20;
const BATCH = 50;
/** An order has to have been carried out by then, in ms. */
const AIM_MS = 1_000;

interface Person {
  readonly member: Member;
  readonly session: SessionClient;
}

async function main(): Promise<void> {
  const place = await MeetingPlace.start();
  const peer = await ConferencePeer.start(place.federation);
  try {
    const { serverName } = place.server;
    const moderator = peer.peer.userId('mallory');
    const anna = await place.register('anna');
    const roomId = await place.meeting(anna, [], {
      preset: 'public_chat',
      power_level_content_override: { users: { [moderator]: 50 }, events: { [CALL_MEMBER]: 0 } },
    });
    const people: Person[] = [];
    for (let index = 0; index <= 2 * TRIES; index += 1) {
      const member = await place.register(`person${String(index)}`);
      await member.user.must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
      const session = await member.session();
      await session.join(roomId);
      people.push({ member, session });
    }
    const room = await peer.peer.join(serverName, roomId, moderator);
    await peer.enter(serverName, room, 'mallory');
    const [speaker, ...leaving] = people;
    if (!speaker) throw new Error('There is nobody.');
    await speaker.session.publish('microphone');

    let number = 0;
    const give = async (person: Person, action: string, event?: JsonObject): Promise<number> => {
      const name = action === 'mute' ? 'moderation.done' : 'conference.ended';
      const before = person.session.heard(name).length;
      const { userId } = person.member.user;
      number += 1;
      const order = {
        number,
        action,
        by: moderator,
        participants: [{ user_id: userId, device_id: person.member.deviceId }],
        ...(event ? { event } : {}),
      };
      const start = performance.now();
      await peer.tell(serverName, roomId, { orders: [order] });
      while (person.session.heard(name).length === before) {
        if (performance.now() - start > 30_000) throw new Error(`${action} did not arrive`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      return performance.now() - start;
    };
    /** Follows an event that nobody has: the room can not place it yet, as when its history is behind. */
    const removal = (person: Person): JsonObject =>
      peer.peer.event(
        { ...room, last: `$${'a'.repeat(43)}`, depth: room.depth + EVENTS },
        {
          type: 'm.room.member',
          sender: moderator,
          state_key: person.member.user.userId,
          content: { membership: 'leave' },
        },
      );
    const measure = async (): Promise<{ mute: number[]; remove: number[] }> => {
      const [mute, remove]: [number[], number[]] = [[], []];
      for (let attempt = 0; attempt < TRIES; attempt += 1) {
        mute.push(await give(speaker, 'mute'));
        await speaker.session.must('media.resume', { source: 'microphone' });
        const person = leaving.shift();
        if (person) remove.push(await give(person, 'remove', removal(person)));
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      return { mute, remove };
    };

    await give(speaker, 'mute');
    await speaker.session.must('media.resume', { source: 'microphone' });
    const idle = await measure();
    let sent = 0;
    let ended = false;
    const flood = (async () => {
      while (sent < EVENTS && !ended) {
        await peer.peer.send(serverName, batch(peer, room, moderator));
        sent += BATCH;
      }
    })();
    const blocked = await measure();
    const handled = sent;
    ended = true;
    await flood;
    const report = {
      bench: 'orders',
      cpu: cpus()[0]?.model ?? '',
      cores: availableParallelism(),
      load: Math.round((loadavg()[0] ?? NaN) * 10) / 10,
      tries: TRIES,
      events: EVENTS,
      handled_meanwhile: handled,
      idle: summary(idle),
      blocked: summary(blocked),
      mute_ratio: ratio(p95(blocked.mute), p95(idle.mute)),
      remove_ratio: ratio(p95(blocked.remove), p95(idle.remove)),
      // Orders that come when all is handled prove nothing.
      passed: handled < EVENTS && p95(blocked.mute) < AIM_MS && p95(blocked.remove) < AIM_MS,
    };
    process.stdout.write(`${JSON.stringify(report)}\n`);
    if (!report.passed) process.exitCode = 1;
  } finally {
    await peer.close();
    await place.close();
  }
}

/** Messages at the end of the room. */
function batch(peer: ConferencePeer, room: PeerRoom, sender: string): JsonObject[] {
  return Array.from({ length: BATCH }, () => {
    const pdu = peer.peer.event(room, { type: 'm.room.message', sender, content: { msgtype: 'm.text', body: 'x' } });
    room.last = eventId(pdu, room.version);
    room.depth += 1;
    return pdu;
  });
}

function p95(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * 0.95) - 1)] ?? NaN;
}

function ratio(a: number, b: number): number {
  return Math.round((a / b) * 10) / 10;
}

function summary({ mute, remove }: { mute: readonly number[]; remove: readonly number[] }): Record<string, number> {
  return { mute_p95_ms: Math.round(p95(mute)), remove_p95_ms: Math.round(p95(remove)) };
}

await main();
