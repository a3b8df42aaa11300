/** Who gives an order, and what belongs to some of them. */
import type { EndFor } from '../../../protocol/modules/moderation.ts';

/** Who gives an order. */
export interface Giver {
  readonly userId: string;
  readonly displayName: string;
  /** Server name. */
  readonly organisation: string;
}

/** What belongs to single actions. */
export interface OrderDetails {
  readonly for?: EndFor;
  /** Safe to show. */
  readonly displayName?: string;
}
