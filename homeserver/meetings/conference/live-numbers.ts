/**
 * The numbers of the live messages that came to a conference, by their senders: whether a message is the next one, older
 * than one that was handled, or comes after one that was not.
 */
import type { LiveMessage } from './messages.ts';

export type Order = 'next' | 'old' | 'gap';

interface Known {
  readonly epoch: string;
  readonly number: number;
}

export class LiveNumbers {
  /** Servers of the room that have sent something. */
  readonly #known = new Map<string, Known>();

  /** @returns how a message stands to those that were handled */
  orderOf(server: string, message: Pick<LiveMessage, 'epoch' | 'number' | 'whole' | 'participants'>): Order {
    const { epoch, number, whole, participants } = message;
    const known = this.#known.get(server);
    const last = known?.epoch === epoch ? known.number : 0;
    if (!participants) return number > last ? 'gap' : 'next';
    if (number <= last) return 'old';
    return whole === true || number === last + 1 ? 'next' : 'gap';
  }

  /** A message was handled. */
  handled(server: string, { epoch, number }: Pick<LiveMessage, 'epoch' | 'number'>): void {
    this.#known.set(server, { epoch, number });
  }
}
