/**
 * What the person has written and not sent yet: the draft of each meeting, and messages on their way. Kept in this tab,
 * over panels, meetings and a reload of the page, and never shown to another account.
 */
import { computed, effect, inject, Injectable, signal } from '@angular/core';
import * as z from 'zod';
import { Auth, UNSENT_KEY } from '../../core/auth.ts';

/** A tab keeps the texts of so many meetings, the ones written in last. */
const MOST_ROOMS = 20;

const outgoingSchema = z.object({
  transactionId: z.string(),
  body: z.string(),
  /** Why it was not sent; absent while it is being sent. `''`: the reason is not known. */
  failed: z.string().optional(),
});
export type Outgoing = z.infer<typeof outgoingSchema>;

const roomSchema = z.object({ draft: z.string(), outgoing: z.array(outgoingSchema) });
type UnsentInRoom = z.infer<typeof roomSchema>;
const storedSchema = z.object({ userId: z.string(), rooms: z.array(z.tuple([z.string(), roomSchema])) });

interface Unsent {
  userId: string | undefined;
  rooms: ReadonlyMap<string, UnsentInRoom>;
}

const NOTHING: UnsentInRoom = { draft: '', outgoing: [] };

function stored(): Unsent {
  try {
    const { userId, rooms } = storedSchema.parse(JSON.parse(sessionStorage.getItem(UNSENT_KEY) ?? ''));
    return { userId, rooms: new Map(rooms.map(([roomId, room]) => [roomId, interrupted(room)])) };
  } catch {
    return { userId: undefined, rooms: new Map() };
  }
}

/** Nobody waits any more for the answer to what was being sent when the page went away. */
function interrupted({ draft, outgoing }: UnsentInRoom): UnsentInRoom {
  return { draft, outgoing: outgoing.map((message) => ({ failed: '', ...message })) };
}

@Injectable({ providedIn: 'root' })
export class UnsentMessages {
  readonly #auth = inject(Auth);
  readonly #all = signal<Unsent>(stored());
  readonly #mine = computed((): Unsent['rooms'] =>
    this.#all().userId === this.#auth.userId() ? this.#all().rooms : new Map<string, UnsentInRoom>(),
  );

  constructor() {
    effect(() => {
      const written = this.#all().userId;
      const now = this.#auth.userId();
      // Who is logged out for a moment finds the texts again; nobody else does.
      if (written === undefined || now === undefined || written === now) return;
      this.#keep({ userId: undefined, rooms: new Map() });
    });
  }

  /** Reactive. */
  draft(roomId: string): string {
    return this.#in(roomId).draft;
  }

  /** Reactive; the oldest first. */
  outgoing(roomId: string): readonly Outgoing[] {
    return this.#in(roomId).outgoing;
  }

  setDraft(roomId: string, draft: string): void {
    this.#change(roomId, (room) => ({ ...room, draft }));
  }

  /** Adds a message at the end, or replaces it. */
  put(roomId: string, message: Outgoing): void {
    this.#change(roomId, (room) => {
      const known = room.outgoing.some(({ transactionId }) => transactionId === message.transactionId);
      const outgoing = known
        ? room.outgoing.map((one) => (one.transactionId === message.transactionId ? message : one))
        : [...room.outgoing, message];
      return { ...room, outgoing };
    });
  }

  remove(roomId: string, transactionId: string): void {
    this.#change(roomId, (room) => ({
      ...room,
      outgoing: room.outgoing.filter((message) => message.transactionId !== transactionId),
    }));
  }

  #in(roomId: string): UnsentInRoom {
    return this.#mine().get(roomId) ?? NOTHING;
  }

  #change(roomId: string, change: (room: UnsentInRoom) => UnsentInRoom): void {
    const room = change(this.#in(roomId));
    const others = [...this.#mine()].filter(([id]) => id !== roomId).slice(1 - MOST_ROOMS);
    const empty = room.draft === '' && room.outgoing.length === 0;
    this.#keep({ userId: this.#auth.userId(), rooms: new Map(empty ? others : [...others, [roomId, room]]) });
  }

  #keep(unsent: Unsent): void {
    this.#all.set(unsent);
    try {
      if (unsent.rooms.size === 0) sessionStorage.removeItem(UNSENT_KEY);
      else sessionStorage.setItem(UNSENT_KEY, JSON.stringify({ userId: unsent.userId, rooms: [...unsent.rooms] }));
    } catch {
      // More than the browser keeps for a page: it is still there until the page goes.
    }
  }
}
