/** The loads that both get: the same requests in the same number, concurrency and rate. */
import { each } from './http.ts';
import type { LoadClient, User } from './http.ts';
import type { Contender } from './contenders.ts';

const DELIVERIES_PER_SECOND = 10;
/** How long an event may take before the measurement is given up, in ms. */
const DELIVERY_PATIENCE_MS = 30_000;
const JOINERS_AT_A_TIME = 16;

interface SyncAnswer {
  readonly next_batch: string;
  readonly rooms?: {
    readonly join?: Readonly<Record<string, { readonly timeline?: { readonly events: readonly SyncEvent[] } }>>;
  };
}

interface SyncEvent {
  readonly type: string;
  readonly content: { readonly body?: string };
}

/** A room that everybody may enter. */
export async function publicRoom(client: LoadClient, creator: User): Promise<string> {
  const { room_id: roomId } = await client.ask<{ room_id: string }>(creator, 'POST', 'createRoom', {
    preset: 'public_chat',
    name: 'A room for measurements',
  });
  return roomId;
}

/** Local joins per second, with 16 of them under way all the time. */
export async function joinsPerSecond(client: LoadClient, roomId: string, users: readonly User[]): Promise<number> {
  const started = performance.now();
  await each(users, JOINERS_AT_A_TIME, (user) => client.ask(user, 'POST', `join/${encodeURIComponent(roomId)}`, {}));
  return users.length / seconds(started);
}

/** Acknowledged messages per second in one room, when each sender sends the next one after the answer. */
export async function sendsPerSecond(
  client: LoadClient,
  roomId: string,
  senders: readonly User[],
  durationMs: number,
): Promise<number> {
  const started = performance.now();
  let sent = 0;
  await Promise.all(
    senders.map(async (sender) => {
      for (let next = 0; performance.now() - started < durationMs; next += 1) {
        await send(client, roomId, sender, `message ${String(next)} of ${sender.userId}`);
        sent += 1;
      }
    }),
  );
  return sent / seconds(started);
}

/**
 * Ms from the request to enter a room through the other server until its answer, and until all members are known there:
 * Synapse answers as soon as it has the rest of the state, and fetches the members afterwards.
 */
export async function remoteJoinMs(
  { first, second }: Contender,
  { roomId, members }: { roomId: string; members: number },
  creator: User,
  user: User,
): Promise<{ answer: number; whole: number }> {
  // Whoever connects for the first time should not be measured: any room does for that.
  const warm = await publicRoom(first.client, creator);
  await joinVia(second.client, warm, user, creator);
  const started = performance.now();
  await joinVia(second.client, roomId, user, creator);
  const answer = performance.now() - started;
  for (let known = 0; known < members;) {
    const { chunk } = await second.client.ask<{ chunk: readonly object[] }>(
      user,
      'GET',
      `rooms/${encodeURIComponent(roomId)}/members?membership=join`,
    );
    known = chunk.length;
  }
  return { answer, whole: performance.now() - started };
}

/** Ms from sending an event on the first server until a waiting sync on the second one has it, for each event. */
export async function deliveriesMs(
  { first, second }: Contender,
  sender: User,
  receiver: User,
  count: number,
): Promise<number[]> {
  const roomId = await publicRoom(first.client, sender);
  await joinVia(second.client, roomId, receiver, sender);
  let { next_batch: since } = await second.client.ask<SyncAnswer>(receiver, 'GET', 'sync?timeout=0');
  const sentAt = new Map<string, number>();
  const took: number[] = [];

  const receive = async (): Promise<void> => {
    while (took.length < count) {
      const answer = await second.client.ask<SyncAnswer>(
        receiver,
        'GET',
        `sync?timeout=${String(DELIVERY_PATIENCE_MS)}&since=${encodeURIComponent(since)}`,
      );
      const now = performance.now();
      since = answer.next_batch;
      const before = took.length;
      for (const { content } of answer.rooms?.join?.[roomId]?.timeline?.events ?? []) {
        const at = sentAt.get(content.body ?? '');
        if (at !== undefined) took.push(now - at);
      }
      const oldest = Math.min(...sentAt.values());
      if (took.length === before && now - oldest > 2 * DELIVERY_PATIENCE_MS) throw new Error('Events got lost.');
    }
  };
  const transmit = async (): Promise<void> => {
    const started = performance.now();
    const answers: Promise<unknown>[] = [];
    for (let next = 0; next < count; next += 1) {
      await until(started + (next * 1000) / DELIVERIES_PER_SECOND);
      const body = `delivery ${String(next)}`;
      sentAt.set(body, performance.now());
      answers.push(send(first.client, roomId, sender, body));
    }
    await Promise.all(answers);
  };
  await Promise.all([receive(), transmit()]);
  return took;
}

async function joinVia(client: LoadClient, roomId: string, user: User, inside: User): Promise<void> {
  const server = inside.userId.slice(inside.userId.indexOf(':') + 1);
  const via = `server_name=${encodeURIComponent(server)}&via=${encodeURIComponent(server)}`;
  await client.ask(user, 'POST', `join/${encodeURIComponent(roomId)}?${via}`, {});
}

let transactions = 0;

async function send(client: LoadClient, roomId: string, sender: User, body: string): Promise<void> {
  transactions += 1;
  await client.ask(sender, 'PUT', `rooms/${encodeURIComponent(roomId)}/send/m.room.message/${String(transactions)}`, {
    msgtype: 'm.text',
    body,
  });
}

function until(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, time - performance.now())));
}

function seconds(since: number): number {
  return (performance.now() - since) / 1000;
}
