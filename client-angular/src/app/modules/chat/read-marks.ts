/**
 * Up to where the chat of each meeting was read in this browser, so that what was missed is still counted after a
 * reload or another day. Of one account only: another one begins anew.
 */
import { inject, Injectable } from '@angular/core';
import * as z from 'zod';
import { type ChatPosition, chatPositionSchema } from '../../../../../protocol/modules/chat.ts';
import { Auth } from '../../core/auth.ts';

const STORAGE_KEY = 'hansetag-chat-read';
const MOST_ROOMS = 100;

const storedSchema = z.object({ userId: z.string(), rooms: z.array(z.tuple([z.string(), chatPositionSchema])) });

@Injectable({ providedIn: 'root' })
export class ReadMarks {
  readonly #auth = inject(Auth);

  /** The last message that was read; undefined in a meeting whose chat was never read here. */
  of(roomId: string): ChatPosition | undefined {
    return this.#rooms().get(roomId);
  }

  set(roomId: string, position: ChatPosition): void {
    const userId = this.#auth.userId();
    if (userId === undefined) return;
    const rooms = this.#rooms();
    // The ones read last stand at the end.
    rooms.delete(roomId);
    rooms.set(roomId, position);
    try {
      localStorage.setItem(STORAGE_KEY, JSON.stringify({ userId, rooms: [...rooms].slice(-MOST_ROOMS) }));
    } catch {
      // Without storage everything counts as new after a reload.
    }
  }

  #rooms(): Map<string, ChatPosition> {
    try {
      const { userId, rooms } = storedSchema.parse(JSON.parse(localStorage.getItem(STORAGE_KEY) ?? ''));
      return new Map(userId === this.#auth.userId() ? rooms : []);
    } catch {
      return new Map();
    }
  }
}
